"""Policies are read from manifests, and what cannot be followed is refused."""

from pathlib import Path

import pytest
import yaml

from tests.support.params import params_of_tests
from ticket_sentiment.autoscaling.policy import Metric, read_policy
from ticket_sentiment.errors import TicketSentimentError

ROOT = Path(__file__).parents[2]
KEDA, HPA = (ROOT / path for path in params_of_tests().autoscale.policies)


def changed(path: Path, tmp_path: Path, change) -> Path:
    """A manifest with something else in it."""
    item = yaml.safe_load(path.read_text())
    change(item["spec"])
    made = tmp_path / path.name
    made.write_text(yaml.safe_dump(item))
    return made


def test_the_shipped_scaled_object_is_read_whole():
    spec, found = yaml.safe_load(KEDA.read_text())["spec"], read_policy(KEDA)
    triggers = {trigger["type"]: trigger["metadata"] for trigger in spec["triggers"]}
    assert found.metrics == (
        Metric("in_flight", float(triggers["prometheus"]["threshold"]), 30.0),
        Metric("cpu", int(triggers["cpu"]["value"]) / 100),
        Metric("memory", int(triggers["memory"]["value"]) / 100),
    )
    assert (found.minimum, found.maximum) == (spec["minReplicaCount"], spec["maxReplicaCount"])
    assert found.fallback is not None and found.fallback.behavior == "currentReplicasIfHigher"
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert found.behavior.scale_down.stabilization_window_seconds == down["stabilizationWindowSeconds"]
    assert [rule.value for rule in found.behavior.scale_down.policies or ()] == [
        rule["value"] for rule in down["policies"]
    ]


def test_the_shipped_autoscaler_is_read_and_found_in_a_rendered_overlay(tmp_path: Path):
    alone = read_policy(HPA)
    assert {metric.kind for metric in alone.metrics} == {"cpu", "memory"} and alone.fallback is None
    whole = tmp_path / "rendered.yaml"
    whole.write_text("kind: Namespace\n---\n" + HPA.read_text())
    assert read_policy(whole) == alone


def test_what_a_manifest_does_not_say_is_the_apis_default(tmp_path: Path):
    found = read_policy(changed(HPA, tmp_path, lambda spec: spec.pop("behavior")))
    up, down = found.behavior.scale_up, found.behavior.scale_down
    assert up.stabilization_window_seconds == 0 and down.stabilization_window_seconds == 300
    assert [(rule.type, rule.value, rule.period_seconds) for rule in up.policies or ()] == [
        ("Pods", 4, 15), ("Percent", 100, 15),
    ]  # fmt: skip
    assert [(rule.type, rule.value) for rule in down.policies or ()] == [("Percent", 100)]
    assert up.tolerance == down.tolerance == 0.1


def test_in_time_lapse_times_are_shorter_and_numbers_as_they_were():
    slow = read_policy(KEDA)
    fast = slow.sped_up(15)
    assert fast.sync_s == 1.0 and fast.metrics[0].window_s == 2.0 and fast.metrics[0].target == 16.0
    assert fast.behavior.scale_down.stabilization_window_seconds == 20.0
    assert [rule.period_seconds for rule in fast.behavior.scale_up.policies or ()] == [1.0, 1.0]
    assert (fast.minimum, fast.maximum) == (slow.minimum, slow.maximum)


QUERY = 'avg_over_time(sum(ticket_sentiment_in_flight{namespace="n"})[90s:15s])'


def test_a_query_over_the_sum_of_all_pods_is_known_too(tmp_path: Path):
    made = changed(KEDA, tmp_path, lambda spec: spec["triggers"][0]["metadata"].update(query=QUERY))
    assert read_policy(made).metrics[0] == Metric("in_flight", 16.0, 90.0, of_pods=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["triggers"][0]["metadata"].update(query="sum(rate(a[1m]))"), "that can be simulated"),
        (lambda s: s["triggers"][0]["metadata"].pop("ignoreNullValues"), 'ignoreNullValues "false"'),
        (lambda s: s["triggers"][0].update(metricType="Value"), "triggers.0.metricType"),
        (lambda s: s["triggers"][0].update(useCachedMetrics=True), "triggers.0.useCachedMetrics"),
        (lambda s: s["triggers"][1].update(type="cron"), "triggers.1.type"),
        (lambda s: s["triggers"][0]["metadata"].pop("threshold"), "threshold"),
        (lambda s: s["triggers"][0]["metadata"].update(threshold="0"), "needs a threshold above 0, not 0"),
        (lambda s: s["triggers"][1]["metadata"].update(value="-5"), "needs a value above 0, not -5"),
        (lambda s: s.update(idleReplicaCount=0), "spec.idleReplicaCount"),
        (lambda s: s.update(minReplicaCount=0), "spec.minReplicaCount"),
        (lambda s: s["fallback"].update(behavior="hold"), "spec.fallback.behavior"),
        (lambda s: s.update(triggers=[]), "spec.triggers"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(tmp_path: Path, change, said):
    made = changed(KEDA, tmp_path, change)
    with pytest.raises(TicketSentimentError) as caught:
        read_policy(made)
    assert said in str(caught.value) and str(made) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_an_autoscaler_and_one_that_is_not_there_are_named(tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text("kind: Deployment\nspec: {}\n")
    with pytest.raises(TicketSentimentError, match=r"other\.yaml: no ScaledObject and no Horizontal"):
        read_policy(other)
    with pytest.raises(TicketSentimentError, match=r"none\.yaml is missing"):
        read_policy(tmp_path / "none.yaml")
    other.write_text("a: [")
    with pytest.raises(TicketSentimentError, match=r"other\.yaml is no YAML"):
        read_policy(other)
