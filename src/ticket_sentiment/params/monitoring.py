"""Sections of params.yaml about who is told what is wrong."""

from typing import Annotated, Literal

from pydantic import Field

from ticket_sentiment.params.section import Section, Share

Severity = Literal["page", "ticket", "info"]
Severities = Annotated[list[Severity], Field(min_length=1)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Cloudwatch(Section):
    """What goes to Amazon CloudWatch, and what AWS may cost."""

    namespace: str = Field(pattern=r"^[A-Za-z0-9._/#-]+$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    interval_s: float = Field(ge=1)
    monthly_usd: float = Field(gt=0)


class LeastPods(Section):
    """Pods that run whatever the traffic, of the service on CPUs and of the one on GPUs."""

    cpu: int = Field(ge=0)
    gpu: int = Field(ge=0)


class Objectives(Section):
    """Objectives and limits from which rules, dashboards and alarms are made."""

    availability: float = Field(gt=0.5, lt=1)
    in_time: float = Field(gt=0.5, lt=1)
    min_requests: int = Field(ge=1)
    max_shed: Share
    max_limited: Share
    max_queue_wait: Share
    max_saturation: Share
    max_fallbacks: Share
    max_shadow_dropped: Share
    max_cache_fall: Share
    max_mix_shift: Share
    max_abstained_rise: Share
    max_split_deviation: Share
    max_feedback_gap_days: int = Field(ge=1)
    max_retrain_days: int = Field(ge=1)
    max_usd_per_1000: float = Field(gt=0)
    least_pods: LeastPods
    runbooks: str = Field(min_length=1)
    cloudwatch: Cloudwatch


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
