"""A champion with a reference, and answers to tickets that are like it or not."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.promotion.loop import Loop
from ticket_sentiment.events.types import Feedback, Prediction
from ticket_sentiment.gates.drift import PROFILE
from ticket_sentiment.gates.drift_features import shape_columns
from ticket_sentiment.gates.drift_live import PROFILE_SCHEMA
from ticket_sentiment.labels import LABELS
from ticket_sentiment.rollout.audit import audited

WORDS = ("my", "order", "Parcel", "is", "late", "again", "thanks", "support", "answered", "nothing", "café")
ACCURACY = 0.9  # on the holdout


def texts(rows: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(4, 14))) for _ in range(rows)]


def channels(rows: int, seed: int, chat: float = 0.3) -> list[str]:
    """Of tickets like those of the holdout."""
    return list(np.random.default_rng(seed).choice(["email", "chat"], rows, p=[1 - chat, chat]))


def answered(rows: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Labels and confidences of answers like those on the holdout."""
    random = np.random.default_rng(seed)
    return list(random.choice(LABELS, rows, p=[0.4, 0.2, 0.4])), random.beta(8, 2, rows) * 0.66 + 0.34


def write_reference(loop: Loop, digest: str, rows: int = 1000) -> None:
    """What stage `drift` makes, for a bundle."""
    labels, confidence = answered(rows, 1)
    random = np.random.default_rng(2)
    others = [LABELS[(LABELS.index(label) + 1) % len(LABELS)] for label in labels]
    right = random.random(rows) < ACCURACY
    table = shape_columns(texts(rows, 1)).assign(
        confidence=confidence,
        predicted_label=labels,
        label=np.where(right, labels, others),
        created_at=pd.Timestamp("2026-04-01", tz="UTC") + pd.to_timedelta(np.arange(rows) % 28, unit="D"),
        bundle_digest=digest,
        channel=channels(rows, 1),
    )
    target = loop.root / PROFILE
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(table, schema=PROFILE_SCHEMA, preserve_index=False), target)


def in_service(loop: Loop, reference: bool = True) -> str:
    """Version 1 as the champion; its digest."""
    loop.project.result(seed=1)
    from ticket_sentiment.registry.store import digest_at

    digest = digest_at(loop.root / "models/release/cpu")
    if reference:
        write_reference(loop, digest)
    loop.project.register()
    loop.reconcile()
    return digest


def traffic(
    loop: Loop,
    digest: str,
    days: float,
    rows: int = 600,
    change: Callable[[str], str] = str,
    seed: int = 3,
    until: datetime | None = None,
    said: Sequence[str | None] = (),
) -> list[Prediction]:
    """Answers of the last days, evenly; written to the event database. `said`: their channels."""
    labels, confidence = answered(rows, seed)
    now, made = until or loop.ledger.now(), []
    for index, (label, sure, text) in enumerate(zip(labels, confidence, texts(rows, seed), strict=True)):
        at = now - timedelta(days=days * (index + 0.5) / rows)
        made.append(
            Prediction(
                at, f"r-{seed}-{index}", f"T-{seed}-{index}", None, "champion", 1, digest, "1", label,
                (0.2, 0.2, 0.6), float(sure), bool(sure < 0.45), False, "cpu", 2.0, False, change(text),
                channel=said[index] if said else None,
            )
        )  # fmt: skip
    store = loop.events()
    for event in made:
        if not store.predicted(event):  # its queue is full: no event may be dropped here
            assert store.flush(20) and store.predicted(event)
    assert store.flush(20)
    store.close(5)
    return made


def people_label(loop: Loop, predictions: list[Prediction], accuracy: float, only_wrong: bool = False) -> int:
    """Labels for the audited of these tickets, or those answered wrong, an hour after; how many of them."""
    settings, store, random = loop.params.rollout, loop.events(), np.random.default_rng(4)
    chosen = [p for p in predictions if audited(p.ticket_id, settings.audit_salt, settings.audit_share)]
    for p in chosen:
        other = LABELS[(LABELS.index(p.label) + 1) % len(LABELS)]
        right = random.random() < accuracy
        if right and only_wrong:
            continue
        label = p.label if right else other
        store.feedback(Feedback(p.at + timedelta(hours=1), p.ticket_id, "audit", f"e-{p.ticket_id}", label))
    store.close(5)
    return len(chosen)
