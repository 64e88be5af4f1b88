"""Sections of params.yaml about who is told what is wrong."""

from typing import Annotated, Literal

from pydantic import Field

from ticket_sentiment.params.section import Section

Severity = Literal["page", "ticket", "info"]
Severities = Annotated[list[Severity], Field(min_length=1)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class AlertWebhook(Section):
    """A Slack-compatible webhook; its URL is a secret and never in params.yaml."""

    url_env: Variable
    severities: Severities


class AlertEmail(Section):
    """Mail by SMTP; the server's URL, which may hold a password, is never in params.yaml."""

    url_env: Variable
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    to: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]]
    severities: Severities


class AlertSns(Section):
    """A topic of Amazon SNS."""

    topic_env: Variable
    severities: Severities


class Alerts(Section):
    """Where the flows' alerts go."""

    timeout_s: float = Field(gt=0, le=120)
    repeat_hours: float = Field(ge=0)
    memory: str = Field(min_length=1)
    webhook: AlertWebhook
    email: AlertEmail
    sns: AlertSns
