"""Which tickets another model answers otherwise, which way, and whether they got better or worse."""

from dataclasses import dataclass

import pandas as pd

from ticket_sentiment.labels import LABELS

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
class Move:
    """Tickets whose answer went from one label to another; of the labelled ones, who gained and who lost."""

    before: str
    after: str
    rows: int
    better: int
    worse: int


@dataclass(frozen=True)
class Changes:
    """Tickets whose answer became right (better) or stopped being right (worse)."""

    against: str  # champion | tfidf
    rows: int
    right: int  # of the new model
    right_before: int
    better: int
    worse: int
    moves: tuple[Move, ...]  # the commonest first
    answers: tuple[tuple[str, int, int], ...]  # label, tickets that were called so, tickets that are now
    by_label: tuple[tuple[str, int, int], ...]  # label, better, worse
    better_examples: tuple[Example, ...]
    worse_examples: tuple[Example, ...]

    @property
    def moved(self) -> int:
        """Tickets that get another answer."""
        return sum(move.rows for move in self.moves)


def excerpt(text: str, limit: int = EXCERPT_CHARS) -> str:
    """The start of a text, cut at a word where there is one, at most `limit` characters with the ellipsis."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    at_word = head.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > limit // 2 else head) + "…"


def examples(rows: pd.DataFrame, before: str, count: int) -> tuple[Example, ...]:
    """Those where the new model is surest: its clearest gains, and its most confident new mistakes.

    Args:
        rows: ticket_id, channel, text, label, compressed_label, confidence and the column `before`.
        before: the column of the labels that are compared with.
        count: how many at most.
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
        for row in ordered.head(count).itertuples()
    )


def moves(before: pd.Series, after: pd.Series, label: pd.Series) -> tuple[Move, ...]:
    """Every way that an answer went, the commonest first.

    Args:
        before: labels that one model gives.
        after: labels that another gives to the same tickets.
        label: people's labels of them; missing where nobody gave one.
    """
    table = pd.DataFrame(
        {"before": before, "after": after, "better": after == label, "worse": before == label, "rows": 1}
    )
    counted = table[before != after].groupby(["before", "after"], as_index=False).sum()
    ordered = counted.sort_values(["rows", "before", "after"], ascending=[False, True, True])
    return tuple(
        Move(row.before, row.after, int(row.rows), int(row.better), int(row.worse))
        for row in ordered.itertuples()
    )


def answers(before: pd.Series, after: pd.Series) -> tuple[tuple[str, int, int], ...]:
    """(label, tickets that one model calls so, tickets that the other does)."""
    return tuple((label, int((before == label).sum()), int((after == label).sum())) for label in LABELS)


def changes(predictions: pd.DataFrame, holdout: pd.DataFrame, shown: int) -> Changes:
    """Compare the compressed model with the champion, or with TF-IDF when there is none.

    Args:
        predictions: reports/evaluation/predictions.parquet; tickets that the champion learnt do not count.
        holdout: data/prepared/holdout.parquet, for channel and masked text.
        shown: examples of each kind.
    """
    against = "champion" if "champion_label" in predictions.columns else "tfidf"
    before = f"{against}_label"
    table = predictions.merge(
        holdout[["ticket_id", "channel", "text"]], on="ticket_id", validate="one_to_one"
    )
    table = table[table[before].notna()]
    table = table.assign(confidence=table[[f"compressed_{label}" for label in LABELS]].max(axis=1))
    was, now = table[before] == table["label"], table["compressed_label"] == table["label"]
    better, worse = table[~was & now], table[was & ~now]
    return Changes(
        against=against,
        rows=len(table),
        right=int(now.sum()),
        right_before=int(was.sum()),
        better=len(better),
        worse=len(worse),
        moves=moves(table[before], table["compressed_label"], table["label"]),
        answers=answers(table[before], table["compressed_label"]),
        by_label=tuple(
            (label, int((better["label"] == label).sum()), int((worse["label"] == label).sum()))
            for label in LABELS
        ),
        better_examples=examples(better, before, shown),
        worse_examples=examples(worse, before, shown),
    )
