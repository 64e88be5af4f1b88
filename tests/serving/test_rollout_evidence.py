"""From a request to the evidence of the rollout, through a real event database."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.front import Service, run
from tests.support.params import params_of_tests
from tests.support.serving import FakeClassifier
from ticket_sentiment.events.changes import Change
from ticket_sentiment.events.evidence import read_evidence
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Feedback
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.evidence import Coverage, PairedCounts
from ticket_sentiment.rollout.state import RolloutState

CUSTOMERS = [f"customer {n}" for n in range(12)]


def test_what_is_served_is_what_is_counted(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    url = f"sqlite:///{tmp_path}/events.db"
    ledger, store = Ledger(url), EventStore(url, 1000, False)
    state = RolloutState(1, "s", "a" * 64, "b" * 64, 0.5, True, now - timedelta(hours=1))
    ledger.change(state, Change(now, "start", "test", "To see.", 1, 1, False, "1", "2", None, None), 0)
    arms = {name: assign(name, None, state) for name in CUSTOMERS}

    async def test(service: Service) -> None:
        service.scorer._records = store
        service.arms.apply(store.rollout_state())
        for name in CUSTOMERS:
            for text in ("good", "well", "poison"):
                asked = {"text": f"{text} {name}", "ticket_id": f"{text} {name}", "customer_id": name}
                reply = await service.ask(asked, **{"x-request-timeout-ms": "9000"})
                assert reply.status == (500 if text == "poison" else 200)
        while service.engine.shadow_pending:
            await asyncio.sleep(0.001)

    run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64))
    for name in CUSTOMERS:
        label = "positive" if name.endswith("1") else "negative"
        store.feedback(Feedback(datetime.now(UTC), f"good {name}", "audit", "1", label))
    assert store.flush(10)
    settings = params_of_tests().rollout.model_copy(update={"audit_share": 1.0, "maturity_hours": 0.0})
    found = read_evidence(ledger, settings, 100.0, datetime.now(UTC))
    store.close(1)
    ledger.close()

    (epoch,) = found.epochs
    for arm in ("champion", "challenger"):
        units = [name for name in CUSTOMERS if arms[name] == arm]
        assert len(units) > 2
        errors = epoch.errors.of(arm)
        assert (errors.units, errors.n, errors.y) == (len(units), 3 * len(units), len(units))
        assert epoch.exposures.of(arm) == len(units)
        assert found.coverage.of(arm) == Coverage(mature=2 * len(units), labelled=len(units))
        right = sum(name.endswith("1") for name in units)
        assert (epoch.first_labels.of(arm).units, epoch.first_labels.of(arm).right) == (len(units), right)
        assert epoch.quality.of(arm).y == len(units) - right
    assert found.paired == PairedCounts(both_right=2, both_wrong=10)  # of both fakes all answers are equal
    assert found.missed_looks == 0
