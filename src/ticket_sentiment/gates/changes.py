"""Which tickets a new model answers better, and which worse, than what it is compared with."""

from dataclasses import dataclass

import pandas as pd

from ticket_sentiment.labels import LABELS

EXAMPLES = 5
EXCERPT_CHARS = 160


@dataclass(frozen=True)
class Example:
    """One ticket, by its id, with a short excerpt of its masked text."""

    ticket_id: str
    channel: str
    excerpt: str
    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Changes:
    """Tickets whose answer became right (better) or stopped being right (worse)."""

    against: str  # champion | tfidf
    better: int
    worse: int
    by_label: tuple[tuple[str, int, int], ...]  # label, better, worse
    better_examples: tuple[Example, ...]
    worse_examples: tuple[Example, ...]


def excerpt(text: str, limit: int = EXCERPT_CHARS) -> str:
    """The start of a text, cut at a word where there is one, at most `limit` characters with the ellipsis."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    at_word = head.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > limit // 2 else head) + "…"


def examples(rows: pd.DataFrame, before: str) -> tuple[Example, ...]:
    """Those where the new model is surest: its clearest gains, and its most confident new mistakes.

    Args:
        rows: ticket_id, channel, text, label, compressed_label, confidence and the column `before`.
        before: the column of the labels that are compared with.
    """
    ordered = rows.sort_values(["confidence", "ticket_id"], ascending=[False, True]).drop_duplicates("text")
    return tuple(
        Example(
            row.ticket_id,
            row.channel,
            excerpt(row.text),
            row.label,
            getattr(row, before),
            row.compressed_label,
        )
        for row in ordered.head(EXAMPLES).itertuples()
    )


def changes(predictions: pd.DataFrame, holdout: pd.DataFrame) -> Changes:
    """Compare the compressed model with the champion, or with TF-IDF when there is none.

    Args:
        predictions: reports/evaluation/predictions.parquet.
        holdout: data/prepared/holdout.parquet, for channel and masked text.
    """
    against = "champion" if "champion_label" in predictions.columns else "tfidf"
    before = f"{against}_label"
    table = predictions.merge(
        holdout[["ticket_id", "channel", "text"]], on="ticket_id", validate="one_to_one"
    )
    table = table.assign(confidence=table[[f"compressed_{label}" for label in LABELS]].max(axis=1))
    was, now = table[before] == table["label"], table["compressed_label"] == table["label"]
    better, worse = table[~was & now], table[was & ~now]
    return Changes(
        against=against,
        better=len(better),
        worse=len(worse),
        by_label=tuple(
            (label, int((better["label"] == label).sum()), int((worse["label"] == label).sum()))
            for label in LABELS
        ),
        better_examples=examples(better, before),
        worse_examples=examples(worse, before),
    )
