import json
import shutil
from datetime import date

import pandas as pd
import pytest

from tests.support.project import git
from tests.tickets.exports import export, state
from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.params import DemoSource, Tickets
from ticket_sentiment.promotion.news import of_collection
from ticket_sentiment.tickets import collect as module
from ticket_sentiment.tickets.collect import collect
from ticket_sentiment.tickets.privacy import pseudonym
from ticket_sentiment.tickets.schema import TICKETS, read_months, read_tickets


def test_months_are_written_masked_and_versioned(run, exported, month):
    frame = month("2026-02")
    frame.loc[0, "text"] = "call 555-123-4567 or\nwrite to a@b.com"
    export(exported, "2026-02.csv", frame)
    result = run()
    assert result.written == ("2026-01", "2026-02", "2026-03")
    assert (result.unchanged, result.rows, result.empty, result.later) == ((), 360, 0, 0)
    assert result.data_sha256 == sha256_tree(exported / TICKETS)
    stored = read_months(exported / TICKETS).set_index("ticket_id")
    first = frame.loc[0]
    assert stored.loc[first["ticket_id"], "text"] == "call [PHONE] or write to [EMAIL]"
    assert stored.loc[first["ticket_id"], "customer_id"] == pseudonym(first["customer_id"])
    assert "nfiles: 3" in (exported / "data/tickets.dvc").read_text()
    assert not (exported / "data" / ".tickets-staging").exists()


def test_a_second_run_writes_nothing(run, exported):
    run()
    before = {path: path.stat().st_mtime_ns for path in (exported / "data").rglob("*")}
    result = run()
    assert (result.written, len(result.unchanged)) == ((), 3)
    assert {path: path.stat().st_mtime_ns for path in (exported / "data").rglob("*")} == before


def test_a_changed_month_is_refused_before_anything_is_written(run, exported, month):
    run()
    changed = month("2026-02")
    changed.loc[[3, 5], "label"] = None
    export(exported, "2026-02.csv", changed.iloc[1:])
    export(exported, "2026-00.csv", month("2025-12"))
    before = state(exported)
    with pytest.raises(
        TicketSentimentError,
        match=r"2026-02 \(3 of 120 tickets differ, 1 are not in the source and would go\).*--replace",
    ):
        run()
    assert state(exported) == before
    result = run(replace=("2026-02",))
    assert result.written == ("2025-12", "2026-02")
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 119


def test_a_month_that_is_not_over_waits(run, exported, month):
    export(exported, "2026-04.csv", month("2026-04"))
    result = run()
    assert result.later == 120
    assert "2026-04" not in result.written
    assert run(today=date(2026, 5, 1)).written == ("2026-04",)


def test_no_complete_month_is_an_error(run, exported):
    with pytest.raises(TicketSentimentError, match="no complete month to collect"):
        run(today=date(2026, 1, 31))
    with pytest.raises(TicketSentimentError, match="2026-03 is not over yet"):
        run("exports/2026-03.csv", today=date(2026, 3, 31), only_month="2026-03")
    assert state(exported) == (None, None, None)


def test_dates_outside_the_month_are_named(run, exported, month):
    run("exports/2026-01.csv")
    frame = month("2026-02")
    frame.loc[119, "created_at"] = pd.Timestamp("2026-03-01 00:30", tz="UTC")
    export(exported, "2026-02.csv", frame)
    before = state(exported)
    with pytest.raises(
        TicketSentimentError,
        match=r"exports/2026-02\.csv row 121: created_at is in 2026-03 \(UTC\), outside 2026-02, as are 1 of",
    ):
        run("exports/2026-02.csv", only_month="2026-02")
    assert state(exported) == before


def test_a_monthly_export_is_added(run, exported):
    run("exports/2026-01.csv", only_month="2026-01")
    assert run("exports/2026-02.csv", only_month="2026-02").written == ("2026-02",)
    assert len(list((exported / TICKETS).iterdir())) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"ticket_id,created_at\n1,2026-02-01\n", "column 'text' is missing"),
        (
            b"ticket_id,created_at,text,label\n"
            + b"".join(b"%d,2026-02-01,a,odd\n" % row for row in range(5)),
            "label 'odd' is unknown",
        ),
        (b"ticket_id,created_at,text,label\n1,2026-02-01,\xff\xfe,\n", "is not utf-8"),
        (b"ticket_id,created_at,text\n1,2026-02-01,a\n1,2026-02-02,b\n", "was already in"),
    ],
)
def test_bad_input_leaves_earlier_data_untouched(run, exported, content, message):
    run("exports/2026-01.csv")
    (exported / "exports/bad.csv").write_bytes(content)
    before = state(exported)
    with pytest.raises(TicketSentimentError, match=message) as raised:
        run("exports/*.csv")
    assert "exports/bad.csv" in str(raised.value)
    assert state(exported) == before


def test_tickets_without_text_are_left_out_and_counted(run, exported, month):
    frame = month("2026-01")
    frame.loc[0, "text"] = "&nbsp;"
    export(exported, "2026-01.csv", frame)
    result = run("exports/2026-01.csv")
    assert (result.empty, result.rows) == (1, 119)


def test_replacing_a_month_that_the_source_lacks_is_an_error(run):
    with pytest.raises(TicketSentimentError, match=r"--replace 2025-07: the source holds no complete month"):
        run(replace=("2025-07",))


def test_deleted_months_come_back_from_the_cache(run, exported, month):
    run()
    (exported / TICKETS / "2026-01.parquet").unlink()
    shutil.rmtree(exported / "exports")
    export(exported, "2026-04.csv", month("2026-04"))
    run(today=date(2026, 5, 1))
    assert len(list((exported / TICKETS).iterdir())) == 4


def test_a_fresh_clone_gets_its_history_from_the_remote(run, exported, dvc, month, tmp_path):
    dvc(exported, "remote", "add", "--default", "store", str(tmp_path / "store"))
    run()
    assert any((tmp_path / "store").rglob("*.dir"))
    shutil.rmtree(exported / TICKETS)
    shutil.rmtree(exported / ".dvc/cache")
    shutil.rmtree(exported / ".dvc/tmp")
    shutil.rmtree(exported / "exports")
    export(exported, "2026-04.csv", month("2026-04"))
    run(today=date(2026, 5, 1))
    assert len(list((exported / TICKETS).iterdir())) == 4


@pytest.mark.parametrize("lost", ["folder", "month"])
def test_history_that_cannot_be_brought_back_stops_the_run(run, exported, month, lost):
    run()
    if lost == "folder":
        shutil.rmtree(exported / TICKETS)
    else:
        (exported / TICKETS / "2026-01.parquet").unlink()
    shutil.rmtree(exported / ".dvc/cache")
    shutil.rmtree(exported / "exports")
    export(exported, "2026-04.csv", month("2026-04"))
    before = state(exported)
    with pytest.raises(
        TicketSentimentError, match=r"neither on disk nor in DVC's cache.*dvc remote default NAME"
    ) as lost:
        run(today=date(2026, 5, 1))
    assert state(exported) == before
    assert not isinstance(lost.value, Unavailable), "without a remote nothing comes back"


def test_months_whose_cache_is_gone_are_cached_again(run, exported):
    run()
    shutil.rmtree(exported / ".dvc/cache")
    assert run().written == ()
    assert len(list((exported / ".dvc/cache").rglob("*.dir"))) == 1


def test_a_month_changed_by_hand_is_not_versioned_unasked(run, exported, month):
    run()
    path = exported / TICKETS / "2026-01.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    before = state(exported)
    with pytest.raises(
        TicketSentimentError, match=r"2026-01\.parquet is not what data/tickets\.dvc has versioned"
    ):
        run("exports/2026-02.csv")
    assert state(exported) == before
    assert run(replace=("2026-01",)).written == ("2026-01",)
    assert len(read_tickets(path)) == 120


def test_a_run_killed_before_versioning_is_finished_by_the_next(run, exported):
    result = run()
    pointer = exported / "data/tickets.dvc"
    whole = pointer.read_text()
    pointer.unlink()
    (exported / "data" / ".tickets-staging").mkdir()
    (exported / "data" / ".tickets-staging" / "2026-01.parquet").write_bytes(b"half")
    again = run()
    assert (again.written, again.data_sha256) == ((), result.data_sha256)
    assert pointer.read_text() == whole


def test_a_run_killed_between_two_months_is_finished_by_the_next(run, exported):
    run("exports/2026-01.csv")
    run("exports/2026-0[12].csv")
    shutil.copy(exported / "data/tickets.dvc", exported / "two.dvc")
    run()
    shutil.copy(exported / "two.dvc", exported / "data/tickets.dvc")  # written, not yet added
    assert run().unchanged == ("2026-01", "2026-02", "2026-03")
    assert "nfiles: 3" in (exported / "data/tickets.dvc").read_text()


def test_a_push_that_fails_can_be_repeated(run, exported, dvc, tmp_path):
    store = tmp_path / "store"
    store.write_text("a file where a folder should be")
    dvc(exported, "remote", "add", "--default", "store", str(store))
    with pytest.raises(TicketSentimentError, match=r"dvc push failed .*run again"):
        run()
    store.unlink()
    assert run().written == ()
    assert any(store.rglob("*.dir"))


def test_a_remote_that_is_away_may_come_back(run, exported, dvc):
    dvc(exported, "remote", "add", "--default", "store", "http://127.0.0.1:9/store")
    with pytest.raises(Unavailable, match="dvc push failed"):
        run()
    shutil.rmtree(exported / TICKETS)
    shutil.rmtree(exported / ".dvc/cache")
    with pytest.raises(Unavailable, match="no remote brought them"):
        run()


def test_no_space_is_said_before_anything_is_written(run, exported, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(TicketSentimentError, match="no space for"):
        run()
    assert not (exported / TICKETS).exists()


def test_outside_a_dvc_repository_the_remedy_is_named(tmp_path, files_params):
    with pytest.raises(TicketSentimentError, match=r"no DVC repository.*dvc init"):
        collect(files_params("x/*.csv"), root=tmp_path)


def test_git_ignores_what_dvc_versions(run, exported):
    (exported / "data").mkdir()
    ignored = "/tickets\n/prepared\n/.tickets-staging\n"
    (exported / "data/.gitignore").write_text(ignored)
    run()
    assert (exported / "data/.gitignore").read_text() == ignored


def test_the_command_prints_one_line(exported, files_params, capsys, month):
    whole = month("2026-01")
    export(exported, "2026-01.csv", whole.assign(label=whole["label"].mask(whole.index < 2)))
    module.main(files_params("exports/2026-01.csv"), month="2026-01")
    printed = capsys.readouterr().out
    assert printed.startswith("collected 120 tickets in 1 months (1 written, 0 unchanged), data ")
    assert printed.count("\n") == 1
    export(exported, "2026-01.csv", month("2026-01"))
    module.main(files_params("exports/2026-01.csv"))
    assert "(1 written, 0 unchanged; 2 late labels, no ticket of " in capsys.readouterr().out


def test_months_without_a_ticket_are_said_and_the_newest_is_an_alert(run, exported):
    result = run(today=date(2026, 4, 3))
    assert result.missing == () and of_collection(result, "runbooks") is None
    result = run(today=date(2026, 5, 3))
    assert result.missing == ("2026-04",) and "no ticket of 2026-04" in result.line()
    told = of_collection(result, "runbooks")
    assert told.name == "TicketsMissing" and "2026-04" in told.text
    (exported / "exports/2026-02.csv").unlink()
    shutil.rmtree(exported / "data")
    result = run(today=date(2026, 4, 3))
    assert result.missing == ("2026-02",) and of_collection(result, "runbooks") is None


def test_an_export_that_git_would_take_up_is_a_warning(exported, files_params, capsys):
    """`git add -A` is the next step; made-up tickets may be in git, so it is no refusal."""

    def collect_files():
        module.main(files_params("exports/2026-01.csv"))

    collect_files()
    assert "warning" not in capsys.readouterr().out, "there is no git"
    git(exported, "init", "--quiet")
    collect_files()
    warning, line = capsys.readouterr().out.splitlines()
    assert warning.startswith("warning: exports/2026-01.csv of tickets.source.path is not ignored by git")
    assert ".gitignore" in warning and line.startswith("collected 120 tickets")
    (exported / ".gitignore").write_text("/exports/\n")
    collect_files()
    assert "warning" not in capsys.readouterr().out
    git(exported, "add", "--force", "exports/2026-01.csv")
    collect_files()
    assert "exports/2026-01.csv" in capsys.readouterr().out.splitlines()[0], "it is in git, though ignored"


def test_the_demo_is_collected_whole_whatever_the_day(repository, params, demo_sdist):
    tickets = Tickets(source=DemoSource(kind="demo", months=3))
    demo = params.model_copy(update={"tickets": tickets})
    result = collect(demo, root=repository, today=date(2020, 1, 1))
    assert (len(result.written), result.rows, result.later) == (3, 23_703, 0)
    stored = read_months(repository / TICKETS)
    assert stored["label_source"].unique().tolist() == ["human"]
    assert json.dumps(stored["text"].tolist()).count("[HANDLE]") > 2000
    assert not stored["text"].str.contains("http://", regex=False).any()


def test_a_file_of_locks_that_a_kill_left_half_written_does_not_stop_a_collection(run, exported):
    (exported / ".dvc/tmp").mkdir(exist_ok=True)
    (exported / ".dvc/tmp/rwlock").write_text("")
    run()
    assert (exported / "data/tickets.dvc").is_file()
