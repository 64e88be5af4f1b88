"""How often the gates stop a retraining that nothing is wrong with.

    python -m benchmarks.mutations.honest [--project .] [--cache var/mutations] [--count 100]

The world does not change: each retraining learns a head on the released encoder from as many training
tickets, drawn with replacement, and is judged on a holdout of as many customers, drawn with replacement. Its
champion is the retraining before it. Its dense model is the same head on the encoder in full precision, so
that the cost of compression is the retraining's own. The gate drift takes a minute: it is asked of every so
manieth one, 0 of none. Prints each that was stopped with its reasons, and how many were.
"""

import argparse
import dataclasses
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.mutations.bundles import Encoder, with_head
from benchmarks.mutations.demo import bootstrap_head, champion_times, released, set_champion
from benchmarks.mutations.workplace import Known, Workplace, copy
from ticket_sentiment.gates import drift, inspection
from ticket_sentiment.gates.evaluate import Scored, calibrated
from ticket_sentiment.params import Params, load_params


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


def full_precision(params: Params, texts: list[str]) -> np.ndarray:
    """Features of the encoder before it was quantized, [texts, features]."""
    from ticket_sentiment.model.builds import Builder
    from ticket_sentiment.model.classifier import load_tokenizer
    from ticket_sentiment.model.compact import load_compact
    from ticket_sentiment.model.data import PRUNED

    with tempfile.TemporaryDirectory() as name:
        builder = Builder(load_compact(PRUNED), load_tokenizer(PRUNED), params, "0" * 64)
        return Encoder(builder.fp32(Path(name) / "fp32"), Path(name) / "features").features(texts)


def main() -> None:
    """Retrain, judge, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--cache", type=Path, default=Path("var/mutations"))
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
        os.symlink(project / "models/pruned", "models/pruned")
        before = full_precision(params, known.holdout["text"].tolist())
        champion = bootstrap_head(known.features, labels, 0)
        for seed in range(1, options.count + 1):
            set_champion(known, champion)
            head = bootstrap_head(known.features, labels, seed)
            known.scored["dense"] = calibrated(Path("models/pruned"), head.logits(before), head.temperature)
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
