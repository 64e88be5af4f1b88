"""How fast every point is beside the dense model: all in turn, in one process, over the same texts."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ticket_sentiment.gates.benchmark import limited_threads, measure, ratios
from ticket_sentiment.gates.variants import Score, load_onnx, load_torch
from ticket_sentiment.model.classifier import load_dense, load_tokenizer
from ticket_sentiment.model.export import export_onnx
from ticket_sentiment.model.runtime import open_session
from ticket_sentiment.params import Params
from ticket_sentiment.search.points import Job
from ticket_sentiment.search.tables import Tables

DENSE, DENSE_ONNX = "dense", "dense_onnx"


@dataclass(frozen=True)
class Speed:
    """Of a point at batch 1, one thread, tokenising included."""

    ms: float  # median of a ticket
    speedup_torch: float  # throughput over the dense model's in PyTorch fp32, median over the rounds
    speedup_onnx: float  # over the dense model's in ONNX Runtime fp32

    def as_json(self) -> dict[str, float]:
        """Columns of frontier.csv."""
        return asdict(self)


def _dense_onnx(dense: Path, folder: Path, max_length: int, threads: int) -> Score:
    """The dense model as a plain fp32 export in ONNX Runtime."""
    export_onnx(load_dense(dense), folder / "dense.onnx")
    session, tokenizer = open_session(folder / "dense.onnx", threads), load_tokenizer(dense)
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding()

    def score(texts: Sequence[str], batch_size: int) -> list[object]:
        ordered = sorted(texts, key=len)  # texts of like length together, as everywhere else
        answers = []
        for start in range(0, len(ordered), batch_size):
            encodings = tokenizer.encode_batch(ordered[start : start + batch_size])
            feeds = {
                "input_ids": np.array([item.ids for item in encodings], dtype=np.int64),
                "attention_mask": np.array([item.attention_mask for item in encodings], dtype=np.int64),
            }
            answers.append(session.run(["logits"], feeds)[0])
        return answers

    return score


def measure_speeds(folder: Path, jobs: Sequence[Job], tables: Tables, params: Params) -> dict[str, Speed]:
    """Speeds of all points of one seed.

    Args:
        folder: of that seed, with a folder for each job.
        jobs: of that seed.
        tables: texts are drawn from the holdout, without their labels.
        params: section `benchmark` is read, as for the monthly measurement.
    """
    settings, max_length = params.benchmark, params.train.max_length
    texts = tables["holdout"].sample(settings.texts, settings.seed).texts
    dense = folder / "dense/dense"
    with tempfile.TemporaryDirectory() as name, limited_threads(settings.threads):
        scores: dict[str, Score] = {
            DENSE: load_torch(dense, max_length, settings.threads),
            DENSE_ONNX: _dense_onnx(dense, Path(name), max_length, settings.threads),
        }
        for job in jobs:
            if job.kind != "dense":
                scores[job.name] = load_onnx(folder / job.name / "bundle", settings.threads)
        rounds = measure(scores, texts, settings)
    return {
        name: Speed(
            ms=float(np.median(np.concatenate([item.latencies_ms for item in own]))),
            speedup_torch=ratios(own, rounds[DENSE])["throughput"]["median"],
            speedup_onnx=ratios(own, rounds[DENSE_ONNX])["throughput"]["median"],
        )
        for name, own in rounds.items()
        if name != DENSE_ONNX
    }
