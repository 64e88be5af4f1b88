"""How often the gates stop a retraining that nothing is wrong with.

    python -m benchmarks.mutations.honest [--project .] [--cache var/mutations] [--count 100]

The world does not change: each retraining learns a head on the released encoder from as many training
tickets, drawn with replacement, and is judged on a holdout of as many customers, drawn with replacement. Its
champion is the retraining before it. Its dense model is a head on the dense encoder, learnt from the same
drawn tickets, so that the cost of compression is as uncertain as in a month. The gate drift takes long: it is
asked of every so manieth one, 0 of none. Prints each that was stopped with its reasons, and how many were.
"""

import argparse
import dataclasses
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.mutations.bundles import with_head
from benchmarks.mutations.demo import (
    TABLES,
    bootstrap_head,
    cached,
    champion_times,
    released,
    set_champion,
    texts_of,
)
from benchmarks.mutations.heads import Head
from benchmarks.mutations.workplace import Known, Workplace, copy
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.gates import drift, inspection
from ticket_sentiment.gates.scored import Scored, calibrated
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import load_params


def month(known: Known, seed: int) -> Known:
    """A holdout of the same world: as many customers, drawn with replacement."""
    holdout = known.holdout.reset_index(drop=True)
    names = holdout["customer_id"].fillna(pd.Series(holdout.index.astype(str)))
    rows_of = holdout.groupby(names.to_numpy()).indices
    drawn = np.random.default_rng(seed).choice(sorted(rows_of), len(rows_of))
    rows = np.concatenate([rows_of[name] for name in drawn])
    sizes = [len(rows_of[name]) for name in drawn]
    customers = np.repeat([f"drawn-{number}" for number in range(len(drawn))], sizes)
    table = holdout.iloc[rows].assign(customer_id=customers).reset_index(drop=True)
    scored = {name: Scored(model.probabilities[rows]) for name, model in known.scored.items()}
    features = {**known.features, "holdout": known.features["holdout"][rows]}
    return dataclasses.replace(known, holdout=table, scored=scored, features=features)


def dense_features(folder: Path, texts: dict[str, list[str]], max_length: int) -> dict[str, np.ndarray]:
    """What the last product of the dense model reads, by table, [texts, features]."""
    import torch

    from ticket_sentiment.gates.scored import BATCH
    from ticket_sentiment.model.classifier import load_dense, load_tokenizer, predict_logits

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.read = load_dense(folder), []
            products = [one for one in self.dense.modules() if isinstance(one, torch.nn.Linear)]
            head = next(one for one in reversed(products) if one.out_features == len(LABELS))
            head.register_forward_pre_hook(lambda _, inputs: self.read.append(inputs[0]))

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            self.dense(**inputs)
            return self.read.pop()

    model, tokenizer = Features(), load_tokenizer(folder)
    return {name: predict_logits(model, tokenizer, some, max_length, BATCH) for name, some in texts.items()}


def answers(head: Head, features: np.ndarray) -> Scored:
    """Of the model with this head, at its temperature."""
    return calibrated(Path("models/dense"), head.logits(features), head.temperature)


def main() -> None:
    """Retrain, judge, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--cache", type=Path, default=Path("var/mutations"))
    parser.add_argument("--first", type=int, default=1, help="seed of the first one")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--drift-every", type=int, default=0)
    options = parser.parse_args()
    project, cache = options.project.resolve(), options.cache.resolve()
    params = load_params(project / "params.yaml")
    stopped, by_gate = 0, Counter()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(copy(project, Path(name) / "world"))
        inspection.main(params)
        known, labels, _ = released(project, cache, params, behaviour=True)
        dense = cached(
            cache / f"dense-features-{sha256_tree(project / 'models/dense')[:12]}.npz",
            lambda: dense_features(
                project / "models/dense", {name: texts_of(name) for name in TABLES}, params.train.max_length
            ),
        )
        champion = bootstrap_head(known.features, labels, options.first - 1)
        for seed in range(options.first, options.first + options.count):
            set_champion(known, champion)
            head = bootstrap_head(known.features, labels, seed)
            known.scored["dense"] = answers(bootstrap_head(dense, labels, seed), dense["holdout"])
            world = month(known, seed)
            place = Workplace(Path(), params, world, set())
            champion_times(place)
            graph = with_head(head.weight, head.bias)
            place.change_candidate(graph, logits=head.logits, behaviour=True, temperature=head.temperature)
            if options.drift_every and seed % options.drift_every == 0:
                drift.main(params)
                place.made_anew.add("drift")
            found = {gate: one for gate, one in place.judge().items() if one.decision != "pass"}
            for gate, verdict in found.items():
                print(f"{seed}: {gate}: {verdict.decision}: {'; '.join(verdict.reasons)}", flush=True)
            stopped += bool(found)
            by_gate.update(found.keys())
            champion = head
        os.chdir(project)
    print(f"{stopped} of {options.count} honest retrainings were stopped: {dict(by_gate) or 'by no gate'}.")


if __name__ == "__main__":
    main()
