from pathlib import Path

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.own_expectations import KNOWN, read_own
from ticket_sentiment.tickets.schema import write_tickets
from ticket_sentiment.tickets.validate import validate

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = """
expectations:
  - expectation: expect_column_values_to_not_match_regex
    column: text
    regex: "^(?i:test|please ignore)"
    mostly: 0.99
    say: "test tickets are in the export: leave out the queue sandbox"
  - expectation: expect_column_values_to_be_in_set
    column: channel
    value_set: [email, chat, phone]
    say: "a channel is new: tell the data team"
  - expectation: expect_column_unique_value_count_to_be_between
    column: customer_id
    min_value: 1
    say: "customers are lost"
"""


@pytest.fixture
def own(tmp_path):
    def read(text: str):
        path = tmp_path / "expectations.yaml"
        path.write_text(text)
        return read_own(path)

    return read


def test_the_file_of_the_repository_holds_none_and_its_comment_is_an_example_that_works(own):
    text = (REPOSITORY / "data/expectations.yaml").read_text()
    assert own(text) == []
    head, key, rest = text.partition("# expectations:\n")
    assert len(own(head + (key + rest).replace("# ", "", 1).replace("\n# ", "\n"))) == 2
    assert read_own(Path("nowhere.yaml")) == []


def test_every_known_expectation_is_one_of_great_expectations(own):
    arguments = {"value_set": "[a]", "regex": "a", "min_value": "1"}
    for name, takes in KNOWN.items():
        given = [f"    {key}: {value}" for key, value in arguments.items() if key in takes]
        head = f"expectations:\n  - expectation: {name}\n    column: text\n    say: x\n"
        (one,) = own(head + "\n".join(given))
        assert one.build().expectation_type == name


def test_a_month_that_breaks_one_is_named_with_what_the_team_says(own, tickets_folder, limits, month):
    table = month("2026-04")
    table.loc[:4, "text"] = "TEST " + table.loc[:4, "text"]
    table.loc[7, "channel"] = "fax"
    write_tickets(tickets_folder / "2026-04.parquet", table)
    relaxed = limits.model_copy(update={"min_language_share": 0.0})
    found = validate(tickets_folder, relaxed, own=own(EXAMPLE))
    failures = sorted(found["failures"], key=lambda one: one["rows"])
    assert [(one["month"], one["sentence"]) for one in failures] == [
        ("2026-04", "1 rows: a channel is new: tell the data team"),
        ("2026-04", "5 rows: test tickets are in the export: leave out the queue sandbox"),
    ]
    assert failures[0]["ticket_ids"] == [table.loc[7, "ticket_id"]]


@pytest.mark.parametrize("kind", ["match", "not_match"])
def test_a_regular_expression_means_what_it_does_in_python(own, tickets_folder, limits, month, kind):
    """Arrow's `\\b` knows no umlaut, so that such a rule would never find anything."""
    table = month("2026-04")
    table.loc[:4, "text"] += " Übergabe"
    write_tickets(tickets_folder / "2026-04.parquet", table)
    rule = f"expect_column_values_to_{kind}_regex"
    text = f"{{expectation: {rule}, column: text, regex: '(?i)\\bübergabe\\b', say: x}}"
    found = validate(tickets_folder, limits, own=own(f"expectations: [{text}]"))["failures"]
    rows = {one["month"]: one["rows"] for one in found if one["expectation"] == rule}
    assert rows["2026-04"] == (5 if kind == "not_match" else 115)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[{expectation: expect_magic, column: text, say: x}]", "expect_magic is not known"),
        ("[{expectation: expect_column_values_to_not_be_null, column: body, say: x}]", "column"),
        ("[{expectation: expect_column_values_to_be_in_set, column: text, say: x}]", "value_set"),
        (
            "[{expectation: expect_column_values_to_match_regex, column: text, say: x, regex: '('}]",
            "no regular expression",
        ),
        (
            "[{expectation: expect_column_value_lengths_to_be_between, column: text, say: x}]",
            "takes max_value and min_value",
        ),
        ("[{column: text, say: x}]", "expectation"),
        ("[{expectation: expect_column_values_to_not_be_null, column: text, say: x, rows: 1}]", "rows"),
        ("[", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_in_one_line(own, text, words):
    with pytest.raises(TicketSentimentError, match=words) as raised:
        own(f"expectations: {text}")
    assert "\n" not in str(raised.value)
