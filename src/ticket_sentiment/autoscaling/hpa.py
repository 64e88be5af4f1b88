"""The HorizontalPodAutoscaler: from what each metric asks for to how many replicas there shall be.

Source: kubernetes, pkg/controller/podautoscaler/horizontal.go (release 1.34): reconcileAutoscaler,
computeReplicasForMetrics, stabilizeRecommendationWithBehaviors, convertDesiredReplicasWithBehaviorRate.
"""

import math
from collections.abc import Sequence

from ticket_sentiment.autoscaling.policy import Direction, Policy


class Autoscaler:
    """Follows a policy; call `sync` every `policy.sync_s` seconds of whatever clock."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._recommended: list[tuple[float, int]] = []  # time, replicas
        self._added: list[tuple[float, int]] = []
        self._removed: list[tuple[float, int]] = []

    def sync(self, now: float, current: int, proposals: Sequence[int | None]) -> int:
        """Replicas that there shall be from now on.

        Args:
            now: seconds.
            current: replicas that are asked for now.
            proposals: what each metric asks for; None is a metric that is missing.
        """
        policy = self._policy
        if not self._recommended:
            self._recommended.append((now, current))
        if not policy.minimum <= current <= policy.maximum:
            wanted = min(max(current, policy.minimum), policy.maximum)
        elif (desired := self._desired(current, proposals)) is None:
            return current
        else:
            wanted = self._limited(now, current, self._stabilised(now, current, desired))
        if wanted != current:
            events = self._added if wanted > current else self._removed
            events.append((now, abs(wanted - current)))
        return wanted

    def _desired(self, current: int, proposals: Sequence[int | None]) -> int | None:
        """The most that a metric asks for; None where metrics are missing and the others would scale down."""
        known = [one for one in proposals if one is not None]
        if not known or (len(known) < len(proposals) and max(known) < current):
            return None
        return max(known)

    def _stabilised(self, now: float, current: int, desired: int) -> int:
        """Raised to the lowest recommendation of one window, lowered to the highest of the other."""
        up, down = (
            side.stabilization_window_seconds or 0.0
            for side in (self._policy.behavior.scale_up, self._policy.behavior.scale_down)
        )
        low = min([desired, *(count for when, count in self._recommended if when > now - up)])
        high = max([desired, *(count for when, count in self._recommended if when > now - down)])
        self._recommended = [one for one in self._recommended if one[0] > now - max(up, down)]
        self._recommended.append((now, desired))
        return min(max(current, low), high)

    def _limited(self, now: float, current: int, wanted: int) -> int:
        """Within the minimum, the maximum, and what the rules let change in their periods."""
        policy = self._policy
        self._forget(now)
        if wanted > current:
            allowed = max(_most(policy.behavior.scale_up, now, current, self._added, self._removed), current)
            return min(wanted, allowed, policy.maximum)
        if wanted < current:
            allowed = min(
                _least(policy.behavior.scale_down, now, current, self._added, self._removed), current
            )
            return max(wanted, allowed, policy.minimum)
        return wanted

    def _forget(self, now: float) -> None:
        sides = (self._policy.behavior.scale_up, self._policy.behavior.scale_down)
        longest = max((rule.period_seconds for side in sides for rule in side.policies or ()), default=0.0)
        self._added = [one for one in self._added if one[0] > now - longest]
        self._removed = [one for one in self._removed if one[0] > now - longest]


Events = Sequence[tuple[float, int]]


def _at_start(now: float, current: int, period_s: float, added: Events, removed: Events) -> int:
    """Replicas at the start of a period."""
    since = now - period_s
    return (
        current
        - sum(count for when, count in added if when > since)
        + sum(count for when, count in removed if when > since)
    )


def _most(side: Direction, now: float, current: int, added: Events, removed: Events) -> int:
    """calculateScaleUpLimitWithScalingRules: a percentage is rounded up, or one pod would stay one."""
    if side.select_policy == "Disabled":
        return current
    limits = []
    for rule in side.policies or ():
        start = _at_start(now, current, rule.period_seconds, added, removed)
        grown = start + rule.value if rule.type == "Pods" else math.ceil(start * (1 + rule.value / 100))
        limits.append(grown)
    return min(limits) if side.select_policy == "Min" else max(limits)


def _least(side: Direction, now: float, current: int, added: Events, removed: Events) -> int:
    """calculateScaleDownLimitWithBehaviors: a percentage is cut off, so that a last pod can go, too."""
    if side.select_policy == "Disabled":
        return current
    limits = []
    for rule in side.policies or ():
        start = _at_start(now, current, rule.period_seconds, added, removed)
        limits.append(start - rule.value if rule.type == "Pods" else int(start * (1 - rule.value / 100)))
    return max(limits) if side.select_policy == "Min" else min(limits)
