"""Would a small model that passes hard tickets on to a larger one beat every single point of the frontier?

    python benchmarks/cascade.py                   # after `make search`, whose answers it reads

For every pair of compressed points: the smaller one answers when its calibrated confidence reaches a
threshold, else the larger one answers too. The threshold is the lowest that keeps the tuning tickets' loss
inside the budget; loss and cost are then read off the holdout, as means over the seeds. The cost of a pair is
the smaller one's time plus the larger one's for the share that is passed on.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.gates.metrics import confusion_matrix, macro_f1
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.frontier import FrontierPoint, read_frontier
from ticket_sentiment.model.runtime import softmax
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.search.search import WORK, key
from ticket_sentiment.search.tables import Tables, prepared_tables

THRESHOLDS = np.linspace(0.34, 0.99, 66)


def score(answers: NDArray, labels: NDArray) -> float:
    """Macro-F1 of class numbers."""
    return float(macro_f1(confusion_matrix(labels, answers)))


def read_logits(folder: Path, name: str, seed: int) -> Mapping[str, NDArray[np.float32]]:
    """Logits of a point on `tune` and `holdout`."""
    with np.load(folder / f"seed-{seed}/{name}/logits.npz", allow_pickle=False) as stored:
        return {part: stored[part] for part in ("tune", "holdout")}


def cascade(
    small: Mapping[str, NDArray],
    large: Mapping[str, NDArray],
    dense: Mapping[str, NDArray],
    tables: Tables,
    max_loss: float,
) -> tuple[float, float] | None:
    """Loss on the holdout and share of tickets passed on; None when no threshold keeps the budget."""
    temperature = fit_temperature(small["tune"], tables["tune"].labels)
    confidence = {part: softmax(small[part] / temperature).max(axis=1) for part in small}
    answers = {part: (small[part].argmax(axis=1), large[part].argmax(axis=1)) for part in small}

    def loss(part: str, threshold: float) -> float:
        own, other = answers[part]
        labels = tables[part].labels
        together = np.where(confidence[part] >= threshold, own, other)
        return score(dense[part].argmax(axis=1), labels) - score(together, labels)

    for threshold in THRESHOLDS:
        if loss("tune", threshold) <= max_loss:
            return loss("holdout", threshold), float(np.mean(confidence["holdout"] < threshold))
    return None


def pairs(
    points: list[FrontierPoint], params: Params, tables: Tables
) -> list[tuple[str, float, float, float]]:
    """(name, milliseconds, loss on the holdout, share passed on) of every pair, the fastest first."""
    folder = WORK / key(params, tables)
    found = []
    for small in points:
        for large in points:
            if large.ms <= small.ms:
                continue
            results = [
                cascade(
                    *(read_logits(folder, name, seed) for name in (small.name, large.name, "dense")),
                    tables,
                    params.budget.max_loss,
                )
                for seed in params.search.seeds
            ]
            if all(result is not None for result in results):
                loss, passed = np.mean(results, axis=0)
                found.append(
                    (
                        f"{small.name} then {large.name}",
                        small.ms + passed * large.ms,
                        float(loss),
                        float(passed),
                    )
                )
    return sorted(found, key=lambda item: item[1])


def main() -> None:
    """Print the cascades inside the budget beside the fastest single point inside it."""
    params, tables = load_params(), prepared_tables()
    points = [point for point in read_frontier() if point.kind == "compressed"]
    single = min(
        (point for point in points if point.tune_loss <= params.budget.max_loss),
        key=lambda point: point.ms,
        default=None,
    )
    title = f"budget {100 * params.budget.max_loss:.1f} points"
    print(f"{title:<44}{'ms':>7}{'loss':>7}{'passed on':>11}")
    if single is not None:
        print(f"{single.name + ' alone':<44}{single.ms:>7.3f}{100 * single.loss:>7.1f}{'':>11}")
    for name, ms, loss, passed in pairs(points, params, tables)[:10]:
        print(f"{name:<44}{ms:>7.3f}{100 * loss:>7.1f}{passed:>11.0%}")


if __name__ == "__main__":
    sys.exit(main())
