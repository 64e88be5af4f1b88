"""A scaling policy as it is shipped: read from the ScaledObject or HorizontalPodAutoscaler itself.

A field that this package does not follow is refused, so that a trial never tries another policy than the
cluster's.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ticket_sentiment.errors import TicketSentimentError

SYNC_S = 15.0  # --horizontal-pod-autoscaler-sync-period, the default of kube-controller-manager
TOLERANCE = 0.1  # --horizontal-pod-autoscaler-tolerance, the same
DOWN_WINDOW_S = 300.0  # --horizontal-pod-autoscaler-downscale-stabilization, the same
IN_FLIGHT = "ticket_sentiment_in_flight"
# What is done with the samples: of each pod over a window, then over pods; or of all pods, then over a
# window.
QUERIES = {
    "pods": re.compile(rf"sum\(avg_over_time\({IN_FLIGHT}\{{[^}}]*\}}\[(\d+)([sm])\]\)\)"),
    "total": re.compile(rf"avg_over_time\(sum\({IN_FLIGHT}\{{[^}}]*\}}\)\[(\d+)([sm]):\d+[sm]\]\)"),
}
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of a manifest; fields in camelCase there."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class Rule(Part):
    """How much may change within a period: pods, or percent of the pods at its start."""

    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(gt=0)]
    period_seconds: Annotated[float, Field(gt=0, le=1800)]


class Direction(Part):
    """Scaling up, or down; what is not given is the API's default."""

    stabilization_window_seconds: Annotated[float, Field(ge=0, le=3600)] | None = None
    policies: Annotated[tuple[Rule, ...], Field(min_length=1)] | None = None
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    tolerance: Annotated[float, Field(ge=0)] = TOLERANCE

    def filled(self, window_s: float, rules: tuple[Rule, ...]) -> "Direction":
        """With the API's defaults for this direction."""
        window = self.stabilization_window_seconds
        return self.model_copy(
            update={
                "stabilization_window_seconds": window_s if window is None else window,
                "policies": rules if self.policies is None else self.policies,
            }
        )


def _rule(kind: Literal["Pods", "Percent"], value: int) -> Rule:
    return Rule(type=kind, value=value, periodSeconds=15)


class Behavior(Part):
    """Both directions; defaults of autoscaling/v2 (pkg/apis/autoscaling/v2/defaults.go)."""

    scale_up: Direction = Direction()
    scale_down: Direction = Direction()

    def filled(self) -> "Behavior":
        """With the API's defaults where nothing is given."""
        up = self.scale_up.filled(0.0, (_rule("Pods", 4), _rule("Percent", 100)))
        return Behavior(scaleUp=up, scaleDown=self.scale_down.filled(DOWN_WINDOW_S, (_rule("Percent", 100),)))


class Fallback(Part):
    """What KEDA says to the autoscaler while a trigger has no value."""

    failure_threshold: Count
    replicas: Count
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"] = (
        "static"
    )


@dataclass(frozen=True)
class Metric:
    """What is measured, and what one pod shall have of it.

    Attributes:
        kind: requests in flight, or a resource.
        target: requests in flight of a pod, or a share of what it requests of the resource.
        window_s: over which requests in flight are averaged.
        of_pods: each pod's samples are averaged for themselves, and those means added.
    """

    kind: Literal["in_flight", "cpu", "memory"]
    target: float
    window_s: float = 0.0
    of_pods: bool = True


@dataclass(frozen=True)
class Policy:
    """A whole policy; all times in seconds."""

    name: str
    minimum: int
    maximum: int
    metrics: tuple[Metric, ...]
    behavior: Behavior
    fallback: Fallback | None = None
    sync_s: float = SYNC_S

    def sped_up(self, factor: float) -> "Policy":
        """The same in time-lapse: every time is shorter by the factor, every number as it was."""

        def shorter(side: Direction) -> Direction:
            rules = tuple(
                rule.model_copy(update={"period_seconds": rule.period_seconds / factor})
                for rule in side.policies or ()
            )
            window = (side.stabilization_window_seconds or 0.0) / factor
            return side.model_copy(update={"stabilization_window_seconds": window, "policies": rules})

        return replace(
            self,
            sync_s=self.sync_s / factor,
            metrics=tuple(replace(one, window_s=one.window_s / factor) for one in self.metrics),
            behavior=self.behavior.model_copy(
                update={
                    "scale_up": shorter(self.behavior.scale_up),
                    "scale_down": shorter(self.behavior.scale_down),
                }
            ),
        )


class _Trigger(Part):
    type: Literal["prometheus", "cpu", "memory"]
    name: str = ""
    metric_type: Literal["AverageValue", "Utilization"]
    metadata: Mapping[str, str]

    def metric(self) -> Metric:
        if self.type == "prometheus":
            if self.metric_type != "AverageValue" or self.metadata.get("ignoreNullValues") != "false":
                raise ValueError(
                    'a prometheus trigger needs metricType AverageValue and ignoreNullValues "false"'
                )
            return _in_flight(self.metadata.get("query", ""), self._target("threshold"))
        if self.metric_type != "Utilization":
            raise ValueError(f"a trigger {self.type} needs metricType Utilization")
        return Metric(self.type, self._target("value") / 100)

    def _target(self, key: str) -> float:
        target = float(self.metadata[key])
        if not 0 < target < math.inf:
            raise ValueError(f"a trigger {self.type} needs a {key} above 0, not {self.metadata[key]}")
        return target


def _in_flight(query: str, target: float) -> Metric:
    plain = re.sub(r"\s+", "", query)
    for kind, form in QUERIES.items():
        if found := form.fullmatch(plain):
            seconds = int(found[1]) * (60 if found[2] == "m" else 1)
            return Metric("in_flight", target, float(seconds), kind == "pods")
    raise ValueError(f"the query is none that can be simulated: {query}")


class _HpaConfig(Part):
    behavior: Behavior = Behavior()


class _Advanced(Part):
    horizontal_pod_autoscaler_config: _HpaConfig = _HpaConfig()


class _ScaledObject(Part):
    scale_target_ref: Mapping[str, str]
    # While there are pods the autoscaler itself asks KEDA for the value, at each of its own looks (KEDA's
    # documentation, "pollingInterval"); the interval and the cooldown are those of 0 pods and 1.
    polling_interval: float = 30
    cooldown_period: float = 300
    min_replica_count: Annotated[int, Field(ge=1)]
    max_replica_count: Annotated[int, Field(ge=1)] = 100
    fallback: Fallback | None = None
    advanced: _Advanced = _Advanced()
    triggers: Annotated[tuple[_Trigger, ...], Field(min_length=1)]

    def policy(self, name: str) -> Policy:
        behavior = self.advanced.horizontal_pod_autoscaler_config.behavior.filled()
        metrics = tuple(trigger.metric() for trigger in self.triggers)
        return Policy(name, self.min_replica_count, self.max_replica_count, metrics, behavior, self.fallback)


class _Target(Part):
    type: Literal["Utilization"]
    average_utilization: Annotated[int, Field(gt=0)]


class _Resource(Part):
    name: Literal["cpu", "memory"]
    container: str = ""
    target: _Target


class _HpaMetric(Part):
    type: Literal["Resource", "ContainerResource"]
    resource: _Resource | None = None
    container_resource: _Resource | None = None

    def metric(self) -> Metric:
        found = self.resource or self.container_resource
        if found is None:
            raise ValueError(f"a metric of type {self.type} names no resource")
        return Metric(found.name, found.target.average_utilization / 100)


class _Autoscaler(Part):
    scale_target_ref: Mapping[str, str]
    min_replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: Annotated[int, Field(ge=1)]
    metrics: Annotated[tuple[_HpaMetric, ...], Field(min_length=1)]
    behavior: Behavior = Behavior()

    def policy(self, name: str) -> Policy:
        metrics = tuple(metric.metric() for metric in self.metrics)
        return Policy(name, self.min_replicas, self.max_replicas, metrics, self.behavior.filled())


KINDS: dict[str, type[_ScaledObject] | type[_Autoscaler]] = {
    "ScaledObject": _ScaledObject,
    "HorizontalPodAutoscaler": _Autoscaler,
}


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a manifest, or of a whole rendered overlay.

    Raises:
        TicketSentimentError: the file is missing or no YAML.
    """
    try:
        return [
            item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if isinstance(item, dict)
        ]
    except FileNotFoundError:
        raise TicketSentimentError(
            f"{path} is missing: name a manifest, or what kustomize rendered"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TicketSentimentError(f"{path} is no YAML: {' '.join(str(error).split())}") from None


def read_policy(path: Path) -> Policy:
    """The first autoscaler of a manifest that scales by what this package knows.

    Args:
        path: of a file with a ScaledObject or a HorizontalPodAutoscaler in it, perhaps among others.

    Raises:
        TicketSentimentError: there is none, or it says something that cannot be followed.
    """
    for item in read_objects(path):
        kind = KINDS.get(str(item.get("kind")))
        if kind is None:
            continue
        name = f"{item['kind']} {item.get('metadata', {}).get('name', '')}".strip()
        try:
            return kind.model_validate(item.get("spec")).policy(name)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TicketSentimentError(f"{path}: {name}: spec.{where}: {first['msg']}") from None
        except (ValueError, KeyError) as error:
            raise TicketSentimentError(f"{path}: {name}: {error}") from None
    raise TicketSentimentError(f"{path}: no ScaledObject and no HorizontalPodAutoscaler in it")
