"""What a rule is, and its form for Prometheus."""

from dataclasses import dataclass
from typing import Any

from ticket_sentiment.params import Params, Severity

JOBS = 'job=~"ticket-sentiment.*"'  # of the scrape configuration, and of the Services on Kubernetes
TICKETS = 'route=~"classify|batch"'


@dataclass(frozen=True)
class Record:
    """A recording rule; its name is level:metric:operations."""

    name: str
    expr: str

    def rendered(self, _: Params) -> dict[str, Any]:
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True)
class Alert:
    """An alerting rule.

    Attributes:
        name: also the heading of its runbook.
        expr: gives a series for each offender.
        hold: how long it must be so, as Prometheus writes a duration.
        severity: page wakes somebody up, ticket waits for working hours.
        summary: one line for people; Go's templates in it have the labels and the value.
    """

    name: str
    expr: str
    hold: str
    severity: Severity
    summary: str

    def annotations(self, params: Params) -> dict[str, str]:
        """What goes out beside the labels."""
        return {
            "summary": self.summary,
            "runbook_url": f"{params.objectives.runbooks}#{self.name.lower()}",
        }

    def rendered(self, params: Params) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity},
            "annotations": self.annotations(params),
        }


Rule = Record | Alert


def ticket(name: str, expr: str, hold: str, summary: str) -> Alert:
    """An alert that waits for working hours: only objectives and a service that is gone wake people up."""
    return Alert(name, expr, hold, "ticket", summary)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated in this order."""

    name: str
    rules: tuple[Rule, ...]

    def rendered(self, params: Params) -> dict[str, Any]:
        return {"name": self.name, "interval": "1m", "rules": [rule.rendered(params) for rule in self.rules]}


def share(part: str, whole: str) -> str:
    """A ratio that is 0, and not missing, where the part has no series yet."""
    return f"({part} or {whole} * 0) / {whole}"


def enough(count: str, params: Params) -> str:
    """Only where so much has happened that a share says something."""
    return f"{count} >= {params.objectives.min_requests}"
