import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import SGDClassifier

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.tickets import demo, validate
from ticket_sentiment.tickets import profile as profiling
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.profile import profile
from ticket_sentiment.tickets.schema import COLUMNS, month_files, read_tickets, write_tickets


@pytest.fixture
def checked(params, limits):
    """Params whose validate section suits months of 120 made-up tickets."""
    relaxed = {"min_language_share": 0.5, "max_duplicate_share": 0.1}
    return params.model_copy(update={"validate_": limits.model_copy(update=relaxed)})


def _change(folder, name, change):
    path = folder / f"{name}.parquet"
    frame = read_tickets(path).astype({"label": object})
    write_tickets(path, change(frame))


def _result():
    return json.loads(validate.RESULT.read_text())


def _refused(params, match):
    """The stage's error, after checking that result and page were written all the same."""
    validate.RESULT.unlink(missing_ok=True)
    validate.PAGE.unlink(missing_ok=True)
    with pytest.raises(TicketSentimentError, match=match) as raised:
        validate.main(params)
    assert "\n" not in str(raised.value)
    assert str(validate.PAGE) in str(raised.value)
    result = _result()
    assert result["success"] is False
    page = validate.PAGE.read_text()
    assert "Failed." in page
    assert result["failures"][0]["expectation"] in page
    return result


def test_sound_tickets_pass(tickets_folder, checked):
    validate.main(checked)
    result = _result()
    assert result["success"] is True
    assert result["failures"] == []
    assert result["data_sha256"] == sha256_tree(tickets_folder)
    assert set(result["months"]["2026-01"]) == {
        "rows", "labelled", "masks", "label_share", "language_share", "signal", "channels",
    }  # fmt: skip
    assert result["months"]["2026-01"]["signal"] > 0.8
    page = validate.PAGE.read_text()
    assert "Passed." in page
    assert "http" not in page  # it opens without a network


def test_the_stage_is_deterministic(tickets_folder, checked):
    validate.main(checked)
    first = (validate.RESULT.read_bytes(), validate.PAGE.read_bytes())
    validate.main(checked)
    assert (validate.RESULT.read_bytes(), validate.PAGE.read_bytes()) == first


def test_no_month_at_all(tmp_path, monkeypatch, checked):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TicketSentimentError, match="holds no month"):
        validate.main(checked)


def test_a_truncated_file_stops_and_is_named(tickets_folder, checked):
    path = tickets_folder / "2026-03.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    result = _refused(checked, r"2026-03: .*2026-03\.parquet is not a whole Parquet file")
    assert result["failures"][0]["expectation"] == "read_parquet"
    assert set(result["months"]) == {"2026-01", "2026-02", "2026-04"}


def test_a_missing_column_stops_and_is_named(tickets_folder, checked):
    path = tickets_folder / "2026-03.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["channel"]), path)
    _refused(checked, r"2026-03: .*column channel is missing")


def _assign(index, **values):
    def change(frame):
        for column, value in values.items():
            frame.loc[index, column] = value
        return frame

    return change


ROW_RULES = {
    "few rows": (lambda frame: frame.iloc[:10], "expect_table_row_count_to_be_between", None),
    "no id": (_assign(3, ticket_id=None), "expect_column_values_to_not_be_null", "ticket_id"),
    "no channel": (_assign(3, channel=None), "expect_column_values_to_not_be_null", "channel"),
    "no text": (_assign(3, text=None), "expect_column_values_to_not_be_null", "text"),
    "empty text": (_assign(3, text=""), "expect_column_value_lengths_to_be_between", "text"),
    "long text": (_assign(3, text="x" * 20_001), "expect_column_value_lengths_to_be_between", "text"),
    "unknown label": (_assign(3, label="angry"), "expect_column_values_to_be_in_set", "label"),
    "id twice": (_assign(3, ticket_id="2026-03-7"), "expect_column_values_to_be_unique", "ticket_id"),
    "date before the month": (
        _assign(3, created_at=pd.Timestamp("2026-02-28 23:59:59", tz="UTC")),
        "expect_column_values_to_be_between",
        "created_at",
    ),
    "date after the month": (
        _assign(3, created_at=pd.Timestamp("2026-04-01", tz="UTC")),
        "expect_column_values_to_be_between",
        "created_at",
    ),
}


@pytest.mark.parametrize(("change", "rule", "column"), ROW_RULES.values(), ids=ROW_RULES.keys())
def test_a_broken_row_stops_and_is_named(tickets_folder, checked, change, rule, column):
    _change(tickets_folder, "2026-03", change)
    result = _refused(checked, rf"2026-03: .*\({rule}")
    found = [(failure["month"], failure["expectation"], failure["column"]) for failure in result["failures"]]
    assert ("2026-03", rule, column) in found
    assert {month for month, _, _ in found} == {"2026-03"}


def test_failing_rows_are_named_by_id_never_by_text(tickets_folder, checked):
    secret = "the customer's own words " * 1000
    _change(tickets_folder, "2026-03", _assign([3, 4], text=secret))
    result = _refused(checked, "texts are empty or longer than 20000 characters")
    failure = next(f for f in result["failures"] if f["column"] == "text")
    expected = read_tickets(tickets_folder / "2026-03.parquet").loc[[3, 4], "ticket_id"].tolist()
    assert failure["ticket_ids"] == expected
    assert failure["rows"] == 2
    assert "own words" not in validate.RESULT.read_text() + validate.PAGE.read_text()


def test_at_most_twenty_ids_are_listed(tickets_folder, checked):
    _change(tickets_folder, "2026-03", _assign(list(range(50)), label="angry"))
    result = _refused(checked, "50 rows have a label that is none of")
    assert [len(f["ticket_ids"]) for f in result["failures"] if f["rows"] == 50] == [20]


def _repeat(count):
    def change(frame):
        frame.loc[: count - 1, "text"] = frame.loc[60, "text"]
        frame.loc[: count - 1, "label"] = frame.loc[60, "label"]
        return frame

    return change


def _contradict(frame):
    frame.loc[[0, 1, 2], "text"] = "one and the same thing"
    frame.loc[[0, 1, 2], "label"] = ["negative", "positive", "neutral"]
    return frame


def _foreign(frame):
    german = "der drucker ist seit gestern kaputt und niemand antwortet auf meine anfrage"
    frame["text"] = [f"{german} {index} {label}" for index, label in enumerate(frame["label"])]
    return frame


def _one_class(frame):
    return frame.assign(label="positive")


def _skewed(frame):
    return frame.assign(label=np.where(frame["label"] == "neutral", "negative", frame["label"]))


MONTH_RULES = {
    "repeated texts": (_repeat(30), "duplicate_share", "repeat another one"),
    "one text, two labels": (_contradict, "conflict_share", "row of another label"),
    "unmasked": (_assign(5, text="write to jane@example.com"), "unmasked_rows", "not masked"),
    "few labels": (lambda frame: frame.assign(label=None), "labelled_share", "have a label"),
    "one class": (_one_class, "smallest_class_share", "rarest class has 0.0%"),
    "another mix": (_skewed, "label_shift", "away from the months before"),
    "another language": (_foreign, "language_share", "language of validate.language"),
}


@pytest.mark.parametrize(("change", "column", "sentence"), MONTH_RULES.values(), ids=MONTH_RULES.keys())
def test_a_month_that_is_wrong_as_a_whole_stops_and_is_named(
    tickets_folder, checked, change, column, sentence
):
    _change(tickets_folder, "2026-03", change)
    result = _refused(checked, "2026-03: ")
    failure = next(f for f in result["failures"] if (f["month"], f["column"]) == ("2026-03", column))
    assert sentence in failure["sentence"]
    assert failure["rows"] > 0


def test_the_mix_of_few_labels_is_not_judged(tickets_folder, checked):
    def labelled(rows):
        frame = _skewed(read_tickets(tickets_folder / "2026-03.parquet"))
        return frame.assign(label=frame["label"].where(frame.index < rows))

    enough, few = labelled(60), labelled(59)
    limits = checked.validate_.model_copy(update={"min_class_share": 0.0, "min_signal": 0.0})
    write_tickets(tickets_folder / "2026-03.parquet", enough)
    found = validate.validate(tickets_folder, limits)["failures"]
    assert [(one["month"], one["column"]) for one in found] == [("2026-03", "label_shift")]
    write_tickets(tickets_folder / "2026-03.parquet", few)
    assert validate.validate(tickets_folder, limits)["failures"] == []


def test_ids_in_two_months_stop_and_are_named(tickets_folder, checked):
    _change(tickets_folder, "2026-04", _assign([3, 4], ticket_id=["2026-01-1", "2026-01-2"]))
    result = _refused(checked, r"2026-04: 2 ticket ids are in another month too.*first: 2026-01-1, 2026-01-2")
    assert {failure["month"] for failure in result["failures"]} == {"2026-01", "2026-04"}


def test_numbers_that_cannot_be_computed_do_not_pass(tickets_folder, checked):
    for path in month_files(tickets_folder).values():
        write_tickets(path, read_tickets(path).assign(label=None))
    result = _refused(checked, r"2026-04: ")
    rules = {(failure["expectation"], failure["column"]) for failure in result["failures"]}
    assert ("expect_column_values_to_not_be_null", "signal") in rules
    assert ("expect_column_values_to_not_be_null", "smallest_class_share") in rules
    assert result["months"]["2026-01"]["signal"] is None


def test_an_unknown_language_names_its_key(tickets_folder, checked):
    params = checked.model_copy(
        update={"validate_": checked.validate_.model_copy(update={"language": "klingon"})}
    )
    with pytest.raises(TicketSentimentError, match=r"validate\.language: 'klingon'"):
        validate.main(params)


def _shift(frame):
    return frame.assign(label=np.roll(frame["label"].to_numpy(), 1))


def test_labels_shifted_by_one_row_stop_and_are_named(tickets_folder, checked):
    _change(tickets_folder, "2026-02", _shift)
    result = _refused(checked, r"2026-02: labels cannot be told from the texts.*shifted by one row")
    assert {(f["month"], f["column"]) for f in result["failures"]} == {("2026-02", "signal")}


def test_labels_shifted_in_every_month_stop(tickets_folder, checked):
    for name in month_files(tickets_folder):
        _change(tickets_folder, name, _shift)
    result = _refused(checked, "labels cannot be told from the texts")
    assert {f["month"] for f in result["failures"] if f["column"] == "signal"} == set(result["months"])


def test_a_single_month_is_judged_within_itself(tickets_folder, checked):
    for name in ("2026-02", "2026-03", "2026-04"):
        (tickets_folder / f"{name}.parquet").unlink()
    validate.main(checked)
    assert _result()["months"]["2026-01"]["signal"] > 0.8
    _change(tickets_folder, "2026-01", _shift)
    _refused(checked, "labels cannot be told from the texts")


@pytest.fixture(scope="module")
def demo_months(demo_sdist):
    """The real demo, cleaned, as stored: schema.COLUMNS and `month`."""
    source = demo.DemoSource(kind="demo")
    frame = demo.replay(demo.sentences(demo_sdist), source)
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True).astype("datetime64[us, UTC]")
    frame["text"] = [clean(text) for text in frame["text"]]
    frame = frame.assign(label_source="human").sort_values(["created_at", "ticket_id"], ignore_index=True)
    return frame[list(COLUMNS)].assign(month=frame["created_at"].dt.strftime("%Y-%m"))


def _signals(frame, params):
    return profile(frame, params.validate_.model_copy(update={"language_sample": 1})).summary.set_index(
        "month"
    )["signal"]


def test_the_honest_demo_carries_signal_with_room(demo_months, params):
    assert _signals(demo_months, params).min() > params.validate_.min_signal + 0.10


def test_one_shifted_month_of_the_demo_is_found(demo_months, params):
    labels = demo_months["label"].to_numpy(dtype=object).copy()
    inside = (demo_months["month"] == "2026-05").to_numpy()
    labels[inside] = np.roll(labels[inside], 1)
    signals = _signals(demo_months.assign(label=labels), params)
    assert signals[signals < params.validate_.min_signal].index.tolist() == ["2026-05"]


def test_a_demo_shifted_in_every_month_is_found(demo_months, params):
    shifted = demo_months.groupby("month")["label"].transform(lambda label: np.roll(label.to_numpy(), 1))
    assert _signals(demo_months.assign(label=shifted), params).max() < params.validate_.min_signal


def test_the_whole_demo_passes_every_expectation(demo_months, params, tmp_path):
    for name, group in demo_months.groupby("month"):
        write_tickets(tmp_path / f"{name}.parquet", group[list(COLUMNS)])
    result = validate.validate(tmp_path, params.validate_)
    assert result["failures"] == []
    assert len(result["months"]) == 10


def test_texts_are_repeated_of_one_earlier_month_at_most(limits, month):
    """A third of each month are phrases of some month before, few of any one; an old month is all of one."""
    names = [f"2025-{number:02d}" for number in range(1, 10)]
    frames = {name: month(name, rows=90).assign(month=name) for name in names}
    for place, name in enumerate(names[1:], start=1):
        for row in range(30):
            text = frames[names[row % place]]["text"].iloc[30 + (7 * place + row) % 60]
            frames[name].loc[frames[name].index[row], "text"] = text
    shares = profile(pd.concat(frames.values(), ignore_index=True), limits).summary.set_index("month")
    assert shares.loc["2025-09", "repeated_share"] < 0.12 and shares.loc["2025-01", "repeated_share"] == 0
    again = frames["2025-04"].assign(month="2025-10", ticket_id=lambda rows: rows["ticket_id"] + "x")
    shares = profile(pd.concat([*frames.values(), again], ignore_index=True), limits).summary.set_index(
        "month"
    )
    assert shares.loc["2025-10", "repeated_share"] == 1


def test_the_signal_is_learnt_from_a_part_of_very_many_tickets(limits, month, monkeypatch):
    learnt = []
    fit = SGDClassifier.fit
    monkeypatch.setattr(SGDClassifier, "fit", lambda self, x, y: learnt.append(x.shape[0]) or fit(self, x, y))
    monkeypatch.setattr(profiling, "MOST_SIGNAL_ROWS", 200)
    names = [f"2025-{number:02d}" for number in range(1, 6)]
    tickets = pd.concat([month(name, rows=100).assign(month=name) for name in names], ignore_index=True)
    found = profile(tickets, limits)
    assert max(learnt[:5]) == 200 and found.summary["signal"].min() > 0.8
