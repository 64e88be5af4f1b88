"""The world of the suite: a project's released model, a champion beside it, and what both answer."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from benchmarks.mutations.bundles import HEAD, Encoder, constant, rewrite, with_head
from benchmarks.mutations.heads import Head, fit
from benchmarks.mutations.workplace import CHAMPION, RELEASE, Known, Workplace, labels_of
from ticket_sentiment.behaviour.cases import Plan, plan
from ticket_sentiment.behaviour.specification import read_suite
from ticket_sentiment.files import read_json, sha256_file, write_json
from ticket_sentiment.gates import benchmark, drift, evaluate, inspection, left_out
from ticket_sentiment.gates.baselines import majority_probabilities
from ticket_sentiment.gates.scored import Scored, calibrated, score_dense
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params

TABLES = ("train", "tune", "holdout")
SIBLING_SEED = 1


def cached(path: Path, make: Callable[[], dict[str, NDArray]]) -> dict[str, NDArray]:
    """Arrays by name from a file, made and kept there where it is missing."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **make())
    with np.load(path) as content:
        return {name: content[name] for name in content.files}


def texts_of(name: str) -> list[str]:
    """Texts of a prepared table of the current folder."""
    return pd.read_parquet(f"data/prepared/{name}.parquet", columns=["text"])["text"].tolist()


def bootstrap_head(features: dict[str, NDArray], labels: dict[str, NDArray], seed: int) -> Head:
    """A head learnt from as many training tickets, drawn with replacement: an honest retraining."""
    draw = np.random.default_rng(seed)
    rows = len(labels["train"])
    weights = np.bincount(draw.integers(rows, size=rows), minlength=rows).astype(np.float64)
    start = draw.normal(0, 0.01, (features["train"].shape[1], len(LABELS))), np.zeros(len(LABELS))
    tune = features["tune"], labels["tune"]
    return fit(features["train"], labels["train"], tune, start, weights)


def released(project: Path, cache: Path, params: Params, behaviour: bool) -> tuple[Known, dict, Plan | None]:
    """What is known of the released model of a project, which is the current folder.

    Returns:
        `Known` without a champion; labels by table; the suite.
    """
    bundle = load_bundle(RELEASE / "cpu")
    suite = None
    if behaviour:
        settings = params.behaviour
        suite = plan(read_suite(), settings.cases_per_test, settings.seed)

    def features() -> dict[str, NDArray]:
        encoder = Encoder(bundle, cache / "encoder")
        made = {name: encoder.features(texts_of(name)) for name in TABLES}
        return made | ({"suite": encoder.features(suite.texts)} if suite else {})

    key = f"{bundle.digest[:12]}-{sha256_file(Path('data/prepared/split.json'))[:12]}"
    arrays = cached(cache / f"features-{key}-{behaviour}.npz", features)
    if suite is not None:
        dense = Path(project / "models/dense")
        answers = cached(
            cache / f"dense-{key}.npz",
            lambda: {"dense": score_dense(dense, suite.texts, params.train.max_length).probabilities},
        )
    holdout = evaluate.read_holdout()
    predictions = pd.read_parquet(evaluate.FOLDER / "predictions.parquet")
    scored = {
        name: Scored(predictions[[f"{name}_{label}" for label in LABELS]].to_numpy(np.float64))
        for name in ("dense", "tfidf")
    }
    labels = {name: labels_of(name) for name in TABLES}
    named = [LABELS[label] for label in labels["train"]]
    scored["majority"] = Scored(majority_probabilities(named, len(holdout)))
    edge = Runtime(load_bundle(RELEASE / "edge")).logits(holdout["text"].tolist())
    known = Known(holdout, scored, edge, suite, {"dense": answers["dense"]} if suite else {}, arrays)
    return known, labels, suite


def head_of(bundle: Bundle) -> Head:
    """The last product of a bundle."""
    model = onnx.load(str(bundle.model_path))
    return Head(constant(model, HEAD), constant(model, "out.bias"), bundle.manifest.temperature)


def set_champion(known: Known, head: Head) -> Bundle:
    """Make the model with this head the champion, of the current folder and in what is known."""
    shutil.rmtree(CHAMPION, ignore_errors=True)
    left_out.FILE.unlink(missing_ok=True)  # this champion is no hotfix
    graph = with_head(head.weight, head.bias)
    champion = rewrite(load_bundle(RELEASE / "cpu"), CHAMPION, graph, temperature=head.temperature)
    logits = head.logits(known.features["holdout"])
    known.scored["champion"] = calibrated(champion.path, logits, head.temperature)
    if known.suite is not None:
        logits = head.logits(known.features["suite"])
        known.behaved["champion"] = calibrated(champion.path, logits, head.temperature).probabilities
    return champion


def champion_times(place: Workplace) -> None:
    """The champion in the benchmark: the same graph as the candidate's, so it takes the same time."""
    report = read_json(benchmark.RESULT)
    same = dict.fromkeys(("median", "low", "high"), 1.0)
    ours = report["variants"]["cpu_bundle"]
    champion = {**ours, "ratio": {"throughput": same}}
    write_json(
        benchmark.RESULT, report | {"champion_digest": load_bundle(CHAMPION).digest, "champion": champion}
    )


def undamaged(root: Path, params: Params, known: Known, cache: Path) -> Workplace:
    """The world before any damage, with all reports about the released model and its champion."""
    place = Workplace(root, params, known, set())
    inspection.main(params)
    champion_times(place)
    head = head_of(load_bundle(RELEASE / "cpu"))
    place.change_candidate(logits=head.logits, behaviour=known.suite is not None)
    bundle, champion = load_bundle(RELEASE / "cpu"), load_bundle(CHAMPION)
    kept = cache / f"drift-{bundle.digest[:12]}-{champion.digest[:12]}.json"
    if not kept.is_file():  # minutes, for it learns its limits from the quiet months
        drift.main(params)
        shutil.copyfile(drift.RESULT, kept)
    shutil.copyfile(kept, drift.RESULT)
    place.made_anew |= {"drift"}
    return place
