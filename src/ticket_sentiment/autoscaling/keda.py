"""What KEDA stands for between a trigger and the autoscaler: the value, an error, or the fallback.

Source: keda, pkg/fallback/fallback.go, and its documentation of `fallback` (release 2.18).
"""

from ticket_sentiment.autoscaling.policy import Fallback


class Trigger:
    """One trigger with an AverageValue. The autoscaler reads processor and memory itself."""

    def __init__(self, target: float, fallback: Fallback | None) -> None:
        """Take a trigger.

        Args:
            target: its threshold, of one pod.
            fallback: of the ScaledObject.
        """
        self._target, self._fallback = target, fallback
        self._failures = 0

    def value(self, reading: float | None, current: int) -> float | None:
        """What the autoscaler is told.

        Args:
            reading: the query's result; None is an error, or no data (`ignoreNullValues: "false"`).
            current: replicas that are asked for now.

        Returns:
            The reading; None, which the autoscaler takes for a missing metric; or, after more failures than
            the threshold, `target x fallback replicas`, of which the autoscaler makes just those replicas.
        """
        if reading is not None:
            self._failures = 0
            return reading
        self._failures += 1
        if self._fallback is None or self._failures <= self._fallback.failure_threshold:
            return None
        return self._target * _replicas(self._fallback, current)


def _replicas(fallback: Fallback, current: int) -> int:
    match fallback.behavior:
        case "currentReplicas":
            return current
        case "currentReplicasIfHigher":
            return max(current, fallback.replicas)
        case "currentReplicasIfLower":
            return min(current, fallback.replicas)
        case _:
            return fallback.replicas
