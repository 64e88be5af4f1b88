import csv

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Tickets
from ticket_sentiment.search.tables import table_of

SOURCE = {"source": {"kind": "demo"}}
LABELS = ("negative", "neutral", "positive")


def write(path, rows, header=("text", "label")):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def rows(count):
    return [(f"this is ticket number {n} about {n * 7}", LABELS[n % 3]) for n in range(count)]


def test_a_table_is_split_by_its_texts(tmp_path):
    tickets = Tickets.model_validate(SOURCE)
    content = [*rows(900), *rows(30), ("nobody labelled me", ""), ("nor me, nobody did", "")]
    tables = table_of(write(tmp_path / "t.csv", content), tickets)
    sizes = {name: len(part.texts) for name, part in tables.items()}
    assert sizes["train"] + sizes["tune"] + sizes["holdout"] == 900  # the thirty are there already
    assert 130 < sizes["holdout"] < 230
    assert 55 < sizes["tune"] < 130
    assert sizes["unlabelled"] <= 2
    again = table_of(write(tmp_path / "u.csv", list(reversed(content))), tickets)
    assert set(again["holdout"].texts) == set(tables["holdout"].texts)
    assert again.sha256 != tables.sha256


@pytest.mark.parametrize(
    ("content", "header", "message"),
    [
        (rows(900), ("body", "label"), "has no column 'text'"),
        ([*rows(900), ("x y z", "angry")], ("text", "label"), "row 901: unknown label 'angry'"),
        (rows(30), ("text", "label"), "give a larger table"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, content, header, message):
    with pytest.raises(TicketSentimentError, match=message):
        table_of(write(tmp_path / "t.csv", content, header), Tickets.model_validate(SOURCE))


def test_columns_and_labels_are_mapped(tmp_path):
    tickets = Tickets.model_validate(
        SOURCE | {"columns": {"text": "body"}, "labels": {"1": "negative", "2": "neutral", "3": "positive"}}
    )
    numbered = [(text, 1 + LABELS.index(label)) for text, label in rows(900)]
    assert len(table_of(write(tmp_path / "t.csv", numbered, ("body", "label")), tickets)["train"].texts) > 500


def test_a_label_counts_wherever_its_text_came_before_without(tmp_path):
    tickets = Tickets.model_validate(SOURCE)
    labelled = rows(900)
    bare = [(text, "") for text, _ in labelled]
    tables = table_of(write(tmp_path / "t.csv", [*bare, *labelled]), tickets)
    assert sum(len(tables[name].texts) for name in ("train", "tune", "holdout")) == 900
    assert tables["unlabelled"].texts == []
