"""Sections of params.yaml about the registry, the builds and the service."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ticket_sentiment.params.section import Section, Seed, Share, without_password


class Webhook(Section):
    """Where MLflow's webhook is listened to; the secret that signs it is never in params.yaml."""

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    secret_env: str = Field(min_length=1)
    max_age_s: float = Field(gt=0)


class Registry(Section):
    tracking_uri: Annotated[str, Field(min_length=1), without_password("MLFLOW_TRACKING_URI")]
    experiment: str = Field(min_length=1)
    model: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    signing_key_env: str = Field(min_length=1)
    signing_key_file: str | None = Field(min_length=1)
    webhook: Webhook


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
    forwarders: list[str] = Field(default_factory=list)


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
    keep_alive_seconds: float = Field(gt=0)
    drain_seconds: float = Field(ge=0)
    rollout_poll_seconds: float = Field(gt=0)
    releases: str = Field(min_length=1)
    require_signature: bool
    public_keys_env: str = Field(min_length=1)
    public_keys_file: str | None = Field(min_length=1)
    access_log: Literal["all", "errors", "none"]
    api_keys: Keys
    metrics: Metrics
    gpu: Gpu
    remote: Remote

    @model_validator(mode="after")
    def _a_bucket_holds_a_batch(self) -> "Serve":
        if self.api_keys.burst < self.max_batch_tickets:
            raise ValueError(
                f"api_keys.burst: a batch of max_batch_tickets ({self.max_batch_tickets}) takes as many at "
                "once: expected at least that many"
            )
        return self


class Cache(Section):
    """The cache of predictions."""

    entries: int = Field(ge=0)
    ttl_s: float = Field(gt=0)
    redis_url_env: str = Field(min_length=1)
    redis_timeout_ms: float = Field(gt=0)


class Batch(Section):
    """Of `ticket-sentiment score`."""

    chunk_rows: int = Field(ge=1)
    workers: int | None = Field(ge=1)
    scheduler: str | None = Field(min_length=1)
    texts_at_once: int = Field(ge=1)
    encoding: str = Field(min_length=1)
    delimiter: str = Field(min_length=1, max_length=1)


class Autoscale(Section):
    """A day of traffic through the arithmetic of the shipped autoscalers."""

    policies: list[str] = Field(min_length=1)
    max_missed: float = Field(gt=0, lt=1)
    max_hours: float = Field(ge=1)
    peak_replicas: float = Field(gt=0)
    unsteadiness: float = Field(ge=0, le=1)
    node_start_s: float = Field(ge=0)
    pod_start_s: float = Field(ge=0)
    pod_memory_mb: float = Field(gt=0)
    seed: Seed
