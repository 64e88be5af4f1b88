"""What a case is, and its form for promtool."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.monitoring.rules.rule import Alert
from ticket_sentiment.params import Params

JOB, INSTANCE = "ticket-sentiment", "a:3001"
POD = {"job": JOB, "instance": INSTANCE}
FAST, MIDDLE, SLOW = "1m", "10m", "30m"  # between samples: of cases that last for hours, a day, days
TEMPLATE = re.compile(r"\{\{ (.*?) \}\}")


@dataclass(frozen=True)
class Case:
    """One alert at one moment.

    Attributes:
        alert: its name.
        words: what goes on.
        series: values in promtool's notation, by series.
        at: the moment, as a duration since the first sample.
        labels: of the firing alert, its severity left out; None where it is silent.
        value: of the firing alert's expression.
        step: between samples: FAST, MIDDLE or SLOW.
    """

    alert: str
    words: str
    series: Mapping[str, str]
    at: str
    labels: Mapping[str, str] | None = None
    value: float = 0.0
    step: str = field(default=FAST)

    def rendered(self, alert: Alert, params: Params) -> dict[str, Any]:
        """A test group of promtool's."""
        expected = []
        if self.labels is not None:
            annotations = {key: self._filled(text) for key, text in alert.annotations(params).items()}
            labels = {"severity": alert.severity, **self.labels}
            expected = [{"exp_labels": labels, "exp_annotations": annotations}]
        return {
            "name": f"{self.alert} {'fires' if expected else 'is silent'}: {self.words}",
            "interval": self.step,
            "input_series": [{"series": name, "values": values} for name, values in self.series.items()],
            "alert_rule_test": [{"eval_time": self.at, "alertname": self.alert, "exp_alerts": expected}],
        }

    def _filled(self, text: str) -> str:
        """The text that people read, as Go's templates make it."""
        return TEMPLATE.sub(lambda found: self._template(found[1]), text)

    def _template(self, template: str) -> str:
        assert self.labels is not None
        if template.startswith("$labels."):
            return self.labels[template.removeprefix("$labels.")]
        if template == "$value | humanizePercentage":
            return f"{100 * self.value:.4g}%"
        digits = re.fullmatch(r'printf "%\.(\d)f" \$value', template)
        assert digits, f"no case knows the template {template}"
        return f"{self.value:.{digits[1]}f}"


def named(metric: str, **labels: str) -> str:
    """A series of our first pod, unless the labels say otherwise."""
    held = ",".join(f'{key}="{value}"' for key, value in {**POD, **labels}.items())
    return f"ticket_sentiment_{metric}{{{held}}}"


def grows(per_step: float, steps: int = 400) -> str:
    """A counter."""
    return f"0+{per_step:g}x{steps}"


def stays(value: float, steps: int = 400) -> str:
    """A gauge, or a counter at which nothing happens."""
    return f"{value:g}+0x{steps}"
