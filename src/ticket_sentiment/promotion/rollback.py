"""Back, now: one command, without MLflow, a build or a wait."""

import getpass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry, LedgerConflict
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By, Model, challenger_of, champion_of, previous_of
from ticket_sentiment.rollout.releases import is_whole

WAIT_S = 5.0  # for another who reconciles
TRIES = 5  # against flows that change the ledger meanwhile
# Two people at one alarm, or a command that was killed and is run again, are this close; who asks later has
# seen the rollback and wants another.
SAME = timedelta(minutes=10)


class Rollback(NamedTuple):
    """What a call of `roll_back` came to.

    Attributes:
        entry: of the ledger, in force.
        made: whether this call made it.
        missing: why the release gone back to could not be brought into `serve.releases` here, else None.
    """

    entry: Entry
    made: bool
    missing: str | None = None


def roll_back(
    ledger: Ledger, params: Params, by: By, version: str | None = None, root: Path = Path()
) -> Rollback:
    """End the rollout that is on, or bring the previous champion back; MLflow's aliases follow later.

    Where a person did so within `SAME` nothing is done, so that two who press at once, or a command that was
    killed and is run again, do not go back twice; to go further back name the version. What a flow changes
    meanwhile does not keep a person from going back, and neither does a release that cannot be had here: the
    services' own folder may well hold it, and is not seen from every machine.

    Args:
        ledger: of the event database.
        params: of params.yaml.
        by: who, and why.
        version: to go to, by its number; it becomes the champion, and a rollout that is on ends.
        root: the repository.

    Raises:
        LedgerConflict: another person came first, or flows did too often; nothing was changed.
        EventStoreUnavailable: the event database does not answer.
        TicketSentimentError: there is nothing to go back to, or the version never served and cannot be had.
    """
    before = ledger.current()
    if before is None or before.change is None:
        found = before.told if before else "no state"
        raise TicketSentimentError(f"rollback: the ledger has {found}: run the reconcile flow first")
    if version is None and _by_hand(before) and abs(ledger.now() - before.change.at) < SAME:
        return Rollback(before, False)
    if version is not None:
        to: Model | None = _named(ledger, params, version, root)
    else:
        to = champion_of(before) if before.on else previous_of(before)
    for _ in range(TRIES):
        if to and to.digest == champion_of(before).digest and not before.on:
            return Rollback(before, False)
        try:
            return _go(ledger, params, by, before, to, root)
        except LedgerConflict as conflict:
            lost, winner = conflict, conflict.winner
        if winner is None or winner.change is None:
            break
        if version is None and winner.change.action == "rollback":
            return Rollback(winner, False)
        if _is_person(winner.change.actor):
            break
        before = winner
    raise lost


def _go(ledger: Ledger, params: Params, by: By, before: Entry, to: Model | None, root: Path) -> Rollback:
    if to is None or to.digest == champion_of(before).digest:
        return Rollback(moves.rollback(ledger, before, by, to), True)
    missing = _missing(params, to, root)
    entry = moves.rollback(ledger, before, by, to)
    if missing is None:  # a reconcile removes what no entry names: perhaps it was faster
        missing = _missing(params, to, root)
    return Rollback(entry, True, missing)


def _missing(params: Params, to: Model, root: Path) -> str | None:
    """Why the release of a model could not be brought here; None where it lies here."""
    if is_whole(root / params.serve.releases, to.digest):
        return None
    try:
        _bring(params, to.version, root, to.digest)
    except TicketSentimentError as error:
        return str(error)
    return None


def _is_person(actor: str) -> bool:
    return actor in (moves.PERSON, moves.ROLLBACK) or actor.startswith(moves.COMMAND_LINE)


def _by_hand(entry: Entry) -> bool:
    change = entry.change
    return change is not None and change.action == "rollback" and _is_person(change.actor)


def lines(entry: Entry, made: bool, missing: str | None) -> list[str]:
    """What serves now, for a person; the arguments are those of `Rollback`."""
    change, champion, challenger = entry.change, champion_of(entry), challenger_of(entry)
    assert change is not None
    trial = f"; version {challenger.version} is on trial" if challenger else ""
    now = "is to serve now" if missing else "serves now"
    serves = f"Version {champion.version} ({champion.digest[:12]}) {now}{trial}: {entry.told}."
    if missing:
        return [
            serves,
            f"Its release could not be brought here: {missing}",
            "Services that hold it answer with it. Others keep the model before until it lies in their "
            "folder: by `ticket-sentiment releases` there, or the next reconcile (alert ReleaseNotLoaded).",
        ]
    if made:
        return [serves]
    further = previous_of(entry)
    to = f" (`--to {further.version}`)" if further else ""
    return [
        f"Nothing to do: {change.actor} did it at {change.at:%Y-%m-%d %H:%M} UTC ({change.reason})",
        serves,
        f"To go further back name a version{to}.",
    ]


def main(params: Params, reason: str, version: str | None = None, root: Path = Path()) -> None:
    """Roll back as a person at the command line, say what serves now, then let MLflow's aliases follow.

    Raises:
        LedgerConflict: another change came first; nothing was changed.
        EventStoreUnavailable: the event database does not answer.
        TicketSentimentError: there is nothing to go back to, or the version never served and cannot be had.
    """
    ledger = Ledger.open(params.events)
    try:
        found = roll_back(ledger, params, By(_person(), reason), version, root)
        print("\n".join(lines(*found)), flush=True)
        for line in _follow(ledger, params, root):
            print(line)
    finally:
        ledger.close()


def _person() -> str:
    try:
        return f"{moves.COMMAND_LINE} ({getpass.getuser()})"
    except (OSError, KeyError):  # a container's user without a name
        return moves.COMMAND_LINE


def _follow(ledger: Ledger, params: Params, root: Path) -> list[str]:
    """Reconcile; it is done already that services go back, so nothing here is an error any more."""
    from ticket_sentiment.promotion.reconcile import reconcile  # imports MLflow
    from ticket_sentiment.registry.store import connect

    try:
        return reconcile(ledger, connect(params, root), params, root, wait_s=WAIT_S).lines()
    except Exception as error:  # of a cloud's client, too: no traceback may hide that services went back
        why = error if isinstance(error, TicketSentimentError) else type(error).__name__
        return [f"MLflow's aliases follow with the next reconcile: {why}"]


def _named(ledger: Ledger, params: Params, version: str, root: Path) -> Model:
    """A version; what once was champion is known without MLflow."""
    for entry in ledger.history():
        if entry.change and champion_of(entry).version == version:
            return champion_of(entry)
    try:
        return Model(version, _bring(params, version, root))
    except TicketSentimentError as error:
        raise TicketSentimentError(
            f"rollback: version {version} never served, and its release cannot be brought: {error}; "
            "nothing was changed; name another one with --to"
        ) from None


def _bring(params: Params, version: str, root: Path, wanted: str | None = None) -> str:
    # Only here MLflow is needed: importing it takes as long as all the rest.
    from ticket_sentiment.registry.releases import put_release
    from ticket_sentiment.registry.store import connect

    try:
        return put_release(connect(params, root), params, version, root, wanted)
    except TicketSentimentError:
        raise
    except Exception as error:  # MLflow's, the disk's, or any of a cloud's client: no credentials
        code = getattr(error, "error_code", None) or type(error).__name__
        raise TicketSentimentError(
            f"version {version} is not in {params.serve.releases} and cannot be had from MLflow ({code})"
        ) from None
