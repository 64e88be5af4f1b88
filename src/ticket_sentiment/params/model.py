"""Sections of params.yaml about the model: training, budget, compression, search."""

from typing import Any, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
)

from ticket_sentiment.params.section import Section, Seed, Share, without_repeats


class Train(Section):
    base_model: str = Field(min_length=1)
    base_licence: str | None = Field(None, min_length=1)
    max_length: int = Field(ge=8, le=512)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    embedding_learning_rate: float = Field(ge=0)
    weight_decay: float = Field(ge=0)
    warmup_share: Share
    class_weights: Literal["balanced", "none"]
    patience: int = Field(ge=1)
    evaluations_per_epoch: int = Field(ge=1)
    evaluation_rows: int = Field(ge=10)
    seed: Seed


class Budget(Section):
    max_loss: Share
    margin: Share
    max_mb: float | None = Field(gt=0)
    max_ms: float | None = Field(gt=0)
    tries: int = Field(ge=0)


class Shape(Section):
    """What pruning leaves: layers, heads and neurons of each layer, bytes of a token's embedding, and tokens.

    A token seen less often than `min_token_count` in the texts of the training months and before leaves.
    """

    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    ffn: int = Field(ge=1)
    embedding_bytes: int = Field(ge=0)
    min_token_count: int = Field(0, ge=0)

    @property
    def name(self) -> str:
        """For example `3x6x448-e96-v1`; without `e` embeddings are whole, without `v` all tokens stay."""
        embedding = f"-e{self.embedding_bytes}" if self.embedding_bytes else ""
        vocabulary = f"-v{self.min_token_count}" if self.min_token_count else ""
        return f"{self.layers}x{self.heads}x{self.ffn}{embedding}{vocabulary}"


class Search(Section):
    seeds: list[Seed] = Field(min_length=1)
    workers: int = Field(ge=1)
    shapes: list[Shape] = Field(min_length=1)
    more_seeds: dict[str, list[Seed]]

    @field_validator("seeds", "shapes")
    @classmethod
    def _once(cls, values: list[Any]) -> list[Any]:
        return without_repeats(values)

    @field_validator("more_seeds")
    @classmethod
    def _of_these(cls, more: dict[str, list[Seed]], info: ValidationInfo) -> dict[str, list[Seed]]:
        names = [shape.name for shape in info.data.get("shapes", [])]
        unknown = next((name for name in more if name not in names), None)
        if unknown is not None:
            raise ValueError(f"{unknown} is none of the shapes: {', '.join(names)}")
        for seeds in more.values():
            without_repeats([*info.data.get("seeds", []), *seeds])
        return more


class Prune(Section):
    importance_rows: int = Field(ge=1)
    varied_copies: int = Field(ge=0)
    effort: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    matrix_learning_rate: float = Field(ge=0)
    distillation_temperature: float = Field(gt=0)
    hidden_weight: float = Field(ge=0)
    label_weight: float = Field(ge=0)
    patience: int = Field(ge=1)
    seed: Seed


class Quantize(Section):
    per_channel: bool
    reduce_range: bool


class Hotfix(Section):
    """How the champion learns corrected tickets."""

    max_rows: int = Field(ge=1)
    source: str = Field(min_length=1)
    replay_rows: int = Field(ge=1)
    copies: int = Field(ge=1)
    varied_copies: int = Field(ge=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    hidden_weight: float = Field(ge=0)
    label_weight: float = Field(ge=0)
    aim: Share
    seed: Seed
