"""How many replicas a metric asks for, as kube-controller-manager works it out.

Source: kubernetes, pkg/controller/podautoscaler/replica_calculator.go (release 1.34), and "Horizontal Pod
Autoscaling" in its documentation, "Algorithm details".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ticket_sentiment.autoscaling.policy import Behavior

FUZZ = 1e-9  # a ratio that is a whole number in exact arithmetic must not be rounded up for its last digit


def _ceil(value: float) -> int:
    return math.ceil(value - FUZZ)


def _ratio(used: float, requested: float, target: float) -> float:
    """Usage over target, the usage in whole percent, cut off (metrics.GetResourceUtilizationRatio)."""
    return int(100 * used / requested + FUZZ) / (100 * target)


@dataclass(frozen=True)
class Tolerances:
    """How far the ratio of usage and target may lie from 1 without a change."""

    down: float
    up: float

    @classmethod
    def of(cls, behavior: Behavior) -> "Tolerances":
        """As a behavior has them; 10 % where it says nothing."""
        return cls(behavior.scale_down.tolerance, behavior.scale_up.tolerance)

    def hold(self, ratio: float) -> bool:
        """Whether nothing is to be changed."""
        return 1 - self.down - FUZZ <= ratio <= 1 + self.up + FUZZ


@dataclass(frozen=True)
class Pod:
    """A pod as the metrics API shows it.

    Attributes:
        request: of the resource.
        usage: of it; None where there is no sample.
        state: `unready` is pending, or, for the processor, not ready or ready for less than a sample's
            window; `ignored` is being deleted, or failed.
    """

    request: float
    usage: float | None
    state: Literal["ready", "unready", "ignored"] = "ready"


def average_value(total: float, target: float, replicas: int, tolerances: Tolerances) -> int:
    """Replicas for an external metric with an AverageValue (GetExternalPerPodMetricReplicas).

    Args:
        total: the metric's value over all pods.
        target: that one pod shall have.
        replicas: pods that there are, ready or not (the Deployment's status.replicas).
        tolerances: within which nothing changes.
    """
    if tolerances.hold(total / (target * replicas)):
        return replicas
    return _ceil(total / target)


def utilisation(pods: Sequence[Pod], target: float, current: int, tolerances: Tolerances) -> int | None:
    """Replicas for a resource by its share of what is requested (GetResourceReplicas).

    Pods without a sample count as if they used all they request when it is about scaling down, and nothing
    when it is about scaling up; so do unready pods when scaling up. A change that this turns round is none.

    Args:
        pods: of the Deployment.
        target: share of the request that shall be used.
        current: replicas that are asked for now.
        tolerances: within which nothing changes.

    Returns:
        None where no ready pod has a sample: the metric is then missing.
    """
    ready = [pod for pod in pods if pod.state == "ready" and pod.usage is not None]
    missing = [pod for pod in pods if pod.state == "ready" and pod.usage is None]
    unready = [pod for pod in pods if pod.state == "unready"]
    if not ready:
        return None
    used, requested = sum(pod.usage or 0.0 for pod in ready), sum(pod.request for pod in ready)
    ratio = _ratio(used, requested, target)
    weighed_unready = unready if ratio > 1 else []
    if not missing and not weighed_unready:
        return current if tolerances.hold(ratio) else _ceil(ratio * len(ready))
    added = missing if ratio != 1 else []
    if ratio < 1:
        used += sum(pod.request for pod in added) * max(1.0, target)
    requested += sum(pod.request for pod in (*added, *weighed_unready))
    counted = len(ready) + len(added) + len(weighed_unready)
    again = _ratio(used, requested, target)
    if tolerances.hold(again) or (ratio - 1) * (again - 1) < 0:
        return current
    wanted = _ceil(again * counted)
    turned = (again < 1 and wanted > current) or (again > 1 and wanted < current)
    return current if turned else wanted
