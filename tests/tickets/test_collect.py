import json
import shutil
from datetime import date

import pandas as pd
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.params import DemoSource, Tickets
from ticket_sentiment.tickets import collect as module
from ticket_sentiment.tickets.collect import collect
from ticket_sentiment.tickets.privacy import pseudonym
from ticket_sentiment.tickets.schema import (
    FEEDBACK,
    FEEDBACK_TABLE,
    TICKETS,
    month_files,
    read_months,
    read_tickets,
    write_month,
)

TODAY = date(2026, 4, 15)
WHOLE = {"2026-01", "2026-02", "2026-03"}
WRITE, ADD = "months.write_month", "versions.MonthVersions.add"  # where a collection is killed


def _export(root, name, frame):
    path = root / "exports" / name
    path.parent.mkdir(exist_ok=True)
    frame.assign(created_at=frame["created_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(path, index=False)


@pytest.fixture
def exported(repository, month):
    """A DVC repository with exports of January to March, nothing collected."""
    for number in (1, 2, 3):
        _export(repository, f"2026-0{number}.csv", month(f"2026-0{number}"))
    return repository


@pytest.fixture
def run(exported, files_params):
    def collect_files(path="exports/*.csv", **options):
        params = files_params(path)
        few = params.model_copy(update={"validate_": params.validate_.model_copy(update={"min_rows": 40})})
        return collect(few, root=exported, **{"today": TODAY, **options})

    return collect_files


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


def _state(root):
    """Everything that a refused collection must leave as it is."""
    pointer = root / "data/tickets.dvc"
    return (
        sha256_tree(root / TICKETS) if (root / TICKETS).is_dir() else None,
        pointer.read_text() if pointer.is_file() else None,
        sorted(path.name for path in (root / "data").glob("*")) if (root / "data").is_dir() else None,
    )


def test_months_are_written_masked_and_versioned(run, exported, month):
    frame = month("2026-02")
    frame.loc[0, "text"] = "call 555-123-4567 or\nwrite to a@b.com"
    _export(exported, "2026-02.csv", frame)
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
    _export(exported, "2026-02.csv", changed.iloc[1:])
    _export(exported, "2026-00.csv", month("2025-12"))
    before = _state(exported)
    with pytest.raises(
        TicketSentimentError, match=r"2026-02 \(3 of 120 tickets differ\).*--replace 2026-02`"
    ):
        run()
    assert _state(exported) == before
    result = run(replace=("2026-02",))
    assert result.written == ("2025-12", "2026-02")
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 119


def _with(frame, row, **values):
    changed = frame.copy()
    for name, value in values.items():
        changed.loc[row, name] = value
    return changed


def test_labels_that_come_after_their_month_are_added(run, exported, month):
    """Five customers of the last days had not answered yet when the month was collected."""
    whole = month("2026-02")
    _export(exported, "2026-02.csv", whole.assign(label=whole["label"].mask(whole.index >= 115)))
    assert run().late_labels == 0
    collected = (exported / "data/tickets.dvc").read_text()
    _export(exported, "2026-02.csv", whole)
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
    _export(exported, "2026-02.csv", _with(whole, 7, label=None))
    run()
    collected = (exported / "data/tickets.dvc").read_text()
    _export(exported, "2026-02.csv", whole)
    killed(ADD, run)
    run()
    assert read_tickets(exported / TICKETS / "2026-02.parquet").loc[7, "label"] == whole.loc[7, "label"]
    assert (exported / "data/tickets.dvc").read_text() != collected
    assert not (exported / "data/tickets.open").exists()


def test_what_is_more_than_a_late_label_is_refused(run, exported, month):
    stored = _with(month("2026-02"), 7, label=None)
    _export(exported, "2026-02.csv", stored)
    run()
    before = _state(exported)
    late = _with(stored, 7, label="neutral")
    other = "positive" if stored.loc[3, "label"] == "negative" else "negative"
    for changed in (
        _with(late, 3, label=other),
        _with(late, 3, label=None),
        _with(late, 7, text="not what was written"),
        pd.concat([late, stored.tail(1).assign(ticket_id="new")]),
        late.drop(index=3),
    ):
        _export(exported, "2026-02.csv", changed)
        with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ\)"):
            run()
    assert _state(exported) == before


def test_an_export_of_the_last_days_keeps_what_it_no_longer_holds(run, exported, month):
    february = month("2026-02")
    _export(exported, "2026-02.csv", _with(february, 115, label=None))
    run()
    (exported / "exports/2026-01.csv").unlink()
    _export(exported, "2026-02.csv", february.iloc[50:])
    result = run()
    assert (result.written, result.unchanged, result.late_labels) == (("2026-02",), ("2026-03",), 1)
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 120
    before = _state(exported)
    _export(exported, "2026-02.csv", february.iloc[50:].drop(index=60))
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ\)"):
        run()
    _export(exported, "2026-02.csv", _with(february, 40, created_at=february.loc[60, "created_at"]).iloc[40:])
    with pytest.raises(TicketSentimentError, match=r"2026-02 \(1 of 120 tickets differ\)"):
        run()
    assert _state(exported) == before
    _export(exported, "2026-02.csv", february.iloc[50:])
    assert run(replace=("2026-02",)).written == ("2026-02",), "told to, it takes the source as it is"
    assert len(read_tickets(exported / TICKETS / "2026-02.parquet")) == 70


def test_a_month_that_is_not_over_waits(run, exported, month):
    _export(exported, "2026-04.csv", month("2026-04"))
    result = run()
    assert result.later == 120
    assert "2026-04" not in result.written
    assert run(today=date(2026, 5, 1)).written == ("2026-04",)


def test_an_early_collection_takes_the_present_month_and_leaves_it_open(run, exported, month):
    """For a retraining that an alarm asked for: the rest comes in by itself, a later change does not."""
    whole = month("2026-04")
    _export(exported, "2026-04.csv", whole.head(40))
    assert run(early=True).written == ("2026-01", "2026-02", "2026-03", "2026-04")
    assert run().later == 40, "the regular run leaves it as it is"
    assert (exported / "data/tickets.open").read_text() == "2026-04\n"
    _export(exported, "2026-04.csv", whole.head(60))
    assert run(early=True).written == ("2026-04",)

    _export(exported, "2026-04.csv", whole)
    assert run(today=date(2026, 5, 1)).written == ("2026-04",), "it is over: the whole of it, unasked"
    assert not (exported / "data/tickets.open").exists()
    _export(exported, "2026-04.csv", whole.head(60))
    with pytest.raises(TicketSentimentError, match="2026-04"):
        run(today=date(2026, 5, 1))


def test_an_early_collection_leaves_a_month_that_is_too_little_for_later(run, exported, month):
    """`validate` would refuse it, and with it every run until the month has enough."""
    april = month("2026-04", 60)
    one_class = april.assign(label=april["label"].where(april["label"] != "positive", "neutral"))
    for few, said in (
        (april.head(39), "39 tickets, 39 labelled, "),
        (april.assign(label=april["label"].where(april.index < 29)), "60 tickets, 29 labelled, "),
        (one_class, "60 tickets, 60 labelled, 0 of the rarest label"),
    ):
        _export(exported, "2026-04.csv", few)
        result = run(early=True)
        assert result.waits and result.waits.startswith(said)
        assert result.later == len(few)
        assert (
            f"; {len(few)} of months not over yet, the present one is too little for validate"
            in result.line()
        )
        assert {path.stem for path in month_files(exported / TICKETS).values()} == WHOLE
        assert not (exported / "data/tickets.open").exists()
    _export(exported, "2026-04.csv", april.assign(label=None))
    said = april[["ticket_id", "label"]].assign(at=april["created_at"], received_at=april["created_at"])
    said = said.assign(source="agent", event_id="1", served_arm=None, served_digest=None, served_label=None)
    write_month(exported / FEEDBACK / "2026-04.parquet", said, FEEDBACK_TABLE)
    assert run(early=True).written == ("2026-04",), "people's labels count, as they do for validate"


def test_an_early_run_before_the_regular_one_of_the_same_day_takes_what_is_over(run, exported, month):
    _export(exported, "2026-04.csv", month("2026-04", 3))
    first = date(2026, 4, 1)
    assert run(early=True, today=first).written == tuple(sorted(WHOLE))
    regular = run(today=first)
    assert (regular.written, regular.later, regular.waits) == ((), 3, None)


def test_an_early_collection_that_is_killed_leaves_the_month_open(run, exported, month, killed):
    _export(exported, "2026-04.csv", month("2026-04").head(40))
    killed(ADD, run, early=True)
    _export(exported, "2026-04.csv", month("2026-04"))
    assert "2026-04" in run(today=date(2026, 5, 1)).written
    assert not (exported / "data/tickets.open").exists()


def test_a_month_stays_open_until_it_is_whole_whatever_other_month_is_opened(run, exported, month, killed):
    """No regular run between two early ones, and the second is killed before it writes."""
    april, note = month("2026-04"), exported / "data/tickets.open"
    _export(exported, "2026-04.csv", april.head(40))
    run(early=True)
    _export(exported, "2026-04.csv", april)
    _export(exported, "2026-05.csv", month("2026-05").head(60))
    killed(WRITE, run, early=True, today=date(2026, 5, 8))
    assert note.read_text() == "2026-04\n2026-05\n"
    assert run(today=date(2026, 5, 8)).written == ("2026-04",)
    assert not (exported / TICKETS / "2026-05.parquet").exists()
    assert note.read_text() == "2026-05\n"


def test_a_regular_run_takes_an_open_month_as_a_killed_early_one_left_it(run, exported, month, killed):
    _export(exported, "2026-04.csv", month("2026-04").head(40))
    run(early=True)
    _export(exported, "2026-04.csv", month("2026-04").head(60))
    killed(ADD, run, early=True)
    assert run().written == ()
    assert len(read_tickets(exported / TICKETS / "2026-04.parquet")) == 60
    assert (exported / "data/tickets.open").read_text() == "2026-04\n"


def test_no_complete_month_is_an_error(run, exported):
    with pytest.raises(TicketSentimentError, match="no complete month to collect"):
        run(today=date(2026, 1, 31))
    with pytest.raises(TicketSentimentError, match="2026-03 is not over yet"):
        run("exports/2026-03.csv", today=date(2026, 3, 31), only_month="2026-03")
    assert _state(exported) == (None, None, None)


def test_dates_outside_the_month_are_named(run, exported, month):
    run("exports/2026-01.csv")
    frame = month("2026-02")
    frame.loc[119, "created_at"] = pd.Timestamp("2026-03-01 00:30", tz="UTC")
    _export(exported, "2026-02.csv", frame)
    before = _state(exported)
    with pytest.raises(
        TicketSentimentError,
        match=r"exports/2026-02\.csv row 121: created_at is in 2026-03 \(UTC\), outside 2026-02, as are 1 of",
    ):
        run("exports/2026-02.csv", only_month="2026-02")
    assert _state(exported) == before


def test_a_monthly_export_is_added(run, exported):
    run("exports/2026-01.csv", only_month="2026-01")
    assert run("exports/2026-02.csv", only_month="2026-02").written == ("2026-02",)
    assert len(list((exported / TICKETS).iterdir())) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"ticket_id,created_at\n1,2026-02-01\n", "column 'text' is missing"),
        (b"ticket_id,created_at,text,label\n1,2026-02-01,a,odd\n", "label 'odd' is unknown"),
        (b"ticket_id,created_at,text,label\n1,2026-02-01,\xff\xfe,\n", "is not utf-8"),
        (b"ticket_id,created_at,text\n1,2026-02-01,a\n1,2026-02-02,b\n", "was already in"),
    ],
)
def test_bad_input_leaves_earlier_data_untouched(run, exported, content, message):
    run("exports/2026-01.csv")
    (exported / "exports/bad.csv").write_bytes(content)
    before = _state(exported)
    with pytest.raises(TicketSentimentError, match=message) as raised:
        run("exports/*.csv")
    assert "exports/bad.csv" in str(raised.value)
    assert _state(exported) == before


def test_tickets_without_text_are_left_out_and_counted(run, exported, month):
    frame = month("2026-01")
    frame.loc[0, "text"] = "&nbsp;"
    _export(exported, "2026-01.csv", frame)
    result = run("exports/2026-01.csv")
    assert (result.empty, result.rows) == (1, 119)


def test_replacing_a_month_that_the_source_lacks_is_an_error(run):
    with pytest.raises(TicketSentimentError, match=r"--replace 2025-07: the source holds no complete month"):
        run(replace=("2025-07",))


def test_deleted_months_come_back_from_the_cache(run, exported, month):
    run()
    (exported / TICKETS / "2026-01.parquet").unlink()
    shutil.rmtree(exported / "exports")
    _export(exported, "2026-04.csv", month("2026-04"))
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
    _export(exported, "2026-04.csv", month("2026-04"))
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
    _export(exported, "2026-04.csv", month("2026-04"))
    before = _state(exported)
    with pytest.raises(
        TicketSentimentError, match=r"neither on disk nor in DVC's cache.*dvc remote default NAME"
    ):
        run(today=date(2026, 5, 1))
    assert _state(exported) == before


def test_months_whose_cache_is_gone_are_cached_again(run, exported):
    run()
    shutil.rmtree(exported / ".dvc/cache")
    assert run().written == ()
    assert len(list((exported / ".dvc/cache").rglob("*.dir"))) == 1


def test_a_month_changed_by_hand_is_not_versioned_unasked(run, exported, month):
    run()
    path = exported / TICKETS / "2026-01.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    before = _state(exported)
    with pytest.raises(
        TicketSentimentError, match=r"2026-01\.parquet is not what data/tickets\.dvc has versioned"
    ):
        run("exports/2026-02.csv")
    assert _state(exported) == before
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
    _export(exported, "2026-01.csv", whole.assign(label=whole["label"].mask(whole.index < 2)))
    module.main(files_params("exports/2026-01.csv"), month="2026-01")
    printed = capsys.readouterr().out
    assert printed.startswith("collected 120 tickets in 1 months (1 written, 0 unchanged), data ")
    assert printed.count("\n") == 1
    _export(exported, "2026-01.csv", month("2026-01"))
    module.main(files_params("exports/2026-01.csv"))
    assert "(1 written, 0 unchanged; 2 late labels), data " in capsys.readouterr().out


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
