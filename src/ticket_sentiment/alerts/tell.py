"""Tell people what is wrong, by every way that is configured; a dead way does not stop the others."""

import sys
import threading
import time
from datetime import UTC, datetime

from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.alerts.memory import Memory
from ticket_sentiment.alerts.sinks import Sink, SinkFailure, sinks
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Alerts, Params, Severity

SENT = "sent"
OF_FLOWS: tuple[Severity, ...] = ("ticket", "info")  # what flows raise; `page` is for alerts of a team's own


def _try(sink: Sink, alert: Alert, timeout_s: float, results: dict[str, str]) -> None:
    try:
        sink.send(alert, timeout_s)
        results[sink.name] = SENT
    except SinkFailure as failure:
        results[sink.name] = f"not sent: {failure}"
    except Exception as error:  # whatever a library raises: its text may hold an address
        results[sink.name] = f"not sent: {type(error).__name__}"


def _send(alerts: dict[Sink, Alert], timeout_s: float) -> dict[str, str]:
    """All at the same time, for `timeout_s` at most: a server that answers drop by drop is given up, too."""
    results: dict[str, str] = {}
    threads = [
        threading.Thread(target=_try, args=(sink, alert, timeout_s, results), daemon=True)
        for sink, alert in alerts.items()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    held = dict(results)
    late = f"not sent: no answer in {timeout_s:g} s"
    return {sink.name: held.get(sink.name, late) for sink in alerts}


def tell(settings: Alerts, alert: Alert) -> tuple[str, ...]:
    """Tell an alert. It never raises: whoever has found trouble must not fail of telling it.

    Where nobody could be told, the alert is printed to standard error. An `info` goes to those who want it,
    and is no news where nobody does.

    Args:
        settings: section `alerts`; addresses come from the environment variables that it names.
        alert: what to tell. The same key is told once in `repeat_hours`, unless it has got worse.

    Returns:
        A line for each way: `webhook: sent`, or why not. They may be shown and logged.
    """
    memory = Memory.of(settings)
    hours = memory.hours_since(alert)
    if hours is not None:
        return (f"not told again: it was told {hours:.1f} hours ago",)
    configured = [sink for sink in sinks(settings) if sink.configured]
    chosen = [sink for sink in configured if sink.takes(alert)]
    if not chosen and alert.severity == "info":
        return ()  # nobody has asked for it
    results = _send(dict.fromkeys(chosen, alert), settings.timeout_s)
    lines = [f"{name}: {result}" for name, result in results.items()]
    if not chosen:
        known = ", ".join((settings.webhook.url_env, settings.email.url_env, settings.sns.topic_env))
        why = f"takes {alert.severity}" if configured else f"is configured (set one of {known})"
        lines.append(f"not sent: nothing {why}")
    if SENT in results.values():
        try:
            memory.remember(alert)
        except OSError as error:
            lines.append(f"it will be told again: {settings.memory} cannot be written ({error.strerror})")
    else:
        print(f"ALERT that nobody was told: {alert.text}", file=sys.stderr)
    return tuple(lines)


def main(params: Params) -> None:
    """`ticket-sentiment alert-test`: send a harmless alert by every way that is configured.

    Each way gets one of a severity that it takes, of those that flows raise if it can be, so that what is
    tried is what would be told.

    Raises:
        TicketSentimentError: a way that is configured did not work, or none is.
    """
    configured = [sink for sink in sinks(params.alerts) if sink.configured]
    if not configured:
        raise TicketSentimentError("no alert can be sent: docs/monitoring.md says which variables to set")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    alerts: dict[Sink, Alert] = {}
    for sink in configured:
        severity = next(name for name in (*OF_FLOWS, "page") if name in sink.severities)
        alerts[sink] = Alert(
            "Test", severity, "a test of the alerts of Ticket Sentiment, nothing is wrong",
            (f"Sent at {now}.",), "docs/monitoring.md", f"test {now}",
        )  # fmt: skip
    results = _send(alerts, params.alerts.timeout_s)
    for sink in configured:
        deaf = "" if set(OF_FLOWS) & set(sink.severities) else f"; flows send {' and '.join(OF_FLOWS)} alone"
        print(f"{sink.name}: {results[sink.name]} (takes {', '.join(sink.severities)}{deaf})")
    if set(results.values()) != {SENT}:
        raise TicketSentimentError("not every alert was sent")
