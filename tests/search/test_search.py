import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer, models

from tests.support.frontier import frontier_point
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.frontier import FRONTIER, read_frontier
from ticket_sentiment.search import search
from ticket_sentiment.search.points import Job, Result
from ticket_sentiment.search.record import RECORD, Record, Speeds, read_record, write_record
from ticket_sentiment.search.search import Clock, interval, key, main, plan, require_possible, run, table
from ticket_sentiment.search.speed import Speed
from ticket_sentiment.search.tables import prepared_tables


def quick(params):
    return params.model_copy(
        update={"benchmark": params.benchmark.model_copy(update={"texts": 12, "rounds": 2, "warmup": 1})}
    )


@pytest.fixture(scope="module")
def once():
    """Of the first search that ran to its end: its folder and its knobs, for the other tests too."""
    return []


@pytest.fixture
def finished(workspace, small_params, once, capsys):
    """A search that has run to its end, in a folder of this test's own."""
    if not once:
        once += [workspace / "made-once", quick(small_params)]
        main(once[1])
        shutil.copytree(FRONTIER.parent, once[0])
    made, params = once
    shutil.copytree(made, FRONTIER.parent, dirs_exist_ok=True)
    capsys.readouterr()
    return workspace, params


def test_a_search_writes_the_frontier_and_goes_on_where_it_was_killed(finished):
    root, params = finished
    points = {point.name: point for point in read_frontier()}
    assert set(points) == {
        "dense", "dense_int8", "2x2x32", "2x2x32-e8", "lower_2", "from_scratch"
    }  # fmt: skip
    compared_once = {"lower_2", "from_scratch"}
    assert all(point.seeds == (1 if name in compared_once else 2) for name, point in points.items())
    assert points["dense"].loss == 0
    assert points["dense"].speedup_torch == pytest.approx(1)
    assert points["2x2x32"].mb < points["dense"].mb
    assert points["2x2x32-e8"].shape in params.search.shapes
    assert points["lower_2"].layers == 2
    assert points["dense_int8"].layers == 3

    folder = root / search.WORK / key(params, prepared_tables())
    lost = folder / "seed-2/2x2x32-e8"
    before = json.loads((lost / "result.json").read_text())
    shutil.rmtree(lost)
    RECORD.unlink()  # what lies here is enough
    (lost.parent / ".2x2x32-e8.half").mkdir()  # what a kill leaves behind
    others = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/result.json")}
    main(params)
    assert {path: path.stat().st_mtime_ns for path in others} == others, "a finished point was made again"
    again = json.loads((lost / "result.json").read_text())
    assert {**again, "seconds": 0} == {**before, "seconds": 0}
    assert not list(folder.glob("*/.*"))


def begun(capsys):
    """Of every point that was begun: its name and seed."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("search: point")]
    return [tuple(line.split(": ")[2].split(";")[0].split(", seed ")) for line in lines]


def test_a_search_goes_on_on_another_machine_from_the_record_alone(finished, capsys):
    root, params = finished
    frontier, known = FRONTIER.read_bytes(), RECORD.read_text()
    shutil.rmtree(root / search.WORK)  # another machine: what is in git is all there is
    main(params)
    assert begun(capsys) == []
    assert FRONTIER.read_bytes() == frontier

    record = read_record(RECORD, json.loads(known)["settings"])
    lost = record.seeds[2].pop("2x2x32-e8")
    write_record(record, RECORD)
    main(params)
    assert begun(capsys) == [("dense", "2"), ("2x2x32-e8", "2")], (
        "its dense model has to be made again for it"
    )
    again = read_record(RECORD, record.settings).seeds[2]["2x2x32-e8"]
    assert again.timed(0) == lost.timed(0)
    assert FRONTIER.read_bytes() == frontier


def test_points_of_another_processors_dense_model_are_made_anew(finished, capsys):
    root, params = finished
    record = read_record(RECORD, json.loads(RECORD.read_text())["settings"])
    elsewhere = record.seeds[2]["dense"]
    record.seeds[2]["dense"] = replace(elsewhere, macro_f1=elsewhere.macro_f1 / 2)
    write_record(record, RECORD)
    main(params)  # the folder of this machine has what belongs together
    assert begun(capsys) == []
    assert read_record(RECORD, record.settings).seeds[2]["dense"] == elsewhere

    shutil.rmtree(root / search.WORK)
    del record.seeds[2]["2x2x32-e8"]
    write_record(record, RECORD)
    main(params)
    assert {name for name, seed in begun(capsys) if seed == "2"} == {
        "dense", "dense_int8", "2x2x32", "2x2x32-e8"
    }  # fmt: skip


def test_points_of_shapes_that_are_not_wanted_now_do_not_outlive_their_dense_model(finished, capsys):
    _, params = finished
    record = read_record(RECORD, json.loads(RECORD.read_text())["settings"])
    elsewhere = record.seeds[2]["dense"]
    record.seeds[2] |= {"9x9x9": elsewhere, "dense": replace(elsewhere, macro_f1=elsewhere.macro_f1 / 2)}
    record.seeds[1]["9x9x9"] = elsewhere
    del record.seeds[2]["2x2x32-e8"]
    write_record(record, RECORD)
    main(params)
    assert "made anew" not in capsys.readouterr().out, "all that is wanted lies here"
    seeds = read_record(RECORD, record.settings).seeds
    assert set(seeds[2]) == {"dense", "dense_int8", "2x2x32", "2x2x32-e8"}
    assert "9x9x9" in seeds[1], "this one's dense model is the one here"


def test_what_is_made_anew_is_counted_with_the_reasons(small_params, capsys):
    jobs = [job for job in plan(small_params) if job.seed == 2]
    result = Result(0.8, 0.7, 0.02, 8_000_000, {})
    record = Record("a", {1: {"dense": result}, 2: {job.name: result for job in jobs}})
    dense = next(job for job in jobs if job.kind == "dense")
    assert search._forget_of_another(dense, result, record, jobs) == []
    assert len(record.seeds[2]) == len(jobs)
    others = search._forget_of_another(dense, replace(result, macro_f1=0.6), record, jobs)
    assert others == [job for job in jobs if job != dense]
    assert record.seeds == {1: {"dense": result}}
    said = capsys.readouterr().out
    assert "dense model of seed 2" in said
    assert "processor, number of cores or search.workers: 3 of its points are made anew" in said


def test_where_the_first_seed_is_made_again_nothing_of_it_is_kept(small_params, tmp_path, monkeypatch):
    result = Result(0.8, 0.7, 0.02, 8_000_000, {})
    record = Record("a", {1: {"dense": result, "9x9x9": result}, 2: {"dense": result}})
    monkeypatch.setattr(search, "run", lambda *_: None)
    monkeypatch.setattr(search, "measure_speeds", lambda *_: {})
    jobs = [job for job in plan(small_params) if job.seed == 1]
    search.first_seed(jobs, {}, small_params, tmp_path, record, tmp_path / "points.json")
    assert record.seeds == {2: {"dense": result}}


SETTINGS = {"threads": 1}


def start(root):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ticket_sentiment.cli", "search"]
    return subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)


def results(root):
    return {path: path.read_bytes() for path in (root / search.WORK).glob("*/*/*/result.json")}


def test_after_kill_9_no_worker_is_left_and_the_search_ends_as_if_undisturbed(workspace, small_params):
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    raw["benchmark"] |= {"texts": 12, "rounds": 2, "warmup": 1}
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))
    process = start(workspace)
    until = time.monotonic() + 120
    while not results(workspace) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(1)
    before = results(workspace)
    assert 0 < len(before) < 10
    time.sleep(2)
    assert results(workspace) == before, "a worker went on after its parent was killed"
    assert start(workspace).wait() == 0
    after = results(workspace)
    assert len(after) == 10
    assert all(after[path] == content for path, content in before.items())


def test_a_failing_point_leaves_nothing_and_keeps_the_others(workspace, small_params):
    params = quick(small_params)
    params = params.model_copy(
        update={"prune": params.prune.model_copy(update={"learning_rate": 1e30, "evaluations_per_epoch": 1})}
    )
    with pytest.raises(TicketSentimentError, match=r"prune: the loss is .* at step \d+ of"):
        run(plan(params), prepared_tables(), params, workspace / "work", Record("key"))
    assert (workspace / "work/seed-1/dense/result.json").is_file()
    assert not list((workspace / "work").glob("*/2x2*"))


def test_a_worker_that_is_killed_is_named_with_what_it_made(workspace, small_params, monkeypatch):
    monkeypatch.setattr(search, "make", _die)
    with pytest.raises(
        TicketSentimentError, match=r"a process was killed.*dense of seed 1.*lower search\.workers"
    ):
        run(plan(small_params), prepared_tables(), small_params, workspace / "work", Record("key"))


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_other_knobs_or_other_tickets_are_another_search(workspace, small_params):
    tables = prepared_tables()
    first = key(small_params, tables)
    assert (
        key(
            small_params.model_copy(update={"prune": small_params.prune.model_copy(update={"seed": 5})}),
            tables,
        )
        == first
    )
    more = small_params.prune.model_copy(update={"effort": 9.0})
    assert key(small_params.model_copy(update={"prune": more}), tables) != first
    tables.sha256 = "0" * 64
    assert key(small_params, tables) != first


def test_some_shapes_are_made_for_more_seeds(small_params):
    base = plan(small_params)
    name = small_params.search.shapes[1].name
    search = small_params.search.model_copy(update={"more_seeds": {name: [3, 4]}})
    more = plan(small_params.model_copy(update={"search": search}))
    made = [(job.seed, job.name) for job in more if job not in base]
    assert made == [(3, "dense"), (3, name), (4, "dense"), (4, name)]
    assert [job for job in more if job in base] == base


def test_the_time_left_counts_what_is_not_done_by_what_its_like_took(small_params):
    jobs = plan(small_params)
    clock = Clock(jobs, {}, workers=2)
    assert clock.left() is None
    clock.seconds = {job: 60.0 if job.name == "dense" else 10.0 for job in jobs if job.seed == 1}
    assert clock.left() == (60 + 10 + 2 * 10) / 2  # of seed 2: dense, dense_int8 and two shapes
    assert "min left" in clock.line(Job(2, "dense", "dense", jobs[0].shape))


def test_the_terminal_shows_the_frontier_the_fastest_first_and_marks_what_is_allowed():
    points = [
        frontier_point(name="slow", ms=2.0),
        frontier_point(name="fast", ms=0.5, tune_loss=0.05),
        frontier_point(name="plain", kind="dense_int8", ms=3.0, tune_loss=0.0),
    ]
    _, *lines = table(points, params_of_tests().budget.model_copy(update={"margin": 0.005})).splitlines()
    assert [line[:7].split() for line in lines] == [["fast"], ["*", "slow"], ["plain"]]
    assert "0.5 (0.1 to 0.9)" in lines[1]


def test_losses_are_paired_with_the_dense_model_of_the_same_seed(small_params, workspace):
    shape = small_params.search.shapes[0]

    def result(tune, holdout):
        return Result(tune, holdout, 0.02, 8_000_000, shape.model_dump())

    done = {
        Job(1, "dense", "dense", shape): result(0.80, 0.70),
        Job(2, "dense", "dense", shape): result(0.60, 0.74),
        Job(1, "compressed", shape.name, shape): result(0.79, 0.68),
        Job(2, "compressed", shape.name, shape): result(0.61, 0.73),
    }
    speeds = Speeds(
        "cpu", "2026-11-02", SETTINGS, {name: Speed(1.0, 2.0, 3.0) for name in ("dense", shape.name)}
    )
    dense, point = search.summarise(done, speeds, prepared_tables(), small_params)
    assert (dense.loss, dense.loss_low, dense.loss_high) == (0, 0, 0)
    assert point.tune_loss == 0.0
    assert point.loss == pytest.approx(0.015)
    assert point.loss_low < 0.015 < point.loss_high
    assert point.seeds == 2
    assert (point.ms, point.speedup_torch, point.speedup_onnx) == (1.0, 2.0, 3.0)
    assert (point.cpu, point.measured_on) == ("cpu", "2026-11-02")


def test_a_shape_that_was_made_with_a_kind_seed_alone_looks_no_better_for_it(small_params):
    shape = small_params.search.shapes[0]
    losses = {
        Job(seed, "compressed", name, shape): loss + {1: -0.010, 2: 0.002, 3: 0.008}[seed]
        for name, loss, seeds in (("good", 0.003, (1, 2, 3)), ("fair", 0.006, (1, 2)), ("poor", 0.009, (1,)))
        for seed in seeds
    }
    assert search.levelled(losses) == pytest.approx({"good": 0.003, "fair": 0.006, "poor": 0.009})
    alone = {job: loss for job, loss in losses.items() if job.seed == 1}
    assert search.levelled(alone) == pytest.approx({"good": -0.007, "fair": -0.004, "poor": -0.001})


def test_the_interval_is_students():
    low, high = interval([0.01, 0.02, 0.03])
    assert (low, high) == pytest.approx((0.02 - 4.302653 * 0.01 / 3**0.5, 0.02 + 4.302653 * 0.01 / 3**0.5))
    assert interval([0.01]) == (float("-inf"), float("inf"))


def test_two_searches_at_once_are_refused(workspace, small_params):
    from ticket_sentiment.files import exclusive

    with (
        exclusive(workspace / "var/search.lock", "x"),
        pytest.raises(TicketSentimentError, match="already running"),
    ):
        main(small_params)


def test_the_key_covers_the_code_of_a_point_and_no_other(workspace, small_params, monkeypatch):
    """Else a licence that was looked up, or a change of the edge page, would cost hours."""
    code = "import sys, ticket_sentiment.search.points; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    used = {name.removeprefix("ticket_sentiment.model.") for name in loaded.split()}
    folder = Path(search.__file__).parents[1] / "model"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {name.removesuffix(".py") for name in search.OF_NO_POINT} == modules - used

    read = []
    monkeypatch.setattr(search, "sha256_file", lambda path: read.append(path.name) or path.name)
    key(small_params, prepared_tables())
    assert {"metrics.py", "labels.py", "points.py", "compress.py", "asides.yaml"} <= set(read)
    assert not set(search.OF_NO_POINT) & set(read)

    licensed = small_params.train.model_copy(update={"base_licence": "mit"})
    tables = prepared_tables()
    assert key(small_params.model_copy(update={"train": licensed}), tables) == key(small_params, tables)


def of_shapes(params, *counts):
    shapes = [params.search.shapes[0].model_copy(update={"min_token_count": count}) for count in counts]
    return params.model_copy(update={"search": params.search.model_copy(update={"shapes": shapes})})


@pytest.mark.parametrize("counts", [(0, 1), (2, 1)])
def test_a_shape_that_would_be_another_one_again_is_refused_before_it_is_made(small_params, counts):
    require_possible(of_shapes(small_params, *counts))
    base = Path(small_params.train.base_model)
    Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(base / "tokenizer.json"))
    require_possible(of_shapes(small_params, 1))
    with pytest.raises(TicketSentimentError, match=r"2x2x32-v1 is the same as 2x2x32.*take one of them out"):
        require_possible(of_shapes(small_params, *counts))
