"""Alarms, dashboard and budget for AWS: taken by moto, and of metrics that the service's lines hold."""

import json
import sys
from collections.abc import Iterator
from operator import gt, lt
from typing import Any

import boto3
import botocore.awsrequest
import botocore.session
import pytest
from moto import mock_aws

from deploy.manifests.render import ROOT, params
from deploy.monitoring import aws, cloudwatch
from deploy.monitoring.rules import alerts
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.serving.emf import COUNTERS, of_arm, of_service, read

P = params()
REGION = "eu-central-1"
PAGE = (ROOT / "tests/serving/metrics-page.txt").read_text()


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("sns", region_name=REGION).create_topic(Name="alerts")["TopicArn"]


@pytest.fixture
def composites(monkeypatch: pytest.MonkeyPatch, topic: str) -> list[dict[str, Any]]:
    """What PutCompositeAlarm got, which moto does not know; botocore has held it against AWS' own model."""
    held: list[dict[str, Any]] = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        held.append(params["body"])
        response = botocore.awsrequest.AWSResponse("", 200, {}, None)
        return response, {"ResponseMetadata": {"HTTPStatusCode": 200}}

    session = botocore.session.get_session()
    session.register("before-call.cloudwatch.PutCompositeAlarm", answer)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(botocore_session=session))
    return held


def test_everything_is_put_and_once_more_changes_nothing(topic, composites):
    first = aws.apply(topic, budget=True)
    assert aws.apply(topic, budget=True) == first
    client = boto3.client("cloudwatch", region_name=REGION)
    held = {alarm["AlarmName"]: alarm for alarm in client.describe_alarms()["MetricAlarms"]}
    assert held.keys() == {alarm["AlarmName"] for alarm in cloudwatch.metric_alarms(P)}
    down = held["ticket-sentiment-ServiceDown"]
    assert down["AlarmActions"] == [topic] and down["TreatMissingData"] == "breaching"
    assert held["ticket-sentiment-AvailabilityBurnsFast-1h"]["AlarmActions"] == []
    body = json.loads(client.get_dashboard(DashboardName=aws.DASHBOARD)["DashboardBody"])
    assert body == cloudwatch.dashboard(P)
    budgets, account = boto3.client("budgets", region_name="us-east-1"), topic.split(":")[4]
    (budget,) = budgets.describe_budgets(AccountId=account)["Budgets"]
    assert float(budget["BudgetLimit"]["Amount"]) == P.objectives.cloudwatch.monthly_usd
    warned = budgets.describe_notifications_for_budget(AccountId=account, BudgetName="ticket-sentiment")
    assert {item["NotificationType"] for item in warned["Notifications"]} == {"ACTUAL", "FORECASTED"}
    assert len(composites) == 2 * len(cloudwatch.composite_alarms(P))


def test_without_being_asked_the_account_gets_no_budget(topic, composites):
    assert not any("budget" in line for line in aws.apply(topic, budget=False))
    budgets = boto3.client("budgets", region_name="us-east-1")
    assert budgets.describe_budgets(AccountId=topic.split(":")[4])["Budgets"] == []


def test_what_is_no_topic_is_refused(monkeypatch, capsys):
    with pytest.raises(TicketSentimentError, match="expected the ARN of an SNS topic"):
        aws.apply("alerts", budget=False)
    monkeypatch.setattr(sys, "argv", ["aws"])
    with pytest.raises(SystemExit):
        aws.main()
    assert "ARN" in capsys.readouterr().err


def written() -> dict[str, set[str]]:
    """Names of the metrics in the lines, by the dimensions that they have."""
    page = read(PAGE)
    whole = {"Up", *of_service(page, page, P.serve.objective_ms)}
    return {"Service": whole, "Service,Arm": set(of_arm(page, "champion"))}


def asked_by_alarms() -> Iterator[str]:
    for alarm in cloudwatch.metric_alarms(P):
        if "MetricName" in alarm:
            yield alarm["MetricName"]
        for metric in alarm.get("Metrics", []):
            if "MetricStat" in metric:
                yield metric["MetricStat"]["Metric"]["MetricName"]


def test_alarms_and_dashboard_ask_for_metrics_that_are_written():
    held = written()
    assert set(asked_by_alarms()) <= held["Service"]
    for widget in cloudwatch.dashboard(P)["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if isinstance(metric[0], dict):  # an expression
                continue
            _, name, *dimensions = (part for part in metric if not isinstance(part, dict))
            assert name in held[",".join(dimensions[::2])], name
    assert {label.capitalize() for label in LABELS} <= held["Service,Arm"]
    assert set(COUNTERS) <= held["Service"]


@pytest.mark.parametrize(
    ("alert", "well", "ill"),
    [
        ("EventsUnavailable", 0, 1),
        ("ReleaseNotLoaded", 0, 1),
        ("WorkersMissing", P.serve.workers, P.serve.workers - 1),
        ("QueueWaitHigh", 0, 10_000),
        ("InternalErrors", 0, 1),
    ],
)
def test_one_ill_pod_among_healthy_ones_is_seen(alert, well, ill):
    """All pods write one metric, so that an alarm sees only a statistic over them."""
    (alarm,) = [a for a in cloudwatch.metric_alarms(P) if a["AlarmName"] == f"ticket-sentiment-{alert}"]
    statistic = {"Sum": sum, "Minimum": min, "Maximum": max}[alarm["Statistic"]]
    beyond = {"GreaterThanThreshold": gt, "LessThanThreshold": lt}[alarm["ComparisonOperator"]]
    assert beyond(statistic([well, ill, well]), alarm["Threshold"])
    assert not beyond(statistic([well, well, well]), alarm["Threshold"])


def test_an_alarm_is_named_for_an_alert_with_a_runbook():
    names = {f"ticket-sentiment-{alert.name}" for alert in alerts(P)}
    for alarm in (*cloudwatch.metric_alarms(P), *cloudwatch.composite_alarms(P)):
        assert alarm["AlarmName"].removesuffix("-1h").removesuffix("-5m") in names
        if "AlarmActions" in alarm:
            assert f"{P.objectives.runbooks}#" in alarm["AlarmDescription"]
    parts = {alarm["AlarmName"] for alarm in cloudwatch.metric_alarms(P)}
    for alarm in cloudwatch.composite_alarms(P):
        assert {word.strip('"') for word in alarm["AlarmRule"].split('"')[1::2]} <= parts
