"""The evidence as SQL counts it, against a recount in plain Python, and whatever order the events came in."""

import itertools
import random
from collections import Counter, defaultdict
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events.events import DIGEST, NOON, OTHER, change, look, prediction, state
from tests.events.events import feedback as label_of_anybody
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Look
from ticket_sentiment.events.evidence import read_evidence
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import UNSEEN, Exposure, Failure, Feedback, Prediction
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Rollout
from ticket_sentiment.rollout.assignment import ARMS, assign
from ticket_sentiment.rollout.audit import audited
from ticket_sentiment.rollout.evidence import (
    METRICS,
    ByArm,
    Coverage,
    CrossSums,
    EpochEvidence,
    Evidence,
    FirstLabels,
    Overlap,
    PairedCounts,
    UnitSums,
    Unseen,
)
from ticket_sentiment.rollout.policy import decide

PARAMS = params_of_tests()
SETTINGS: Rollout = PARAMS.rollout.model_copy(
    update={"audit_share": 0.8, "maturity_hours": 24.0, "pair_hours": 6.0}
)
OBJECTIVE = 100.0
NOW = NOON + timedelta(days=10)
# Epoch 1 is before the rollout, 2 shadow, 3 to 5 the ramp.
SHARES = {1: None, 2: 0.0, 3: 0.2, 4: 0.5, 5: 0.8}
BEGAN = {epoch: NOON + timedelta(days=2 * (epoch - 1)) for epoch in SHARES}
Event = Prediction | Exposure | Failure | Feedback


def feedback(event_id: str, label: str = "negative", **changes: Any) -> Feedback:
    """Of the audit, unless another source is named."""
    return label_of_anybody(event_id, label, **{"source": SETTINGS.audit_source, **changes})


def states(ledger: Ledger) -> None:
    """A champion without a challenger, then a rollout that began at epoch 2."""
    for epoch, share in SHARES.items():
        step = max(0, epoch - 2)
        if share is None:
            new, made = state(epoch, None), change("adopt", rollout=None)
        else:
            new = state(epoch, share)
            made = change("start" if epoch == 2 else "advance", rollout=2, step=step)
        ledger.change(replace(new, since=BEGAN[epoch]), made, epoch - 1)


def random_events(seed: int, requests: int = 600) -> list[Event]:
    """What services and people could write, with all that is odd: repeats, ties, late and early labels."""
    draw = random.Random(seed)
    made: list[Event] = []
    for number in range(requests):
        epoch = draw.choice([0, 1, 2, 2, 3, 3, 4, 4, 5, 5])
        ticket = draw.choice([None, *(f"T-{n}" for n in range(180))])
        customer = draw.choice([None, *(f"c{n}" for n in range(40))]) if draw.random() < 0.2 else None
        if customer is None and ticket and draw.random() < 0.9:
            customer = f"c{sum(ticket.encode()) % 40}"
        name = customer or ticket
        at = BEGAN.get(epoch, NOON) + timedelta(seconds=draw.randrange(2 * 86_400))
        on_trial = epoch >= 2 and name is not None and draw.random() < 0.95
        current = state(epoch, SHARES[epoch]) if epoch >= 2 else None
        arm = assign(customer, ticket, current) if current and on_trial else "champion"
        unit = name if on_trial else None
        if unit is not None and draw.random() < 0.97:
            made.append(Exposure(at, unit, arm, epoch))
        if unit is not None and draw.random() < 0.1:
            made.append(
                Failure(at, f"r{number}", unit, arm, epoch, draw.choice(["internal", "deadline_exceeded"]))
            )
            continue
        answer = prediction(
            at=at, request_id=f"r{number - draw.randrange(2)}", ticket_id=ticket, customer=customer, arm=arm,
            epoch=epoch, label=draw.choice(LABELS), cached=draw.random() < 0.3,
            latency_ms=draw.choice([5.0, 100.0, 100.5, 300.0]), shadow=False, unit=unit,
        )  # fmt: skip
        made.append(answer)
        other = "challenger" if arm == "champion" else "champion"
        if unit is not None and draw.random() < 0.05:
            made.append(Failure(at, f"r{number}", unit, other, epoch, UNSEEN))
        elif epoch >= 2 and draw.random() < 0.8:
            made.append(answer._replace(arm=other, label=draw.choice(LABELS), shadow=True, latency_ms=900.0))
    for number in range(2 * requests // 3):
        at = NOON + timedelta(seconds=draw.randrange(12 * 86_400))
        ticket, source = f"T-{draw.randrange(180)}", draw.choice(["agent", "csat", "audit", "audit", "audit"])
        made.append(Feedback(at, ticket, source, str(number), draw.choice(LABELS)))
        if draw.random() < 0.2:  # at the same moment, by another, with another label
            made.append(
                Feedback(at, ticket, draw.choice(["agent", "audit"]), f"{number}b", draw.choice(LABELS))
            )
    draw.shuffle(made)
    return made


def put(store: EventStore, events: list[Event], late: timedelta = timedelta(0)) -> None:
    """Into the database, as the service does; labels are received so long after they were given."""
    for event in events:
        match event:
            case Prediction():
                assert store.predicted(event)
            case Exposure():
                assert store.exposed(event)
            case Failure():
                assert store.failed(event)
            case Feedback():
                event = event._replace(at=min(event.at, NOW))
                with patch("ticket_sentiment.events.store.clock", return_value=event.at + late):
                    store.feedback(event)
    assert store.flush(30)


def recount(events: list[Event]) -> Evidence:
    """Slow and obvious: what the evidence is of these events, of which each is there once."""
    ramp = [epoch for epoch, share in SHARES.items() if share]
    mature = NOW - timedelta(hours=SETTINGS.maturity_hours)
    answers = [e for e in events if isinstance(e, Prediction) and e.epoch >= 2 and e.unit is not None]
    labels = [
        e._replace(at=min(e.at, NOW)) for e in events
        if isinstance(e, Feedback) and e.source == SETTINGS.audit_source
    ]  # fmt: skip

    def label_of(answer: Prediction) -> str | None:
        mine = [label for label in labels if label.ticket_id == answer.ticket_id]
        latest = max(mine, key=lambda label: (label.at, label.event_id), default=None)
        return latest.label if latest and latest.at >= answer.at else None

    drawn = [
        e for e in answers
        if e.ticket_id and e.at <= mature and audited(e.ticket_id, SETTINGS.audit_salt, SETTINGS.audit_share)
    ]  # fmt: skip
    first: dict[Any, Prediction] = {}
    pair: dict[str, tuple[Prediction, Prediction]] = {}
    for answer in sorted((e for e in drawn if not e.shadow), key=lambda e: e.at):
        first.setdefault((answer.ticket_id, answer.arm), answer)
        for unseen in (e for e in drawn if e.shadow):
            of_one = (unseen.request_id, unseen.ticket_id, unseen.epoch) == (
                answer.request_id, answer.ticket_id, answer.epoch
            ) and unseen.arm != answer.arm  # fmt: skip
            if of_one and not answer.cached and label_of(answer) is not None:
                pair.setdefault(answer.ticket_id, (answer, unseen))

    def observed_at(answer: Prediction) -> Any:
        came = min(e.at for e in labels if e.ticket_id == answer.ticket_id and e.at >= answer.at)
        return max(came, answer.at + timedelta(hours=SETTINGS.maturity_hours))

    paired: Counter[tuple[bool, bool]] = Counter()
    counted: set[Any] = set()
    order = {ticket: observed_at(first[ticket, answer.arm]) for ticket, (answer, _) in pair.items()}
    for ticket in sorted(pair, key=lambda ticket: (order[ticket], pair[ticket][0].at, ticket)):
        answer, unseen = pair[ticket]
        stretch = answer.unit, answer.at.timestamp() // (3600 * SETTINGS.pair_hours)
        if stretch in counted:
            continue
        counted.add(stretch)
        label = label_of(answer)
        right = {answer.arm: answer.label == label, unseen.arm: unseen.label == label}
        paired[right["champion"], right["challenger"]] += 1

    cells: dict[Any, list[int]] = defaultdict(lambda: [0, 0])

    def count(metric: str, event: Prediction | Failure, bad: bool) -> None:
        if event.epoch in ramp:
            cell = cells[metric, event.epoch, event.arm, event.unit]
            cell[0] += 1
            cell[1] += bad

    for answer in first.values():
        if (label := label_of(answer)) is not None:
            count("quality", answer, answer.label != label)
        count("unlabelled", answer, label is None)
    for answer in answers:
        if not answer.shadow and not answer.cached:
            count("errors", answer, False)
            count("slow", answer, answer.latency_ms > OBJECTIVE)
    for event in events:
        if isinstance(event, Failure) and event.code != UNSEEN:
            count("errors", event, True)
            if event.code == "deadline_exceeded":
                count("slow", event, True)

    def sums(metric: str, epoch: int, arm: str) -> UnitSums:
        mine = [cell for key, cell in cells.items() if key[:3] == (metric, epoch, arm)]
        return UnitSums(
            len(mine), sum(n for n, _ in mine), sum(y for _, y in mine), sum(n * n for n, _ in mine),
            sum(n * y for n, y in mine), sum(y * y for _, y in mine),
        )  # fmt: skip

    def cross(metric: str, key: tuple[int, int, str, str]) -> CrossSums:
        units = {cell[3] for cell in cells}
        both = [
            (cells[metric, key[0], key[2], u], cells[metric, key[1], key[3], u]) for u in units
            if (metric, key[0], key[2], u) in cells and (metric, key[1], key[3], u) in cells
        ]  # fmt: skip
        return CrossSums(
            len(both), sum(a[0] * b[0] for a, b in both), sum(a[0] * b[1] for a, b in both),
            sum(a[1] * b[0] for a, b in both), sum(a[1] * b[1] for a, b in both),
        )  # fmt: skip

    overlaps = []
    for earlier, later in itertools.combinations(ramp, 2):
        for key in itertools.product([earlier], [later], ARMS, ARMS):
            found = {metric: cross(metric, key) for metric in METRICS}
            if any(item.units for item in found.values()):
                overlaps.append(Overlap(*key, **found))
    overlaps.sort(key=lambda item: (item.earlier, item.later, item.earlier_arm, item.later_arm))

    exposed: dict[str, tuple[int, str]] = {}
    for event in events:
        if isinstance(event, Exposure) and event.epoch in ramp:
            exposed[event.unit] = min(exposed.get(event.unit, (99, "")), (event.epoch, event.arm))

    observed: dict[str, tuple[Any, Prediction]] = {}
    for answer in first.values():
        if label_of(answer) is not None and answer.epoch in ramp:
            when = (observed_at(answer), answer.at, answer.ticket_id, answer.arm)
            if answer.unit not in observed or when < observed[answer.unit][0]:
                observed[answer.unit] = (when, answer)

    def firsts(epoch: int, arm: str) -> FirstLabels:
        mine = [a for _, a in observed.values() if (a.epoch, a.arm) == (epoch, arm)]
        return FirstLabels(len(mine), sum(a.label == label_of(a) for a in mine))

    def by_arm(make: Any) -> ByArm[Any]:
        return ByArm(*(make(arm) for arm in ARMS))

    def covered(arm: str) -> Coverage:
        mine = [answer for answer in first.values() if answer.arm == arm]
        return Coverage(len(mine), sum(label_of(answer) is not None for answer in mine))

    def of_epoch(epoch: int) -> EpochEvidence:
        metrics = {m: by_arm(lambda arm: sums(m, epoch, arm)) for m in METRICS}  # noqa: B023
        return EpochEvidence(
            epoch, SHARES[epoch], BEGAN[epoch],
            exposures=by_arm(lambda arm: [*exposed.values()].count((epoch, arm))),
            first_labels=by_arm(lambda arm: firsts(epoch, arm)),
            **metrics,
        )  # fmt: skip

    theirs = [
        e for e in events if isinstance(e, Prediction | Failure) and e.arm == "challenger" and e.epoch >= 2
    ]
    scored = sum(isinstance(e, Prediction) and e.shadow for e in theirs)
    failed = sum(isinstance(e, Failure) and e.code == UNSEEN for e in theirs)
    return Evidence(
        at=NOW, epoch=5, champion=DIGEST, challenger=OTHER, hotfix=False, rollout_since=BEGAN[2], step=3,
        step_since=BEGAN[5],
        paired=PairedCounts(*(paired[key] for key in itertools.product((True, False), repeat=2))),
        epochs=tuple(of_epoch(epoch) for epoch in ramp),
        overlaps=tuple(overlaps), coverage=by_arm(covered), missed_looks=0 if theirs else 1,
        unseen=Unseen(scored, failed),
    )  # fmt: skip


@pytest.fixture
def begun(ledger):
    states(ledger)
    return ledger


def read(ledger: Ledger) -> Evidence:
    return read_evidence(ledger, SETTINGS, OBJECTIVE, NOW)


@pytest.mark.parametrize("seed", range(3))
def test_the_sums_are_those_of_a_recount(begun, url, open_store, seed):
    events = random_events(seed)
    put(open_store(url, queue=10_000), events)
    # The first exposure of a unit in an epoch stays; they agree on the arm, so any of them will do.
    found, expected = read(begun), recount(events)
    for key in asdict(expected):
        assert getattr(found, key) == getattr(expected, key), key
    assert found.paired.labels > 30 and found.overlaps and all(item.labelled > 10 for item in found.coverage)
    assert all(item.slow.challenger.y for item in found.epochs)
    assert sum(item.quality.champion.y for item in found.epochs) > 10
    assert read(begun) == found, "reading leaves nothing behind"
    assert not [name for name in sa.inspect(begun.database.engine).get_table_names() if "evidence" in name]


SOME = random_events(7, requests=60)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(order=st.permutations(range(len(SOME))), twice=st.sets(st.integers(0, len(SOME) - 1), max_size=40))
def test_late_doubled_and_unordered_events_give_equal_evidence(tmp_path_factory, order, twice):
    """Doubled: feedback that is sent again, and exposures of another process. A prediction is sent once."""
    url = f"sqlite:///{tmp_path_factory.mktemp('order')}/e.db"
    ledger, store, other = Ledger(url), EventStore(url, 1000, False), EventStore(url, 1000, False)
    states(ledger)
    # Of two answers at the same moment the one that was queued first counts: keep those apart.
    events = [e._replace(at=e.at + timedelta(milliseconds=n)) for n, e in enumerate(SOME)]
    put(store, [events[n] for n in order])
    put(other, [events[n] for n in twice if isinstance(events[n], Exposure | Feedback)])
    assert read(ledger) == recount(events)
    store.close(1), other.close(1), ledger.close()


@pytest.fixture
def store(url, open_store):
    return open_store(url)


def audited_ticket(number: int = 0) -> str:
    """A ticket that the audit draws."""
    names = (f"A-{n}" for n in itertools.count())
    return next(
        itertools.islice(
            (t for t in names if audited(t, SETTINGS.audit_salt, SETTINGS.audit_share)), number, None
        )
    )


def served(at: Any, **changes: Any) -> Prediction:
    plain = {"ticket_id": audited_ticket(), "arm": "champion", "unit": "u", "epoch": 4}
    plain |= {"label": "negative", "cached": False}
    return prediction(**{**plain, "at": at, **changes})


def test_a_label_that_is_younger_than_the_answer_counts_and_an_older_one_does_not(begun, store):
    at, ticket = BEGAN[4], audited_ticket()
    put(store, [served(at), feedback("1", at=at - timedelta(seconds=1), ticket_id=ticket)])
    assert read(begun).coverage.champion == Coverage(1, 0)
    put(store, [feedback("2", at=at, ticket_id=ticket)])
    assert read(begun).coverage.champion == Coverage(1, 1)
    # The answer of the other arm came after both.
    put(store, [served(at + timedelta(seconds=1), arm="challenger")])
    assert read(begun).coverage.challenger == Coverage(1, 0)


@pytest.mark.parametrize("source", [PARAMS.hotfix.source, "agent", "csat"])
def test_a_label_of_another_source_than_the_audit_is_no_evidence(begun, store, source):
    """It came because a model was wrong there: whoever answers otherwise would look better."""
    at, ticket = BEGAN[4], audited_ticket()
    both = [served(at), served(at, arm="challenger", label="positive", shadow=True)]
    correction = {"ticket_id": ticket, "source": source}
    put(store, [*both, feedback("1", "positive", at=at + timedelta(hours=1), **correction)])
    found = read(begun)
    assert found.paired == PairedCounts(0, 0, 0, 0) and found.coverage.champion == Coverage(1, 0)
    put(store, [feedback("2", "negative", ticket_id=ticket, at=at + timedelta(hours=30))])
    put(store, [feedback("3", "positive", at=at + timedelta(hours=40), **correction)])
    found = read(begun)
    assert found.paired == PairedCounts(0, 1, 0, 0) and found.coverage.champion == Coverage(1, 1)
    assert found.epochs[1].first_labels.champion == FirstLabels(1, 1)


def test_a_first_label_comes_when_it_counts_not_when_it_was_corrected(begun, store):
    """A correction must not move the moment at which a unit's one observation was made."""
    early, late, at = audited_ticket(0), audited_ticket(1), BEGAN[4]
    put(store, [served(at, ticket_id=early), served(at, ticket_id=late, label="neutral")])
    put(store, [feedback("1", at=at, ticket_id=early, source=PARAMS.hotfix.source)])
    put(store, [feedback("2", at=at + timedelta(hours=40), ticket_id=early)])
    put(store, [feedback("3", at=at + timedelta(hours=30), ticket_id=late)])
    assert read(begun).epochs[1].first_labels.champion == FirstLabels(1, 0)


def test_a_ticket_counts_from_the_moment_it_is_mature(begun, store):
    at, ticket = NOW - timedelta(hours=24), audited_ticket()
    put(store, [served(at + timedelta(seconds=1)), feedback("1", at=NOW, ticket_id=ticket)])
    assert read(begun).coverage.champion == Coverage(0, 0)
    put(store, [served(at)])
    assert read(begun).coverage.champion == Coverage(1, 1)


def test_a_first_label_keeps_its_place_when_an_earlier_answer_is_labelled_later(begun, store):
    """Else a unit's one observation would be taken back, and the test is not valid at any time."""
    early, late, at = audited_ticket(0), audited_ticket(1), BEGAN[4]
    events = [served(at, ticket_id=early), served(at + timedelta(hours=1), ticket_id=late)]
    put(store, [*events, feedback("1", at=at + timedelta(hours=30), ticket_id=late)])
    before = read(begun).epochs[1].first_labels
    assert before.champion == FirstLabels(1, 1)
    put(store, [feedback("2", "positive", at=at + timedelta(hours=40), ticket_id=early)])
    assert read(begun).epochs[1].first_labels == before


def test_a_first_label_keeps_its_place_when_one_that_was_given_earlier_is_received_later(begun, store):
    """As of a table of answers to a survey that is sent in once a week."""
    early, late, at, hour = audited_ticket(0), audited_ticket(1), BEGAN[4], timedelta(hours=1)
    put(store, [served(at, ticket_id=early), served(at + hour, ticket_id=late)])
    put(store, [feedback("1", at=at + 2 * hour, ticket_id=late)])
    before = read(begun).epochs[1].first_labels
    assert before.champion == FirstLabels(1, 1)
    put(store, [feedback("2", "positive", at=at + hour, ticket_id=early)], late=40 * hour)
    assert read(begun).epochs[1].first_labels == before


def test_a_label_that_came_after_the_end_of_a_rollout_changes_nothing_of_what_it_said(begun, store):
    at, ticket, hour = BEGAN[4], audited_ticket(), timedelta(hours=1)
    put(store, [served(at), feedback("1", at=at + hour, ticket_id=ticket)])
    before = read(begun)
    assert before.coverage.champion == Coverage(1, 1)
    late = NOW - at
    put(store, [served(at, ticket_id=audited_ticket(1))])
    put(store, [feedback("2", "positive", at=at + 2 * hour, ticket_id=ticket)], late=late)
    put(store, [feedback("3", at=at + hour, ticket_id=audited_ticket(1))], late=late)
    found = read(begun)
    assert found.coverage.champion == Coverage(2, 1)
    assert found.epochs[1].first_labels == before.epochs[1].first_labels


def both(at: Any, number: int, **changes: Any) -> list[Event]:
    """An answer of each arm to a ticket, of which the champion's is right, and the label."""
    changes = {"ticket_id": audited_ticket(number), "request_id": f"r{number}", **changes}
    unseen = served(at, arm="challenger", label="positive", shadow=True, **changes)
    label = feedback(f"{number}", ticket_id=changes["ticket_id"], at=at + timedelta(hours=30))
    return [served(at, **changes), unseen, label]


def test_of_a_customer_one_ticket_in_some_hours_is_a_pair_and_none_from_the_cache(begun, store):
    """An outage makes many tickets that are alike, and ten of one mind would decide a rollout."""
    at, hour = BEGAN[4], timedelta(hours=1)  # stretches of 6 hours begin at noon, when the epoch does
    put(store, [event for n in range(4) for event in both(at + n * hour, n)])
    assert read(begun).paired == PairedCounts(0, 1, 0, 0)
    put(store, both(at + 6 * hour, 4))
    put(store, both(at, 5, unit="another"))
    assert read(begun).paired == PairedCounts(0, 3, 0, 0)
    put(store, both(at, 6, unit="a third", cached=True))
    assert read(begun).paired == PairedCounts(0, 3, 0, 0)


def test_a_pair_keeps_its_place_when_an_earlier_ticket_of_the_customer_is_labelled_later(begun, store):
    at, hour = BEGAN[4], timedelta(hours=1)
    early, late = both(at, 0), both(at + hour, 1)
    put(store, [*early[:2], *late])
    assert read(begun).paired == PairedCounts(0, 1, 0, 0)
    put(store, [early[2]._replace(label="positive", at=at + 40 * hour)])
    assert read(begun).paired == PairedCounts(0, 1, 0, 0)


def test_what_the_cache_answered_says_nothing_of_speed_and_errors(begun, store):
    put(store, [served(BEGAN[4], cached=True, latency_ms=500.0), served(BEGAN[4], latency_ms=500.0)])
    put(
        store,
        [Failure(BEGAN[4], "r", "u", "champion", 4, code) for code in ("internal", "deadline_exceeded")],
    )
    found = read(begun).epochs[1]
    assert found.errors.champion == UnitSums(units=1, n=3, y=2, nn=9, ny=6, yy=4)
    assert found.slow.champion == UnitSums(units=1, n=2, y=2, nn=4, ny=4, yy=4)


def test_answers_of_a_service_without_both_bundles_are_no_evidence(begun, store):
    put(store, [served(BEGAN[4], unit=None), feedback("1", at=NOW, ticket_id=audited_ticket())])
    found = read(begun)
    assert found.coverage.champion == Coverage() and found.epochs[1].errors.champion == UnitSums()


def unheard(ledger: Ledger) -> tuple[int, float | None]:
    """Missed looks, and hours in which nobody was heard."""
    found = read(ledger)
    assert found.fresh is (found.missed_looks == 0 and found.silent is None)
    return found.missed_looks, found.silent / timedelta(hours=1) if found.silent is not None else None


def test_the_challenger_is_missed_where_only_the_champion_was_heard_since_the_last_look(begun, store):
    put(store, [served(NOW)])
    assert unheard(begun) == (1, None)
    begun.look(look(5, 1, fresh=False))
    put(store, [served(NOW)])
    assert unheard(begun) == (2, None)
    # Long before the look, by the clock of its machine: it was written after it all the same.
    put(store, [served(BEGAN[2], arm="challenger", shadow=True, epoch=2)])
    assert unheard(begun) == (0, None)
    begun.look(look(5, 2, fresh=True))
    put(store, [served(NOW)])
    assert unheard(begun) == (1, None)
    put(store, [Failure(NOW, "r", "u", "challenger", 5, "internal")])
    assert unheard(begun) == (0, None)


def test_without_tickets_nobody_is_missed(begun, store):
    assert unheard(begun)[0] == 0, "nobody was ever heard"
    put(store, [served(NOW)])
    begun.look(look(5, 1, at=NOW - timedelta(hours=9), fresh=False))
    assert unheard(begun) == (1, SETTINGS.max_look_gap_hours), "a clock that jumps makes no silence longer"
    for number, hours in ((2, 8), (3, 5), (4, 2)):
        begun.look(look(5, number, at=NOW - timedelta(hours=hours), fresh=False, silent=True))
    assert unheard(begun) == (1, 9.0)
    put(store, [served(NOW)])
    assert unheard(begun) == (2, None), "what was missed before the silence still counts"
    put(store, [served(NOW, arm="challenger", shadow=True)])
    assert unheard(begun) == (0, None)


def test_looks_of_a_version_that_did_not_ask_for_the_champion_count_as_they_did(begun, store):
    put(store, [served(NOW)])
    begun.look(look(5, 1, fresh=False))
    with begun.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE rollout_looks SET champion_heard = NULL, silent = NULL")
    (old,) = begun.looks(2)
    assert not old.silent and unheard(begun) == (2, None)


def test_a_step_begins_with_its_first_state(begun):
    begun.change(replace(state(6, 0.8), since=NOW), change("advance", rollout=2, step=3, hotfix=True), 5)
    found = read(begun)
    assert (found.step, found.step_since, found.hotfix) == (3, BEGAN[5], True)
    assert [item.epoch for item in found.epochs] == [3, 4, 5, 6]


def test_without_a_rollout_there_is_no_evidence(url):
    ledger = Ledger(url)
    with pytest.raises(TicketSentimentError, match="no rollout is on"):
        read(ledger)
    ledger.change(state(1, None), change("adopt", rollout=None), 0)
    with pytest.raises(TicketSentimentError, match="adopt by rollout flow, epoch 1"):
        read(ledger)
    store = EventStore(url, 10, False)
    assert store.set_rollout_state(state(2, 0.5), 1)  # a program that knows nothing of the ledger
    with pytest.raises(TicketSentimentError, match="without a note of who set it, epoch 2"):
        read(ledger)
    store.close(1)
    ledger.close()


def test_a_reading_sees_one_moment(begun, store, monkeypatch):
    """What is written while it reads, it does not see: not even in a later statement."""
    put(store, [served(BEGAN[4])])
    before = read(begun)
    import ticket_sentiment.events.evidence as module

    def interrupted(*arguments: Any) -> bool:
        put(store, [served(BEGAN[4] + timedelta(seconds=1), unit="another", arm="challenger")])
        return audited(*arguments)

    monkeypatch.setattr(module, "audited", interrupted)
    assert read(begun) == before
    monkeypatch.undo()
    assert read(begun) != before


def test_the_policy_decides_on_what_is_read_and_the_ledger_keeps_its_look(begun, url, open_store):
    put(open_store(url, queue=10_000), random_events(1))
    decision = decide(read(begun), SETTINGS)
    guardrails = tuple(asdict(item) for item in decision.guardrails)
    assert begun.look(Look(decision.epoch, 1, NOW, decision.action, decision.reasons, guardrails, True))
    (kept,) = begun.looks(2)
    assert [item["name"] for item in kept.guardrails] == [item.name for item in decision.guardrails]
    assert kept.reasons == decision.reasons
