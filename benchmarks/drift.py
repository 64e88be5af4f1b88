"""Does drift call quiet months quiet, and real changes changes?

    python -m benchmarks.drift [--resamples 100] [--out drift.json]

runs in a repository whose month has been made (data/prepared, models/release). The limits are learnt from the
training months once, as stage `drift` learns them. Then the newest month is drawn again and again, as it came
(no measure may move), and changed in one way (at least one must).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ticket_sentiment.files import write_json
from ticket_sentiment.gates.drift import BUNDLE, CURRENT, REFERENCE, UNSEEN, base_embedding
from ticket_sentiment.gates.drift_features import (
    BUNDLE_COLUMNS,
    EMBEDDING,
    REQUIRED,
    TICKET_COLUMNS,
    bundle_columns,
    sample,
    ticket_columns,
)
from ticket_sentiment.gates.drift_limits import Limit, distance, domain_auc, learn, learn_embedding
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params, load_params

# German tickets, written for this benchmark: no data set of another language is at hand without a network.
GERMAN = (
    "Meine Bestellung ist seit zwei Wochen unterwegs und niemand antwortet mir.",
    "Vielen Dank, das Problem wurde innerhalb einer Stunde gelöst.",
    "Ich kann mich nicht anmelden, das Passwort wird nicht angenommen.",
    "Der Kundendienst war sehr freundlich und hat mir sofort geholfen.",
    "Das Gerät kam beschädigt an und ich möchte mein Geld zurück.",
    "Wann wird die neue Fassung der Anwendung veröffentlicht?",
    "Die Rechnung stimmt nicht, es wurde zweimal abgebucht.",
    "Bitte ändern Sie die Lieferanschrift für meinen Auftrag.",
    "Leider funktioniert der Drucker auch nach dem Austausch nicht.",
    "Ich bin mit der Qualität sehr zufrieden und bestelle gern wieder.",
    "Seit dem letzten Update stürzt das Programm ständig ab.",
    "Können Sie mir bitte eine Kopie des Vertrags schicken?",
    "Das ist das schlechteste Erlebnis, das ich je mit einer Firma hatte.",
    "Die Lieferung war schneller als erwartet, alles bestens.",
    "Ich warte noch immer auf einen Rückruf Ihres Technikers.",
    "Wie kann ich mein Abonnement zum Monatsende kündigen?",
)
NEGATIVE_TIMES = 2
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def _as_it_came(month: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return month


def editorials(month: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """30 % of the tickets are newspaper editorials in addition to those that come anyway."""
    mixed = month[month["channel"] == "editorials"]
    others = month.sample(int(0.7 * len(month)), random_state=random)
    return pd.concat([others, mixed.sample(len(month) - len(others), replace=True, random_state=random)])


def negative(month: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Twice the share of negative tickets."""
    is_negative = (month["label"] == "negative").to_numpy()
    wanted = min(0.95, NEGATIVE_TIMES * is_negative.mean())
    weights = np.where(is_negative, wanted / is_negative.sum(), (1 - wanted) / (~is_negative).sum())
    return month.sample(len(month), replace=True, weights=weights, random_state=random)


def truncated(month: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """A connector that cuts each text after 40 characters."""
    return month.assign(text=month["text"].str[:40])


def german(month: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """20 % of the tickets are in German, of one to three sentences of GERMAN."""
    foreign = random.random(len(month)) < 0.2
    texts = [
        " ".join(random.choice(GERMAN, random.integers(1, 4), replace=False)) if other else text
        for text, other in zip(month["text"], foreign, strict=True)
    ]
    return month.assign(text=texts)


def capitals(month: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """A feed that sends everything in capitals."""
    return month.assign(text=month["text"].str.upper())


CHANGES: tuple[Change, ...] = (editorials, negative, truncated, german, capitals)


class Judge:
    """The limits and the reference of stage `drift`, made once."""

    def __init__(self, params: Params, rows: int) -> None:
        """Learn the limits for months of `rows` tickets."""
        self.drift, self.language = params.drift, params.validate_.language
        self.runtime = Runtime(load_bundle(BUNDLE))
        self.embed = base_embedding(params.train.base_model, params.train.max_length)
        seen, unseen = (
            sample(read_prepared(path, REQUIRED), self.drift.max_rows, self.drift.seed)
            for path in (REFERENCE, UNSEEN)
        )
        self.reference = {
            TICKET_COLUMNS: ticket_columns(seen, self.language),
            BUNDLE_COLUMNS: bundle_columns(unseen, self.runtime),
        }
        self.limits: dict[str, Limit] = {}
        for columns, table in zip((TICKET_COLUMNS, BUNDLE_COLUMNS), (seen, unseen), strict=True):
            self.limits |= learn(self.reference[columns], table["created_at"], columns, rows, self.drift)
        some = sample(seen, self.drift.embedding_rows, self.drift.seed)
        self.vectors = self.embed(some["text"].tolist())
        self.limits[EMBEDDING] = learn_embedding(self.vectors, some["created_at"], self.drift)

    def columns(self, month: pd.DataFrame) -> pd.DataFrame:
        """All columns of a month."""
        return pd.concat([ticket_columns(month, self.language), bundle_columns(month, self.runtime)], axis=1)

    def alarms(self, table: pd.DataFrame, vectors: np.ndarray) -> dict[str, float]:
        """The measures that a month moves beyond their limits, each in limits.

        Args:
            table: of `columns`.
            vectors: of the month's tickets, each once, [rows, hidden].
        """
        values = {
            column: distance(reference[column], table[column], self.drift)
            for columns, reference in self.reference.items()
            for column in columns
        }
        values[EMBEDDING] = domain_auc(self.vectors, vectors, self.drift.seed)
        limits = {name: self.limits[name].value for name in values}
        return {
            name: round(value / limits[name], 2) for name, value in values.items() if value >= limits[name]
        }


def main() -> None:
    """Print a table, write the result where --out says, and end with status 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    params = load_params()
    month = read_prepared(CURRENT, REQUIRED).reset_index(drop=True)
    judge = Judge(params, len(month))
    for name, limit in judge.limits.items():
        print(f"limit  {name:<20} {limit.value:.3f}  learnt {limit.learnt:.3f}  floor {limit.floor:.2f}")

    table, vectors = judge.columns(month), judge.embed(month["text"].tolist())
    random, moved, quiet = np.random.default_rng(params.drift.seed), Counter[str](), 0
    for _ in range(arguments.resamples):
        drawn = random.choice(len(month), len(month))
        once = random.choice(len(month), min(params.drift.embedding_rows, len(month)), replace=False)
        found = judge.alarms(table.iloc[drawn], vectors[once])
        moved.update(found.keys())
        quiet += not found
    print(f"quiet  {quiet} of {arguments.resamples} resamples of the same month; moved: {dict(moved)}")

    seen = {}
    for change in CHANGES:
        changed = change(month, random).reset_index(drop=True)
        some = sample(changed.drop_duplicates("text"), params.drift.embedding_rows, params.drift.seed)
        seen[change.__name__] = judge.alarms(judge.columns(changed), judge.embed(some["text"].tolist()))
        print(f"change {change.__name__:<11} {seen[change.__name__] or 'NOT SEEN'}", flush=True)
    result = {"resamples": arguments.resamples, "quiet": quiet, "moved": dict(moved), "changes": seen}
    if arguments.out:
        write_json(arguments.out, result)
    if quiet < 0.95 * arguments.resamples or not all(seen.values()):
        sys.exit("a bar is missed")


if __name__ == "__main__":
    main()
