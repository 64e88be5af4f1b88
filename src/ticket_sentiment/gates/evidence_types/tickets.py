"""What the stages say of the tickets: `validate`, `prepare` and `inspect`."""

from typing import Annotated, Literal

from pydantic import Field

from ticket_sentiment.gates.evidence_types.part import Count, Part, Subject
from ticket_sentiment.model.bundle import Sha256
from ticket_sentiment.params import Month, Share


class MonthFacts(Part):
    rows: Count
    labelled: Count
    masks: dict[str, Count] = Field(default_factory=dict)
    signal: Share | None  # null: too few labels to tell
    channels: dict[str, Share]


class Suspect(Part):
    ticket_id: str


class LabelNoise(Part):
    share: Share | None  # null: too few labels to tell
    suspects: tuple[Suspect, ...]  # the worst first


class Failure(Part):
    sentence: str


class Validation(Part):
    """reports/validation/result.json."""

    success: bool
    data_sha256: Sha256
    months: dict[Month, MonthFacts] = Field(min_length=1)
    failures: tuple[Failure, ...]
    label_noise: LabelNoise


class SplitMonths(Part):
    train: tuple[Month, ...] = Field(min_length=1)
    tune: tuple[Month, ...] = Field(min_length=1)
    holdout: tuple[Month, ...] = Field(min_length=1)


class SplitRows(Part):
    train: Count
    tune: Count
    holdout: Count


class SplitHashes(Part):
    train: Sha256
    tune: Sha256
    holdout: Sha256


class JoinedLabels(Part):
    """What people's labels changed (`tickets.relabel.Relabelled`)."""

    labels: Count
    orphans: Count
    changed: Count
    added: Count
    conflicts: Count


class Split(Part):
    """data/prepared/split.json."""

    months: SplitMonths
    rows: SplitRows
    sha256: SplitHashes
    feedback: JoinedLabels
    dropped: dict[str, Count] = Field(default_factory=dict)  # rows that were left out, by why
    customers: Literal["apart", "shared"] = "apart"

    @property
    def known_customers(self) -> int:
        """Tickets that were left out because their customers also wrote in a later split."""
        return self.dropped.get("customer_in_later_split", 0)


class Shared(Part):
    tickets: Count
    customers: Count
    texts: Count


class SharedTables(Part):
    train_holdout: Shared
    tune_holdout: Shared
    train_tune: Shared
    corrected_holdout: Shared | None = None  # of a hotfix: what it corrects
    earlier_holdout: Shared | None = None  # of a hotfix: what those before it corrected


class BaseWeights(Part):
    base_model: Annotated[str, Field(min_length=1)]
    licence: str


class Inspection(Part):
    """reports/inspection.json."""

    prepared_sha256: Sha256
    rows: dict[str, Count] = Field(min_length=3)
    shared: SharedTables
    unmasked: dict[str, Count] = Field(min_length=3)
    weights: BaseWeights

    def foreign(self, subject: Subject) -> str | None:
        if self.prepared_sha256 != subject.prepared:
            return "The inspection is about other tickets than data/prepared: run `dvc repro inspect`."
        return None
