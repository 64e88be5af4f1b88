"""Cases of the service's processes, its queues and what stands behind it."""

from collections.abc import Mapping

from deploy.monitoring.cases.case import INSTANCE, JOB, MIDDLE, POD, Case, grows, named, stays
from deploy.monitoring.cases.objectives import BY_JOB, RATE
from deploy.monitoring.rules.service import pod_price
from ticket_sentiment.params import Params

UP = f'up{{job="{JOB}",instance="{INSTANCE}"}}'
OTHER = f'up{{job="{JOB}",instance="b:3001"}}'
GPU = {"job": "ticket-sentiment-gpu", "instance": "g:3001"}


def answered(code: str, share: float, rate: float = RATE) -> Mapping[str, str]:
    """Single tickets of which this share gets this code, and the others 200."""
    arm = {"route": "classify", "arm": "champion"}
    return {
        named("requests_total", code="200", **arm): grows(rate * (1 - share)),
        named("requests_total", code=code, **arm): grows(rate * share),
    }


def _processes(params: Params) -> tuple[Case, ...]:
    workers = params.serve.workers
    internal = named("refusals_total", error="internal")
    build = {"arm": "champion", "digest": "d", "model_version": "1"}
    on_cpu = {**build, "backend": "CPUExecutionProvider"}
    on_gpu = {**build, "backend": "CUDAExecutionProvider"}
    on_card = 'up{job="ticket-sentiment-gpu",instance="g:3001"}'
    gone = {UP: stays(1, 10), OTHER: stays(1, 10), on_card: stays(1)}
    return (
        Case("ServiceDown", "no target at all", {"up": stays(1)}, "5m", {}),
        Case("ServiceDown", "one of two is left", {UP: stays(1), OTHER: stays(0)}, "30m"),
        Case("DeploymentDown", "its pods are gone", gone, "40m", BY_JOB, 2),
        Case("DeploymentDown", "its pods crash", {UP: stays(0), on_card: stays(1)}, "10m", BY_JOB, 1),
        Case("DeploymentDown", "one of two is left", {UP: stays(1), OTHER: stays(0)}, "30m"),
        Case("TargetDown", "one of two", {UP: stays(0), OTHER: stays(1)}, "10m", POD),
        Case("TargetDown", "both answer", {UP: stays(1), OTHER: stays(1)}, "10m"),
        Case(
            "WorkersMissing", "one has died", {named("workers"): stays(workers - 1)}, "10m", POD, workers - 1
        ),
        Case("WorkersMissing", "all are there", {named("workers"): stays(workers)}, "10m"),
        Case("InternalErrors", "two in a quarter of an hour", {internal: "0x4 2x60"}, "10m", BY_JOB, 2),
        Case("InternalErrors", "none lately", {internal: "2+0x60"}, "30m"),
        Case(
            "GpuServiceOnCpu",
            "its driver is gone",
            {named("build_info", **GPU, **on_cpu): stays(1)},
            "10m",
            {**GPU, **on_cpu},
            1,
        ),
        Case("GpuServiceOnCpu", "on its card", {named("build_info", **GPU, **on_gpu): stays(1)}, "10m"),
        Case("GpuServiceOnCpu", "it is the CPU service", {named("build_info", **on_cpu): stays(1)}, "10m"),
    )


def _load(params: Params) -> tuple[Case, ...]:
    held, serve = params.objectives, params.serve
    shed, limited = min(1.0, 2 * held.max_shed), min(1.0, 2 * held.max_limited)
    wait = held.max_queue_wait * serve.objective_ms / 1000
    full = (1 + held.max_saturation) / 2

    def used(metric: str, limit: int, share: float) -> Mapping[str, str]:
        taken = share * limit * serve.workers
        return {named(metric): stays(taken), named("workers"): stays(serve.workers)}

    return (
        Case("RequestsShed", "overload", answered("503", shed), "30m", BY_JOB, shed),
        Case("RequestsShed", "a little of it", answered("503", held.max_shed / 2), "30m"),
        Case("RequestsShed", "a key above its rate is no overload", answered("429", shed), "30m"),
        Case("ClientsLimited", "a key above its rate", answered("429", limited), "40m", BY_JOB, limited),
        Case("ClientsLimited", "now and then", answered("429", held.max_limited / 2), "40m"),
        Case("QueueWaitHigh", "long", {named("queue_wait_seconds"): stays(2 * wait)}, "15m", POD, 2 * wait),
        Case("QueueWaitHigh", "short", {named("queue_wait_seconds"): stays(wait / 2)}, "15m"),
        Case(
            "InFlightNearLimit", "nearly full", used("in_flight", serve.max_in_flight, full), "15m", POD, full
        ),
        Case("InFlightNearLimit", "half full", used("in_flight", serve.max_in_flight, full / 2), "15m"),
        Case("QueueNearLimit", "nearly full", used("queue_length", serve.max_queue, full), "15m", POD, full),
        Case("QueueNearLimit", "half full", used("queue_length", serve.max_queue, full / 2), "15m"),
    )


def _behind(params: Params) -> tuple[Case, ...]:
    held = params.objectives
    away = min(1.0, 2 * held.max_fallbacks)

    def remote(share: float) -> Mapping[str, str]:
        return {
            named("remote_fallbacks_total"): grows(100 * share),
            named("remote_answers_total"): grows(100 * (1 - share)),
        }

    def reached(processes: int) -> Mapping[str, str]:
        return {named("events_available"): stays(processes), named("workers"): stays(2)}

    return (
        Case("RemoteAway", "it answers some only", remote(away), "20m", BY_JOB, away),
        Case("RemoteAway", "it answers nearly all", remote(held.max_fallbacks / 2), "20m"),
        Case(
            "RemoteAway", "none is configured", remote(0) | {named("remote_answers_total"): stays(0)}, "20m"
        ),
        Case(
            "SharedCacheErrors", "Redis is away", {named("cache_errors_total"): grows(6)}, "30m", BY_JOB, 60
        ),
        Case("SharedCacheErrors", "it was away long ago", {named("cache_errors_total"): stays(99)}, "30m"),
        Case("EventsUnavailable", "one of two processes", reached(1), "15m", BY_JOB, 1),
        Case("EventsUnavailable", "both reach it", reached(2), "15m"),
        Case("EventsDropped", "some are lost", {named("events_dropped_total"): grows(4)}, "20m", BY_JOB, 60),
        Case("EventsDropped", "none lately", {named("events_dropped_total"): stays(99)}, "20m"),
    )


def _cache(params: Params) -> tuple[Case, ...]:
    low = 0.4 * (1 - params.objectives.max_cache_fall) / 2
    day = 24 * 6  # steps

    def cached(later: float, usual: float = 1000) -> Mapping[str, str]:
        """40 % of the look-ups hit for a day, then another share of 1000 a step."""
        return {
            named(
                f"cache_{name}_total"
            ): f"0+{usual * a:g}x{day} {usual * a * day + 1000 * b:g}+{1000 * b:g}x11"
            for name, a, b in (("hits", 0.4, later), ("misses", 0.6, 1 - later))
        }

    return (
        Case("CacheHitRateFell", "to a fraction", cached(low), "25h50m", BY_JOB, low, step=MIDDLE),
        Case("CacheHitRateFell", "by little", cached(0.35), "25h50m", step=MIDDLE),
        Case(
            "CacheHitRateFell", "after a day of a look-up now and then", cached(low, 1), "25h50m", step=MIDDLE
        ),
    )


def _cost(params: Params) -> tuple[Case, ...]:
    """A day with so many pods more than the least, and requests of which 1,000 cost so much for these."""
    costs, held = params.costs, params.objectives
    budget, steps = held.max_usd_per_1000, 24 * 6
    price, least = pod_price(params, costs.cpu_instance), held.least_pods.cpu
    arm = {"route": "classify", "arm": "champion", "code": "200"}

    def day(pods: int, requests: float, job: str = JOB) -> Mapping[str, str]:
        up = {f'up{{job="{job}",instance="{pod}:3001"}}': stays(1, 2 * steps) for pod in range(pods)}
        return {**up, named("requests_total", job=job, **arm): grows(requests / steps, 2 * steps)}

    def added(usd_per_1000: float) -> Mapping[str, str]:
        return day(least + 2, 2 * 24 * price / usd_per_1000 * 1000)

    usual = costs.tickets_per_day or 2 * held.min_requests
    rarely = {**day(least, usual), **day(held.least_pods.gpu, usual, f"{JOB}-gpu")}
    return (
        Case("CostAboveBudget", "few requests", added(2 * budget), "30h", BY_JOB, 2 * budget, step=MIDDLE),
        Case("CostAboveBudget", "many requests", added(budget / 2), "30h", step=MIDDLE),
        Case("CostAboveBudget", "few requests, the least pods", rarely, "30h", step=MIDDLE),
    )


def cases(params: Params) -> tuple[Case, ...]:
    """All of them."""
    return (*_processes(params), *_load(params), *_behind(params), *_cache(params), *_cost(params))
