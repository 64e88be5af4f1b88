from pathlib import Path

import pandas as pd
import pytest

from tests.support.evidence import SENTENCES, tickets
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file, write_json
from ticket_sentiment.tickets.corrections import load_corrections, write_corrections
from ticket_sentiment.tickets.hotfix import main
from ticket_sentiment.tickets.learnt import Learnt, read_learnt
from ticket_sentiment.tickets.schema import read_tickets, write_tickets

MONTHS = {"train": "2026-01", "tune": "2026-02", "holdout": "2026-03", "unlabelled": "2025-12"}
PARAMS = params_of_tests()


@pytest.fixture
def champion(tmp_path, monkeypatch):
    """champion/prepared, in which every text is there once."""
    monkeypatch.chdir(tmp_path)
    parts = {}
    for seed, (name, month) in enumerate(MONTHS.items()):
        part = tickets(90, month, seed)
        parts[name] = part.assign(text=[f"{text} {month} {i}" for i, text in enumerate(part["text"])])
        write_tickets(tmp_path / f"champion/prepared/{name}.parquet", parts[name])
    split = {
        "months": {name: [month] for name, month in MONTHS.items() if name != "unlabelled"},
        "rows": dict.fromkeys(MONTHS, 90),
        "feedback": {},
        "sha256": {},
    }
    write_json(tmp_path / "champion/prepared/split.json", split)
    return parts


def correct(*rows: tuple[str | None, str, str]) -> None:
    write_corrections(
        Path("data/corrections.parquet"), pd.DataFrame(rows, columns=["ticket_id", "text", "label"])
    )


def prepared(name: str) -> pd.DataFrame:
    return read_tickets(Path(f"data/prepared/{name}.parquet"))


def test_a_corrected_ticket_is_in_no_other_table_by_text_or_by_id(champion):
    text = champion["holdout"]["text"][3]
    correct(
        (None, f"Hello team, {text.upper()}", "neutral"),
        (champion["tune"]["ticket_id"][5], "Something new", "negative"),
        (None, champion["train"]["text"][7], "positive"),
        (None, champion["unlabelled"]["text"][8], "positive"),
    )
    main(PARAMS)
    for name, row in {"holdout": 3, "tune": 5, "train": 7, "unlabelled": 8}.items():
        assert len(prepared(name)) == 89
        assert champion[name]["ticket_id"][row] not in set(prepared(name)["ticket_id"])
    corrected = load_corrections(Path("data/prepared/corrected.parquet"))
    assert len(corrected) == 4
    assert not corrected["text"].str.startswith("Hello").any()
    assert corrected["ticket_id"].notna().all() and corrected["ticket_id"].is_unique
    split = read_json(Path("data/prepared/split.json"))
    assert split["rows"] == dict.fromkeys(MONTHS, 89)
    assert split["corrected"] == {"rows": 4, "left_out": dict.fromkeys(MONTHS, 1)}
    assert split["sha256"]["holdout"] == sha256_file(Path("data/prepared/holdout.parquet"))


def test_what_earlier_hotfixes_corrected_is_kept_unless_it_is_corrected_again(champion):
    earlier = [("a", "It was fine then", "positive"), ("b", "Never mind", "neutral")]
    frame = pd.DataFrame(earlier, columns=["ticket_id", "text", "label"])
    write_corrections(Path("champion/prepared/corrected.parquet"), frame.head(1))
    write_corrections(Path("champion/prepared/earlier.parquet"), frame.tail(1))
    correct(("a", "It was fine then", "negative"))
    main(PARAMS)
    kept = load_corrections(Path("data/prepared/earlier.parquet"))
    assert kept["ticket_id"].tolist() == ["b"]


def test_what_was_learnt_is_known_again_by_id_or_text_without_a_text_being_kept(champion):
    earlier = pd.DataFrame(
        [("a", "It was fine then", "positive"), ("b", "Never mind", "neutral")],
        columns=["ticket_id", "text", "label"],
    )
    write_corrections(Path("champion/prepared/corrected.parquet"), earlier)
    write_json(
        Path("champion/prepared/learnt.json"),
        Learnt.of(earlier.assign(ticket_id="c", text="Long ago")).as_json(),
    )
    correct(("a", "It never was", "negative"), (None, "Something NEW!", "negative"))
    main(PARAMS)
    path = Path("data/prepared/learnt.json")
    learnt = read_learnt(path)
    # "It was fine then" is not replayed any more, but was learnt all the same.
    texts = [
        "it was fine, then",
        "never mind",
        "it never was",
        "something new",
        "LONG ago",
        "Unknown",
        "x",
        "y",
    ]
    ids = [*"123456", "a", "c"]
    held = learnt.holds(pd.DataFrame({"ticket_id": ids, "text": texts}))
    assert held.tolist() == [True, True, True, True, True, False, True, True]
    assert "fine" not in path.read_text() and "something" not in path.read_text()


def test_a_list_of_what_was_learnt_that_is_none_is_refused(tmp_path):
    for content in (
        [],
        {"contents": []},
        {"contents": [1], "tickets": []},
        {"contents": "ab", "tickets": []},
    ):
        write_json(tmp_path / "learnt.json", content)
        with pytest.raises(TicketSentimentError, match=r"learnt.json: expected lists of digests"):
            read_learnt(tmp_path / "learnt.json")


def test_a_split_of_which_too_little_is_left_is_refused(champion):
    correct(*[(None, text, "neutral") for text in champion["holdout"]["text"][:70]])
    with pytest.raises(TicketSentimentError, match=r"70 of the 90 .* split holdout \(2026-03\)"):
        main(PARAMS)


def test_equal_corrections_give_equal_tables(champion):
    correct(("1", SENTENCES["neutral"][0], "neutral"), (None, "Something new", "negative"))
    main(PARAMS)
    first = {path.name: sha256_file(path) for path in Path("data/prepared").iterdir()}
    main(PARAMS)
    assert {path.name: sha256_file(path) for path in Path("data/prepared").iterdir()} == first
