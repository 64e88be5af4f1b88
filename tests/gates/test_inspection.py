import json
from pathlib import Path

import pandas as pd
import pytest

from tests.support.evidence import tickets
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.gates import inspection
from ticket_sentiment.gates.evidence_types import Inspection
from ticket_sentiment.gates.rules.licence import plain


@pytest.fixture
def prepared(tmp_path, monkeypatch) -> Path:
    """Three tables that share nothing."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/prepared"
    folder.mkdir(parents=True)
    for name, month in (("train", "2026-08"), ("tune", "2026-09"), ("holdout", "2026-10")):
        table = tickets(40, month, 1)
        number = table.index.astype(str)
        texts = [f"{name} says {row} times hello" for row in number]
        table.assign(customer_id=f"{name}-" + number, text=texts).to_parquet(folder / f"{name}.parquet")
    return folder


def change(folder: Path, name: str, **columns: object) -> None:
    path = folder / f"{name}.parquet"
    table = pd.read_parquet(path)
    for column, value in columns.items():
        table.loc[:2, column] = value
    table.to_parquet(path)


def test_sound_tables_share_nothing_and_the_report_names_what_it_is_about(prepared, params):
    inspection.main(params)
    found = Inspection.model_validate_json(inspection.RESULT.read_bytes())
    assert found.prepared_sha256 == sha256_tree(prepared)
    assert found.rows == {"train": 40, "tune": 40, "holdout": 40}
    assert not any(sum(pair.values()) for pair in found.shared.model_dump(exclude_none=True).values())
    assert found.shared.corrected_holdout is None
    assert not any(found.unmasked.values())
    assert found.weights.base_model == params.train.base_model
    assert plain(found.weights.licence) in map(plain, params.gate.licences)


def test_what_a_hotfix_learns_is_looked_at_like_all_else(prepared):
    holdout = pd.read_parquet(prepared / "holdout.parquet")
    texts = ["Call 079 123 45 67 or jane.doe@example.com", *holdout["text"].head(2)]
    corrected = pd.DataFrame({"ticket_id": ["a", "b", "c"], "text": texts, "label": "negative"})
    corrected.to_parquet(prepared / "corrected.parquet")
    corrected.head(0).to_parquet(prepared / "earlier.parquet")
    found = inspection.inspect(prepared)
    assert (found["rows"]["corrected"], found["unmasked"]["corrected"]) == (3, 1)
    assert found["shared"]["corrected_holdout"] == {"tickets": 0, "customers": 0, "texts": 2}
    assert found["shared"]["earlier_holdout"]["texts"] == found["unmasked"]["earlier"] == 0


@pytest.mark.parametrize(
    ("column", "counted", "count"),
    [("ticket_id", "tickets", 3), ("customer_id", "customers", 1), ("text", "texts", 1)],
)
def test_what_is_on_both_sides_is_counted(prepared, column, counted, count):
    holdout = pd.read_parquet(prepared / "holdout.parquet")
    value = holdout[column].head(3).to_numpy() if column == "ticket_id" else holdout[column][0].upper()
    change(prepared, "holdout", **({} if column == "ticket_id" else {column: value}))
    change(prepared, "train", **{column: value})
    found = inspection.inspect(prepared)["shared"]
    assert found["train_holdout"][counted] == count
    assert found["tune_holdout"][counted] == 0


def test_personal_data_is_counted_in_every_table_and_never_quoted(prepared):
    change(prepared, "tune", text="write to jane.doe@example.com")
    pd.read_parquet(prepared / "tune.parquet").to_parquet(prepared / "unlabelled.parquet")
    found = inspection.inspect(prepared)
    assert found["unmasked"] == {"train": 0, "tune": 3, "holdout": 0, "unlabelled": 3}
    assert "jane" not in json.dumps(found)


def test_a_missing_table_is_an_error_in_one_line(prepared):
    (prepared / "tune.parquet").unlink()
    with pytest.raises(TicketSentimentError, match=r"tune\.parquet is missing"):
        inspection.inspect(prepared)
