"""Alerts on the service's processes, its queues and what stands behind it."""

from deploy.manifests.render import ROOT
from deploy.monitoring.rules.rule import JOBS, TICKETS, Alert, Record, Rule, enough, share, ticket
from ticket_sentiment.costs.prices import find_price, load_prices
from ticket_sentiment.params import Params

INTERNAL = 'error="internal"'
PERCENT = "{{ $value | humanizePercentage }}"
PLAIN = '{{ printf "%.0f" $value }}'
JOB = "{{ $labels.job }}"
WHERE = "{{ $labels.job }} on {{ $labels.instance }}"


def total(name: str, window: str, labels: str = "", by: str = "job") -> str:
    """How much a counter has grown in a window, over all processes."""
    chosen = f"{JOBS},{labels}" if labels else JOBS
    return f"sum by ({by}) (increase(ticket_sentiment_{name}_total{{{chosen}}}[{window}]))"


def mean(name: str, window: str = "5m") -> str:
    """Of a gauge of each pod."""
    return f"avg_over_time(ticket_sentiment_{name}{{{JOBS}}}[{window}])"


def _processes(params: Params) -> tuple[Rule, ...]:
    workers = params.serve.workers
    return (
        Alert(
            "ServiceDown",
            f"absent(up{{{JOBS}}} == 1)",
            "2m",
            "page",
            "Prometheus reaches no process of the service",
        ),
        # Another job that answers, as the GPU service, does not hide that this one is gone altogether.
        Alert(
            "DeploymentDown",
            f"count by (job) (count_over_time(up{{{JOBS}}}[1d])) unless count by (job) (up{{{JOBS}}} == 1)",
            "2m",
            "page",
            f"Prometheus reaches no process of {JOB}, which was there within a day",
        ),
        ticket("TargetDown", f"up{{{JOBS}}} == 0", "5m", f"{WHERE} does not answer Prometheus"),
        ticket(
            "WorkersMissing",
            f"ticket_sentiment_workers{{{JOBS}}} < {workers}",
            "5m",
            f"{WHERE}: {PLAIN} of {workers} workers answer",
        ),
        ticket(
            "InternalErrors",
            f"{total('refusals', '15m', INTERNAL)} > 0",
            "0m",
            f"{JOB}: requests or tickets failed inside the service: {PLAIN} in 15 minutes",
        ),
    )


def _load(params: Params) -> tuple[Rule, ...]:
    held, serve = params.objectives, params.serve
    requests = total("requests", "10m", TICKETS)
    counted = enough(requests, params)
    shed = total("requests", "10m", f'{TICKETS},code=~"503|504"')
    limited = total("requests", "10m", f'{TICKETS},code="429"')
    wait = held.max_queue_wait * serve.objective_ms / 1000
    in_flight = f"{mean('in_flight')} / ({mean('workers')} * {serve.max_in_flight})"
    queued = f"{mean('queue_length')} / ({mean('workers')} * {serve.max_queue})"
    return (
        ticket(
            "RequestsShed",
            f"{share(shed, requests)} > {held.max_shed} and {counted}",
            "10m",
            f"{JOB}: {PERCENT} of the requests with tickets are refused for overload or come too late",
        ),
        ticket(
            "ClientsLimited",
            f"{share(limited, requests)} > {held.max_limited} and {counted}",
            "15m",
            f"{JOB}: {PERCENT} of the requests with tickets are above their key's rate (429)",
        ),
        ticket(
            "QueueWaitHigh",
            f"{mean('queue_wait_seconds')} > {wait:.6g}",
            "5m",
            f'{WHERE}: a new text would wait {{{{ printf "%.3f" $value }}}} s for the model; '
            f"the objective is {serve.objective_ms:g} ms",
        ),
        ticket(
            "InFlightNearLimit",
            f"{in_flight} > {held.max_saturation}",
            "5m",
            f"{WHERE}: {PERCENT} of serve.max_in_flight are in use; at 100% requests are refused",
        ),
        ticket(
            "QueueNearLimit",
            f"{queued} > {held.max_saturation}",
            "5m",
            f"{WHERE}: {PERCENT} of serve.max_queue are in use; at 100% requests are refused",
        ),
    )


def _behind(params: Params) -> tuple[Rule, ...]:
    held = params.objectives
    fallbacks, answers = total("remote_fallbacks", "10m"), total("remote_answers", "10m")
    hits, misses = total("cache_hits", "1h"), total("cache_misses", "1h")
    rate = f"{hits} / ({hits} + {misses})"
    before, looked_up_before = (
        query.replace("[1h]", "[1h] offset 1d") for query in (rate, f"{hits} + {misses}")
    )
    events, workers = (
        f"sum by (job) (ticket_sentiment_{n}{{{JOBS}}})" for n in ("events_available", "workers")
    )
    return (
        ticket(
            "RemoteAway",
            f"{fallbacks} / ({fallbacks} + ({answers} or {fallbacks} * 0)) > {held.max_fallbacks} "
            f"and {fallbacks} >= 10",
            "5m",
            f"{JOB}: {PERCENT} of the tickets meant for the other service are answered here instead",
        ),
        ticket(
            "GpuServiceOnCpu",
            'ticket_sentiment_build_info{job=~"ticket-sentiment.*gpu.*",backend="CPUExecutionProvider"} == 1',
            "5m",
            f"{WHERE}: the GPU service answers on the CPU",
        ),
        ticket(
            "CacheHitRateFell",
            f"{rate} < {1 - held.max_cache_fall:.6g} * ({before}) and {before} > 0.1 "
            f"and {enough(f'{hits} + {misses}', params)} and {enough(looked_up_before, params)}",
            "15m",
            f"{JOB}: {PERCENT} of the look-ups hit the cache; a day before it was far more",
        ),
        ticket(
            "SharedCacheErrors",
            f"{total('cache_errors', '10m')} > 0",
            "10m",
            f"{JOB}: {PLAIN} look-ups in Redis failed in 10 minutes; processes use their own cache",
        ),
        ticket(
            "EventsUnavailable",
            f"{events} < {workers}",
            "5m",
            f"{JOB}: only {PLAIN} processes reach the event database; feedback is refused elsewhere",
        ),
        ticket(
            "EventsDropped",
            f"{total('events_dropped', '15m')} > 0",
            "0m",
            f"{JOB}: {PLAIN} predictions and exposures were lost in 15 minutes",
        ),
        ticket(
            "CostAboveBudget",
            f"job:ticket_sentiment_added_usd_per_1000:1d > {held.max_usd_per_1000}",
            "1h",
            f"{JOB}: the pods above objectives.least_pods cost "
            f'${{{{ printf "%.2f" $value }}}} for 1,000 requests over a day; '
            f"the budget is ${held.max_usd_per_1000:.2f}",
        ),
    )


def pod_price(params: Params, instance: str) -> float:
    """US dollars an hour."""
    return find_price(load_prices(ROOT / params.costs.prices), instance, "costs").usd_per_hour


def costs(params: Params) -> tuple[Rule, ...]:
    """What 1,000 answered requests cost: the pods of a day, each an instance of its own.

    All of them, and those above the least number, which is paid whatever the traffic: only that shows an
    autoscaler, or a person, who adds more than the requests are worth.
    """
    held, whole, added = params.objectives.least_pods, [], []
    for kind, instance, least in (
        ("!~", params.costs.cpu_instance, held.cpu),
        ("=~", params.costs.gpu_instance, held.gpu),
    ):
        chosen = f'job{kind}".*gpu.*"'
        answered = enough(total("requests", "1d", f'{chosen},{TICKETS},code="200"'), params)
        pods, price = f"sum by (job) (up{{{JOBS},{chosen}}})", 1000 * pod_price(params, instance)
        for made, counted in ((whole, f"({pods})"), (added, f"clamp_min({pods} - {least}, 0)")):
            made.append(f"sum_over_time({counted}[1d:5m]) / 12 * {price:g} / ({answered})")
    return (
        Record("job:ticket_sentiment_usd_per_1000:1d", " or ".join(whole)),
        Record("job:ticket_sentiment_added_usd_per_1000:1d", " or ".join(added)),
    )


def rules(params: Params) -> tuple[Rule, ...]:
    """All of them."""
    return (*_processes(params), *_load(params), *costs(params), *_behind(params))
