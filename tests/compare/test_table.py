import pandas as pd
import pytest

from tests.support.evidence import tickets
from ticket_sentiment.compare.table import labelled, read_table
from ticket_sentiment.errors import TicketSentimentError


def test_texts_alone_are_enough_and_rows_are_named_by_their_number(tmp_path, params):
    path = tmp_path / "texts.csv"
    path.write_text('text\n"Hello, the app is slow"\n\n"Thanks, write to me@example.org"\n')
    table = read_table(path, params.tickets)
    assert table["ticket_id"].tolist() == ["row 2", "row 4"]
    assert table["text"].tolist() == ["the app is slow", "Thanks, write to [EMAIL]"]
    assert not labelled(table).any()


def test_columns_and_labels_are_mapped_where_the_file_has_them(tmp_path, params):
    mapped = params.tickets.model_copy(
        update={"columns": {"text": "body", "label": "mood"}, "labels": {"bad": "negative"}}
    )
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text('{"body": "slow", "mood": "bad"}\n{"body": "when?", "mood": null}\n')
    assert read_table(theirs, mapped)["label"].tolist() == ["negative", None]
    ours = tmp_path / "ours.parquet"
    pd.DataFrame({"ticket_id": ["7"], "text": ["slow"], "label": ["negative"]}).to_parquet(ours)
    table = read_table(ours, mapped)
    assert (table["ticket_id"].tolist(), table["label"].tolist()) == (["7"], ["negative"])


def test_a_table_of_ours_has_our_labels_already(tmp_path, params):
    """`neutral` of the export means none here: the holdout's are not the export's."""
    path = tmp_path / "holdout.parquet"
    tickets(40, "2026-10", 3).to_parquet(path, index=False)
    labels = {"neutral": None, "negative": "neutral", "mood": "negative"}
    mapped = params.tickets.model_copy(update={"columns": {"label": "channel"}, "labels": labels})
    assert read_table(path, mapped)["label"].tolist() == pd.read_parquet(path)["label"].tolist()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "is no file"),
        ("other.csv", "subject\nslow\n", "column 'text' is missing"),
        ("empty.csv", 'text\n" "\n', "every text is empty"),
        ("label.csv", "text,label\nslow,angry\n", r"row 2: column label: label \(a text of 5 .* is unknown"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(tmp_path, params, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(TicketSentimentError, match=said):
        read_table(path, params.tickets)
