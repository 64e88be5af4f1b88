"""A help desk of two customers, their tickets answered and labelled, everything collected and versioned;
in the first month Anna alone wrote."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.events.conftest import open_store, rows, url
from tests.events.events import prediction
from tests.support.params import params_of_tests
from tests.tickets.conftest import _dvc_template, _month, dvc
from tests.tickets.exports import export
from ticket_sentiment.erasure.command import Erased, erase
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Exposure, Failure, Feedback
from ticket_sentiment.feedback.export import export_feedback
from ticket_sentiment.files import write_text
from ticket_sentiment.hotfix.intake import keep
from ticket_sentiment.params import Params, Tickets
from ticket_sentiment.rollout.assignment import unit
from ticket_sentiment.tickets.collect import collect
from ticket_sentiment.tickets.corrections import COLUMNS
from ticket_sentiment.tickets.privacy import pseudonym

__all__ = ["_dvc_template", "dvc", "open_store", "rows", "url"]

VARIABLE = "TICKET_SENTIMENT_EVENTS_URL"
MARCH, APRIL = datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 15, tzinfo=UTC)
SAID = "My cat Tiddles ate the router."  # by ANNA, in words that nobody else has
ANNA, BERT = "c-4711", "c-4712"


@dataclass
class Desk:
    """`root` of the repository, and the customers' tickets by number: `A-1` is Anna's, `B-1` Bert's."""

    root: Path
    params: Params
    url: str
    store: EventStore

    def without_anna_in_the_source(self) -> None:
        for path in (self.root / "exports").glob("*.csv"):
            table = pd.read_csv(path, dtype=str)
            left = table[table["customer_id"] != ANNA]
            if left.empty:
                path.unlink()
            else:
                left.to_csv(path, index=False)

    def erase(self, *customers: str, tickets: tuple[str, ...] = ()) -> Erased:
        return erase(self.params, customers, tickets, self.root, {VARIABLE: self.url})

    def collect(self) -> tuple[str, ...]:
        """Months that a collection writes."""
        return collect(self.params, root=self.root, today=APRIL.date()).written

    def answer(self, ticket: str | None, customer: str | None, text: str) -> None:
        whose = None if customer is None else pseudonym(customer)
        one = prediction(at=MARCH, ticket_id=ticket, customer=whose, text=text, request_id=f"r-{ticket}")
        self.store.predicted(one)
        met = pseudonym(unit(customer, ticket))
        self.store.exposed(Exposure(MARCH, met, "champion", 1))
        self.store.failed(Failure(MARCH, f"r-{ticket}", met, "champion", 1, "internal"))
        assert self.store.flush(10)

    def label(self, ticket: str, label: str) -> None:
        self.store.feedback(Feedback(MARCH, ticket, "agent", f"e-{ticket}", label))


def _whose(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    """A month in which one ticket is Anna's and one Bert's."""
    frame.loc[0, ["ticket_id", "customer_id", "text"]] = [f"A-{number}", ANNA, SAID]
    frame.loc[1, ["ticket_id", "customer_id"]] = [f"B-{number}", BERT]
    return frame


def _answers_and_labels(desk: Desk) -> None:
    desk.answer("A-2", ANNA, SAID)
    desk.answer("A-live", ANNA, SAID)  # not collected yet
    desk.answer("B-2", BERT, "Thanks for nothing.")
    desk.answer("N-1", None, SAID)  # by somebody without an id
    for ticket in ("A-1", "A-live", "B-1", "N-1"):  # A-1 was never answered here
        desk.label(ticket, "negative")


@pytest.fixture(scope="session")
def _desk_params() -> Params:
    params = params_of_tests()
    tickets = Tickets.model_validate({"source": {"kind": "files", "path": "exports/*.csv"}})
    return params.model_copy(
        update={"tickets": tickets, "validate_": params.validate_.model_copy(update={"min_rows": 1})}
    )


@pytest.fixture(scope="session")
def _desk_template(
    _dvc_template: Path, _desk_params: Params, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The repository of `desk`, made once by half a dozen of DVC's processes."""
    root = tmp_path_factory.mktemp("desk") / "repository"
    shutil.copytree(_dvc_template, root)
    for number in (1, 2, 3):
        export(root, f"2026-0{number}.csv", _whose(_month(f"2026-0{number}"), number))
    only = _month("2025-12", rows=3).assign(customer_id=ANNA, text=SAID, ticket_id=["A-7", "A-8", "A-9"])
    export(root, "2025-12.csv", only.assign(created_at=pd.Timestamp("2025-12-01", tz="UTC")))
    url = f"sqlite:///{root.parent}/events.db"
    store = EventStore(url, 1000, False)
    try:
        desk = Desk(root, _desk_params, url, store)
        desk.collect()
        _answers_and_labels(desk)
    finally:
        store.close(1)
    later = datetime(2100, 1, 1, tzinfo=UTC)
    export_feedback(_desk_params, root=root, now=later, environ={VARIABLE: url})
    for ticket, text in ((None, SAID), ("B-1", "A late parcel.")):
        keep(pd.DataFrame([(ticket, text, "negative")], columns=list(COLUMNS)), root)
    write_text(root / "var/hotfix/one/data/copy.txt", SAID)
    return root


@pytest.fixture
def desk(_desk_template: Path, _desk_params: Params, tmp_path, monkeypatch, url, open_store) -> Desk:
    root = tmp_path / "repository"
    shutil.copytree(_desk_template, root)
    monkeypatch.chdir(root)
    made = Desk(root, _desk_params, url, open_store(url, 1000, True))
    _answers_and_labels(made)
    return made
