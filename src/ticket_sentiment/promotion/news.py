"""What people are told of the flows unasked: one that failed, what the gate said, what a rollout did."""

import re
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.errors import TicketSentimentError, of_files
from ticket_sentiment.params import Severity

if TYPE_CHECKING:  # most flows tell of a failure alone, and need nothing of what takes a second to import
    from ticket_sentiment.promotion.controller import Outcome
    from ticket_sentiment.registry.registry import Registration
    from ticket_sentiment.tickets.collect import CollectResult

DECISIONS: dict[str, tuple[str, Severity, str]] = {
    "fail": ("ReleaseRefused", "ticket", "the gate refuses the new model; the champion stays"),
    "review": ("ReleaseWaits", "ticket", "a model waits for a person's decision"),
    "pass": ("ReleasePassed", "info", "a model passed every gate"),
}
ACTIONS: dict[str, tuple[str, Severity, str]] = {
    "rollback": ("RolledBack", "ticket", "the challenger was rolled back"),
    "stop": ("RolloutStopped", "ticket", "the rollout ended without a decision; the champion stays"),
    "advance": ("RolloutAdvanced", "info", "the rollout went one step on"),
    "promote": ("Promoted", "ticket", "version {version} answers all customers"),
}
FAILED, SILENT, UNDONE = "FlowFailed", "TicketsMissing", "NotCarriedOut"
UNDONE_KEY = "not carried out "  # with what the keys of these alerts begin
NAMES = (FAILED, SILENT, UNDONE, *(name for table in (DECISIONS, ACTIONS) for name, *_ in table.values()))


# What is another each time in the words of one trouble: temporary folders, and seconds that pass.
PASSING = re.compile(rf"{re.escape(tempfile.gettempdir())}/\S+|\d+(?:\.\d+)? (?:s|seconds)\b")


def _runbook(runbooks: str, name: str) -> str:
    return f"{runbooks}#{name.lower()}"


def of_failure(flow: str, error: object, runbooks: str) -> Alert:
    """A flow has failed, its retries too.

    Args:
        flow: its name.
        error: what it raised. Only an error that is meant for people, or of a file or a disk, is told in
            full; others may hold anything.
        runbooks: `objectives.runbooks`.
    """
    told = str(error) if isinstance(error, TicketSentimentError) else None
    if told is None and isinstance(error, BaseException):
        told = of_files(error)
    why = told or type(error).__name__
    key = f"{failures_of(flow)}{_trouble(why)}"
    return Alert(FAILED, "ticket", f"the flow {flow} has failed", (why,), _runbook(runbooks, FAILED), key)


def _trouble(words: str) -> str:
    """One name for the same trouble, however often it comes; another one is news."""
    return sha256(PASSING.sub("", words).encode()).hexdigest()[:16]


def failures_of(flow: str) -> str:
    """With what the keys of a flow's failures begin."""
    return f"failed {flow} "


def of_collection(collected: "CollectResult", runbooks: str) -> Alert | None:
    """The source has stopped: of the newest month that is over there is no ticket."""
    newest = collected.newest
    if newest not in collected.missing:
        return None
    summary = f"there is no ticket of {newest}, so nothing new is learnt"
    details = (f"Months without a ticket: {', '.join(collected.missing)}.",)
    return Alert(SILENT, "ticket", summary, details, _runbook(runbooks, SILENT), f"no tickets {newest}")


def of_reconcile(refused: Sequence[str], runbooks: str) -> Alert | None:
    """What a reconciliation could not carry out, or gave back; None where there is nothing of it."""
    if not refused:
        return None
    summary = "what MLflow or the ledger ask for cannot be carried out"
    key = f"{UNDONE_KEY}{_trouble(' '.join(refused))}"
    return Alert(UNDONE, "ticket", summary, tuple(refused), _runbook(runbooks, UNDONE), key)


def of_registration(registration: "Registration", runbooks: str) -> Alert | None:
    """What the gate said of a new model, once for each result; None where a person has decided since."""
    if registration.decision == "review" and registration.alias:
        return None
    name, severity, summary = DECISIONS[registration.decision]
    key = f"registered {registration.run_id} {registration.decision}"
    return Alert(name, severity, summary, tuple(registration.lines()), _runbook(runbooks, name), key)


def of_look(outcome: "Outcome", runbooks: str) -> Alert | None:
    """What a look at the rollout did; None where nothing changed by it."""
    if outcome.yielded or outcome.entry is None or outcome.action not in ACTIONS:
        return None
    change = outcome.entry.change
    promoted = change.champion_version if change and change.action == "promote" else None  # the last advance
    name, severity, summary = ACTIONS["promote" if promoted else outcome.action]
    summary = summary.format(version=promoted)
    key = f"rollout epoch {outcome.entry.state.epoch}"
    return Alert(name, severity, summary, tuple(outcome.lines()), _runbook(runbooks, name), key)
