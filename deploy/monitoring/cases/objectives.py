"""Cases of the objectives."""

from collections.abc import Mapping

from prometheus_client.utils import floatToGoString

from deploy.monitoring.cases.case import JOB, Case, grows, named, stays
from ticket_sentiment.params import Params

BY_JOB = {"job": JOB}
RATE = 600  # requests a minute


def requests(failed: float, rate: float = RATE) -> Mapping[str, str]:
    """Single tickets of which this share fails."""
    arm = {"route": "classify", "arm": "champion"}
    return {
        named("requests_total", code="200", **arm): grows(rate * (1 - failed)),
        named("requests_total", code="503", **arm): grows(rate * failed),
    }


def cases(params: Params) -> tuple[Case, ...]:
    """A fast burn, a slow one, what the budget allows, and a failure of a night without traffic."""
    budget, late_budget = 1 - params.objectives.availability, 1 - params.objectives.in_time
    edge = floatToGoString(params.serve.objective_ms / 1000)

    def timed(late: float) -> Mapping[str, str]:
        return {
            **requests(0),
            named("request_seconds_bucket", route="classify", arm="champion", le=edge): grows(
                RATE * (1 - late)
            ),
            named("request_seconds_count", route="classify", arm="champion"): grows(RATE),
        }

    refused = {  # a client that repeats a wrong key, far more often than tickets come
        named("requests_total", code="401", route="classify", arm=""): grows(100 * RATE),
        named("request_seconds_bucket", route="classify", arm="", le=edge): grows(100 * RATE),
        named("request_seconds_count", route="classify", arm=""): grows(100 * RATE),
    }
    labels = named("requests_total", code="200", route="feedback")
    alone = {  # one ticket in the window, and it is late
        labels: grows(RATE),
        named("request_seconds_bucket", route="classify", arm="champion", le=edge): stays(0),
        named("request_seconds_count", route="classify", arm="champion"): "0x35 1x400",
    }
    few = params.objectives.min_requests / 50  # a minute: fewer than it takes in 40 minutes
    fast, slow, fine = min(1.0, 30 * budget), 4 * budget, budget / 2
    late_fast, late_slow, late_fine = min(1.0, 30 * late_budget), 4 * late_budget, late_budget / 2
    return (
        Case("AvailabilityBurnsFast", "many fail", requests(fast), "40m", BY_JOB, fast),
        Case("AvailabilityBurnsFast", "a slow burn is no matter for the night", requests(slow), "40m"),
        Case(
            "AvailabilityBurnsFast",
            "many fail, and a client is refused all the time",
            requests(fast) | refused,
            "40m",
            BY_JOB,
            fast,
        ),
        Case("AvailabilityBurnsFast", "nearly nobody asks", requests(fast, few), "40m"),
        Case("AvailabilityBurnsSlowly", "some fail, for hours", requests(slow), "40m", BY_JOB, slow),
        Case("AvailabilityBurnsSlowly", "as many as the objective allows", requests(fine), "40m"),
        Case("LatencyBurnsFast", "many are late", timed(late_fast), "40m", BY_JOB, late_fast),
        Case(
            "LatencyBurnsFast",
            "many are late, and a client is refused all the time",
            timed(late_fast) | refused,
            "40m",
            BY_JOB,
            late_fast,
        ),
        Case("LatencyBurnsFast", "a slow burn is no matter for the night", timed(late_slow), "40m"),
        Case("LatencyBurnsFast", "one late ticket among many labels", alone, "40m"),
        Case("LatencyBurnsSlowly", "some are late, for hours", timed(late_slow), "40m", BY_JOB, late_slow),
        Case("LatencyBurnsSlowly", "as many as the objective allows", timed(late_fine), "40m"),
    )
