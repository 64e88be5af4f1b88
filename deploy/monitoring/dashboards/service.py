"""Is the service well? Objectives first, then what explains them."""

from prometheus_client.utils import floatToGoString

from deploy.monitoring.dashboards.panel import ORANGE, RED, SELECTED, Dashboard, Panel, Query, Row
from deploy.monitoring.dashboards.queries import ASKED, part, quantile, rate, seconds, series
from deploy.monitoring.rules.objectives import FAST, FAULTS, PROMISED, SINGLE, objectives
from deploy.monitoring.rules.rule import TICKETS
from ticket_sentiment.params import Params

YOUNG = "a day's cost takes five minutes of data, and objectives.min_requests"


def _objectives(params: Params) -> Row:
    held, edge = params.objectives, floatToGoString(params.serve.objective_ms / 1000)
    asked = f"sum(increase({series('requests_total', PROMISED)}[$__range]))"
    failed = f"sum(increase({series('requests_total', f'{PROMISED},{FAULTS}')}[$__range]))"
    timed = f"sum(increase({series('request_seconds_count', SINGLE)}[$__range]))"
    soon = f'{SINGLE},le="{edge}"'
    early = f"sum(increase({series('request_seconds_bucket', soon)}[$__range]))"
    fine = f"1 - ({failed} or {asked} * 0) / ({asked} > 0)"
    in_time = f"{early} / ({timed} > 0)"
    left = "of the range's error budget is left; below 0 the objective is missed"

    def stat(title: str, expr: str, words: str, *limits: tuple[float, str], base: str = RED) -> Panel:
        return Panel(
            title, (Query(expr, title),), "percentunit", words, limits, kind="stat", base=base, width=6
        )

    def budget(share: str, objective: float) -> str:
        return f"1 - (1 - ({share})) / {1 - objective:.6g}"

    burn = tuple(
        Query(f"{o.record}1h{{{SELECTED}}} / {o.budget:.6g}", f"{o.name.lower()}, {{{{job}}}}")
        for o in objectives(params)
    )
    return Row(
        "Objectives, over the range that is shown",
        (
            stat(
                "Answered",
                fine,
                f"Requests that no fault of ours failed; objective {held.availability:.3%}",
                (held.availability, "green"),
            ),
            stat("Availability budget", budget(fine, held.availability), left, (0, ORANGE), (0.25, "green")),
            stat(
                "In time",
                in_time,
                f"Single tickets within {params.serve.objective_ms:g} ms; objective {held.in_time:.2%}",
                (held.in_time, "green"),
            ),
            stat("Latency budget", budget(in_time, held.in_time), left, (0, ORANGE), (0.25, "green")),
            Panel(
                "Burn rate of the budgets (1 h)",
                burn,
                "short",
                "At 1 a budget of 30 days is used up after them; the lines are where people are paged.",
                tuple((factor, RED) for factor, *_ in reversed(FAST)),
                width=24,
            ),
        ),
    )


def _traffic() -> Row:
    return Row(
        "Traffic and errors",
        (
            Panel(
                "Requests",
                (Query(rate("requests", "route"), "{{route}}"),),
                "reqps",
                "By route; `other` is what is not there.",
            ),
            Panel(
                "Answers by code",
                (Query(rate("requests", "code"), "{{code}}"),),
                "reqps",
                "5xx are faults of ours and burn the budget; 429 is a key above its rate.",
                stacked=True,
            ),
            Panel(
                "Refusals by reason",
                (Query(f"{rate('refusals', 'error')} > 0", "{{error}}"),),
                "reqps",
                "Requests, and single tickets of a batch, by the stable code that the client got.",
            ),
        ),
    )


def _latency(params: Params) -> Row:
    objective = params.serve.objective_ms / 1000
    return Row(
        "Latency of single tickets",
        (
            Panel(
                "Latency against the objective",
                tuple(Query(seconds(q), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)),
                "s",
                "From a request's head to its answer; as fine as the histogram's buckets.",
                ((objective, RED),),
            ),
            Panel(
                "Later than the objective",
                (Query(f"job:ticket_sentiment_late:ratio_rate5m{{{SELECTED}}}", "{{job}}"),),
                "percentunit",
                "Share over five minutes.",
                ((1 - params.objectives.in_time, RED),),
            ),
            Panel(
                "Wait for the model",
                (Query(series("queue_wait_seconds"), "{{instance}}"),),
                "s",
                "What a new text would wait, in the worst process.",
                ((params.objectives.max_queue_wait * objective, RED),),
            ),
        ),
    )


def _load(params: Params) -> Row:
    serve, full = params.serve, params.objectives.max_saturation
    return Row(
        "Load",
        (
            Panel(
                "In flight",
                (
                    Query(
                        f"{series('in_flight')} / ({series('workers')} * {serve.max_in_flight})",
                        "{{instance}}",
                    ),
                ),
                "percentunit",
                "Of serve.max_in_flight of all workers; above all of it requests are refused.",
                ((full, RED),),
            ),
            Panel(
                "Queue",
                (
                    Query(
                        f"{series('queue_length')} / ({series('workers')} * {serve.max_queue})",
                        "{{instance}}",
                    ),
                ),
                "percentunit",
                "Of serve.max_queue of all workers; above all of it requests are refused.",
                ((full, RED),),
            ),
            Panel(
                "Workers",
                (Query(series("workers"), "{{instance}}"),),
                "short",
                "Processes that answer; nobody restarts one in a container, so the pod must.",
                ((serve.workers, "green"),),
                base=RED,
            ),
            Panel(
                "Texts scored",
                (Query(rate("model_runs", "instance"), "{{instance}}"),),
                "ops",
                "By a model, for an answer; the cache answers the others.",
            ),
            Panel(
                "Work not done",
                (Query(rate("expired"), "time was over"), Query(rate("callers_gone"), "caller gone")),
                "ops",
                "Texts whose deadline passed in the queue, and requests whose caller left.",
            ),
            Panel(
                "Overload",
                (
                    Query(
                        part(rate("requests", labels=f'{TICKETS},code=~"503|504"'), ASKED),
                        "refused or too late",
                    ),
                ),
                "percentunit",
                "Share of the requests with tickets.",
                ((params.objectives.max_shed, RED),),
            ),
        ),
    )


def _cache() -> Row:
    hits, misses = rate("cache_hits"), rate("cache_misses")
    return Row(
        "Cache",
        (
            Panel(
                "Hit rate",
                (Query(f"{hits} / ({hits} + {misses} > 0)", "hits"),),
                "percentunit",
                "It falls after a new model, whose cache is empty, and when tickets repeat less.",
            ),
            Panel(
                "Look-ups",
                (
                    Query(hits, "hit"),
                    Query(misses, "miss"),
                    Query(rate("cache_shared"), "waited for an equal text"),
                ),
                "ops",
                "Answers from the cache and beside it.",
                stacked=True,
            ),
            Panel(
                "Shared cache",
                (
                    Query(rate("cache_errors"), "errors"),
                    Query(f"sum({series('cache_shared_available')})", "processes that reach it"),
                ),
                "short",
                "Redis; without one both are 0, and each process has its own cache.",
            ),
        ),
    )


def _remote(params: Params) -> Row:
    answers, fallbacks = rate("remote_answers"), rate("remote_fallbacks")
    empty = "no other service is configured (serve.remote)"
    return Row(
        "The other service, for urgent tickets and large batches",
        (
            Panel(
                "Calls by outcome",
                (Query(rate("remote_requests", "outcome"), "{{outcome}}"),),
                "reqps",
                "`answered` is good; the others say what was wrong, or why none was made.",
                width=6,
                without=empty,
            ),
            Panel(
                "Answered here instead",
                (Query(f"{fallbacks} / ({fallbacks} + {answers} > 0)", "fallbacks"),),
                "percentunit",
                "Share of the tickets meant for the other service.",
                ((params.objectives.max_fallbacks, RED),),
                width=6,
                without=empty,
            ),
            Panel(
                "Circuit breaker",
                (
                    Query(
                        f"sum({series('remote_available')}) / sum({series('workers')})", "processes that ask"
                    ),
                ),
                "percentunit",
                "Share of the processes that ask the other service now; 0 where none is configured.",
                width=6,
            ),
            Panel(
                "Time of calls",
                tuple(Query(quantile(q, "remote_seconds"), f"p{100 * q:g}") for q in (0.5, 0.95)),
                "s",
                "Until their outcome.",
                ((params.serve.remote.timeout_ms / 1000, RED),),
                width=6,
                without=empty,
            ),
        ),
    )


def _events() -> Row:
    return Row(
        "Events, costs and what runs",
        (
            Panel(
                "Records",
                (Query(rate("events_written"), "written"), Query(rate("events_dropped"), "dropped")),
                "ops",
                "Predictions and exposures; a dropped one is missing in the rollout's evidence.",
                width=6,
            ),
            Panel(
                "Waiting records",
                (Query(series("events_queue_length"), "{{instance}}"),),
                "short",
                "It grows while the event database is away or slow.",
                width=6,
            ),
            Panel(
                "Processes that reach the event database",
                (Query(f"sum({series('events_available')}) / sum({series('workers')})", "share"),),
                "percentunit",
                "Below 1 feedback is refused by some.",
                ((1, "green"),),
                base=RED,
                width=6,
            ),
            Panel(
                "1,000 requests cost",
                (Query(f"job:ticket_sentiment_usd_per_1000:1d{{{SELECTED}}}", "{{job}}"),),
                "currencyUSD",
                "Over a day, each pod as an instance of its own, on demand.",
                width=6,
                without=YOUNG,
            ),
            Panel(
                "Builds",
                (Query(f"{series('build_info')} == 1", ""),),
                "short",
                "What is loaded where: arm, digest, model version, backend.",
                kind="table",
                width=24,
            ),
        ),
    )


def dashboard(params: Params) -> Dashboard:
    """All rows."""
    return Dashboard(
        "ticket-sentiment-service",
        "Ticket Sentiment: service",
        "Is the service well? Objectives first, then what explains them.",
        (
            _objectives(params),
            _traffic(),
            _latency(params),
            _load(params),
            _cache(),
            _remote(params),
            _events(),
        ),
    )
