"""params.yaml as frozen types: the only place for a knob, read once, unknown keys refused."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ticket_sentiment.errors import TicketSentimentError

Share = Annotated[float, Field(ge=0, le=1)]
Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
Label = Literal["negative", "neutral", "positive"]
Device = Literal["cpu", "gpu"]


class Section(BaseModel):
    """Frozen, strict about keys: a typo fails before any work starts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _without_repeats(values: list[Any]) -> list[Any]:
    twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
    if twice is not None:
        raise ValueError(f"{getattr(twice, 'name', twice)} is there twice")
    return values


class DemoSource(Section):
    """Real, human-rated sentences, replayed over months (tickets/demo.py)."""

    kind: Literal["demo"]
    first_month: Month = "2026-01"
    months: int = Field(10, ge=3, le=24)
    seed: int = 7


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
    columns: dict[Literal["ticket_id", "customer_id", "created_at", "channel", "text", "label"], str] = {}
    labels: dict[str, Label] = {}
    timezone: str = "UTC"
    feedback: Literal["optional", "required", "off"] = "optional"


class Validate(Section):
    min_rows: int = Field(ge=1)
    max_text_chars: int = Field(ge=1)
    max_duplicate_share: Share
    max_conflict_share: Share
    min_labelled_share: Share
    min_class_share: Share
    max_label_shift: Share
    language: str
    min_language_share: Share
    language_sample: int = Field(ge=1)
    min_signal: Share


class Prepare(Section):
    holdout_months: int = Field(ge=1)
    tune_months: int = Field(ge=1)
    train_months: int = Field(ge=0)
    label_sources: list[Annotated[str, Field(min_length=1)]] = []
    unknown_sources: Literal["last", "refuse"] = "last"

    @field_validator("label_sources")
    @classmethod
    def _each_once(cls, values: list[str]) -> list[str]:
        return _without_repeats(values)


class Train(Section):
    base_model: str = Field(min_length=1)
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
    seed: int


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
    seeds: list[int] = Field(min_length=1)
    workers: int = Field(ge=1)
    shapes: list[Shape] = Field(min_length=1)

    @field_validator("seeds", "shapes")
    @classmethod
    def _once(cls, values: list[Any]) -> list[Any]:
        return _without_repeats(values)


class Prune(Section):
    importance_rows: int = Field(ge=1)
    varied_copies: int = Field(ge=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    distillation_temperature: float = Field(gt=0)
    hidden_weight: float = Field(ge=0)
    label_weight: float = Field(ge=0)
    patience: int = Field(ge=1)
    seed: int


class Quantize(Section):
    per_channel: bool
    reduce_range: bool


class Evaluate(Section):
    bootstrap_samples: int = Field(ge=100)
    seed: int
    min_slice_rows: int = Field(ge=1)


class Drift(Section):
    max_rows: int = Field(ge=100)
    # Distances only: with a p-value the threshold turns round and the verdict depends on the row count.
    numeric_method: Literal["wasserstein", "jensenshannon", "hellinger", "kl_div", "psi"]
    numeric_threshold: float = Field(gt=0)
    categorical_method: Literal["jensenshannon", "hellinger", "kl_div", "psi"]
    categorical_threshold: float = Field(gt=0)
    embedding_threshold: Share
    seed: int


class Benchmark(Section):
    texts: int = Field(ge=10)
    rounds: int = Field(ge=1)
    threads: int = Field(ge=1)
    warmup: int = Field(ge=0)
    seed: int


class Costs(Section):
    prices: str = Field(min_length=1)
    cpu_instance: str = Field(min_length=1)
    gpu_instance: str = Field(min_length=1)
    utilisation: float = Field(gt=0, le=1)
    max_price_age_days: int = Field(ge=1)


class Gate(Section):
    min_holdout_rows: int = Field(ge=1)
    min_macro_f1: Share
    min_class_recall: Share
    min_gain_over_tfidf: float = Field(ge=-1)
    max_loss_to_champion: float = Field(ge=0)
    max_calibration_error: Share
    min_edge_agreement: Share
    min_label_agreement: Share
    max_bundle_mb: float = Field(gt=0)
    min_speedup: float = Field(gt=0)
    max_report_age_days: int = Field(ge=1)


class Registry(Section):
    tracking_uri: str = Field(min_length=1)
    experiment: str = Field(min_length=1)
    model: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")


class Build(Section):
    # `bentoml serve NAME:VERSION` first tries to import a module NAME, and would take the installed package
    # for the one in the Bento. No module has a hyphen in its name.
    bento: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$")


class Gpu(Section):
    """Of the Bento that is built for a GPU."""

    provider: Literal["cuda", "tensorrt"]
    max_batch: int = Field(ge=1)
    engine_cache: str = Field(min_length=1)
    workspace_mb: int = Field(ge=64)


class Keys(Section):
    """Who may call. The keys themselves are never in params.yaml."""

    environment: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]]
    file: str | None = Field(min_length=1)
    rate: float = Field(gt=0)
    burst: int = Field(ge=1)
    forwarders: list[str] = []


class Metrics(Section):
    host: str
    port: int = Field(ge=1, le=65535)


class Remote(Section):
    """Of the service on a GPU that this one may ask."""

    url_env: str = Field(min_length=1)
    key_env: str = Field(min_length=1)
    min_batch: int = Field(ge=1)
    max_batch: int = Field(ge=1)
    timeout_ms: float = Field(gt=0)
    breaker_failures: int = Field(ge=1)
    breaker_pause_s: float = Field(gt=0)


class Serve(Section):
    host: str
    port: int = Field(ge=1, le=65535)
    workers: int = Field(ge=1)
    max_text_chars: int = Field(ge=1)
    max_body_bytes: int = Field(ge=1024)
    max_batch_tickets: int = Field(ge=1)
    max_batch_body_bytes: int = Field(ge=1024)
    max_batches: int = Field(ge=1)
    abstain_below: Share
    objective_ms: float = Field(gt=0)
    timeout_ms: float = Field(gt=0)
    max_timeout_ms: float = Field(gt=0)
    max_in_flight: int = Field(ge=1)
    max_queue: int = Field(ge=1)
    max_shadow_queue: int = Field(ge=0)
    drain_seconds: float = Field(ge=0)
    rollout_poll_seconds: float = Field(gt=0)
    releases: str = Field(min_length=1)
    access_log: Literal["all", "errors", "none"]
    api_keys: Keys
    metrics: Metrics
    gpu: Gpu
    remote: Remote


class Events(Section):
    """The event database: predictions, exposures, feedback, rollout states."""

    url: str = Field(pattern=r"^[a-z0-9+]+://")
    url_env: str = Field(min_length=1)
    queue: int = Field(ge=1)
    store_text: bool
    keep_days: int = Field(ge=1)
    keep_text_days: int = Field(ge=1)

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        if re.search(r"://[^/]*:[^/]*@|password=", url):
            raise ValueError("holds a password: put the URL in the variable that events.url_env names")
        return url


class Quotas(Section):
    """Shares of the labelling queue by reason; what they leave goes to the most uncertain."""

    audit: Share
    disagreement: Share
    drifted: Share

    @model_validator(mode="after")
    def _at_most_all(self) -> "Quotas":
        total = self.audit + self.disagreement + self.drifted
        if total > 1 + 1e-9:
            raise ValueError(f"the shares add up to {total:g}, more than 1")
        return self


class Labelling(Section):
    """The queue of tickets that are worth a person's label."""

    count: int = Field(ge=1)
    since_days: int = Field(ge=1)
    quotas: Quotas
    drift_rows: int = Field(ge=100)
    seed: int


class Cache(Section):
    """The cache of predictions."""

    entries: int = Field(ge=0)
    ttl_s: float = Field(gt=0)
    redis_url_env: str = Field(min_length=1)
    redis_timeout_ms: float = Field(gt=0)


class Step(Section):
    """One step of a rollout: the challenger's share, and what must have come before it is left."""

    share: float = Field(ge=0, lt=1)
    min_hours: float = Field(ge=0)
    min_labels: int = Field(ge=0)
    min_units: int = Field(ge=0)


def _rising(steps: list[Step]) -> list[Step]:
    shares = [step.share for step in steps]
    if shares[0] != 0 or any(later <= earlier for earlier, later in pairwise(shares)):
        raise ValueError("the first step is shadow, share 0, and each later share is above the one before")
    return steps


Steps = Annotated[list[Step], Field(min_length=2), AfterValidator(_rising)]


class Margins(Section):
    """How much worse the challenger may be and still count as no worse, as shares of tickets."""

    quality: float = Field(gt=0, lt=1)
    errors: float = Field(gt=0, lt=1)
    slow: float = Field(gt=0, lt=1)


class Hotfix(Section):
    """What holds instead in the rollout of a hotfix; the guardrails are the same."""

    steps: Steps
    max_days: float = Field(gt=0)


class Rollout(Section):
    steps: Steps
    max_days: float = Field(gt=0)
    maturity_hours: float = Field(ge=0)
    audit_share: float = Field(gt=0, le=1)
    audit_salt: str = Field(min_length=1)
    alpha: float = Field(gt=0, lt=0.5)
    margins: Margins
    require_improvement: bool
    split_alpha: float = Field(gt=0, lt=0.5)
    min_coverage: Share
    missing_looks: int = Field(ge=1)
    max_look_gap_hours: float = Field(gt=0)
    tuning: float = Field(gt=0)
    hotfix: Hotfix

    @field_validator("audit_salt")
    @classmethod
    def _short(cls, salt: str) -> str:
        if len(salt.encode()) > 64:
            raise ValueError("is longer than 64 bytes, the longest key of BLAKE2b")
        return salt


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
    evaluate: Evaluate
    drift: Drift
    benchmark: Benchmark
    costs: Costs
    gate: Gate
    registry: Registry
    build: Build
    serve: Serve
    events: Events
    labelling: Labelling
    cache: Cache
    rollout: Rollout


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
    where = ".".join(str(part) for part in error["loc"])
    problem = error["msg"]
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"][:-1])
        problem = "is not a known key" + (f" (known: {known})" if known else "")
    return f"{path}: {where}: {problem}"


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read params.yaml.

    Raises:
        TicketSentimentError: the file is missing or no YAML, a key is unknown or missing, or a value
            has the wrong type or range; the message names the file and the key.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: run from the repository's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first_line = str(error).replace("\n", " ")
        raise TicketSentimentError(f"{path} is not valid YAML: {first_line}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_describe(item, path) for item in error.errors())
        raise TicketSentimentError(f"{problems}. Correct params.yaml and run again") from None
