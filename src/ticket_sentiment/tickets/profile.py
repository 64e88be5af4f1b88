"""What a month of tickets looks like as a whole: the numbers that its expectations are about."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.files import finite_or_none
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Validate
from ticket_sentiment.tickets.language import MIN_LANGUAGE_CHARS, identifier, without_masks
from ticket_sentiment.tickets.noise import Noise, label_noise
from ticket_sentiment.tickets.privacy import TOKENS, clean, count_masks, dedup_key
from ticket_sentiment.tickets.repeats import Offenders, by_month, repeats

MIN_SIGNAL_ROWS = 30  # labelled rows to learn from and to judge on; fewer say nothing
MIN_SHIFT_ROWS = 2 * MIN_SIGNAL_ROWS  # of fewer the mix of labels breaks a sound limit by chance alone
FOLDS = 5  # inside a single month
MOST_SIGNAL_ROWS = 50_000  # to learn from: else the time grows with the square of the months


@dataclass(frozen=True)
class Profile:
    """The whole of the tickets, month by month.

    Attributes:
        months: per month the entry of reports/validation/result.json.
        summary: one row a month, the columns that `validate` sets expectations on; NaN where unknown.
        offenders: (month, summary column) to the ids of the rows that count against it.
        hints: (month, summary column) to what a person should know beside the number.
        noise: how many labels seem wrong.
    """

    months: dict[str, dict[str, Any]]
    summary: pd.DataFrame
    offenders: Offenders
    hints: dict[tuple[str, str], str]
    noise: Noise


def profile(
    tickets: pd.DataFrame,
    limits: Validate,
    used: Collection[str] | None = None,
    unread: Iterable[pd.DataFrame] = (),
) -> Profile:
    """Describe the tickets of all months that a retraining reads.

    Args:
        tickets: schema.COLUMNS and `month`, the month of the file that a row came from.
        limits: params.validate.
        used: months whose labels are learnt from or judged by: only theirs have a signal, a shift and a
            noise; None is all.
        unread: ticket_id and text of each month before these, which count only as what is repeated.
    """
    tickets = tickets.assign(key=[dedup_key(text) for text in tickets["text"].fillna("")])
    learnt = tickets if used is None else tickets[tickets["month"].isin(used)]
    known = learnt[learnt["label"].isin(LABELS) & (learnt["key"] != "")]
    features = bag_of_words(known["key"])
    signals, hints = signal(known, features, sorted(tickets["month"].unique()))
    languages = language_shares(tickets, limits)
    offenders = repeats(tickets, unread) | _repeated_texts(tickets) | _unmasked(tickets)
    rows, months = [], {}
    for month, group in tickets.groupby("month", sort=True):
        month = str(month)
        shares = label_shares(group)
        masks = sum((count_masks(text) for text in group["text"].dropna()), Counter())
        labelled = int(group["label"].notna().sum())
        size = len(group)
        rows.append(
            {
                "month": month,
                "ids_in_other_months": len(offenders.get((month, "ids_in_other_months"), [])),
                "duplicate_share": len(offenders.get((month, "duplicate_share"), [])) / size,
                "repeated_share": len(offenders.get((month, "repeated_share"), [])) / size,
                "conflict_share": len(offenders.get((month, "conflict_share"), [])) / size,
                "unmasked_rows": len(offenders.get((month, "unmasked_rows"), [])),
                "labelled_share": labelled / size,
                "smallest_class_share": min(shares.values()) if labelled else np.nan,
                "label_shift": _label_shift(learnt, month),
                "language_share": languages[month],
                "signal": signals[month],
            }
        )
        months[month] = {
            "rows": size,
            "labelled": labelled,
            "masks": {token: masks[token] for token in TOKENS},
            "label_share": {label: round(share, 6) for label, share in shares.items()},
            "language_share": _rounded(languages[month]),
            "signal": _rounded(signals[month]),
            "channels": {
                str(channel): round(share, 6)
                for channel, share in group["channel"].value_counts(normalize=True).sort_index().items()
            },
        }
    noise = label_noise(known, features, limits.suspects)
    return Profile(months, pd.DataFrame(rows), offenders, hints, noise)


def _rounded(value: float) -> float | None:
    return finite_or_none(round(value, 6))


def label_shares(tickets: pd.DataFrame) -> dict[str, float]:
    """Share of each class among the labelled rows; zeros when there are none."""
    labels = tickets["label"].dropna()
    return {label: float((labels == label).mean()) if len(labels) else 0.0 for label in LABELS}


def _label_shift(tickets: pd.DataFrame, month: str) -> float:
    """Total variation of a month's labels from those of the months before; 0 where either are too few."""
    groups = tickets[tickets["month"] == month], tickets[tickets["month"] < month]
    if min(group["label"].count() for group in groups) < MIN_SHIFT_ROWS:
        return 0.0
    now, before = map(label_shares, groups)
    return sum(abs(now[label] - before[label]) for label in LABELS) / 2


def _repeated_texts(tickets: pd.DataFrame) -> Offenders:
    """Within a month: rows whose text was there before, and rows of texts with two labels."""
    again = tickets[tickets.duplicated(["month", "key"])]
    labels = tickets.groupby(["month", "key"])["label"].transform("nunique")
    return {**by_month(again, "duplicate_share"), **by_month(tickets[labels > 1], "conflict_share")}


def _unmasked(tickets: pd.DataFrame) -> Offenders:
    """Rows that the masking rules would still change: they did not come through `collect`."""
    texts = tickets["text"].fillna("")
    return by_month(tickets[[clean(text) != text for text in texts]], "unmasked_rows")


def language_shares(tickets: pd.DataFrame, limits: Validate) -> dict[str, float]:
    """Share of a month's sampled texts in the expected language.

    The sample is drawn by a hash of the id. Texts too short to tell are joined until they are long
    enough, the others stand alone.

    Raises:
        TicketSentimentError: `validate.language` is no language that can be told.
    """
    told = identifier(limits.language)
    shares = {}
    for month, group in tickets.groupby("month", sort=True):
        order = [hashlib.blake2b(str(id_).encode(), digest_size=8).digest() for id_ in group["ticket_id"]]
        sample = (
            group.assign(order=order).sort_values("order")["text"].dropna().iloc[: limits.language_sample]
        )
        pieces = _pieces([without_masks(text) for text in sample])
        found = [told.classify(piece)[0] == limits.language for piece in pieces]
        shares[str(month)] = float(np.mean(found)) if found else float("nan")
    return shares


def _pieces(texts: list[str]) -> list[str]:
    pieces, short = [], ""
    for text in texts:
        if len(text.strip()) >= MIN_LANGUAGE_CHARS:
            pieces.append(text)
            continue
        short = f"{short} {text}".strip()
        if len(short) >= MIN_LANGUAGE_CHARS:
            pieces.append(short)
            short = ""
    return pieces or ([short] if short else [])


def bag_of_words(keys: pd.Series) -> Any:
    """The words of texts, weighted by TF-IDF: a sparse matrix with one row each."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    words = HashingVectorizer(n_features=2**18, alternate_sign=False, norm=None, token_pattern=r"(?u)\S+")
    return TfidfTransformer(sublinear_tf=True).fit_transform(words.transform(keys)) if len(keys) else None


def signal(
    labelled: pd.DataFrame, features: Any, months: list[str]
) -> tuple[dict[str, float], dict[tuple[str, str], str]]:
    """How well each month's labels can be told from its texts by a bag of words learnt on others.

    Labels that slipped against their texts (a column shifted by a row) carry no such signal. A single
    month is cross-validated within itself.

    Args:
        labelled: rows with a label and a text; label and month are read.
        features: `bag_of_words` of them.
        months: all that there are.

    Returns:
        Macro-F1 a month (NaN: too few labelled rows), and a hint where the labels fit the texts of
        the neighbouring row better than their own.
    """
    scores, hints = {str(month): float("nan") for month in months}, {}
    if len(labelled) < 2 * MIN_SIGNAL_ROWS:
        return scores, hints
    labels = labelled["label"].to_numpy(dtype=str)
    groups = labelled["month"].to_numpy()
    single = labelled["month"].nunique() == 1
    for month in months:
        inside = groups == month
        if inside.sum() < MIN_SIGNAL_ROWS or (not single and (~inside).sum() < MIN_SIGNAL_ROWS):
            continue
        actual = labels[inside]
        predicted = _fold(features, labels) if single else _learn(features, labels, ~inside, inside)
        scores[str(month)] = _macro_f1(actual, predicted)
        for step, where in ((-1, "before"), (1, "after")):
            moved = _macro_f1(np.roll(actual, step), predicted)
            if moved > scores[str(month)] + 0.05:
                hints[str(month), "signal"] = (
                    f"the labels fit the texts of the row {where} better ({moved:.2f}): "
                    "the label column seems shifted by one row"
                )
    return scores, hints


def _macro_f1(actual: NDArray[np.str_], predicted: NDArray[np.str_]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(actual, predicted, average="macro", labels=list(LABELS), zero_division=0.0))


def _learn(features: Any, labels: NDArray[np.str_], train: NDArray, test: NDArray) -> NDArray[np.str_]:
    from sklearn.linear_model import SGDClassifier

    rows = np.flatnonzero(train)
    if len(rows) > MOST_SIGNAL_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_SIGNAL_ROWS, replace=False))
    if len(set(labels[rows])) == 1:
        return np.full(len(labels[test]), labels[rows][0])
    learner = SGDClassifier(
        loss="log_loss",
        alpha=2e-5,
        class_weight="balanced",
        average=True,
        max_iter=10,
        tol=None,
        random_state=0,
    )
    return learner.fit(features[rows], labels[rows]).predict(features[test])


def _fold(features: Any, labels: NDArray[np.str_]) -> NDArray[np.str_]:
    predicted = labels.copy()
    for fold in range(FOLDS):
        test = np.arange(len(labels)) % FOLDS == fold
        predicted[test] = _learn(features, labels, ~test, test)
    return predicted
