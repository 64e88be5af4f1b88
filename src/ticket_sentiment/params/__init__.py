"""params.yaml as frozen types: the only place for a knob, read once, unknown keys refused."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params.gates import Behaviour, Benchmark, Costs, Drift, Evaluate, Gate, Report
from ticket_sentiment.params.model import Budget, Hotfix, Prune, Quantize, Search, Shape, Train
from ticket_sentiment.params.monitoring import (
    AlertEmail,
    Alerts,
    AlertSns,
    AlertWebhook,
    Cloudwatch,
    Objectives,
    Severity,
)
from ticket_sentiment.params.rollout import (
    EarlyRetraining,
    Events,
    Labelling,
    Margins,
    Monitor,
    Quotas,
    Rollout,
    RolloutHotfix,
    Step,
    Steps,
)
from ticket_sentiment.params.section import Device, Label, Month, Purchase, Section, Share
from ticket_sentiment.params.serving import (
    Autoscale,
    Batch,
    Build,
    Cache,
    Gpu,
    Keys,
    Metrics,
    Registry,
    Remote,
    Serve,
    Webhook,
)
from ticket_sentiment.params.tickets import (
    DemoSource,
    FilesSource,
    HubSource,
    Prepare,
    SqlSource,
    Tickets,
    Validate,
)
from ticket_sentiment.yaml_files import read_yaml

__all__ = [
    "AlertEmail",
    "AlertSns",
    "AlertWebhook",
    "Alerts",
    "Autoscale",
    "Batch",
    "Behaviour",
    "Benchmark",
    "Budget",
    "Build",
    "Cache",
    "Cloudwatch",
    "Costs",
    "DemoSource",
    "Device",
    "Drift",
    "EarlyRetraining",
    "Evaluate",
    "Events",
    "FilesSource",
    "Gate",
    "Gpu",
    "Hotfix",
    "HubSource",
    "Keys",
    "Label",
    "Labelling",
    "Margins",
    "Metrics",
    "Monitor",
    "Month",
    "Objectives",
    "Params",
    "Prepare",
    "Prune",
    "Purchase",
    "Quantize",
    "Quotas",
    "Registry",
    "Remote",
    "Report",
    "Rollout",
    "RolloutHotfix",
    "Search",
    "Section",
    "Serve",
    "Severity",
    "Shape",
    "Share",
    "SqlSource",
    "Step",
    "Steps",
    "Tickets",
    "Train",
    "Validate",
    "Webhook",
    "load_params",
]


MONTH_AND_WEEK_DAYS = 31 + 7  # monitoring.facts counts a month until a week of the next has matured
TWO_MONTHS_DAYS = 62  # the newest collected month is the one before, read until the present one ends


class Params(Section):
    """All of params.yaml; a section is named for the stage, flow or service that reads it."""

    tickets: Tickets
    validate_: Validate = Field(alias="validate")
    prepare: Prepare
    train: Train
    budget: Budget
    prune: Prune
    search: Search
    quantize: Quantize
    hotfix: Hotfix
    evaluate: Evaluate
    behaviour: Behaviour
    drift: Drift
    benchmark: Benchmark
    costs: Costs
    autoscale: Autoscale
    gate: Gate
    report: Report
    registry: Registry
    build: Build
    serve: Serve
    batch: Batch
    events: Events
    labelling: Labelling
    monitor: Monitor
    cache: Cache
    objectives: Objectives
    alerts: Alerts
    rollout: Rollout

    @model_validator(mode="after")
    def _an_audit_of_its_own(self) -> "Params":
        if self.rollout.audit_source == self.hotfix.source:
            raise ValueError(
                "rollout.audit_source: corrections (hotfix.source) are no audit: name another source"
            )
        return self

    @model_validator(mode="after")
    def _what_is_answered_can_be_learnt(self) -> "Params":
        if self.validate_.max_text_chars < self.serve.max_text_chars:
            raise ValueError(
                "validate.max_text_chars: the service answers tickets of serve.max_text_chars "
                f"({self.serve.max_text_chars}) characters: expected at least that many"
            )
        return self

    @model_validator(mode="after")
    def _events_are_kept_while_they_are_read(self) -> "Params":
        read = {
            "the monitor's quality": MONTH_AND_WEEK_DAYS + self.rollout.maturity_hours / 24,
            "stage drift's live month": TWO_MONTHS_DAYS,
            "monitor.long_days": self.monitor.long_days,
            "labelling.since_days": self.labelling.since_days,
        }
        longest = max(read, key=lambda name: read[name])
        if self.events.keep_days < read[longest]:
            raise ValueError(f"events.keep_days: {longest} looks {read[longest]:g} days back: keep that many")
        return self


def _known_keys(section: tuple[str | int, ...]) -> str:
    """Of a section of plain sections; none for the kinds of a source."""
    model: Any = Params
    for part in section:
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        model = fields.get(str(part))
        if not (isinstance(model, type) and issubclass(model, Section)):
            return ""
    return ", ".join(field.alias or name for name, field in model.model_fields.items())


def _describe(error: Any, path: Path) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "params"
    problem = error["msg"]
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"][:-1])
        problem = "is not a known key" + (f" (known: {known})" if known else "")
    return f"{path}: {where}: {problem}"


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read params.yaml.

    Raises:
        TicketSentimentError: the file is missing or no YAML, a key is unknown, missing or there twice, or a
            value has the wrong type or range; the message names the file and the key.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: run from the repository's root") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_describe(item, path) for item in error.errors())
        raise TicketSentimentError(f"{problems}. Correct params.yaml and run again") from None
