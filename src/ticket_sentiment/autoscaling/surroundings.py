"""How fast pods come and go and when they are measured, read from the manifests where they say it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ticket_sentiment.autoscaling.policy import read_objects
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params

MANIFESTS = Path("deploy/kubernetes")
MONITOR = "components/monitoring/service-monitor.yaml"
DEPLOYMENT = "base/service/deployment.yaml"
BUDGET = "base/service/disruption.yaml"
POOLS = "overlays/eks/nodes.yaml"
SPOT_POOL = "ticket-sentiment-burst"
UNITS = {"s": 1, "m": 60, "h": 3600}
MEBIBYTES = {"Mi": 1.0, "Gi": 1024.0}


@dataclass(frozen=True)
class Surroundings:
    """Times in seconds.

    Attributes:
        node_start_s: from a pod that finds no room to a node that takes it.
        pod_start_s: from a pod on a node to one that is ready.
        stop_s: from a pod's deletion to its end.
        idle_s: that an empty node stays.
        scrape_s: between two scrapes.
        memory: share of the requested memory that a pod uses.
        unavailable: pods that a drain may take at once: a number, or a share.
    """

    node_start_s: float
    pod_start_s: float
    stop_s: float
    idle_s: float
    scrape_s: float
    memory: float
    unavailable: int | float

    def evictable(self, replicas: int, healthy: int) -> int:
        """Healthy pods that may be evicted now, of so many that there shall be.

        A share is rounded up (the disruption controller's GetScaledValueFromIntOrPercent).
        """
        most = (
            self.unavailable if isinstance(self.unavailable, int) else math.ceil(replicas * self.unavailable)
        )
        return max(0, healthy - (replicas - most))


def read_surroundings(params: Params, folder: Path = MANIFESTS) -> Surroundings:
    """From the manifests, and section autoscale for what no file states.

    Raises:
        TicketSentimentError: a manifest is missing, or does not say what it should.
    """
    pod = _one(folder / DEPLOYMENT, "Deployment", "template", "spec")
    container = pod["containers"][0]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    (endpoint,) = _one(folder / MONITOR, "ServiceMonitor", "endpoints")
    pool = _one(folder / POOLS, "NodePool", "disruption", name=SPOT_POOL)
    budget = _one(folder / BUDGET, "PodDisruptionBudget", "maxUnavailable")
    return Surroundings(
        node_start_s=params.autoscale.node_start_s,
        pod_start_s=params.autoscale.pod_start_s,
        stop_s=pause + params.serve.drain_seconds,
        idle_s=seconds(pool["consolidateAfter"]),
        scrape_s=seconds(endpoint["interval"]),
        memory=params.autoscale.pod_memory_mb / mebibytes(container["resources"]["requests"]["memory"]),
        unavailable=budget if isinstance(budget, int) else float(budget.rstrip("%")) / 100,
    )


def seconds(text: str) -> float:
    """ "15s" or "2m" in seconds."""
    return float(text[:-1]) * UNITS[text[-1]]


def mebibytes(text: str) -> float:
    """ "600Mi" or "1Gi" in mebibytes."""
    return float(text[:-2]) * MEBIBYTES[text[-2:]]


def _one(path: Path, kind: str, *keys: str, name: str | None = None) -> Any:
    """What an object of a file has in its spec, at the end of `keys`."""
    for item in read_objects(path):
        if item.get("kind") != kind or (name is not None and item["metadata"]["name"] != name):
            continue
        place: Any = item["spec"]
        for key in keys:
            if not isinstance(place, dict) or key not in place:
                raise TicketSentimentError(
                    f"{path}: {kind}: no {key} in it, which a trial of the policy needs"
                )
            place = place[key]
        return place
    raise TicketSentimentError(f"{path}: no {kind}{f' {name}' if name else ''} in it")
