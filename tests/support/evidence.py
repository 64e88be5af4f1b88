"""A complete, consistent set of the files that the gate and the report read, with real bundles, in a second.

The texts are invented, the predictions simulated; metrics, intervals and tables come from the real code.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.frontier import measured_frontier
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.behaviour.check import rate, rise
from ticket_sentiment.files import sha256_file, sha256_tree, write_json
from ticket_sentiment.gates import metrics
from ticket_sentiment.gates.baselines import label_ids, majority_probabilities
from ticket_sentiment.gates.evaluate import judge_models, write_tables
from ticket_sentiment.gates.scored import Scored
from ticket_sentiment.gates.slice_scores import judge_slices
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.frontier import FRONTIER, write_frontier
from ticket_sentiment.model.runtime import softmax
from ticket_sentiment.params import Evaluate

MEASURED_AT = "2026-11-02T03:20:00+00:00"
# What a part of the holdout lacks nothing of (`gates.slice_scores`).
_NOTHING = {"value": 0.0, "low": 0.0, "high": 0.0}
NO_CHANGE = {"right_minus_dense": _NOTHING, "right_minus_champion": _NOTHING}
CHANNELS = ("tweets", "product reviews", "film reviews", "editorials")
SENTENCES = {
    "negative": (
        "I was charged twice and nobody answers at [EMAIL], this is terrible.",
        "The app fails every time I open an invoice.",
        "Third refund request, still nothing. Please call me at [PHONE], I have been waiting for weeks now.",
        "Worst update so far: the search is slow, the filters are gone and so are all my saved orders.",
    ),
    "neutral": (
        "When is my next invoice due?",
        "My account number has changed to [ACCOUNT], please use this one from now on.",
        "The order was placed on Monday and arrived on Thursday.",
        "How do I add a second user to the account? I looked at [URL] and did not find a page about it.",
    ),
    "positive": (
        "Thanks, that was fast!",
        "Great support, [HANDLE] solved it within minutes and even called back the next day.",
        "I love the new dashboard, it works perfectly on my phone and the export is exactly what we needed.",
        "Best helpdesk I have dealt with.",
    ),
}


def tickets(rows: int, month: str, seed: int) -> pd.DataFrame:
    """Labelled tickets of one month, in the format of data/tickets."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(LABELS, rows, p=[0.35, 0.25, 0.40])
    picks = generator.integers(4, size=rows)
    return pd.DataFrame(
        {
            "ticket_id": [f"{month}-{index:05d}" for index in range(rows)],
            "customer_id": [f"c{customer:04d}" for customer in generator.integers(rows, size=rows)],
            "created_at": pd.date_range(f"{month}-01", periods=rows, freq="15min", tz="UTC").astype(
                "datetime64[us, UTC]"
            ),
            "channel": generator.choice(CHANNELS, rows),
            "text": [SENTENCES[label][pick] for label, pick in zip(labels, picks, strict=True)],
            "label": labels,
            "label_source": "agent",
        }
    )


def simulated(holdout: pd.DataFrame, skill: dict[str, float], seed: int) -> dict[str, Scored]:
    """Models that share most of their noise, as models trained on the same tickets do."""
    generator = np.random.default_rng(seed)
    actual = label_ids(holdout["label"])
    common = generator.gumbel(size=(len(actual), len(LABELS)))
    scored = {}
    for name, strength in skill.items():
        own = generator.normal(0, 0.35, common.shape)
        logits = strength * np.eye(len(LABELS))[actual] + common + own
        scored[name] = Scored(softmax(logits * 1.15), softmax(logits * 1.6))
    return scored


def evaluation(root: Path, holdout: pd.DataFrame, digests: dict[str, str | None], samples: int) -> None:
    """reports/evaluation."""
    skill = {"tfidf": 1.35, "dense": 2.2, "compressed": 2.15}
    scored = simulated(holdout, skill | ({"champion": 2.0} if digests["champion"] else {}), seed=5)
    scored["majority"] = Scored(majority_probabilities(["positive", "positive", "negative"], len(holdout)))
    scored["tfidf"] = Scored(scored["tfidf"].probabilities)
    actual = label_ids(holdout["label"])
    clusters = metrics.cluster_codes(holdout["customer_id"].tolist(), len(holdout))
    folder = root / "reports/evaluation"
    write_tables(folder, holdout, scored, actual)
    about = {
        "sha256": sha256_file(root / "data/prepared/holdout.parquet"),
        "rows": len(holdout),
        "months": ["2026-10"],
    }
    predicted = {name: model.predicted for name, model in scored.items()}
    settings = Evaluate(bootstrap_samples=samples, seed=7, min_slice_rows=50)
    write_json(
        folder / "metrics.json",
        {
            "holdout": about,
            "bundle_digest": digests["cpu"],
            "champion_digest": digests["champion"],
            **judge_models(scored, actual, clusters, samples, seed=7, abstain_below=0.45),
            "slices": judge_slices(holdout, predicted, clusters, settings),
        },
    )


def drift(split: dict[str, Any], digests: dict[str, str | None]) -> dict[str, Any]:
    """reports/drift.json: one measure of what came in has moved, and the others are where they were."""

    def test(method: str, floor: float, learnt: float | None, value: float) -> dict[str, Any]:
        threshold = max(floor, learnt or floor)
        drifted = value >= threshold
        return {
            "method": method,
            "threshold": threshold,
            "learnt": learnt,
            "floor": floor,
            "value": value,
            "status": "FAIL" if drifted else "SUCCESS",
            "drifted": drifted,
        }

    numeric = {
        name: test("wasserstein", 0.2, learnt, value)
        for name, learnt, value in (
            ("text_chars", 0.12, 0.08), ("text_tokens", 0.13, 0.09), ("unknown_word_share", 0.1, 0.23),
            ("capital_share", 0.08, 0.02), ("non_ascii_share", 0.12, 0.03), ("confidence", 0.22, 0.05),
        )
    }  # fmt: skip
    classes = {
        name: test("jensenshannon", 0.1, learnt, value)
        for name, learnt, value in (
            ("label", 0.04, 0.04), ("predicted_label", 0.06, 0.05), ("channel", 0.05, 0.02),
            ("language", 0.04, 0.03),
        )
    }  # fmt: skip
    live = ("text_chars", "capital_share", "non_ascii_share", "confidence")
    answers = {name: (numeric | classes)[name] for name in ("confidence", "predicted_label")}
    champion = digests["champion"]
    return {
        "reference": {"sha256": split["sha256"]["train"], "rows": 1500, "months": split["months"]["train"]},
        "current": {"sha256": split["sha256"]["holdout"], "rows": 900, "month": "2026-10"},
        "bundle_digest": digests["cpu"],
        "champion_digest": champion,
        "live": {"kind": "predictions", "rows": 800, "labelled_share": 0.3}
        if champion
        else {"kind": "none", "rows": 0, "labelled_share": 1.0},
        "incoming": numeric | classes | {"embedding": test("domain_classifier_auc", 0.6, 0.55, 0.56)},
        "holdout": {name: numeric[name] for name in live} | {"predicted_label": classes["predicted_label"]}
        if champion
        else None,
        "answers": answers | {"changed_answers": test("share", 0.2, None, 0.11)} if champion else None,
        "evidently": "0.7.23",
    }


def variant(size: float, texts_per_second: float, memory: float) -> dict[str, Any]:
    """One variant of reports/benchmark.json."""
    p50 = 1000 / texts_per_second
    return {
        "bytes": int(size * 1e6),
        "batch1": {"p50_ms": p50, "p95_ms": 1.8 * p50, "texts_per_second": texts_per_second},
        "batch8": {"texts_per_second": 1.2 * texts_per_second},
        "tokens_per_second": 23 * texts_per_second,
        "peak_memory_mb": memory,
    }


def benchmark(digest: str, champion: str | None = None) -> dict[str, Any]:
    """reports/benchmark.json about a bundle and a champion."""
    variants = {
        "dense_torch_fp32": variant(91.6, 60, 820),
        "dense_onnx_fp32": variant(91.4, 118, 310),
        "cpu_bundle": variant(6.2, 702, 96),
    }

    def spread(value: float) -> dict[str, float]:
        return {"median": value, "low": 0.94 * value, "high": 1.05 * value}

    present = variant(6.0, 720, 95) | {"ratio": {"throughput": spread(0.98)}}
    return {
        "champion_digest": champion,
        "champion": present if champion else None,
        "machine": {"cpu": "a processor", "cores": 2, "platform": "Linux", "python": "3.11"},
        "measured_at": MEASURED_AT,
        "bundle_digest": digest,
        "threads": 1,
        "texts": 96,
        "tokens_mean": 23.1,
        "variants": variants,
        "ratios": {
            "cpu_bundle_over_dense_torch_fp32": {"throughput": spread(11.7), "latency_p50": spread(0.084)},
            "cpu_bundle_over_dense_onnx_fp32": {"throughput": spread(5.9), "latency_p50": spread(0.165)},
        },
        "size_ratio": 14.8,
    }


def cost(digest: str) -> dict[str, Any]:
    """What is shown of reports/cost.json."""

    def model(thousand: float) -> dict[str, float]:
        return {
            "usd_per_thousand_tickets": thousand,
            "usd_per_million_tokens_tokenizer": 1_000 * thousand / 23.1,
            "usd_per_million_tokens_rule_of_thumb": 1_000 * thousand / 27.4,
        }

    return {
        "bundle_digest": digest,
        "answer": {
            "title": "2,000 tickets a day cost $150 a month on 2 c7i.large, on demand",
            "lines": [
                "Otherwise it would be $73 as spot.",
                "Below 876 million tickets a day no GPU is cheaper.",
            ],
        },
        "cpu": {"instance": "c7i.large", "region": "aws us-east-1", "price_date": "2026-07-20"},
        "variants": {
            "dense_torch_fp32": model(0.00061),
            "dense_onnx_fp32": model(0.00019),
            "cpu_bundle": model(0.000043),
        },
        "assumptions": ["machines follow the hours without delay"],
        "warnings": [],
    }


def behaved(
    name: str, capability: str, failures: dict[str, int], kind: str = "minimum", **more: Any
) -> dict[str, Any]:
    """One entry of reports/behaviour.json: the first so many of 100 cases fail with each model."""
    failed = {model: np.arange(100) < count for model, count in failures.items()}
    rises = {
        f"rise_over_{model}": rise(failed["compressed"], failed[model]) if model in failed else None
        for model in ("dense", "champion")
    }
    example = {"texts": ["The app is not good."], "answers": ["positive"], "expected": "negative"}
    return {
        "name": name,
        "kind": kind,
        "capability": capability,
        "diagnosis": False,
        "max_failure_rate": None,
        "cases": 100,
        "compressed_gap": None,
        "examples": [example] if failures["compressed"] else [],
        **{name: rate(failures[name], 100) if name in failures else None for name in ("champion", *failures)},
        **rises,
        **more,
    }


def behaviour(digests: dict[str, str | None], champion: bool) -> dict[str, Any]:
    """reports/behaviour.json."""

    def failures(compressed: int, dense: int, before: int) -> dict[str, int]:
        return {"compressed": compressed, "dense": dense} | ({"champion": before} if champion else {})

    return {
        "bundle_digest": digests["cpu"],
        "champion_digest": digests["champion"],
        "cases": 400,
        "tests": [
            behaved("praise-of-a-product", "plain statements", failures(0, 0, 0)),
            behaved("negated-praise", "negation", failures(18, 12, 12)),
            behaved("sarcastic-praise", "sarcasm", failures(70, 40, 30), diagnosis=True),
            behaved("pronouns", "gender", failures(1, 0, 0), kind="fairness", compressed_gap=0.02),
        ],
    }


def validation(data_sha256: str) -> dict[str, Any]:
    """reports/validation/result.json."""
    months = {
        f"2026-{month:02d}": {
            "rows": 900 + 13 * month,
            "labelled": 900 + 13 * month,
            "masks": {"EMAIL": 3 + month, "PHONE": month % 3, "HANDLE": 40 + 5 * month, "URL": 12},
            "label_share": {"negative": 0.35, "neutral": 0.25, "positive": 0.40},
            "language_share": 0.97,
            "signal": 0.58,
            "channels": dict.fromkeys(CHANNELS, 0.25),
        }
        for month in range(1, 11)
    }
    return {
        "success": True,
        "data_sha256": data_sha256,
        "months": months,
        "failures": [],
        "label_noise": {"share": 0.2, "suspects": []},
    }


def inspection(prepared: str, rows: dict[str, int]) -> dict[str, Any]:
    """reports/inspection.json; the made-up tables themselves share a few sentences."""
    nothing = dict.fromkeys(("tickets", "customers", "texts"), 0)
    return {
        "prepared_sha256": prepared,
        "rows": rows,
        "shared": dict.fromkeys(("train_holdout", "tune_holdout", "train_tune"), nothing),
        "unmasked": dict.fromkeys(rows, 0),
        "weights": {"base_model": "tiny", "licence": "Apache 2.0"},
    }


def tried(shape: str, tune_loss: float, mb: float, inside_budget: bool) -> dict[str, Any]:
    """One attempt of reports/compression.json."""
    return {"shape": shape, "tune_loss": tune_loss, "mb": mb, "inside_budget": inside_budget}


def compression(**bundles: Any) -> dict[str, Any]:
    """reports/compression.json, by which the second shape that was tried is released."""

    def agreement(difference: float, labels: float) -> dict[str, Any]:
        return {"max_logit_difference": difference, "label_agreement": labels, "rows": 512}

    return {
        "dense": {"parameters": 22_700_000, "bytes": 91_600_000},
        "pruned": {"parameters": 5_400_000},
        "attempts": [tried("3x8x768-e48", 0.0134, 4.8, False), tried("4x8x768-e96", 0.0042, 7.0, True)],
        **{name: {"bytes": bundle.size_bytes, "digest": bundle.digest} for name, bundle in bundles.items()},
        "parity": {
            "fp32": agreement(2e-6, 1.0),
            "int8": agreement(0.31, 0.984),
            "fp16": agreement(0.004, 0.999),
            "edge": agreement(0.34, 0.982),
            "edge_to_cpu": agreement(0.01, 0.999),
        },
    }


def corrected_tickets(rows: int = 40) -> pd.DataFrame:
    """data/prepared/corrected.parquet."""
    return tickets(rows, "2026-11", 4)[["ticket_id", "text", "label"]]


def hotfix(digests: dict[str, str], prepared: str, holdout: str) -> dict[str, Any]:
    """reports/hotfix.json: 38 of 40 corrected tickets are right, 1.1 % of the others broke."""
    return {
        "champion": {"version": "3", "digest": digests["champion"]},
        "bundle_digest": digests["cpu"],
        "prepared_sha256": prepared,
        "holdout_sha256": holdout,
        "corrected": {
            "rows": 40,
            "right_before": 4,
            "right_now": 38,
            "wrong_before": 36,
            "mended": 36,
            "spoilt": 2,
        },
        "kept": {
            "right_before": 640,
            "broken": {"value": 0.011, "low": 0.005, "high": 0.019},
            "mended": 21,
        },
    }


def corrected_answers(corrected: pd.DataFrame) -> pd.DataFrame:
    """reports/corrected.parquet, as `hotfix` counts it."""
    other = corrected["label"].map({"negative": "positive", "neutral": "positive", "positive": "neutral"})
    row = np.arange(len(corrected))
    return pd.DataFrame(
        {
            "ticket_id": corrected["ticket_id"],
            "label": corrected["label"],
            "champion_label": corrected["label"].where(row < 4, other),
            "champion_confidence": 0.6,
            "compressed_label": corrected["label"].where(row >= 2, other),
            "compressed_confidence": 0.9,
        }
    )


def write_evidence(
    root: Path,
    *,
    champion: bool = True,
    rows: int = 900,
    samples: int = 200,
    of_hotfix: bool = False,
) -> None:
    """Write all files that a passing decision needs below `root`, at the paths of the repository.

    Args:
        root: stands for the repository's root.
        champion: whether there is a present champion.
        of_hotfix: whether it is a hotfix of that champion.
        rows: of the holdout.
        samples: bootstrap resamples.
    """
    tables = {"train": tickets(3 * rows, "2026-01", 1), "tune": tickets(rows, "2026-09", 2)}
    tables["holdout"] = tickets(rows, "2026-10", 3)
    for name, table in tables.items():
        path = root / "data/prepared" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path, index=False)
    if of_hotfix:
        corrected_tickets().to_parquet(root / "data/prepared/corrected.parquet", index=False)
    (root / "data/tickets").mkdir(parents=True)
    tables["holdout"].to_parquet(root / "data/tickets/2026-10.parquet", index=False)
    data_sha256 = sha256_tree(root / "data/tickets")
    split = {
        "months": {"train": ["2026-01", "2026-08"], "tune": ["2026-09"], "holdout": ["2026-10"]},
        "rows": {name: len(table) for name, table in tables.items()} | {"unlabelled": 0},
        "feedback": dict.fromkeys(("labels", "orphans", "changed", "added", "conflicts"), 0),
        "dropped": {"duplicate": 12, "conflict": 2, "customer_in_later_split": 31},
        "sha256": {name: sha256_file(root / "data/prepared" / f"{name}.parquet") for name in tables},
    }
    write_json(root / "data/prepared/split.json", split)
    made = {"max_length": 96, "temperature": 1.2, "training_data": sha256_tree(root / "data/prepared")}
    made["layers"] = 4  # as the shape of the compression report
    cpu = make_tiny_bundle(root / "models/release/cpu", precision="int8", **made)
    gpu = make_tiny_bundle(root / "models/release/gpu", precision="fp16", **made)
    edge = make_tiny_bundle(root / "models/release/edge", precision="int8", **made | {"temperature": 1.3})
    present = make_tiny_bundle(root / "models/champion/bundle", seed=1, **made) if champion else None
    write_json(root / "reports/validation/result.json", validation(data_sha256))
    rows = {name: len(table) for name, table in tables.items()}
    write_json(root / "reports/inspection.json", inspection(made["training_data"], rows))
    write_json(root / "reports/compression.json", compression(cpu=cpu, gpu=gpu, edge=edge))
    write_frontier(measured_frontier(), root / FRONTIER)
    write_json(root / "reports/benchmark.json", benchmark(cpu.digest, present and present.digest))
    write_json(root / "reports/cost.json", cost(cpu.digest))
    digests = {"cpu": cpu.digest, "champion": present and present.digest}
    write_json(root / "reports/drift.json", drift(split, digests))
    write_json(root / "reports/behaviour.json", behaviour(digests, champion))
    evaluation(root, tables["holdout"], digests, samples)
    if of_hotfix:
        write_json(root / "champion/version.json", {"version": "3"})
        report = hotfix(digests, made["training_data"], split["sha256"]["holdout"])
        write_json(root / "reports/hotfix.json", report)
        corrected_answers(corrected_tickets()).to_parquet(root / "reports/corrected.parquet", index=False)


def edit_frontier(**changes: Any) -> None:
    """Set columns of every compressed point of frontier.csv, below the current folder."""
    points = measured_frontier()
    write_frontier(
        [point.model_copy(update=changes) if point.kind == "compressed" else point for point in points]
    )


def edit_json(path: Path, keys: str, value: Any) -> None:
    """Set one key, written with dots (`models.dense.brier`); also to NaN, which the real writer refuses."""
    content = json.loads(path.read_text())
    *parents, last = keys.split(".")
    place = content
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    place[last] = value
    path.write_text(json.dumps(content))
