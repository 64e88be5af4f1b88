"""Metrics for Amazon CloudWatch: a process beside the service reads its metrics page and prints log lines.

The lines are in CloudWatch's embedded metric format, from which CloudWatch Logs makes metrics: nobody here
calls AWS, needs a key of it, or waits for it, and the service itself does nothing for them. Of counters a
line holds what has been added since the one before.

    ticket-sentiment cloudwatch                  in the repository
    python -m ticket_sentiment.serving.emf       in a Bento's folder `src`, as a second container of the image

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import math
import signal
import sys
import threading
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Cloudwatch, Metrics, Serve
from ticket_sentiment.rollout.assignment import ARMS
from ticket_sentiment.serving.metrics import PREFIX
from ticket_sentiment.serving.settings import load_settings

SERVICE = "ticket-sentiment"  # value of the dimension Service
TIMEOUT_S = 5.0
TICKETS, PROMISED = ("classify", "batch"), ("classify", "batch", "feedback")
MISTAKES = tuple(str(code) for code in range(400, 500))  # of the caller: they say nothing of the service
COUNT, MILLISECONDS, NONE = "Count", "Milliseconds", "None"
COUNTERS = {
    "CacheHits": "cache_hits",
    "CacheMisses": "cache_misses",
    "EventsDropped": "events_dropped",
    "RemoteAnswers": "remote_answers",
    "RemoteFallbacks": "remote_fallbacks",
    "ShadowDropped": "shadow_dropped",
    "ShadowFailed": "shadow_failed",
    "ShadowScored": "shadow_scored",
}

Labels = frozenset[tuple[str, str]]
Page = dict[str, dict[Labels, float]]  # name of a sample: its labels: its value
Values = dict[str, tuple[float, str]]  # name of a metric: its value and unit


def read(text: str) -> Page:
    """A page in Prometheus' text format."""
    page: Page = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(f"{PREFIX}_")
            page.setdefault(name, {})[frozenset(sample.labels.items())] = sample.value
    return page


def added(before: Page, now: Page) -> Page:
    """What counters have grown by; one that fell was begun anew, and has grown by what it shows."""
    grown: Page = {}
    for name, series in now.items():
        held = before.get(name, {})
        grown[name] = {
            labels: value - held.get(labels, 0.0) if value >= held.get(labels, 0.0) else value
            for labels, value in series.items()
        }
    return grown


def total(page: Page, name: str, **wanted: tuple[str, ...]) -> float:
    """Over all series of a name whose labels have one of these values."""
    return sum(
        value
        for labels, value in page.get(name, {}).items()
        if all(dict(labels).get(key) in values for key, values in wanted.items())
    )


def quantiles(page: Page, shares: tuple[float, ...]) -> list[float]:
    """Seconds of single tickets of which a model was asked, each the upper edge of its bucket.

    None where there was no ticket.
    """
    edges: dict[float, float] = {}
    for labels, value in page.get("request_seconds_bucket", {}).items():
        held = dict(labels)
        if held.get("route") == "classify" and held.get("arm"):
            edge = float(held["le"])
            edges[edge] = edges.get(edge, 0.0) + value
    bounds = sorted(edges)
    counts = [edges[bound] for bound in bounds]
    if not counts or counts[-1] <= 0:
        return []
    # What is above the last edge is told as that edge: infinity is no value for CloudWatch.
    places = (min(bisect_left(counts, share * counts[-1]), len(bounds) - 2) for share in shares)
    return [bounds[place] for place in places]


def of_service(now: Page, grown: Page, objective_ms: float) -> Values:
    """Of the service as a whole."""
    edge = floatToGoString(objective_ms / 1000)
    single = {"route": ("classify",), "arm": ARMS}
    singles = total(grown, "request_seconds_count", **single)
    mistakes = total(grown, "requests_total", route=PROMISED, code=MISTAKES)
    faults = tuple(str(code) for code in range(500, 600))
    values: Values = {
        "Requests": (total(grown, "requests_total", route=PROMISED) - mistakes, COUNT),
        "Failed": (total(grown, "requests_total", route=PROMISED, code=faults), COUNT),
        "Tickets": (total(grown, "requests_total", route=TICKETS), COUNT),
        "Shed": (total(grown, "requests_total", route=TICKETS, code=("503", "504")), COUNT),
        "Limited": (total(grown, "requests_total", route=TICKETS, code=("429",)), COUNT),
        "Singles": (singles, COUNT),
        "Late": (singles - total(grown, "request_seconds_bucket", le=(edge,), **single), COUNT),
        "InternalErrors": (total(grown, "refusals_total", error=("internal",)), COUNT),
        "QueueWait": (1000 * total(now, "queue_wait_seconds"), MILLISECONDS),
        "EventsUnavailable": (total(now, "workers") - total(now, "events_available"), COUNT),
        "ReleasesNotLoaded": (total(now, "rollout_not_loaded"), COUNT),
    }
    for name, gauge in (("Workers", "workers"), ("InFlight", "in_flight"), ("QueueLength", "queue_length")):
        values[name] = (total(now, gauge), COUNT)
    for name, counter in COUNTERS.items():
        values[name] = (total(grown, f"{counter}_total"), COUNT)
    for name, seconds in zip(
        ("LatencyP50", "LatencyP95", "LatencyP99"), quantiles(grown, (0.5, 0.95, 0.99)), strict=False
    ):
        values[name] = (1000 * seconds, MILLISECONDS)
    return values


def of_arm(grown: Page, arm: str) -> Values:
    """Of the answers of champion or challenger."""
    held = (arm,)
    values = {
        label.capitalize(): (total(grown, "predicted_total", arm=held, label=(label,)), COUNT)
        for label in LABELS
    }
    return {
        **values,
        "Abstained": (total(grown, "abstained_total", arm=held), COUNT),
        "ArmRequests": (total(grown, "requests_total", arm=held), COUNT),
    }


def line(namespace: str, at_ms: int, dimensions: Mapping[str, str], values: Values) -> str:
    """One document of the embedded metric format."""
    finite = {name: value for name, value in values.items() if math.isfinite(value[0])}
    directive = {
        "Namespace": namespace,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in finite.items()],
    }
    numbers = {name: round(value, 6) for name, (value, _) in finite.items()}
    return json.dumps(
        {"_aws": {"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, **dimensions, **numbers}
    )


def lines(settings: Cloudwatch, objective_ms: float, pages: Iterator[Page | None]) -> Iterator[str]:
    """Documents for each page that is read; the first page only says from where counters grow.

    Args:
        settings: section `objectives.cloudwatch`.
        objective_ms: `serve.objective_ms`, an edge of the latency's histogram.
        pages: None where the service did not answer.
    """
    service = {"Service": SERVICE}
    before: Page | None = None
    for page in pages:
        at = time.time_ns() // 1_000_000
        values: Values = {"Up": (float(page is not None), NONE)}
        if page is not None and before is not None:
            grown = added(before, page)
            values |= of_service(page, grown, objective_ms)
            for arm in ARMS:
                if total(page, "build_info", arm=(arm,)):
                    yield line(settings.namespace, at, {**service, "Arm": arm}, of_arm(grown, arm))
        yield line(settings.namespace, at, service, values)
        before = page or before


def _fetch(url: str) -> Page | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return read(answer.read().decode())
    except (OSError, HTTPException, ValueError):  # away, cut short, or no page of Prometheus'
        return None


def every(seconds: float, url: str, stop: Callable[[float], bool]) -> Iterator[Page | None]:
    """The page every so many seconds, until `stop` says so, which is told how long to wait."""
    due = time.monotonic()
    while True:
        yield _fetch(url)
        due = max(due + seconds, time.monotonic())
        if stop(max(0.0, due - time.monotonic())):
            return


def page_url(metrics: Metrics) -> str:
    """Of the page, from the same machine: what is bound to every address of a family is asked on its own."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(metrics.host, metrics.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{metrics.port}/metrics"


def main(serve: Serve, settings: Cloudwatch) -> None:
    """Print until SIGTERM or SIGINT; a service that is away is told as `Up` 0, and asked again."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    pages = every(settings.interval_s, page_url(serve.metrics), stopped.wait)
    for text in lines(settings, serve.objective_ms, pages):
        print(text, flush=True)


if __name__ == "__main__":
    try:
        held = load_settings()
        main(held.serve, held.cloudwatch)
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")
