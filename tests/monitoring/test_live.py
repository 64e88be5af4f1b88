"""The champion's recorded answers become the file that stage `drift` reads."""

from datetime import UTC, datetime, timedelta

import pandas as pd

from tests.events.events import prediction
from tests.monitoring.desk import in_service
from tests.promotion.loop import Loop
from ticket_sentiment.gates.drift_live import CHANNEL, LIVE, LIVE_COLUMNS
from ticket_sentiment.monitoring.live import export_live
from ticket_sentiment.registry.registry import export_champion

APRIL = datetime(2026, 4, 10, tzinfo=UTC)  # the newest month of the project's holdout


def test_the_champions_answers_of_the_month_are_written_without_a_text(loop: Loop, monkeypatch) -> None:
    monkeypatch.chdir(loop.root)
    assert export_live(loop.params) == 0 and not LIVE.exists(), "there is no champion"
    digest = in_service(loop)
    gpu = loop.tag(1, "bundle.gpu.digest")
    loop.project.result(seed=2)  # the candidate
    export_champion(loop.params)
    store = loop.events()
    answer = {"arm": "champion", "bundle_digest": digest, "cached": False, "text": "MY order"}
    said = {"channel": "email"}
    for number, changes in enumerate(
        (
            said,
            {"at": APRIL + timedelta(days=5), "bundle_digest": gpu},  # of the same release
            {"at": APRIL + timedelta(days=40)},  # of another month
            {"bundle_digest": "f" * 64},  # of another model
            {"cached": True},
            {"shadow": True},
            {"text": None},  # of a service that records no shape
        )
    ):
        store.predicted(prediction(**{"at": APRIL, "request_id": f"r-{number}", **answer, **changes}))
    assert store.flush(10)
    store.close(5)
    assert export_live(loop.params) == 2
    table = pd.read_parquet(LIVE)
    assert set(table) == {"created_at", "bundle_digest", *LIVE_COLUMNS, CHANNEL}
    assert table[CHANNEL].fillna("unsaid").to_list() == ["email", "unsaid"]
    assert list(table["text_chars"]) == [8.0, 8.0] and list(table["capital_share"]) == [2 / 7, 2 / 7]
    assert set(table["bundle_digest"]) == {digest} and set(table["predicted_label"]) == {"positive"}
    first = LIVE.read_bytes()
    assert export_live(loop.params) == 2 and LIVE.read_bytes() == first
    few = loop.params.model_copy(update={"drift": loop.params.drift.model_copy(update={"max_rows": 1})})
    assert export_live(few) <= 1


def test_without_an_event_database_an_old_file_goes(loop: Loop, monkeypatch) -> None:
    monkeypatch.chdir(loop.root)
    in_service(loop)
    loop.project.result(seed=2)
    export_champion(loop.params)
    LIVE.parent.mkdir(parents=True, exist_ok=True)
    LIVE.write_bytes(b"of last month")
    loop.ledger.close()
    (loop.root / "var/events.db").unlink()
    assert export_live(loop.params) == 0 and not LIVE.exists()
