"""Stored months that go: said, versioned, finished after a kill, not brought back by a collection."""

import hashlib

import pandas as pd
import pytest

from tests.tickets.exports import export, state
from ticket_sentiment.cli import main
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import DemoSource, Tickets
from ticket_sentiment.tickets import validate
from ticket_sentiment.tickets.collect import collect
from ticket_sentiment.tickets.schema import (
    FEEDBACK,
    FEEDBACK_TABLE,
    TICKETS,
    month_files,
    read_tickets,
    write_month,
    write_tickets,
)
from ticket_sentiment.tickets.sources import raw
from ticket_sentiment.tickets.versions import MonthVersions


def stored(root, folder=TICKETS):
    return list(month_files(root / folder))


def pointer(root):
    return (root / "data/tickets.dvc").read_text()


@pytest.fixture
def with_typo(run, exported, month):
    """A year that somebody mistyped: a month of one ticket, versioned before anybody looked at it."""
    january = month("2026-01")
    january.loc[0, "created_at"] = pd.Timestamp("2016-03-02", tz="UTC")
    export(exported, "2026-01.csv", january)
    run()
    export(exported, "2026-01.csv", january.iloc[1:])
    return exported


def test_a_month_of_one_mistyped_date_goes_and_does_not_come_back(run, with_typo, capsys):
    assert main(["collect", "--drop", "2016-03"]) == 0
    assert capsys.readouterr().out == (
        "data/tickets: dropped 2016-03; 3 months are left; what the source still holds comes back with the "
        "next collection\n"
    )
    assert stored(with_typo) == ["2026-01", "2026-02", "2026-03"]
    assert "nfiles: 3" in pointer(with_typo)
    assert run().written == ()
    assert stored(with_typo) == ["2026-01", "2026-02", "2026-03"]


def test_where_a_month_cannot_be_corrected_the_message_says_how_it_goes(run, with_typo, limits, monkeypatch):
    with pytest.raises(TicketSentimentError, match=r"or remove .* `ticket-sentiment collect --drop 2016-03`"):
        run(replace=("2016-03",))
    for path in (with_typo / TICKETS).glob("2026-*.parquet"):
        path.unlink()
    result = validate.validate(with_typo / TICKETS, limits)
    said = validate._refusal(result["failures"])
    assert "goes with `ticket-sentiment collect --drop 2016-03`" in said
    assert said.endswith("once the source lacks it, too, or only begins late in it")
    other = [result["failures"][0] | {"expectation": "unmasked_rows"}]
    assert validate._refusal(other).endswith("once the source lacks it, too")
    of_labels = [result["failures"][0] | {"table": "feedback"}]
    assert "`ticket-sentiment collect --drop feedback/2016-03`" in validate._refusal(of_labels)


def test_dropped_again_it_says_that_nothing_is_there(with_typo, capsys):
    main(["collect", "--drop", "2016-03"])
    before = state(with_typo)
    capsys.readouterr()
    assert main(["collect", "--drop", "2016-03"]) == 0
    said = "data/tickets: dropped nothing; not there: 2016-03; 3 months are left\n"
    assert capsys.readouterr().out == said
    assert state(with_typo) == before


def test_killed_before_the_rest_is_versioned_it_is_finished_by_the_next(run, with_typo, monkeypatch):
    versioned = pointer(with_typo)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MonthVersions, "add", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        main(["collect", "--drop", "2016-03"])
    assert pointer(with_typo) == versioned
    main(["collect", "--drop", "2016-03"])
    assert stored(with_typo) == ["2026-01", "2026-02", "2026-03"] and pointer(with_typo) != versioned


def test_a_month_that_nothing_brings_back_can_be_dropped(run, exported):
    run()
    path = exported / TICKETS / "2026-01.parquet"
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    (exported / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    path.unlink()
    with pytest.raises(TicketSentimentError, match=r"go on without: `.* --drop 2026-01`"):
        run("exports/2026-03.csv")
    assert stored(exported) == ["2026-02", "2026-03"], "the others are left alone"
    assert main(["collect", "--drop", "2026-01"]) == 0
    assert stored(exported) == ["2026-02", "2026-03"]
    assert run("exports/2026-03.csv").written == ()


def test_another_month_that_was_changed_by_hand_stops_it(run, with_typo, capsys):
    path = with_typo / TICKETS / "2026-02.parquet"
    write_tickets(path, read_tickets(path).iloc[1:])
    before = state(with_typo)
    assert main(["collect", "--drop", "2016-03"]) == 2
    assert "2026-02.parquet is not what data/tickets.dvc has versioned" in capsys.readouterr().err
    assert state(with_typo) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--drop", "2026-13"), "--drop 2026-13: no month"),
        (("--drop", "feedback/demo"), "--drop feedback/demo: no month"),
        (("--drop", "2016-03", "--drop", "../x"), "--drop ../x: no month"),
        (("--drop", "2016-03", "--month", "2026-01"), "--drop collects nothing"),
    ],
)
def test_what_is_no_month_is_refused_before_anything_goes(with_typo, capsys, arguments, said):
    before = state(with_typo)
    assert main(["collect", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert state(with_typo) == before


def test_months_of_labels_go_the_same_way(repository, month, capsys):
    labels = month("2026-02")[["ticket_id", "label", "created_at"]].rename(columns={"created_at": "at"})
    labels = labels.assign(received_at=labels["at"], source="agent", event_id="1")
    labels = labels.assign(served_arm=None, served_digest=None, served_label=None)
    for name in ("2026-02", "2026-03"):
        write_month(repository / FEEDBACK / f"{name}.parquet", labels, FEEDBACK_TABLE)
    MonthVersions(repository, FEEDBACK_TABLE).add()
    assert main(["collect", "--drop", "feedback/2026-02"]) == 0
    assert capsys.readouterr().out.startswith("data/feedback: dropped 2026-02; 1 months are left")
    assert stored(repository, FEEDBACK) == ["2026-03"]


@pytest.fixture
def demo_collected(exported, params, month, monkeypatch):
    """The demo in miniature: two months, collected by its source."""
    rows = pd.concat([month("2025-11"), month("2025-12")])
    monkeypatch.setattr("ticket_sentiment.tickets.demo.read_demo", lambda _: rows)
    demo = Tickets(source=DemoSource(kind="demo", months=3))
    chosen = params.model_copy(update={"tickets": demo})
    assert raw.read_raw(demo, exported)[0].identity
    return lambda: collect(chosen, root=exported)


def test_the_demo_does_not_stay_beside_own_tickets(run, exported, demo_collected, capsys):
    demo_collected()
    before = state(exported)
    with pytest.raises(
        TicketSentimentError,
        match=r"2 months \(2025-11 to 2025-12\) of the demo.*`ticket-sentiment collect --drop demo`",
    ):
        run()
    assert state(exported) == before
    assert main(["collect", "--drop", "demo"]) == 0
    assert "dropped 2025-11, 2025-12; 0 months are left" in capsys.readouterr().out
    assert run().written == ("2026-01", "2026-02", "2026-03")
    assert stored(exported) == ["2026-01", "2026-02", "2026-03"]
    main(["collect", "--drop", "demo"])
    assert "dropped nothing; 3 months are left" in capsys.readouterr().out, "own months are no demo"


def test_own_tickets_do_not_get_the_demo_beside_them(run, exported, demo_collected):
    run()
    before = state(exported)
    with pytest.raises(
        TicketSentimentError, match=r"are no demo.*set tickets\.source .*--drop 2026-01 --drop"
    ):
        demo_collected()
    assert state(exported) == before


def test_demo_months_that_are_replaced_are_no_mixture(run, exported, demo_collected, month):
    demo_collected()
    for name in ("2025-11", "2025-12"):
        export(exported, f"{name}.csv", month(name))
    assert set(run(replace=("2025-11", "2025-12")).written) >= {"2025-11", "2025-12"}


def test_older_tickets_of_the_demo_do_not_stay_in_a_month_that_is_replaced(
    run, exported, demo_collected, month
):
    demo_collected()
    own = month("2025-11").sort_values("created_at").iloc[60:]
    export(exported, "2025-11.csv", own.assign(ticket_id="own-" + own["ticket_id"]))
    export(exported, "2025-12.csv", month("2025-12"))
    run(replace=("2025-11", "2025-12"))
    kept = read_tickets(exported / TICKETS / "2025-11.parquet")
    assert len(kept) == 60 and kept["ticket_id"].str.startswith("own-").all()


def test_a_first_month_that_the_source_only_begins_in_does_not_come_back(run, exported, month, capsys):
    january = month("2026-01", rows=30)
    late = january["created_at"].dt.normalize().min() + pd.to_timedelta(27, unit="D")
    export(exported, "2026-01.csv", january.assign(created_at=late))
    result = run()
    assert result.written == ("2026-02", "2026-03")
    assert "left out: 2026-01, as the source begins on 2026-01-28 and holds 30" in result.line()
    assert run(replace=("2026-01",)).written == ("2026-01",), "told to, it is taken"
    (exported / TICKETS / "2026-01.parquet").unlink()
    assert run().touched is None, "a versioned month is there, on disk or not"
    assert stored(exported) == ["2026-01", "2026-02", "2026-03"]
    main(["collect", "--drop", "2026-01"])
    assert run().touched and stored(exported) == ["2026-02", "2026-03"]
    with pytest.raises(TicketSentimentError, match=r"no complete month .*left out: 2026-01, as the source"):
        run("exports/2026-01.csv")
