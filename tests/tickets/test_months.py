"""Stored months: what comes late, what a source lets go of, and a month that is collected before its end."""

from datetime import date

import pandas as pd
import pytest

from tests.tickets.exports import export, state
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets import months
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.schema import (
    FEEDBACK,
    FEEDBACK_TABLE,
    TICKETS,
    month_files,
    read_months,
    read_tickets,
    write_month,
)

WHOLE = {"2026-01", "2026-02", "2026-03"}
PUBLISH, ADD = "months._publish", "versions.MonthVersions.add"  # where a collection is killed


@pytest.fixture
def killed(monkeypatch):
    """`killed(ADD, run, ...)`: a collection that a kill ends when it comes to this part."""

    def collect_until(part, collect_files, **options):
        with monkeypatch.context() as patch:
            name = f"ticket_sentiment.tickets.{part}"
            patch.setattr(name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                collect_files(**options)

    return collect_until


def _with(frame, row, **values):
    changed = frame.copy()
    for name, value in values.items():
        changed.loc[row, name] = value
    return changed


def test_labels_that_come_after_their_month_are_added(run, exported, month):
    """Five customers of the last days had not answered yet when the month was collected."""
    whole = month("2026-02")
    export(exported, "2026-02.csv", whole.assign(label=whole["label"].mask(whole.index >= 115)))
    assert run().late_labels == 0
    collected = (exported / "data/tickets.dvc").read_text()
    export(exported, "2026-02.csv", whole)
    result = run()
    assert (result.written, result.late_labels) == (("2026-02",), 5)
    stored = read_tickets(exported / TICKETS / "2026-02.parquet")
    assert stored["label"].tolist() == whole["label"].tolist()
    assert stored["label_source"].unique().tolist() == ["import"]
    versioned = (exported / "data/tickets.dvc").read_text()
    assert versioned != collected, "the month is another version now"
    assert run().written == (), "and closed as before"


def test_a_killed_run_that_adds_late_labels_is_finished_by_the_next(run, exported, month, killed):
    whole = month("2026-02")
    export(exported, "2026-02.csv", _with(whole, 7, label=None))
    run()
    collected = (exported / "data/tickets.dvc").read_text()
    export(exported, "2026-02.csv", whole)
    killed(ADD, run)
    run()
    assert read_tickets(exported / TICKETS / "2026-02.parquet").loc[7, "label"] == whole.loc[7, "label"]
    assert (exported / "data/tickets.dvc").read_text() != collected
    assert not (exported / "data/tickets.open").exists()


def test_what_is_more_than_a_late_label_is_refused(run, exported, month):
    stored = _with(month("2026-02"), 7, label=None)
    export(exported, "2026-02.csv", stored)
    run()
    before = state(exported)
    late = _with(stored, 7, label="neutral")
    other = "positive" if stored.loc[3, "label"] == "negative" else "negative"
    for changed in (
        _with(late, 3, label=other),
        _with(late, 3, label=None),
        _with(late, 7, text="not what was written"),
        pd.concat([late, stored.head(1).assign(ticket_id="new")]),
        late.drop(index=3),
    ):
        export(exported, "2026-02.csv", changed)
        with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ"):
            run()
    assert state(exported) == before


def test_an_export_of_the_last_days_keeps_what_it_no_longer_holds(run, exported, month):
    february = month("2026-02")
    export(exported, "2026-02.csv", _with(february, 115, label=None))
    run()
    (exported / "exports/2026-01.csv").unlink()
    export(exported, "2026-02.csv", february.iloc[50:])
    result = run()
    assert (result.written, result.unchanged, result.late_labels) == (("2026-02",), ("2026-03",), 1)
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 120
    before = state(exported)
    export(exported, "2026-02.csv", february.iloc[50:].drop(index=60))
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ"):
        run()
    export(exported, "2026-02.csv", _with(february, 40, created_at=february.loc[60, "created_at"]).iloc[40:])
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ"):
        run()
    assert state(exported) == before
    changed = _with(february.iloc[50:].drop(index=[60, 61]), 70, text="of another mind")
    export(exported, "2026-02.csv", changed)
    said = r"2026-02 \(3 of 120 tickets differ, 2 are not in the source and would go\)"
    with pytest.raises(TicketSentimentError, match=said):
        run()
    result = run(replace=("2026-02",))
    assert (result.written, result.gone) == (
        ("2026-02",),
        2,
    ) and "2 stored tickets taken out" in result.line()
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 118, (
        "the window says nothing of older"
    )


def test_one_old_ticket_does_not_make_a_window_begin_before(run, exported, month):
    run()
    february = month("2026-02")
    window = _with(february, 70, text="of another mind").iloc[50:]
    stray = february.iloc[[0]].assign(ticket_id="old", created_at=pd.Timestamp("2016-03-02", tz="UTC"))
    (exported / "exports/2026-01.csv").unlink()
    export(exported, "2026-02.csv", pd.concat([stray, window]))
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ\)"):
        run()
    assert run(replace=("2026-02",)).gone == 0
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 120


def test_a_months_last_day_comes_late_where_dates_have_no_time(run, exported, month):
    february = month("2026-02")
    february["created_at"] = february["created_at"].dt.floor("D")
    last = february["created_at"] == february["created_at"].max()
    export(exported, "2026-02.csv", february[~last | (february.index < last.idxmax() + 1)])
    run()
    export(exported, "2026-02.csv", february)
    assert run().added == last.sum() - 1 > 0


def test_a_months_last_hours_come_with_the_next_local_month(run, exported, month):
    february = month("2026-02")
    times = [f"2026-02-28 {hour}:30:00" for hour in ("09", "21", "22")]
    for index, time in zip((117, 118, 119), times, strict=True):
        february.loc[index, "created_at"] = time
    export(exported, "2026-02.csv", february.iloc[:118])
    run()
    export(exported, "2026-02.csv", february)
    result = run()
    assert (result.written, result.added) == (
        ("2026-02",),
        2,
    ) and "2 tickets of a month's end" in result.line()
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 120
    export(exported, "2026-02.csv", pd.concat([february, february.iloc[[0]].assign(ticket_id="new")]))
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ"):
        run()


def test_the_rest_of_an_export_of_before_the_last_day_was_over_comes_with_the_next(run, exported, month):
    """The flow runs at 3 on the first; a nightly export may be of the evening before."""
    february = month("2026-02").sort_values("created_at", ignore_index=True)
    export(exported, "2026-02.csv", february.iloc[:100])
    run()
    export(exported, "2026-02.csv", february)
    assert (run().added, len(read_tickets(exported / TICKETS / "2026-02.parquet"))) == (20, 120)


@pytest.fixture
def stricter(monkeypatch):
    """A release whose rules mask more than those that the months were stored by."""

    def mask(text):
        return clean(text).replace("printer", "[HANDLE]")

    for name in ("collect", "stored", "profile"):
        monkeypatch.setattr(f"ticket_sentiment.tickets.{name}.clean", mask)
    return mask


def _unmasked(root, mask):
    return [text for text in read_months(root / TICKETS)["text"] if mask(text) != text]


@pytest.mark.parametrize("path", ["exports/*.csv", "exports/2026-03.csv"])
def test_stricter_rules_mask_stored_months_that_the_source_no_longer_holds(run, exported, path, request):
    run()
    before = (exported / "data/tickets.dvc").read_text()
    mask = request.getfixturevalue("stricter")
    count = len(_unmasked(exported, mask))
    result = run(path)
    assert result.masked == count > 100
    assert f"{count} stored tickets masked anew by today's rules" in result.line()
    assert not _unmasked(exported, mask) and len(read_months(exported / TICKETS)) == 360
    assert (exported / "data/tickets.dvc").read_text() != before
    again = run(path)
    assert (again.written, again.masked) == ((), 0)
    assert not list((exported / "data").glob("tickets.[mo]*")), "no month is open to other changes"


def test_a_text_that_older_rules_masked_otherwise_is_no_change_of_its_month(
    run, exported, month, monkeypatch
):
    """A release's rules may mask a part of a text where older ones masked another: from the source alone."""
    february = _with(month("2026-02"), 3, text="fax 12 079 123 45 67, now")
    february = _with(february, 4, text="it broke [PHONE] so I left")
    export(exported, "2026-02.csv", february)
    with monkeypatch.context() as older:
        for name in ("collect", "stored"):
            older.setattr(
                f"ticket_sentiment.tickets.{name}.clean",
                lambda text: "fax [PHONE], now" if text.startswith("fax") else clean(text),
            )
        run()
    result = run()
    assert (result.written, result.masked) == (("2026-02",), 1)
    stored = read_tickets(exported / TICKETS / "2026-02.parquet").set_index("ticket_id")
    assert stored.loc[february.loc[3, "ticket_id"], "text"] == clean("fax 12 079 123 45 67, now")
    assert run().written == ()
    export(exported, "2026-02.csv", _with(february, 4, text="it broke [PHONE] so I stayed"))
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ"):
        run()


@pytest.mark.parametrize("part", [PUBLISH, ADD])
def test_masking_that_is_killed_is_finished_by_the_next_run(run, exported, killed, part, request):
    run()
    before = (exported / "data/tickets.dvc").read_text()
    mask = request.getfixturevalue("stricter")
    killed(part, run, path="exports/2026-03.csv")
    assert (exported / "data/tickets.masking").read_text() == "2026-01\n2026-02\n2026-03\n"
    run("exports/2026-03.csv")
    assert not _unmasked(exported, mask)
    assert (exported / "data/tickets.dvc").read_text() != before
    assert not list((exported / "data").glob("tickets.[mo]*"))


def test_a_kill_between_two_months_is_finished_by_the_next_run(run, exported, monkeypatch, request):
    run()
    mask = request.getfixturevalue("stricter")

    def first_alone(names, folder):
        name = f"{names[0]}.parquet"
        (months._staging(folder) / name).replace(folder / name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(months, "_publish", first_alone)
        run("exports/2026-03.csv")
    assert len(_unmasked(exported, mask)) > 0 and list((exported / "data").glob(".tickets-staging/*"))
    run("exports/2026-03.csv")
    assert not _unmasked(exported, mask)
    assert not list((exported / "data").glob("tickets.[mo]*")) + list((exported / "data").glob(".tickets*"))


def test_an_early_collection_takes_the_present_month_and_leaves_it_open(run, exported, month):
    """For a retraining that an alarm asked for: the rest comes in by itself, a later change does not."""
    whole = month("2026-04")
    export(exported, "2026-04.csv", whole.head(70))
    assert run(early=True).written == ("2026-01", "2026-02", "2026-03", "2026-04")
    assert run().later == 70, "the regular run leaves it as it is"
    assert (exported / "data/tickets.open").read_text() == "2026-04\n"
    export(exported, "2026-04.csv", whole.head(90))
    assert run(early=True).written == ("2026-04",)

    export(exported, "2026-04.csv", whole)
    assert run(today=date(2026, 5, 1)).written == ("2026-04",), "it is over: the whole of it, unasked"
    assert not (exported / "data/tickets.open").exists()
    export(exported, "2026-04.csv", whole.head(90))
    with pytest.raises(TicketSentimentError, match="2026-04"):
        run(today=date(2026, 5, 1))


def test_an_early_collection_leaves_a_month_that_is_too_little_for_later(run, exported, month):
    """`validate` would refuse it, and with it every run until the month has enough."""
    april = month("2026-04", 80)
    one_class = april.assign(label=april["label"].where(april["label"] != "positive", "neutral"))
    for few, said in (
        (april.head(39), "39 tickets, 39 different ones labelled, "),
        (
            april.assign(label=april["label"].where(april.index < 59)),
            "80 tickets, 59 different ones labelled, ",
        ),
        (one_class, "80 tickets, 80 different ones labelled, 0 of the rarest label"),
        (april.assign(text=["Thank you"] * 80), "80 tickets, 0 different ones labelled, "),
    ):
        export(exported, "2026-04.csv", few)
        result = run(early=True)
        assert result.waits and result.waits.startswith(said)
        assert result.later == len(few)
        assert (
            f"; {len(few)} of months not over yet, the present one is too little for validate"
            in result.line()
        )
        assert {path.stem for path in month_files(exported / TICKETS).values()} == WHOLE
        assert not (exported / "data/tickets.open").exists()
    export(exported, "2026-04.csv", april.assign(label=None))
    said = april[["ticket_id", "label"]].assign(at=april["created_at"], received_at=april["created_at"])
    said = said.assign(source="agent", event_id="1", served_arm=None, served_digest=None, served_label=None)
    write_month(exported / FEEDBACK / "2026-04.parquet", said, FEEDBACK_TABLE)
    assert run(early=True).written == ("2026-04",), "people's labels count, as they do for validate"


def test_an_early_run_before_the_regular_one_of_the_same_day_takes_what_is_over(run, exported, month):
    export(exported, "2026-04.csv", month("2026-04", 3))
    first = date(2026, 4, 1)
    assert run(early=True, today=first).written == tuple(sorted(WHOLE))
    regular = run(today=first)
    assert (regular.written, regular.later, regular.waits) == ((), 3, None)


def test_an_early_collection_that_is_killed_leaves_the_month_open(run, exported, month, killed):
    export(exported, "2026-04.csv", month("2026-04").head(70))
    killed(ADD, run, early=True)
    export(exported, "2026-04.csv", month("2026-04"))
    assert "2026-04" in run(today=date(2026, 5, 1)).written
    assert not (exported / "data/tickets.open").exists()


def test_a_month_stays_open_until_it_is_whole_whatever_other_month_is_opened(run, exported, month, killed):
    """No regular run between two early ones, and the second is killed before it writes."""
    april, note = month("2026-04"), exported / "data/tickets.open"
    export(exported, "2026-04.csv", april.head(70))
    run(early=True)
    export(exported, "2026-04.csv", april)
    export(exported, "2026-05.csv", month("2026-05").head(90))
    killed(PUBLISH, run, early=True, today=date(2026, 5, 8))
    assert note.read_text() == "2026-04\n2026-05\n"
    assert run(today=date(2026, 5, 8)).written == ("2026-04",)
    assert not (exported / TICKETS / "2026-05.parquet").exists()
    assert note.read_text() == "2026-05\n"


def test_a_regular_run_takes_an_open_month_as_a_killed_early_one_left_it(run, exported, month, killed):
    export(exported, "2026-04.csv", month("2026-04").head(70))
    run(early=True)
    export(exported, "2026-04.csv", month("2026-04").head(90))
    killed(ADD, run, early=True)
    assert run().written == ()
    assert len(read_tickets(exported / TICKETS / "2026-04.parquet")) == 90
    assert (exported / "data/tickets.open").read_text() == "2026-04\n"
