"""What a model has to beat before it is worth its cost: always the same answer, and a bag of words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABEL_TO_ID, LABELS


def label_ids(labels: Sequence[str]) -> NDArray[np.int64]:
    """Class indices of labels, [rows]."""
    return np.array([LABEL_TO_ID[label] for label in labels], dtype=np.int64)


def majority_probabilities(train_labels: Sequence[str], rows: int) -> NDArray[np.float64]:
    """The share of each class in the training rows, for every row: [rows, labels]."""
    counts = np.bincount(label_ids(train_labels), minlength=len(LABELS))
    return np.tile(counts / counts.sum(), (rows, 1))


def tfidf_model() -> Pipeline:
    """Words and pairs of words, weighted by TF-IDF, with logistic regression: an honest, quick baseline."""
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        LogisticRegression(C=3.0, class_weight="balanced", max_iter=1000),
    )


def tfidf_probabilities(
    train_texts: Sequence[str], train_labels: Sequence[str], texts: Sequence[str]
) -> NDArray[np.float64]:
    """Probabilities [texts, labels] of `tfidf_model`, learnt from the training rows. Deterministic.

    Raises:
        TicketSentimentError: the training rows hold fewer than two classes or no word twice.
    """
    if len(set(train_labels)) < 2:
        raise TicketSentimentError(
            "data/prepared/train.parquet: column label: holds fewer than two classes; "
            "check the label mapping under tickets.labels in params.yaml"
        )
    try:
        model = tfidf_model().fit(list(train_texts), list(train_labels))
    except ValueError as error:
        raise TicketSentimentError(
            f"data/prepared/train.parquet: column text: the TF-IDF baseline cannot be trained ({error}); "
            "check that tickets.columns.text in params.yaml names the column with the text"
        ) from None
    result = np.zeros((len(texts), len(LABELS)))
    columns = [LABEL_TO_ID[label] for label in model.classes_]
    result[:, columns] = model.predict_proba(list(texts)) if len(texts) else 0.0
    return result
