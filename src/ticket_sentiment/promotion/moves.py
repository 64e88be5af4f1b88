"""The changes that a rollout can make, each one compare-and-swap on the ledger.

Every move names the entry that it was decided on. When another change came first nothing is changed, and
`LedgerConflict` says who was first. Nothing here asks MLflow: a rollback must work while that is away.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import MAX_REASON, Action, Change, Entry
from ticket_sentiment.events.leases import Lease
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.rollout.state import RolloutState

# Actors, one spelling each: by them the history says what was a person's decision. Those of versions that ask
# for a rollout are in registry/registry.py.
PERSON = "person via MLflow"
ROLLOUT = "rollout flow"
RECONCILE = "reconcile flow"
ROLLBACK = "rollback flow"
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class By:
    """Who makes a move, and why (a sentence; what is too long for the ledger is cut)."""

    actor: str
    reason: str


@dataclass(frozen=True)
class Model:
    """A registered version.

    Attributes:
        version: of the registry.
        digest: of its CPU bundle, by which rollout states name it.
        hotfix: whether its rollout has the steps of `rollout.hotfix`.
    """

    version: str
    digest: str
    hotfix: bool = False


def champion_of(entry: Entry) -> Model:
    """Who answers by default.

    Raises:
        TicketSentimentError: a program set the state without the ledger.
    """
    return Model(_noted(entry).champion_version, entry.state.champion)


def challenger_of(entry: Entry) -> Model | None:
    """Who is on trial; None when nobody is.

    Raises:
        TicketSentimentError: a program set the state without the ledger.
    """
    change = _noted(entry)
    if entry.state.challenger is None or change.challenger_version is None:
        return None
    return Model(change.challenger_version, entry.state.challenger, change.hotfix)


def previous_of(entry: Entry) -> Model | None:
    """The champion that a rollback goes to; None when there is none.

    Raises:
        TicketSentimentError: a program set the state without the ledger.
    """
    change = _noted(entry)
    if change.previous_champion is None or change.previous_version is None:
        return None
    return Model(change.previous_version, change.previous_champion)


def named(entry: Entry) -> tuple[Model, ...]:
    """All that services may need: champion, challenger and who a rollback goes to."""
    found = (champion_of(entry), challenger_of(entry), previous_of(entry))
    return tuple(model for model in found if model)


def _noted(entry: Entry) -> Change:
    if entry.change is None:
        raise TicketSentimentError(
            f"the ledger has {entry.told}, which names no versions: run the reconcile flow, which adopts it"
        )
    return entry.change


def by_flow(entry: Entry, action: Action) -> bool:
    """Whether the rollout flow made an entry, with this action."""
    return entry.change is not None and (entry.change.actor, entry.change.action) == (ROLLOUT, action)


def champion_since(history: Sequence[Entry]) -> Entry:
    """The entry with which the champion became it.

    Args:
        history: of the ledger, all of it, the latest entry first; not empty.
    """
    same = takewhile(lambda entry: entry.state.champion == history[0].state.champion, history)
    return list(same)[-1]


def champions_before(history: Sequence[Entry]) -> tuple[Model, ...]:
    """The champions that rollbacks would go through, nearest first.

    Who was rolled back from is not among them: going back leads away from it, never to it again.

    Args:
        history: of the ledger, all of it, the latest entry first.
    """
    found: list[Model] = []
    known = [entry for entry in history if entry.change is not None]
    seen = {known[0].state.champion} if known else set()
    position = 0
    while position < len(known):
        earlier = previous_of(known[position])
        if earlier is None or earlier.digest in seen:
            break
        found.append(earlier)
        seen.add(earlier.digest)
        position = next(
            (n for n in range(position, len(known)) if known[n].state.champion == earlier.digest), len(known)
        )
    return tuple(found)


def start(ledger: Ledger, before: Entry, challenger: Model, by: By, lease: Lease | None = None) -> Entry:
    """Begin the rollout of a challenger, in shadow, in the place of one that may be on.

    Its release must lie in the folder of releases before (`registry.releases.put_release`): services look for
    it as soon as the state names it.

    Raises:
        LedgerConflict: another change came first.
        LeaseLost: another has the lease.
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: it is the champion, or a reason or actor is no plain text.
    """
    champion = champion_of(before)
    if challenger.digest == champion.digest:
        raise TicketSentimentError(
            f"version {challenger.version} is the champion (version {champion.version} has the same bundle): "
            "it cannot challenge itself"
        )
    return _put(ledger, before, "start", by, champion, previous_of(before), challenger, lease=lease)


def advance(ledger: Ledger, before: Entry, share: float, by: By, lease: Lease | None = None) -> Entry:
    """Go to the next step, in which the challenger answers `share` of the customers.

    Raises:
        LedgerConflict: another change came first.
        LeaseLost: another has the lease.
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: no rollout is on.
    """
    step = _noted(before).step + 1
    challenger, previous = _on_trial(before), previous_of(before)
    return _put(
        ledger, before, "advance", by, champion_of(before), previous, challenger, step, share, lease=lease
    )


def promote(ledger: Ledger, before: Entry, by: By, lease: Lease | None = None) -> Entry:
    """Make the challenger the champion; the champion is the one that a rollback goes to.

    Raises:
        LedgerConflict: another change came first.
        LeaseLost: another has the lease.
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: no rollout is on.
    """
    return _put(ledger, before, "promote", by, _on_trial(before), champion_of(before), lease=lease)


def stop(ledger: Ledger, before: Entry, by: By, lease: Lease | None = None) -> Entry:
    """End the rollout without an answer: the champion answers everybody.

    Raises:
        LedgerConflict: another change came first.
        LeaseLost: another has the lease.
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: no rollout is on.
    """
    _on_trial(before)
    return _put(ledger, before, "stop", by, champion_of(before), previous_of(before), lease=lease)


def rollback(
    ledger: Ledger, before: Entry, by: By, to: Model | None = None, lease: Lease | None = None
) -> Entry:
    """Go back: to `to`, else from the rollout that is on to its champion, else to the champion before.

    Afterwards the next rollback goes further back, and never to the model that was rolled back from.

    Raises:
        LedgerConflict: another change came first.
        LeaseLost: another has the lease.
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: there is nothing to go back to.
    """
    if to is None and before.on:
        return _put(ledger, before, "rollback", by, champion_of(before), previous_of(before), lease=lease)
    to = to or previous_of(before)
    if to is None:
        raise TicketSentimentError(
            f"rollback: the ledger knows no champion before version {champion_of(before).version}: name a "
            "version with --to, or give the alias `champion` to one in MLflow (`make ui`)"
        )
    line = champions_before(ledger.history())
    place = next((n for n, model in enumerate(line) if model.digest == to.digest), None)
    further = next(iter(line[place + 1 :]), None) if place is not None else previous_of(before)
    return _put(ledger, before, "rollback", by, to, further, lease=lease)


def adopt(ledger: Ledger, before: Entry | None, champion: Model, by: By, lease: Lease | None = None) -> Entry:
    """Make champion what was found elsewhere, such as a version that a person gave the alias to.

    A rollout that is on ends. In an empty ledger this is the first entry.

    Raises:
        LedgerConflict: another change came first.
        LeaseLost: another has the lease.
        EventStoreUnavailable: the database does not answer.
    """
    previous = champion_of(before) if before and before.change else None
    if previous and previous.digest == champion.digest:
        previous = previous_of(before) if before else None
    return _put(ledger, before, "adopt", by, champion, previous, lease=lease)


def _on_trial(entry: Entry) -> Model:
    challenger = challenger_of(entry)
    if challenger is None:
        raise TicketSentimentError(f"no rollout is on: the ledger has {entry.told}")
    return challenger


def _put(
    ledger: Ledger,
    before: Entry | None,
    action: Action,
    by: By,
    champion: Model,
    previous: Model | None,
    challenger: Model | None = None,
    step: int = 0,
    share: float = 0.0,
    lease: Lease | None = None,
) -> Entry:
    epoch = before.state.epoch + 1 if before else 1
    now = ledger.now()
    # A new challenger does not meet the customers of the last one; without one the salt means nothing.
    salt = before.state.salt if before and action != "start" else secrets.token_hex(8)
    state = RolloutState(
        epoch=epoch,
        salt=salt,
        champion=champion.digest,
        challenger=challenger.digest if challenger else None,
        challenger_share=share,
        shadow=challenger is not None,
        since=now,
    )
    rollout = before.change.rollout if before and before.change and action == "advance" else epoch
    change = Change(
        at=now,
        action=action,
        actor=by.actor,
        reason=by.reason[:MAX_REASON],
        step=step,
        rollout=rollout if challenger else None,
        hotfix=challenger.hotfix if challenger else False,
        champion_version=champion.version,
        challenger_version=challenger.version if challenger else None,
        previous_champion=previous.digest if previous else None,
        previous_version=previous.version if previous else None,
    )
    return ledger.change(state, change, epoch - 1, lease)
