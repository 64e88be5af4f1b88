import json
from pathlib import Path

import pandas as pd
import pytest

from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import FilesSource
from ticket_sentiment.tickets.corrections import (
    content_digest,
    load_corrections,
    read_corrections,
    write_corrections,
)

PARAMS = params_of_tests()
ROWS = [
    {"ticket_id": "7", "text": "Great, it broke again.", "label": "negative"},
    {"ticket_id": "9", "text": "Call me at 030 1234567 please", "label": "neutral"},
]


def csv_file(folder: Path, content: str, name: str = "fixes.csv") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def rows_file(folder: Path, rows: list[dict], name: str = "fixes.csv") -> Path:
    frame, path = pd.DataFrame(rows), folder / name
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["fixes.csv", "fixes.jsonl", "fixes.parquet"])
def test_each_format_gives_the_same_masked_corrections(tmp_path, name):
    found = read_corrections(rows_file(tmp_path, ROWS, name), PARAMS)
    assert found.to_dict("records") == [
        {"ticket_id": "9", "text": "Call me at [PHONE] please", "label": "neutral"},
        {"ticket_id": "7", "text": "Great, it broke again.", "label": "negative"},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
@pytest.mark.parametrize("name", ["fixes.csv", "fixes.txt", "fixes.TSV"])
def test_a_spreadsheet_is_read_as_it_was_saved(tmp_path, delimiter, encoding, name):
    """The export is of another program: only what the file itself does not say is taken from its settings."""
    source = FilesSource(kind="files", path="*", delimiter=";", encoding="cp1252")
    tickets = PARAMS.tickets.model_copy(update={"source": source})
    rows = [["ticket_id", "text", "label"], ["7", "Jürgen, it broke; again", "negative"]]
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    path = tmp_path / name
    path.write_bytes("\r\n".join(lines).encode(encoding))
    found = read_corrections(path, PARAMS.model_copy(update={"tickets": tickets}))
    assert found.to_dict("records") == [
        {"ticket_id": "7", "text": "Jürgen, it broke; again", "label": "negative"}
    ]


def test_an_id_of_a_column_of_numbers_with_gaps_is_the_number(tmp_path):
    rows = [ROWS[0] | {"ticket_id": 100451}, {"text": "no id", "label": "neutral"}]
    found = read_corrections(rows_file(tmp_path, rows, "fixes.parquet"), PARAMS)
    assert found["ticket_id"].dropna().tolist() == ["100451"]


def test_their_name_does_not_depend_on_the_order_or_on_repetitions(tmp_path):
    one = read_corrections(rows_file(tmp_path, ROWS), PARAMS)
    other = read_corrections(rows_file(tmp_path, [*ROWS[::-1], ROWS[0]]), PARAMS)
    assert content_digest(one) == content_digest(other)
    changed = read_corrections(rows_file(tmp_path, [{**ROWS[0], "label": "neutral"}, ROWS[1]]), PARAMS)
    assert content_digest(changed) != content_digest(one)
    write_corrections(tmp_path / "kept.parquet", one)
    assert content_digest(load_corrections(tmp_path / "kept.parquet")) == content_digest(one)


def test_ids_may_be_missing_and_labels_and_columns_are_those_of_the_export(tmp_path):
    tickets = PARAMS.tickets.model_copy(update={"columns": {"text": "body"}, "labels": {"neg": "negative"}})
    params = PARAMS.model_copy(update={"tickets": tickets})
    (row,) = read_corrections(csv_file(tmp_path, "body,label\nIt broke,neg\n"), params).to_dict("records")
    assert (row["ticket_id"], row["text"], row["label"]) == (None, "It broke", "negative")


BAD = {
    "text,label\n": "is empty",
    "": "is empty",
    "text,label\nfine,splendid\n": "row 2: column label: expected one of negative, neutral, positive",
    "text,label\nfine,\n": "row 2: column label: expected one of",
    "text,label\n ,positive\n": "row 2: column text: is empty",
    "body,label\nfine,positive\n": "column 'text' is missing (2 columns, of a known name: label): name",
    "text|label\nfine|positive\n": "with ',', ';' or tabs between them (read with ',')",
    "Call Ann Smith at 555-123-4567,negative\nfine,positive\n": (
        "column 'text' is missing (2 columns, none of a known name: a file without a header line?): name"
    ),
    "Call Ann Smith,Call Ann Smith\nfine,positive\n": "none of a known name: a file without a header line?",
    "text,label\nFine!,positive\nodd,neutral\nfine,negative\n": (
        "row 4: text is that of row 2, with another label"
    ),
    "ticket_id,text,label\n1,fine,positive\n1,good,positive\n": (
        "row 3: ticket_id is that of row 2, with another text"
    ),
    "text,label\n"
    + "".join(f"text {i},neutral\n" for i in range(4)): "4 rows, more than hotfix.max_rows (3)",
}


@pytest.mark.parametrize("content", BAD)
def test_what_is_wrong_is_said_in_one_line_with_its_row(tmp_path, content):
    params = PARAMS.model_copy(update={"hotfix": PARAMS.hotfix.model_copy(update={"max_rows": 3})})
    path = csv_file(tmp_path, content)
    with pytest.raises(TicketSentimentError) as refused:
        read_corrections(path, params)
    message = str(refused.value)
    assert BAD[content] in message and "fixes.csv" in message
    assert "\n" not in message and "Ann" not in message


def test_a_file_that_is_missing_or_of_another_kind(tmp_path):
    with pytest.raises(TicketSentimentError, match="is not there"):
        read_corrections(tmp_path / "none.csv", PARAMS)
    with pytest.raises(TicketSentimentError, match="unknown ending"):
        read_corrections(csv_file(tmp_path, "text,label\nfine,positive\n", "fixes.xlsx"), PARAMS)


def test_a_name_with_the_signs_of_a_glob_is_that_file(tmp_path):
    csv_file(tmp_path, "text,label\nother,neutral\n", "fixesa.csv")
    found = read_corrections(csv_file(tmp_path, "text,label\nfine,positive\n", "fixes[a].csv"), PARAMS)
    assert found["text"].tolist() == ["fine"]


def test_two_columns_that_could_both_be_meant_must_agree(tmp_path):
    """An export's own label beside the right one that somebody added."""
    tickets = PARAMS.tickets.model_copy(update={"columns": {"label": "sentiment"}})
    params = PARAMS.model_copy(update={"tickets": tickets})
    path = csv_file(tmp_path, "text,sentiment,label\nIt broke.,positive,negative\n")
    with pytest.raises(TicketSentimentError, match=r"'sentiment' .*columns.label\) and 'label' differ"):
        read_corrections(path, params)
    agreeing = csv_file(tmp_path, "text,sentiment,label\nIt broke.,negative,negative\n")
    assert list(read_corrections(agreeing, params)["label"]) == ["negative"]
