"""Pods and nodes of a simulated cluster: they start, serve, drain, are interrupted, and end."""

from dataclasses import dataclass

from ticket_sentiment.autoscaling.surroundings import Surroundings

NOTICE_S = 120.0  # of a spot interruption on AWS
# How long requests still go to a pod whose node is gone without a word: --node-monitor-grace-period, which
# has been 40 s and is longer in newer releases.
UNNOTICED_S = 40.0
NEVER = float("inf")


@dataclass
class Pod:
    """Times in seconds; `leaves` is when it gets no request any more, `ends` when it is gone."""

    number: int
    created: float
    ready: float
    leaves: float = NEVER
    ends: float = NEVER
    dies: float = NEVER  # of its node, after the notice
    killed: bool = False


class Fleet:
    """The pods of one Deployment. Call `advance` every second, with whatever happens in between."""

    def __init__(self, around: Surroundings, replicas: int) -> None:
        self._around = around
        self.replicas = replicas  # that there shall be
        self.pods = [Pod(number, 0.0, 0.0) for number in range(replicas)]
        self._numbers = replicas
        self._free: list[tuple[float, float]] = []  # nodes without a pod: ready from, gone after
        self._nodes = replicas
        self._due = NEVER
        self.serving = replicas
        self.unnoticed = 0  # pods that are gone and still get requests
        self.killed = 0  # pods that had no time to drain

    @property
    def nodes(self) -> int:
        """That are paid for."""
        return self._nodes

    @property
    def present(self) -> list[Pod]:
        """Pods that are not being deleted."""
        return [pod for pod in self.pods if pod.leaves == NEVER]

    def scale(self, now: float, wanted: int) -> None:
        """So many pods from now on; those not ready go first, then the youngest (the ReplicaSet's order)."""
        self.replicas = wanted
        present = self.present
        for _ in range(wanted - len(present)):
            self._create(now)
        order = sorted(present, key=lambda pod: (pod.ready > now, pod.ready, pod.number), reverse=True)
        for pod in order[: max(0, len(present) - wanted)]:
            self._delete(pod, now)
        self._count(now)

    def interrupt(self, now: float, share: float) -> None:
        """Notice for the nodes of a share of the pods; Karpenter starts other nodes at once."""
        doomed = self.present[: round(share * len(self.present))]
        for pod in doomed:
            pod.dies = now + NOTICE_S
            self._free.append((now + self._around.node_start_s, now + NOTICE_S + self._around.idle_s))
        self._nodes += len(doomed)
        self._due = now

    def advance(self, now: float) -> None:
        """What is due by now."""
        if now < self._due:
            return
        for pod in self.pods:
            if pod.dies <= now and pod.leaves == NEVER:  # nobody told it to stop
                pod.leaves = pod.dies
                pod.ends, pod.killed = pod.dies + UNNOTICED_S, True
                self.killed += 1
        for pod in [pod for pod in self.pods if pod.ends <= now]:
            self.pods.remove(pod)
            if pod.dies < NEVER:
                self._nodes -= 1
            else:
                self._free.append((now, now + self._around.idle_s))
        self._evict(now)
        for _ in range(self.replicas - len([pod for pod in self.pods if pod.leaves == NEVER or pod.killed])):
            self._create(now)
        kept = [node for node in self._free if node[1] > now]
        self._nodes -= len(self._free) - len(kept)
        self._free = kept
        self._count(now)

    def _evict(self, now: float) -> None:
        """Take pods off interrupted nodes, as many at a time as the PodDisruptionBudget lets go."""
        present = self.present
        doomed = [pod for pod in present if pod.dies < NEVER]
        if not doomed:
            return
        healthy = sum(pod.ready <= now for pod in present)
        allowed = self._around.evictable(self.replicas, healthy)
        for pod in doomed:
            if pod.ready > now:
                self._delete(pod, now)
            elif allowed:
                allowed -= 1
                self._delete(pod, now)

    def _create(self, now: float) -> None:
        around = self._around
        if self._free:
            node = min(self._free)
            self._free.remove(node)
            begins = max(now, node[0])
        else:
            self._nodes += 1
            begins = now + around.node_start_s
        self.pods.append(Pod(self._numbers, now, begins + around.pod_start_s))
        self._numbers += 1

    def _delete(self, pod: Pod, now: float) -> None:
        pod.leaves, pod.ends = now, min(now + self._around.stop_s, pod.dies)

    def _count(self, now: float) -> None:
        self.serving = sum(pod.ready <= now < pod.leaves for pod in self.pods)
        self.unnoticed = sum(pod.killed for pod in self.pods)
        times = [when for pod in self.pods for when in (pod.ready, pod.ends, pod.dies) if when > now] + [
            node[1] for node in self._free
        ]
        self._due = min(times, default=NEVER)
        if any(pod.dies < NEVER and pod.leaves == NEVER for pod in self.pods):
            self._due = now + 1  # an eviction may be allowed at any time
