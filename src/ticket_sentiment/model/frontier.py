"""The frontier: what each shape cost and gave when it was measured, and which of them a budget allows.

models/frontier/frontier.csv is written by `ticket-sentiment search` and kept in git, as prices are: the
monthly retraining reads it and measures nothing of it anew but the shapes that it tries.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing
from ticket_sentiment.params import Budget, Shape

FRONTIER = Path("models/frontier/frontier.csv")

Positive = Annotated[FiniteFloat, Field(gt=0)]
Kind = Literal["dense", "dense_int8", "compressed", "upper_layers_dropped", "trained_from_scratch"]


class FrontierPoint(BaseModel):
    """A row of frontier.csv. Losses are macro-F1 of the dense model of the same seed minus this one's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    base_model: str
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    ffn: int = Field(ge=1)
    embedding_bytes: int = Field(ge=0)
    min_token_count: int = Field(ge=0)
    seeds: int = Field(ge=1)
    tune_loss: FiniteFloat  # on the tuning tickets: what a choice may look at
    loss: FiniteFloat  # on the holdout, with its 95 % interval over the seeds; one seed has none: infinite
    loss_low: float
    loss_high: float
    macro_f1: FiniteFloat
    calibration_error: FiniteFloat
    mb: Positive
    ms: Positive  # median of a ticket, batch of one, one thread, tokenising included
    speedup_torch: Positive  # over the dense model in PyTorch fp32
    speedup_onnx: Positive  # over the dense model in ONNX Runtime fp32
    data: str  # the first digits of the prepared tickets' SHA-256
    settings: str  # of the knobs and the code: the search's folder
    cpu: str
    measured_on: str

    def rounded(self) -> "FrontierPoint":
        """Losses to a ten-thousandth, the rest to four digits: more is noise, and makes diffs unreadable."""
        values = self.model_dump()
        exact = {"tune_loss", "loss", "loss_low", "loss_high", "macro_f1", "calibration_error"}
        floats = {name: value for name, value in values.items() if isinstance(value, float)}
        return FrontierPoint(
            **values
            | {
                name: round(value, 4) if name in exact else float(f"{value:.4g}")
                for name, value in floats.items()
            }
        )

    @property
    def shape(self) -> Shape:
        """What pruning has to leave to get this point again."""
        return Shape(**{name: getattr(self, name) for name in Shape.model_fields})


def write_frontier(points: Sequence[FrontierPoint], path: Path = FRONTIER) -> None:
    """Write frontier.csv as a whole, the fastest first."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(FrontierPoint.model_fields))
        writer.writeheader()
        writer.writerows(point.model_dump() for point in sorted(points, key=lambda point: point.ms))


def read_frontier(path: Path = FRONTIER) -> list[FrontierPoint]:
    """Read frontier.csv.

    Raises:
        TicketSentimentError: it is missing or a row is not as it should be; the message names the row.
    """
    remedy = "fetch it again from git, or measure it anew with `make search`"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: {remedy}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TicketSentimentError(f"{path} cannot be read ({error}): {remedy}") from None
    points = []
    for number, row in enumerate(rows, start=2):
        try:
            points.append(FrontierPoint.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TicketSentimentError(f"{path}, line {number}: {where}: {first['msg']}; {remedy}") from None
    return points


def inside(budget: Budget, loss: float, mb: float, ms: float | None = None) -> bool:
    """Whether what was measured stays within every limit; a latency that was not measured is passed over."""
    return (
        loss <= budget.max_loss
        and (budget.max_mb is None or mb <= budget.max_mb)
        and (budget.max_ms is None or ms is None or ms <= budget.max_ms)
    )


def allowed(points: Iterable[FrontierPoint], budget: Budget, base_model: str) -> list[FrontierPoint]:
    """The shapes that are expected to stay inside the budget with its margin, the cheapest (fastest) first.

    Their loss on the tuning tickets decides: the holdout is never used for a choice. What was measured
    with another base model says nothing about this one.
    """
    candidates = [
        point
        for point in points
        if point.kind == "compressed"
        and point.base_model == base_model
        and inside(budget, point.tune_loss + budget.margin, point.mb, point.ms)
    ]
    return sorted(candidates, key=lambda point: point.ms)
