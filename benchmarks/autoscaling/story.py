"""The load grows, half of the pods are interrupted, and the metrics are lost while the load falls."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.autoscaling.balancer import Balancer
from benchmarks.autoscaling.callers import Callers, Outcome
from benchmarks.autoscaling.cluster import Cluster
from ticket_sentiment.autoscaling.policy import Policy

HOLD_S = 1.5  # that a caller takes on average to send its ticket
PATIENCE_S = 120.0  # for pods to come, on a busy machine


@dataclass(frozen=True)
class Plan:
    """How long each part takes, in seconds, and how many pods play.

    Attributes:
        lapse: how many times faster than in a cluster the policy's clock runs.
        low: pods at the start, and fewest.
        high: pods that the load asks for when it has grown, and most.
        calm_s: of each quiet part.
        lost_s: without metrics, the load having fallen; longer than the policy's window for scaling down.
        back_s: with metrics again, until the trial ends; 0 ends it before.
    """

    lapse: float
    low: int
    high: int
    calm_s: float
    lost_s: float
    back_s: float


@dataclass
class Told:
    """What was seen.

    Attributes:
        most: pods that served at once, at most.
        interrupted: pods that got SIGTERM.
        replaced_s: until as many served again.
        lost_from: replicas when the metrics were lost.
        lost_to: replicas when they were back.
        last: replicas at the end.
    """

    outcome: Outcome
    most: int = 0
    interrupted: int = 0
    replaced_s: float = 0.0
    lost_from: int = 0
    lost_to: int = 0
    last: int = 0


def of_one_machine(policy: Policy, plan: Plan) -> Policy:
    """The shipped policy, faster, with fewer pods, and by the requests in flight alone.

    Processor and memory belong to the machine here, which all pods share.
    """
    metrics = tuple(metric for metric in policy.metrics if metric.kind == "in_flight")
    fallback = policy.fallback and policy.fallback.model_copy(update={"replicas": plan.low})
    smaller = replace(policy, minimum=plan.low, maximum=plan.high, metrics=metrics, fallback=fallback)
    return smaller.sped_up(plan.lapse)


class Story:
    """One trial, told as it goes on."""

    def __init__(
        self, plan: Plan, policy: Policy, cluster: Cluster, callers: Callers, say: Callable[[str], None]
    ) -> None:
        self._plan, self._cluster, self._callers, self._say = plan, cluster, callers, say
        self._target = policy.metrics[0].target
        self.rate = 0.0
        self._part = "the first pods start"
        self._began = time.monotonic()
        self.told = Told(callers.outcome)

    def load(self, pods: float) -> None:
        """From now on callers keep just so much in flight that it asks for so many pods."""
        self.rate = pods * self._target / HOLD_S

    async def tell(self) -> None:
        """All parts, one after the other."""
        plan, cluster, told = self._plan, self._cluster, self.told
        await self._until(lambda: len(cluster.serving) >= plan.low, "the first pods are ready")
        await self._go_on("a calm load", plan.calm_s, plan.low - 0.4)
        self.load(plan.high - 0.4)
        self._part = "the load grows"
        await self._until(lambda: len(cluster.serving) >= plan.high, "enough pods serve")
        await self._go_on("a high load", plan.calm_s, plan.high - 0.4)
        await self._until(lambda: len(cluster.serving) >= plan.high, "enough pods serve still")
        self._part = "half of the pods are interrupted"
        told.interrupted, since = cluster.interrupt(0.5), time.monotonic()
        await self._until(lambda: len(cluster.serving) >= plan.high, "as many pods serve again")
        told.replaced_s = time.monotonic() - since
        cluster.metrics_lost, told.lost_from = True, cluster.replicas
        await self._go_on("the metrics are lost, the load falls", plan.lost_s, plan.low - 0.4)
        told.lost_to, cluster.metrics_lost = cluster.replicas, False
        if plan.back_s:
            await self._go_on("the metrics are back", plan.back_s, plan.low - 0.4)
        told.last = cluster.replicas

    async def _go_on(self, part: str, seconds: float, pods: float) -> None:
        self._part = part
        self.load(pods)
        until = time.monotonic() + seconds
        await self._until(lambda: time.monotonic() >= until, part)

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        deadline, next_line = time.monotonic() + PATIENCE_S, 0.0
        while not true():
            now = time.monotonic()
            self._cluster.broken()
            self.told.most = max(self.told.most, len(self._cluster.serving))
            if now > next_line:
                self._line(now)
                next_line = now + 1
            if now > deadline:
                raise RuntimeError(f"{what}: not within {PATIENCE_S:g} s")
            await asyncio.sleep(0.05)
        self.told.most = max(self.told.most, len(self._cluster.serving))

    def _line(self, now: float) -> None:
        cluster, outcome = self._cluster, self._callers.outcome
        seen = "   -" if cluster.reading is None else f"{cluster.reading:4.0f}"
        self._say(
            f"{now - self._began:5.0f} s  {self.rate:4.0f} requests/s  in flight {seen}  "
            f"replicas {cluster.replicas}  serving {len(cluster.serving)}  answered {outcome.answered:6,}  "
            f"failed {outcome.failed}  {self._part}"
        )


async def run(
    plan: Plan,
    policy: Policy,
    bundle: Path,
    folder: Path,
    times: tuple[float, float],
    say: Callable[[str], None],
) -> Told:
    """Tell it with real processes.

    Args:
        plan: of the trial.
        policy: as it is shipped.
        bundle: that the pods serve.
        folder: an empty one.
        times: seconds between two scrapes, and of preStop, in a cluster.
        say: hears a line each second.
    """
    tried = of_one_machine(policy, plan)
    scrape_s, pause_s = (one / plan.lapse for one in times)
    story: Story | None = None
    async with Balancer(folder) as balancer:
        callers = Callers(balancer.port, HOLD_S, lambda: story.rate if story else 0.0)
        async with Cluster(folder, bundle, tried, balancer, max(pause_s, 0.5), scrape_s) as cluster:
            story = Story(plan, tried, cluster, callers, say)
            while len(cluster.serving) < plan.low:  # nobody calls before somebody answers
                cluster.broken()
                await asyncio.sleep(0.1)
            async with callers:
                await story.tell()
    return story.told
