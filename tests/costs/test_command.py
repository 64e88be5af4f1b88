"""The command and the stage, as they are called."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.costs import PRICES, ROOT, write_benchmark
from tests.support.params import params_file
from ticket_sentiment.cli import main
from ticket_sentiment.costs.options import OPTIONS
from ticket_sentiment.params import Costs


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch) -> Path:
    """A folder with params.yaml, the price table and a benchmark."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(params_file(), tmp_path)
    place = tmp_path / PRICES.relative_to(ROOT)
    place.parent.mkdir(parents=True)
    shutil.copy(PRICES, place)
    write_benchmark(tmp_path / "reports/benchmark.json")
    return tmp_path


def test_the_answer_is_the_first_line_and_the_files_say_the_same(workplace: Path, capsys):
    given = ["--tickets-per-day", "50000", "--json", "a.json", "--page", "a.html", "--purchase", "spot"]
    assert main(["cost", *given]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Cost      50,000 tickets a day cost $") and first.endswith(
        "on 2 c7i.large, as spot."
    )
    found = json.loads(Path("a.json").read_text())
    assert found["answer"]["title"] in first and found["answer"]["title"] in Path("a.html").read_text()
    assert not Path("reports/cost.json").exists()  # the stage's own


def test_the_stage_gives_equal_bytes_for_equal_inputs(workplace: Path):
    assert main(["price"]) == 0
    names = ("reports/cost.json", "reports/cost.html")
    before = [Path(name).read_bytes() for name in names]
    assert main(["price"]) == 0
    assert [Path(name).read_bytes() for name in names] == before
    assert json.loads(before[0])["as_of"] == "2026-11-02"  # the day of the measurement


def test_the_stage_follows_how_a_nightly_run_calls_the_model(workplace: Path):
    assert main(["price"]) == 0
    before = json.loads(Path("reports/cost.json").read_text())["batch"]["tickets_per_second"]
    params = Path("params.yaml").read_text()
    assert "texts_at_once: 1\n" in params
    Path("params.yaml").write_text(params.replace("texts_at_once: 1\n", "texts_at_once: 16\n"))
    assert main(["price"]) == 0
    after = json.loads(Path("reports/cost.json").read_text())["batch"]["tickets_per_second"]
    assert after == pytest.approx(1.25 * before)
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["price"]
    assert "batch.texts_at_once" in stage["params"]


def test_a_profile_s_own_counts_go_before_params_yaml(workplace: Path, capsys):
    for name in ("P.CSV", "traffic", "p.csv"):
        Path(name).write_text("hour,tickets\n" + "".join(f"{hour},100\n" for hour in range(24)))
        assert main(["cost", "--profile", name]) == 0
        assert "2,400 tickets a day cost" in capsys.readouterr().out
    assert main(["cost", "--profile", "p.csv", "--tickets-per-day", "99"]) == 0
    assert "99 tickets a day cost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--tickets-per-day", "0"],
            "costs.tickets_per_day: Input should be greater than 0, but 0.0 was given",
        ),
        (["--purchase", "stolen"], "costs.purchase: Input should be 'on_demand', 'spot' or 'reserved'"),
        (["--cache-hit-rate", "1"], "costs.cache_hit_rate: Input should be less than 1"),
        (["--cpu-instance", "z9"], "costs.cpu_instance: z9 is not in the price table"),
        (["--gpu-instance", "c7i.large"], "costs.gpu_instance: c7i.large has no GPU"),
        (["--cpu-instance", "c8i.xlarge", "--purchase", "spot"], "no spot saving of c8i.xlarge is known"),
        (["--service-throughput", "5000"], "is more than the bare model does"),
        (["--profile", "none.csv"], "none.csv is missing"),
        (["--benchmark", "none.json"], "there is no none.json: run `dvc repro benchmark`"),
        (["--update-prices", "none.csv"], "none.csv is no file"),
    ],
)
def test_what_is_wrong_is_one_line(workplace: Path, capsys, given: list[str], message: str):
    assert main(["cost", *given]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_an_objective_that_cannot_be_met_is_said(workplace: Path, capsys):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["serve"]["objective_ms"] = 2.0  # the model alone takes 2 ms, the rest of a request 0.43
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    assert main(["cost"]) == 2
    assert "serve.objective_ms: 2 ms cannot be met" in capsys.readouterr().err


def test_every_option_is_a_knob():
    assert {key for key, *_ in OPTIONS.values()} <= set(Costs.model_fields)


def test_a_machine_without_a_spot_price_is_priced_without(workplace: Path, capsys):
    assert main(["cost", "--cpu-instance", "c8i.xlarge"]) == 0
    out = capsys.readouterr().out
    assert "c8i.xlarge, reserved" in out and "c8i.xlarge, spot" not in out
