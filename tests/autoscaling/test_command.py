"""The command, its files, and whether the shipped policy is within its bounds."""

import json
import re
from pathlib import Path

import pytest

from tests.support.costs import write_benchmark
from tests.support.page import Page
from ticket_sentiment.autoscaling import trial
from ticket_sentiment.autoscaling.traffic import SCENARIOS
from ticket_sentiment.autoscaling.words import missed
from ticket_sentiment.cli import main

KEDA = "deploy/kubernetes/components/keda-cpu/scaled-object.yaml"


@pytest.fixture
def few(in_repository: Path, monkeypatch, tmp_path: Path) -> Path:
    """Three scenarios are enough here; the folder has a benchmark."""
    monkeypatch.setattr(trial, "SCENARIOS", (SCENARIOS[0], SCENARIOS[2], SCENARIOS[4]))
    return write_benchmark(tmp_path / "benchmark.json")


def test_the_shipped_policy_is_within_its_bounds_and_the_files_say_what_the_terminal_says(
    few: Path, tmp_path: Path, capsys
):
    files = ["--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.html")]
    assert main(["autoscale", "--policy", KEDA, "--benchmark", str(few), *files]) == 0
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text())
    ordinary, notice, _ = (scenario["rows"] for scenario in found["scenarios"])
    assert found["answer"]["holds"] and f"{found['answer']['title']}." in out
    assert ordinary[0]["missed"] <= 0.001 and 1 < ordinary[0]["over_clairvoyant"] <= 1.3
    assert notice[0]["lost"] == 0 and found["answer"]["scale_downs_without_metrics"] == 0
    assert ordinary[-1]["policy"] == "10 pods, never changes" and ordinary[-1]["replica_hours"] == 240.0
    assert ordinary[0]["usd"] < ordinary[-1]["usd"]

    source = (tmp_path / "a.html").read_text()
    page = Page(source)
    for words in (found["answer"]["title"], *found["answer"]["lines"], found["policies"][0]["what"]):
        assert words in page.text and words in out
    assert source.count("<polyline") == 2 * len(found["scenarios"])
    assert source.count('height="144" class="away"') == 2  # the day without metrics alone
    assert not re.search(r"(src|href)\s*=|url\(|<script|https?://", source)
    assert "nan" not in page.text.lower().split()


def test_with_few_tickets_the_fewest_pods_do_and_nothing_is_ever_changed(few: Path, capsys, monkeypatch):
    monkeypatch.setattr(trial, "SCENARIOS", SCENARIOS[:1])
    assert main(["autoscale", "--policy", KEDA, "--benchmark", str(few), "--tickets-per-day", "2000"]) == 0
    out = capsys.readouterr().out
    assert "Up to 0.0526 requests a second" in out and "It saves nothing" in out
    assert re.search(
        r"ScaledObject ticket-sentiment-cpu +(none|under 0.001 %) +0 +72\.0 +1\.00 .* 3 +0\n", out
    )


def test_a_file_of_counts_is_the_traffic(few: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(trial, "SCENARIOS", SCENARIOS[:1])
    file = tmp_path / "day.CSV"
    file.write_text("hour,tickets\n" + "".join(f"{hour},{3600 * 2}\n" for hour in range(24)))
    assert main(["autoscale", "--policy", KEDA, "--benchmark", str(few), "--profile", str(file)]) == 0
    assert "Up to 2 requests a second" in capsys.readouterr().out


def test_policies_with_other_limits_and_a_missing_manifest_are_refused(few: Path, tmp_path: Path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(Path(KEDA).read_text().replace("maxReplicaCount: 20", "maxReplicaCount: 30"))
    both = ["--policy", KEDA, "--policy", str(other)]
    assert main(["autoscale", "--benchmark", str(few), *both]) == 2
    assert "different limits of replicas" in capsys.readouterr().err
    assert main(["autoscale", "--benchmark", str(few), "--policy", "none.yaml"]) == 2
    assert capsys.readouterr().err.startswith("error: none.yaml is missing")


def test_a_share_is_said_in_digits_that_count():
    said = {
        0: "none",
        1e-7: "under 0.001 %",
        0.00002: "0.002 %",
        0.0027: "0.27 %",
        0.012: "1.2 %",
        0.5: "50 %",
    }
    assert {value: missed(value) for value in said} == said
