"""Sections of params.yaml about tickets: where they come from, what is refused, how they are split."""

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    field_validator,
)

from ticket_sentiment.params.section import Label, Month, Section, Seed, Share, without_repeats


class DemoSource(Section):
    """Real, human-rated sentences, replayed over months (tickets/demo.py)."""

    kind: Literal["demo"]
    first_month: Month = "2026-01"
    months: int = Field(10, ge=3, le=24)
    seed: Seed = 7


class FilesSource(Section):
    """CSV, JSON Lines or Parquet files."""

    kind: Literal["files"]
    path: str = Field(min_length=1, description="a glob, relative to the repository")
    format: Literal["auto", "csv", "jsonl", "parquet"] = "auto"
    encoding: str = "utf-8"
    delimiter: str = Field(",", min_length=1, max_length=1)


class SqlSource(Section):
    """A query against a database; its URL, which holds a password, comes from the environment."""

    kind: Literal["sql"]
    url_env: str = "TICKETS_DATABASE_URL"
    query: str = Field(min_length=1)


class HubSource(Section):
    """A data set of the Hugging Face hub."""

    kind: Literal["hub"]
    dataset: str
    revision: str = "main"
    split: str = "train"


class Tickets(Section):
    source: Annotated[DemoSource | FilesSource | SqlSource | HubSource, Field(discriminator="kind")]
    columns: dict[Literal["ticket_id", "customer_id", "created_at", "channel", "text", "label"], str] = Field(
        default_factory=dict
    )
    labels: dict[str, Label | None] = Field(default_factory=dict)  # None: such a ticket has no label
    timezone: str = "UTC"
    feedback: Literal["optional", "required", "off"] = "optional"

    @field_validator("labels", mode="before")
    @classmethod
    def _numbers_are_words(cls, labels: Any) -> Any:
        """YAML's `1: negative` is about cells that hold 1."""
        if not isinstance(labels, dict):
            return labels
        return {str(key) if type(key) in (int, float) else key: label for key, label in labels.items()}


class Validate(Section):
    min_rows: int = Field(ge=1)
    max_text_chars: int = Field(ge=1)
    max_duplicate_share: Share
    max_repeated_share: Share
    max_conflict_share: Share
    min_labelled_share: Share
    min_class_share: Share
    max_label_shift: Share
    language: str
    min_language_share: Share
    language_sample: int = Field(ge=1)
    min_signal: Share
    suspects: int = Field(ge=0)


class Prepare(Section):
    holdout_months: int = Field(ge=1)
    tune_months: int = Field(ge=1)
    train_months: int = Field(ge=0)
    max_unlabelled: int = Field(ge=0)
    label_sources: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    unknown_sources: Literal["last", "refuse"] = "last"
    customers: Literal["apart", "shared"] = "apart"

    @field_validator("label_sources")
    @classmethod
    def _each_once(cls, values: list[str]) -> list[str]:
        return without_repeats(values)
