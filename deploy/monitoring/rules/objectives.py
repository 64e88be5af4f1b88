"""The two objectives, and alerts on how fast their error budgets burn.

Windows and factors: Google's Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts",
table 5-8, and Sloth's pair of 1 day and 2 hours. A budget is what an objective leaves for 30 days; at burn
rate 1 it is gone after them. The long window says that it matters, the short one that it still goes on.
"""

from dataclasses import dataclass

from prometheus_client.utils import floatToGoString

from deploy.monitoring.rules.rule import JOBS, Alert, Record, Rule, enough, share
from ticket_sentiment.params import Params

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
FAST = ((14.4, "1h", "5m"), (6.0, "6h", "30m"))  # burn rate, long and short window
SLOW = ((3.0, "1d", "2h"), (1.0, "3d", "6h"))
# Not what a wrong key or another mistake got: who repeats one in a loop would hide that others get nothing.
PROMISED = 'route=~"classify|batch|feedback",code!~"4.."'
SINGLE = 'route="classify",arm!=""'  # of which a model was asked; a batch takes as long as it is large
FAULTS = 'code=~"5.."'  # shed load (503) and missed deadlines (504), too: the caller got no answer


@dataclass(frozen=True)
class Objective:
    """A promise, and the shares of requests that broke it."""

    name: str  # of its alerts
    record: str  # name of its ratios, without the window
    budget: float  # share of requests that may break it
    broke: str  # share that did, with the window left open as {window}
    counted: str  # how many there were, the window left open
    words: str


def objectives(params: Params) -> tuple[Objective, ...]:
    """Those of params.yaml."""
    held, serve = params.objectives, params.serve
    edge = floatToGoString(serve.objective_ms / 1000)
    requests = f"sum by (job) (rate(ticket_sentiment_requests_total{{{JOBS},{PROMISED}}}[{{window}}]))"
    failed = requests.replace(PROMISED, f"{PROMISED},{FAULTS}")
    timed = f"sum by (job) (rate(ticket_sentiment_request_seconds_count{{{JOBS},{SINGLE}}}[{{window}}]))"
    in_time = (
        f'sum by (job) (rate(ticket_sentiment_request_seconds_bucket{{{JOBS},{SINGLE},le="{edge}"}}'
        "[{window}]))"
    )
    return (
        Objective(
            "Availability",
            "job:ticket_sentiment_failed:ratio_rate",
            1 - held.availability,
            share(failed, requests),
            requests.replace("rate(", "increase("),
            "of the requests fail",
        ),
        Objective(
            "Latency",
            "job:ticket_sentiment_late:ratio_rate",
            1 - held.in_time,
            f"1 - {in_time} / {timed}",
            timed.replace("rate(", "increase("),
            f"of the tickets are answered later than {serve.objective_ms:g} ms",
        ),
    )


def _open(text: str, window: str) -> str:
    """Fill the window in; other braces are PromQL's."""
    return text.replace("{window}", window)


def burns(objective: Objective, pairs: tuple[tuple[float, str, str], ...], params: Params) -> str:
    """True while the budget burns faster than any pair of windows allows."""
    conditions = []
    for factor, long, short in pairs:
        limit = f"{factor * objective.budget:.6g}"
        counted = enough(_open(objective.counted, long), params)
        conditions.append(
            f"({objective.record}{long} > {limit} and {objective.record}{short} > {limit} and {counted})"
        )
    return " or ".join(conditions)


def rules(params: Params) -> tuple[Rule, ...]:
    """A ratio for each window, a page for a fast burn, a ticket for a slow one."""
    made: list[Rule] = []
    for objective in objectives(params):
        made += [Record(f"{objective.record}{window}", _open(objective.broke, window)) for window in WINDOWS]
    for objective in objectives(params):
        left = f"the objective allows {100 * objective.budget:.4g}% over 30 days"
        said = f"{{{{ $labels.job }}}}: {{{{ $value | humanizePercentage }}}} {objective.words}; {left}"
        made += [
            Alert(f"{objective.name}BurnsFast", burns(objective, FAST, params), "2m", "page", said),
            Alert(f"{objective.name}BurnsSlowly", burns(objective, SLOW, params), "15m", "ticket", said),
        ]
    return tuple(made)
