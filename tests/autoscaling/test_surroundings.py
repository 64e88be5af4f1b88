"""Times of the cluster come from the manifests."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.costs import ROOT
from tests.support.params import params_of_tests
from ticket_sentiment.autoscaling import surroundings
from ticket_sentiment.autoscaling.surroundings import MANIFESTS, mebibytes, read_surroundings, seconds
from ticket_sentiment.errors import TicketSentimentError

PARAMS = params_of_tests()


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / MANIFESTS, tmp_path / "kubernetes"))


def test_what_the_manifests_say_is_what_the_trial_has(manifests: Path):
    pod = yaml.safe_load((manifests / surroundings.DEPLOYMENT).read_text())["spec"]["template"]["spec"]
    budget = yaml.safe_load((manifests / surroundings.BUDGET).read_text())["spec"]["maxUnavailable"]
    found = read_surroundings(PARAMS, manifests)
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert found.stop_s == pause + PARAMS.serve.drain_seconds
    assert found.unavailable == float(budget.rstrip("%")) / 100
    assert found.scrape_s == 15 and found.idle_s == 120
    assert found.memory == pytest.approx(PARAMS.autoscale.pod_memory_mb / 1024)


def test_a_changed_manifest_changes_the_trial(manifests: Path):
    for name, old, new in (
        (surroundings.MONITOR, "interval: 15s", "interval: 1m"),
        (surroundings.BUDGET, "maxUnavailable: 25%", "maxUnavailable: 2"),
        (surroundings.DEPLOYMENT, "sleep: {seconds: 10}", "sleep: {seconds: 20}"),
    ):
        text = (manifests / name).read_text()
        assert old in text
        (manifests / name).write_text(text.replace(old, new))
    found = read_surroundings(PARAMS, manifests)
    assert (found.scrape_s, found.unavailable) == (60, 2)
    assert found.stop_s == 20 + PARAMS.serve.drain_seconds


def test_a_manifest_that_does_not_say_it_is_named(manifests: Path):
    path = manifests / surroundings.BUDGET
    path.write_text(path.read_text().replace("maxUnavailable", "minAvailable"))
    with pytest.raises(
        TicketSentimentError, match=r"disruption\.yaml: PodDisruptionBudget: no maxUnavailable"
    ):
        read_surroundings(PARAMS, manifests)
    path.write_text("kind: Service\nspec: {}\n")
    with pytest.raises(TicketSentimentError, match=r"disruption\.yaml: no PodDisruptionBudget in it"):
        read_surroundings(PARAMS, manifests)


@pytest.mark.parametrize(("text", "expected"), [("15s", 15), ("2m", 120), ("1h", 3600)])
def test_times_are_read_with_their_units(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("600Mi", 600), ("1Gi", 1024)])
def test_memory_is_read_with_its_unit(text, expected):
    assert mebibytes(text) == expected
