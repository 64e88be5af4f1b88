"""How good a model is in each part of the holdout, and whether it is worse there than another one.

Of many parts one is always worse by chance. So the intervals of the differences hold for all parts at once:
they are as wide as the largest deviation of any part in a bootstrap (max-t: Romano, Wolf 2005, "Exact and
Approximate Stepdown Methods for Multiple Hypothesis Testing").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.gates import metrics
from ticket_sentiment.gates.baselines import label_ids
from ticket_sentiment.gates.slices import slice_masks
from ticket_sentiment.params import Evaluate

COMPARED = ("dense", "champion")


def simultaneous(
    change: NDArray, masks: Sequence[NDArray], clusters: NDArray, samples: int, seed: int
) -> list[metrics.Interval]:
    """The mean of `change` in each part, with 95 % intervals that hold for all parts together.

    Args:
        change: of each row, [rows]: 1 right now, -1 wrong now, 0 as before.
        masks: the parts, each [rows] of booleans with at least one true.
        clusters: `metrics.cluster_codes`, [rows].
        samples: bootstrap resamples of whole clusters.
        seed: of the resamples.
    """
    if not masks:
        return []
    inside = np.stack(masks).astype(np.float64)  # [parts, rows]
    groups = int(clusters.max()) + 1
    columns = np.zeros((groups, 2 * len(masks)))
    np.add.at(columns, clusters, np.hstack([(inside * change).T, inside.T]))
    drawn = metrics.resampled(columns, samples, seed)
    sums, counts = drawn[:, : len(masks)], drawn[:, len(masks) :]
    values = inside @ change / inside.sum(axis=1)
    means = np.divide(sums, counts, out=np.tile(values, (samples, 1)), where=counts > 0)
    spread = means.std(axis=0, ddof=1)
    differ = spread > metrics.NOTHING
    deviations = np.divide(np.abs(means - values), spread, out=np.zeros_like(means), where=differ)
    widest = float(np.quantile(deviations.max(axis=1), metrics.LEVEL))
    result = []
    for value, one, varies, mask in zip(values, spread, differ, masks, strict=True):
        inside_of = len(np.unique(clusters[mask]))
        if varies and inside_of > 1:
            reach = widest * one * metrics.few_clusters(inside_of)
            ends = (max(value - reach, -1.0), min(value + reach, 1.0))
        else:
            ends = metrics.alike(value, inside_of, least=-1.0, statements=len(masks))
        result.append(metrics.Interval(float(value), *map(float, ends)))
    return result


def judge_slices(
    holdout: pd.DataFrame,
    predicted: Mapping[str, NDArray],
    clusters: NDArray,
    settings: Evaluate,
    learnt: NDArray[np.bool_] | None = None,
) -> list[dict[str, Any]]:
    """The part `slices` of metrics.json: the compressed model in each part, and beside the others.

    Args:
        holdout: labelled tickets.
        predicted: class indices by model, [rows] each; `compressed`, and any of COMPARED.
        clusters: `metrics.cluster_codes`, [rows].
        settings: section `evaluate`.
        learnt: rows that the champion learnt and is not compared on, [rows]; a part of which fewer than
            `min_slice_rows` others are left is not compared with it.
    """
    actual, samples, seed = label_ids(holdout["label"]), settings.bootstrap_samples, settings.seed
    parts = list(slice_masks(holdout, settings))
    ours = predicted["compressed"]
    result = []
    for name, value, mask in parts:
        _, codes = np.unique(clusters[mask], return_inverse=True)
        one = {"model": ours[mask]}
        drawn = metrics.bootstrap_confusions(actual[mask], one, codes, samples, seed)["model"]
        right = float(metrics.accuracy(metrics.confusion_matrix(actual[mask], ours[mask])))
        groups = int(codes.max()) + 1
        result.append(
            {
                "slice": name,
                "value": value,
                "rows": int(mask.sum()),
                "right": metrics.clustered_interval(right, metrics.accuracy(drawn), groups).as_json(),
                **{f"right_minus_{other}": None for other in COMPARED},
                "rows_beside_champion": 0,
            }
        )
    for other in COMPARED:
        if other in predicted:
            fair = ~learnt if other == "champion" and learnt is not None else np.ones(len(actual), bool)
            change = ((ours == actual).astype(np.float64) - (predicted[other] == actual))[fair]
            counts = [int((mask & fair).sum()) for _, _, mask in parts]
            enough = [place for place, count in enumerate(counts) if count >= settings.min_slice_rows]
            _, codes = np.unique(clusters[fair], return_inverse=True)
            masks = [parts[place][2][fair] for place in enough]
            intervals = simultaneous(change, masks, codes, samples, seed)
            for place, interval in zip(enough, intervals, strict=True):
                result[place][f"right_minus_{other}"] = interval.as_json()
                if other == "champion":
                    result[place]["rows_beside_champion"] = counts[place]
    return result
