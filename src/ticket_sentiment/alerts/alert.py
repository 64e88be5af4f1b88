"""What a person is told, and its words for each way of telling."""

from dataclasses import dataclass

from ticket_sentiment.params import Severity

RANK: dict[Severity, int] = {"info": 0, "ticket": 1, "page": 2}


@dataclass(frozen=True)
class Alert:
    """Something that a person should know. It never holds ticket text, a customer's name or a secret.

    Attributes:
        name: of the kind of alert, as runbooks have it: PredictionsDrift.
        severity: page wakes somebody up, ticket waits for working hours, info asks for nothing.
        summary: one line: what is wrong, for whom.
        details: more lines, such as the figures and the next step.
        runbook: where it says what to do: an address, or a path in the repository.
        key: equal for what is the same trouble; within `alerts.repeat_hours` it is told once.
    """

    name: str
    severity: Severity
    summary: str
    details: tuple[str, ...]
    runbook: str
    key: str

    @property
    def title(self) -> str:
        """One line, whatever the summary holds: it becomes a mail's subject."""
        return " ".join(f"[{self.severity}] {self.name}: {self.summary}".split())

    @property
    def text(self) -> str:
        """Title, details and runbook, a line each."""
        return "\n".join([self.title, *self.details, f"Runbook: {self.runbook}"])
