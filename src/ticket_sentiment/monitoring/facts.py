"""What one look at the model in service sees, before anything is made of it."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import sqlalchemy as sa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.live import Counts, counts, judged, latest
from ticket_sentiment.gates.drift_evidently import Side, compare
from ticket_sentiment.gates.drift_features import sample
from ticket_sentiment.gates.drift_limits import learn
from ticket_sentiment.gates.drift_live import live_columns
from ticket_sentiment.gates.evidence_types import DriftTest
from ticket_sentiment.labels import LABELS
from ticket_sentiment.monitoring.live import answer_table
from ticket_sentiment.monitoring.reference import NoReference, digests_of, reference_of
from ticket_sentiment.params import Params
from ticket_sentiment.promotion.progress import read_progress
from ticket_sentiment.rollout.audit import audited
from ticket_sentiment.rollout.guardrails import SplitCheck

HOUR = timedelta(hours=1)
CLOCKS = timedelta(minutes=5)  # that a service's may be ahead of the database's


@dataclass(frozen=True)
class Window:
    """Some days of the champion's answers against its reference.

    Attributes:
        days: how long.
        rows: answers, without those from the cache.
        tests: by measure; empty where there are too few answers or there is no reference.
        page: Evidently's; empty likewise.
        mix: share of each label.
        abstentions: share of the answers under serve.abstain_below, as recorded; None without an answer.
        counts: of all answers of the time.
    """

    days: float
    rows: int
    tests: dict[str, DriftTest]
    page: str
    mix: dict[str, float]
    abstentions: float | None
    counts: Counts


@dataclass(frozen=True)
class Facts:
    """One look.

    Attributes:
        now: by the database's clock.
        champion: digest; version: of the registry. None where nothing is in service.
        since: when a model was first in service; asked where no answer is recorded.
        reference: rows of the champion's reference, 0 where there is none; `trouble` then says why.
        unreferenced: whether that is so because it was registered without one.
        accuracy, abstentions, mix: of the champion on its holdout, None without a reference.
        windows: the short and the long one.
        lasting: measures that moved in the long window and in the earlier half of it, too; None where that
            half has too few answers to say.
        audited: tickets of the audit answered since `month` began and `rollout.maturity_hours` ago, without
            answers from the cache.
        labelled: of them, those that the audit labelled.
        counted, right: of those, one of a customer in `rollout.pair_hours`, and those of them that were
            answered right. An outage brings many tickets that are alike: they are no independent draws.
        unlabelled_since: when the first of the audited that were answered after `last_label` was; None where
            there is none.
        month: first moment of the time that quality is counted from.
        lag_hours: median time from an answer to its label; None where there is no label.
        last_answer, last_label: None where there never was one; the label is one of the audit's. An answer
            of a time to come is none.
        rollout: whether one is on: then a newer model is on its way already.
        split: its checks.
    """

    now: datetime
    champion: str | None = None
    version: str | None = None
    since: datetime | None = None
    reference: int = 0
    unreferenced: bool = False
    accuracy: float | None = None
    abstentions: float | None = None
    mix: dict[str, float] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    lasting: tuple[str, ...] | None = ()
    audited: int = 0
    labelled: int = 0
    counted: int = 0
    right: int = 0
    unlabelled_since: datetime | None = None
    month: datetime | None = None
    lag_hours: float | None = None
    last_answer: datetime | None = None
    last_label: datetime | None = None
    rollout: bool = False
    split: tuple[SplitCheck, ...] = ()
    trouble: tuple[str, ...] = ()


def _mix(labels: pd.Series) -> dict[str, float]:
    return {label: float((labels == label).mean()) for label in LABELS} if len(labels) else {}


def _window(
    connection: sa.Connection,
    digests: Collection[str],
    reference: pd.DataFrame | None,
    days: float,
    params: Params,
    before: datetime,
    min_rows: int | None = None,
) -> Window:
    settings, since = params.monitor, before - timedelta(days=days)
    table = answer_table(connection, digests, since, before, settings.max_rows)
    tests, page = {}, ""
    if reference is not None and len(table) >= (min_rows or settings.min_rows):
        known = sample(reference, settings.max_rows, params.drift.seed)
        columns = live_columns(known, table)
        limits = learn(known, known["created_at"], columns, len(table), params.drift, days)
        found, page = compare(Side("reference", known), Side("live", table), limits, params.drift)
        tests = {name: DriftTest.model_validate(test) for name, test in found.items()}
    seen = counts(connection, since, before)
    abstentions = float(table["abstain"].mean()) if len(table) else None
    return Window(days, len(table), tests, page, _mix(table["predicted_label"]), abstentions, seen)


def _lasting(
    connection: sa.Connection,
    digests: Collection[str],
    reference: pd.DataFrame | None,
    long: Window,
    params: Params,
    now: datetime,
) -> tuple[str, ...] | None:
    """Measures of the long window that moved in its earlier half, too: not what broke yesterday.

    Half of the time has half of the answers: so many are enough for it. None where they are fewer.
    """
    moved = [name for name, test in long.tests.items() if test.drifted]
    if not moved:
        return ()
    half = long.days / 2
    least = math.ceil(params.monitor.min_rows / 2)
    earlier = _window(connection, digests, reference, half, params, now - timedelta(days=half), least)
    if not earlier.tests:
        return None
    return tuple(name for name in moved if name in earlier.tests and earlier.tests[name].drifted)


def _month(now: datetime, maturity: timedelta) -> datetime:
    """Where quality is counted from: this calendar month, in its first week the one before.

    A fixed start, not a sliding one: only so is the interval valid at every look.
    """
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if now - begin < timedelta(days=7) + maturity:
        begin = (begin - timedelta(days=1)).replace(day=1)
    return begin


def independent(rows: Sequence[Any], pair_hours: float, maturity: timedelta) -> list[Any]:
    """Of a customer's labelled tickets in so many hours the one that a look could first count.

    As the pairs of a rollout: so none takes its place later. A ticket of nobody known stands for itself.
    """
    found: dict[Any, Any] = {}
    for row in sorted(rows, key=lambda row: (max(row.known_at, row.at + maturity), row.at, row.ticket_id)):
        stretch = row.at.timestamp() // (3600 * pair_hours)
        key = (row.customer, stretch) if row.customer else row.ticket_id
        found.setdefault(key, row)
    return list(found.values())


def gather(params: Params, ledger: Ledger, root: Path = Path()) -> Facts:
    """Read the event database, the registry and the ledger. It changes nothing but what is kept of the
    registry for when it is away.

    Raises:
        EventStoreUnavailable: the event database does not answer.
    """
    now, entry = ledger.now(), ledger.current()
    if entry is None:
        return Facts(now)
    digest, trouble, reference, unreferenced = entry.state.champion, [], None, False
    digests = digests_of(params, digest, root)
    try:
        reference = reference_of(params, digest, root)
    except TicketSentimentError as error:
        trouble.append(str(error))
        unreferenced = isinstance(error, NoReference)
    maturity = timedelta(hours=params.rollout.maturity_hours)
    month = _month(now, maturity)
    with ledger.database.counting("how the model does is unknown") as connection:
        short, long = (
            _window(connection, digests, reference, days, params, now)
            for days in (params.monitor.short_days, params.monitor.long_days)
        )
        lasting = _lasting(connection, digests, reference, long, params, now)
        drawn = [
            row
            for row in judged(connection, digests, month, now - maturity, params.rollout.audit_source)
            if audited(row.ticket_id, params.rollout.audit_salt, params.rollout.audit_share)
        ]
        last_answer, last_label = latest(connection, params.rollout.audit_source, now + CLOCKS)
    known = {} if reference is None else {
        "reference": len(reference),
        "accuracy": float((reference["predicted_label"] == reference["label"]).mean()),
        "abstentions": float((reference["confidence"] < params.serve.abstain_below).mean()),
        "mix": _mix(reference["predicted_label"]),
    }  # fmt: skip
    rows = [row for row in drawn if row.truth is not None]
    counted = independent(rows, params.rollout.pair_hours, maturity)
    found = read_progress(ledger, params, now)
    return Facts(
        now=now,
        champion=digest,
        version=entry.change.champion_version if entry.change else None,
        since=None if last_answer else ledger.history()[-1].state.since,
        unreferenced=unreferenced,
        windows=(short, long),
        lasting=lasting,
        audited=len(drawn),
        labelled=len(rows),
        counted=len(counted),
        right=sum(row.label == row.truth for row in counted),
        unlabelled_since=min(
            (row.at for row in drawn if last_label is None or row.at > last_label), default=None
        ),
        month=month,
        lag_hours=median((row.labelled_at - row.at) / HOUR for row in rows) if rows else None,
        last_answer=last_answer,
        last_label=last_label,
        rollout=found.on,
        split=found.decision.split if found.on and found.decision else (),
        trouble=tuple(trouble),
        **known,
    )
