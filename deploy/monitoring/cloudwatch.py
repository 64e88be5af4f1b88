"""Alarms, dashboard and budget for AWS, of the metrics that `ticket-sentiment cloudwatch` writes.

The alarms that matter most of deploy/prometheus, with the same names and runbooks, for a team that has
CloudWatch and no Prometheus. `${topic}` stands for the SNS topic that tells people.
"""

from typing import Any

from deploy.monitoring.rules.objectives import FAST
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params
from ticket_sentiment.rollout.assignment import ARMS
from ticket_sentiment.serving.emf import SERVICE

TOPIC = "${topic}"
DIMENSIONS = [{"Name": "Service", "Value": SERVICE}]
HOUR, FIVE_MINUTES, MINUTE = 3600, 300, 60
WARNED_AT = 80.0  # percent of the budget

Alarm = dict[str, Any]


def _name(alert: str) -> str:
    return f"ticket-sentiment-{alert}"


def _described(alert: str, words: str, params: Params) -> dict[str, Any]:
    return {
        "AlarmName": _name(alert),
        "AlarmDescription": f"{words} Runbook: {params.objectives.runbooks}#{alert.lower()}",
    }


def _told() -> dict[str, Any]:
    return {"AlarmActions": [TOPIC], "OKActions": [TOPIC]}


def _simple(
    params: Params, alert: str, metric: str, words: str, limit: float, periods: int = 1, **changes: Any
) -> Alarm:
    """An alarm on one metric: its sum of five minutes above a limit, unless `changes` says otherwise."""
    return {
        **_described(alert, words, params),
        **_told(),
        "Namespace": params.objectives.cloudwatch.namespace,
        "MetricName": metric,
        "Dimensions": DIMENSIONS,
        "Statistic": "Sum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": periods,
        "Threshold": limit,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **changes,
    }


def _ratio(params: Params, part: str, whole: str, period: int) -> list[dict[str, Any]]:
    """Metric math: a share of two sums, 0 where too little has happened."""

    def sum_of(identifier: str, metric: str) -> dict[str, Any]:
        held = {
            "Namespace": params.objectives.cloudwatch.namespace,
            "MetricName": metric,
            "Dimensions": DIMENSIONS,
        }
        return {
            "Id": identifier,
            "ReturnData": False,
            "MetricStat": {"Metric": held, "Period": period, "Stat": "Sum"},
        }

    enough = max(1, params.objectives.min_requests * period // HOUR)
    share = f"IF(whole >= {enough}, part / whole, 0)"
    return [
        {"Id": "share", "Expression": share, "Label": f"{part} of {whole}", "ReturnData": True},
        sum_of("part", part),
        sum_of("whole", whole),
    ]


def _share(params: Params, name: str, metrics: tuple[str, str], limit: float, period: int) -> Alarm:
    return {
        "AlarmName": name,
        "Metrics": _ratio(params, *metrics, period),
        "EvaluationPeriods": 1,
        "Threshold": round(limit, 6),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _burns(params: Params) -> tuple[tuple[str, tuple[str, str], float, str], ...]:
    """Of each objective: its alert, its two metrics, its budget, and words."""
    held = params.objectives
    return (
        ("AvailabilityBurnsFast", ("Failed", "Requests"), 1 - held.availability, "Too many requests fail."),
        (
            "LatencyBurnsFast",
            ("Late", "Singles"),
            1 - held.in_time,
            f"Too many tickets are answered later than {params.serve.objective_ms:g} ms.",
        ),
    )


def metric_alarms(params: Params) -> list[Alarm]:
    """Arguments of PutMetricAlarm, one after the other."""
    held = params.objectives
    factor = FAST[0][0]
    made = [
        _simple(
            params,
            "ServiceDown",
            "Up",
            "No process of the service is seen.",
            1,
            3,
            Statistic="Maximum",
            Period=MINUTE,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        ),
        _simple(
            params,
            "WorkersMissing",
            "Workers",
            "A pod lacks a worker.",
            params.serve.workers,
            Statistic="Minimum",
            ComparisonOperator="LessThanThreshold",
        ),
        _simple(params, "InternalErrors", "InternalErrors", "Requests failed inside the service.", 0),
        _simple(
            params,
            "QueueWaitHigh",
            "QueueWait",
            "A new text would wait long for the model.",
            held.max_queue_wait * params.serve.objective_ms,
            2,
            Statistic="Maximum",
        ),
        _simple(
            params,
            "EventsUnavailable",
            "EventsUnavailable",
            "Processes do not reach the event database.",
            0,
            2,
            Statistic="Maximum",  # of all pods: one is enough, however well the others are
        ),
        _simple(params, "EventsDropped", "EventsDropped", "Predictions or exposures were lost.", 0),
        _simple(params, "ShadowFailed", "ShadowFailed", "The other arm fails on tickets.", 0),
        _simple(
            params,
            "ReleaseNotLoaded",
            "ReleasesNotLoaded",
            "A process lacks what the rollout names.",
            0,
            2,
            Statistic="Maximum",  # of all pods: one is enough, however well the others are
        ),
        {
            **_share(params, "", ("Shed", "Tickets"), held.max_shed, FIVE_MINUTES),
            **_described("RequestsShed", "Overload: requests are refused or late.", params),
            **_told(),
            "EvaluationPeriods": 2,
        },
    ]
    for alert, metrics, budget, _ in _burns(params):
        for words, period in (("1h", HOUR), ("5m", FIVE_MINUTES)):
            made.append(_share(params, f"{_name(alert)}-{words}", metrics, factor * budget, period))
    return made


def composite_alarms(params: Params) -> list[Alarm]:
    """Arguments of PutCompositeAlarm: a budget burns in the long window, and still does in the short one."""
    return [
        {
            **_described(alert, words, params),
            **_told(),
            "AlarmRule": f'ALARM("{_name(alert)}-1h") AND ALARM("{_name(alert)}-5m")',
        }
        for alert, _, _, words in _burns(params)
    ]


def dashboard(params: Params) -> dict[str, Any]:
    """Body of PutDashboard."""
    held, serve = params.objectives, params.serve
    objective = {"horizontal": [{"label": "objective", "value": serve.objective_ms}]}
    shed = {"horizontal": [{"label": "RequestsShed", "value": held.max_shed}]}
    service = (
        ("Requests", ("Requests", "Failed", "Shed", "Limited"), "Sum", {}),
        ("Latency of single tickets (ms)", ("LatencyP50", "LatencyP95", "LatencyP99"), "Maximum", objective),
        ("Tickets later than the objective", ("Singles", "Late"), "Sum", {}),
        ("Load", ("InFlight", "QueueLength", "Workers"), "Average", {}),
        ("Wait for the model (ms)", ("QueueWait",), "Maximum", objective),
        ("Cache", ("CacheHits", "CacheMisses"), "Sum", {}),
        ("The other service", ("RemoteAnswers", "RemoteFallbacks"), "Sum", {}),
        ("Shadow", ("ShadowScored", "ShadowDropped", "ShadowFailed"), "Sum", {}),
        ("Records and faults", ("EventsDropped", "InternalErrors", "EventsUnavailable"), "Sum", {}),
        ("Up, and bundles not loaded", ("Up", "ReleasesNotLoaded"), "Maximum", {}),
    )
    widgets = [
        _widget(params, title, [(name, {}) for name in names], statistic, lines)
        for title, names, statistic, lines in service
    ]
    share = _widget(params, "Share shed", [], "Sum", shed)
    share["metrics"] = [
        [{"expression": "shed / tickets", "label": "shed", "id": "share"}],
        *(
            [held.cloudwatch.namespace, name, "Service", SERVICE, {"id": name.lower(), "visible": False}]
            for name in ("Shed", "Tickets")
        ),
    ]
    widgets.append(share)
    for arm in ARMS:
        names = (*(label.capitalize() for label in LABELS), "Abstained", "ArmRequests")
        widgets.append(
            _widget(params, f"Answers of the {arm}", [(name, {"Arm": arm}) for name in names], "Sum", {})
        )
    placed = [
        {"type": "metric", "x": 8 * (i % 3), "y": 6 * (i // 3), "width": 8, "height": 6, "properties": widget}
        for i, widget in enumerate(widgets)
    ]
    return {"start": "-PT6H", "widgets": placed}


def _widget(
    params: Params,
    title: str,
    metrics: list[tuple[str, dict[str, str]]],
    statistic: str,
    lines: dict[str, Any],
) -> dict[str, Any]:
    cloudwatch = params.objectives.cloudwatch
    drawn = []
    for name, further in metrics:
        dimensions = [part for pair in {"Service": SERVICE, **further}.items() for part in pair]
        drawn.append([cloudwatch.namespace, name, *dimensions])
    return {
        "title": title,
        "region": cloudwatch.region,
        "view": "timeSeries",
        "stat": statistic,
        "period": MINUTE,
        "metrics": drawn,
        "annotations": lines,
    }


def budget(params: Params) -> dict[str, Any]:
    """Arguments of CreateBudget but the account: warned by what was spent, and by what is forecast."""

    def warned(kind: str, percent: float) -> dict[str, Any]:
        return {
            "Notification": {
                "NotificationType": kind,
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": percent,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "SNS", "Address": TOPIC}],
        }

    amount = {"Amount": f"{params.objectives.cloudwatch.monthly_usd:.2f}", "Unit": "USD"}
    return {
        "Budget": {
            "BudgetName": "ticket-sentiment",
            "BudgetLimit": amount,
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        "NotificationsWithSubscribers": [warned("ACTUAL", WARNED_AT), warned("FORECASTED", 100.0)],
    }
