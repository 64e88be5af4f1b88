"""What serves where, since when and why: the ledger, what services did, and whether MLflow agrees."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from ticket_sentiment.events import schema
from ticket_sentiment.events.access import url_of
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion.aliases import (
    ALIASES,
    REFUSED,
    MlflowUnavailable,
    answering,
    read_aliases,
    wanted,
)
from ticket_sentiment.promotion.moves import (
    Model,
    challenger_of,
    champion_of,
    champion_since,
    named,
    previous_of,
)
from ticket_sentiment.registry.registry import status as versions
from ticket_sentiment.registry.store import Store, connect, registered
from ticket_sentiment.rollout.policy import Plan
from ticket_sentiment.rollout.releases import is_whole

ANSWERED = timedelta(hours=1)


def status(params: Params, root: Path = Path()) -> str:
    """What serves where, since when and why; then the table of all registered versions.

    Args:
        params: of params.yaml.
        root: the repository.

    Raises:
        EventStoreUnavailable: the event database does not answer.
    """
    ledger, store = Ledger.open(params.events), connect(params, root)
    try:
        rows = list(serving(ledger, params, root))
        rows.append(("read from", f"{address(url_of(params.events))} and MLflow at {address(store.uri)}"))
        try:
            with answering("the aliases and the versions are not known"):
                entry = ledger.current()
                if entry and entry.change:
                    rows.append(("MLflow", _agreement(store, entry)))
                refused = (item.tags.get(REFUSED) for item in registered(store))
                rows += [("refused", text) for text in refused if text]
                table = versions(params, root)
        except MlflowUnavailable as away:
            table = str(away)
    finally:
        ledger.close()
    width = max(len(name) for name, _ in rows)
    return "\n".join([*(f"{name.ljust(width)}  {text}" for name, text in rows), "", table])


def address(url: str) -> str:
    """Where a store is, without user, password and what else its URL may hold; of SQLite the file."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return "an address that is no URL" if "@" in url else url
    if parsed.drivername.startswith("sqlite"):
        return str(Path(parsed.database or "").absolute())
    host = (parsed.host or "").rpartition("@")[2] or ",".join(parsed.normalized_query.get("host", ()))
    return str(sa.URL.create(parsed.drivername, host=host, port=parsed.port, database=parsed.database))


def serving(ledger: Ledger, params: Params, root: Path = Path()) -> Iterator[tuple[str, str]]:
    """What serves by the ledger, as rows of a title and a text; MLflow is not asked.

    Raises:
        EventStoreUnavailable: the event database does not answer.
    """
    history = ledger.history()
    if not history:
        yield "serves", "the bundles that services were built with: no champion is in the ledger yet"
        return
    entry = history[0]
    if entry.change is None:
        yield "serves", f"bundle {entry.state.champion[:12]}, by {entry.told}"
        return
    began = champion_since(history)
    yield "serves", f"{_named(champion_of(entry))}, since {_time(began.state.since)}: {_why(began)}"
    if challenger := challenger_of(entry):
        yield "on trial", f"{_named(challenger)}, {_step(entry, params)}"
    if previous := previous_of(entry):
        yield "previous", _named(previous)
    yield "last change", f"{_time(entry.change.at)}: {_why(entry)}"
    looks = ledger.looks(entry.change.rollout) if entry.change.rollout else ()
    if looks:
        yield "last look", f"{_time(looks[-1].at)}: {looks[-1].action}: {' '.join(looks[-1].reasons)}"
    yield "answered", _answered(ledger)
    missing = [
        f"version {model.version}"
        for model in named(entry)
        if not is_whole(root / params.serve.releases, model.digest)
    ]
    if missing:
        where = f"{', '.join(missing)} in {params.serve.releases}"
        yield "missing", f"{where}: run `ticket-sentiment releases` where services run"


def _named(model: Model) -> str:
    return f"version {model.version} ({model.digest[:12]})"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _why(entry: Entry) -> str:
    assert entry.change is not None
    return f"{entry.change.action} by {entry.change.actor}: {entry.change.reason}"


def _step(entry: Entry, params: Params) -> str:
    assert entry.change is not None
    steps = len(Plan.of(params.rollout, entry.change.hotfix).steps)
    share = entry.state.challenger_share
    what = f"answers {share:.0%} of the customers" if share else "in shadow, answers nobody"
    kind = " of a hotfix" if entry.change.hotfix else ""
    number = entry.change.step + 1
    place = f"{number} of {steps}" if number <= steps else f"{number}, and rollout.steps ends at {steps} now"
    return f"step {place}{kind}: {what}, since {_time(entry.state.since)}"


def _answered(ledger: Ledger) -> str:
    """Which versions the running services answered with, by what they say."""
    table = schema.predictions.c
    query = (
        sa.select(table.model_version, table.backend, sa.func.count())
        .where(table.at >= ledger.now() - ANSWERED, ~table.shadow)
        .group_by(table.model_version, table.backend)
        .order_by(sa.func.count().desc())
    )
    with ledger.database.reading("what was answered is unknown") as connection:
        rows = connection.execute(query).all()
    counted = ", ".join(f"{count:,} by version {version} on {backend}" for version, backend, count in rows)
    return f"in the last hour: {counted or 'nothing'}"


def _agreement(store: Store, entry: Entry) -> str:
    """Whether MLflow's aliases are what the ledger says."""
    shall, held = wanted(entry), read_aliases(store)
    other = [
        f"`{name}` is {held[name].holder}, in the ledger {shall[name]}"
        for name in ALIASES
        if held[name].holder != shall[name]
    ]
    if not other:
        return "the aliases agree with the ledger"
    return f"{'; '.join(other)}: the next reconcile sees to it"
