"""Tell people what is wrong, by every way that is configured; a dead way does not stop the others.

What a way did not take it is sent again by later calls, for a week. An attempt that may have arrived is
repeated after half an hour, then after ever longer times, not at every call.
"""

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.alerts.memory import Memory, Told
from ticket_sentiment.alerts.sinks import Sink, SinkFailure, sinks
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Alerts, Params, Severity

SENT = "sent"
RETRY_S = 30.0  # after an attempt that failed: not twice in one flow, but at the next run
UNSURE_S = 1800.0  # at least, after an attempt that may have arrived
OF_FLOWS: tuple[Severity, ...] = ("ticket", "info")  # what flows raise; `page` is for alerts of a team's own


@dataclass(frozen=True)
class Result:
    """How it went with one way.

    Attributes:
        taken: whether the way has the alert; None where nobody knows.
        words: for a person.
    """

    taken: bool | None
    words: str


def _try(sink: Sink, alert: Alert, timeout_s: float) -> Result:
    try:
        note = sink.send(alert, timeout_s)
        return Result(True, f"{SENT}, but {note}" if note else SENT)
    except SinkFailure as failure:
        return _unsure(str(failure)) if failure.unsure else Result(False, f"not sent: {failure}")
    except Exception as error:  # whatever a library raises: its text may hold an address
        return _unsure(type(error).__name__)


def _unsure(why: str) -> Result:
    return Result(None, f"perhaps sent: {why}")


def _send(jobs: Sequence[tuple[Sink, Alert]], timeout_s: float) -> list[Result]:
    """All at the same time, for `timeout_s` at most: a server that answers drop by drop is given up, too."""
    results = [_unsure(f"no answer in {timeout_s:g} s") for _ in jobs]

    def work(place: int, sink: Sink, alert: Alert) -> None:
        results[place] = _try(sink, alert, timeout_s)

    threads = [
        threading.Thread(target=work, args=(place, *job), daemon=True) for place, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return list(results)


def _keep(memory: Memory, told: Told) -> str | None:
    """Remember it; why that cannot be."""
    try:
        memory.keep(told)
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:  # of a text that is no UTF-8, such as a file's name
        return type(error).__name__
    return None


def _ways(settings: Alerts) -> dict[str, Sink]:
    return {sink.name: sink for sink in sinks(settings) if sink.configured}


def _deliver(settings: Alerts, memory: Memory, told: Sequence[Told]) -> list[dict[str, Result]]:
    """Ask the ways that are due; the results of each alert by way.

    An attempt is remembered before it is made: killed meanwhile, or beside another flow, it may have arrived.
    """
    ways, now = _ways(settings), time.time()
    jobs: list[tuple[int, Sink, Alert]] = []
    for place, item in enumerate(told):
        due = item.due(now)
        names = [name for name in ways if name in due]
        item.ways.update(dict.fromkeys(names, now + max(UNSURE_S, now - item.at)))
        if names and _keep(memory, item) and item.kept:
            continue  # it would be sent at every call
        jobs += [(place, ways[name], _late(item) if item.kept else item.alert) for name in names]
    results: list[dict[str, Result]] = [{} for _ in told]
    sent = _send([job[1:] for job in jobs], settings.timeout_s)
    for (place, sink, _), result in zip(jobs, sent, strict=True):
        results[place][sink.name] = result
        if result.taken is not None:
            told[place].ways[sink.name] = None if result.taken else now + RETRY_S
    for item, found in zip(told, results, strict=True):
        if found:
            _keep(memory, item)
    return results


def _late(told: Told) -> Alert:
    note = f"Raised {told.raised}, sent late: nothing shows that it arrived before."
    return replace(told.alert, details=(*told.alert.details, note))


def tell(settings: Alerts, alert: Alert) -> tuple[str, ...]:
    """Tell an alert, and before it what a way did not take. It never raises: whoever has found trouble must
    not fail of telling it.

    Where nobody could be told, the alert is printed to standard error. An `info` goes to those who want it,
    and is no news where nobody does.

    Args:
        settings: section `alerts`; addresses come from the environment variables that it names.
        alert: what to tell. Each way gets the same key once in `repeat_hours`, unless it has got worse.

    Returns:
        A line for each way: `webhook: sent`, or why not. They may be shown and logged.
    """
    memory, now, configured = Memory.of(settings), time.time(), _ways(settings)
    chosen = [name for name, sink in configured.items() if sink.takes(alert)]
    if not chosen and alert.severity == "info":
        send_owed(settings)
        return ()  # nobody has asked for it
    told = memory.find(alert) or Told(alert, now, now, {})
    heard, told.seen = told.heard, now
    told.ways = {**dict.fromkeys(chosen, now), **told.ways}  # a way may be new since
    *_, results = _deliver(settings, memory, [*memory.owed(configured, but=alert), told])
    lines = [f"{name}: {result.words}" for name, result in results.items()]
    hours = f"{(now - told.at) / 3600:.1f} hours ago"
    if heard:
        lines.insert(0, f"not told again: it was told {hours}")
    elif chosen and not results:
        lines.append(f"not tried again yet: it was raised {hours}")
    elif not chosen:
        known = ", ".join((settings.webhook.url_env, settings.email.url_env, settings.sns.topic_env))
        why = f"takes {alert.severity}" if configured else f"is configured (set one of {known})"
        lines.append(f"not sent: nothing {why}")
    unwritten = _keep(memory, told)
    if unwritten and results and not told.kept:
        lines.append(f"it will be told again: {settings.memory} cannot be written ({unwritten})")
    if not told.heard and (results or not chosen):
        print(f"ALERT that nobody was told: {told.alert.text}", file=sys.stderr)
    return tuple(lines)


def send_owed(settings: Alerts) -> tuple[str, ...]:
    """Send what a way did not take when it was told; a line for each attempt. It never raises."""
    memory = Memory.of(settings)
    owed = memory.owed(_ways(settings))
    return tuple(
        f"{told.alert.name} of {told.raised}: {name}: {result.words}"
        for told, results in zip(owed, _deliver(settings, memory, owed), strict=True)
        for name, result in results.items()
    )


def main(params: Params) -> None:
    """`ticket-sentiment alert-test`: send a harmless alert by every way that is configured.

    Each way gets one of a severity that it takes, of those that flows raise if it can be, so that what is
    tried is what would be told.

    Raises:
        TicketSentimentError: a way that is configured did not work, or none is.
    """
    configured = list(_ways(params.alerts).values())
    if not configured:
        raise TicketSentimentError("no alert can be sent: docs/monitoring.md says which variables to set")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    jobs: list[tuple[Sink, Alert]] = []
    for sink in configured:
        severity = next(name for name in (*OF_FLOWS, "page") if name in sink.severities)
        alert = Alert(
            "Test", severity, "a test of the alerts of Ticket Sentiment, nothing is wrong",
            (f"Sent at {now}.",), "docs/monitoring.md", f"test {now}",
        )  # fmt: skip
        jobs.append((sink, alert))
    results = _send(jobs, params.alerts.timeout_s)
    for sink, result in zip(configured, results, strict=True):
        deaf = "" if set(OF_FLOWS) & set(sink.severities) else f"; flows send {' and '.join(OF_FLOWS)} alone"
        print(f"{sink.name}: {result.words} (takes {', '.join(sink.severities)}{deaf})")
    if any(result.words != SENT for result in results):
        raise TicketSentimentError("not every alert was sent")
