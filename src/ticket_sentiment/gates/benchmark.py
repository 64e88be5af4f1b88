"""Stage `benchmark`: how fast and how large the released bundle is beside the dense model.

The variants take turns in one process, in a new random order in each round, over the same texts; ratios are
taken within a round and then their median. So a machine that is busy or throttles for a while slows all of
them down and leaves the ratios alone. A timing holds what a caller pays: tokenising and scoring.
"""

import contextlib
import datetime
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import rounded, write_json
from ticket_sentiment.gates.variants import (
    CHAMPION,
    CPU_BUNDLE,
    DENSE_ONNX,
    DENSE_TORCH,
    Score,
    Variant,
    all_variants,
    export_dense,
    peak_memory_mb,
)
from ticket_sentiment.model.bundle import MANIFEST, load_bundle
from ticket_sentiment.model.runtime import usable_cores
from ticket_sentiment.params import Benchmark, Params

HOLDOUT = Path("data/prepared/holdout.parquet")
BUNDLE = Path("models/release/cpu")
DENSE = Path("models/dense")
CHAMPION_BUNDLE = Path("models/champion/bundle")
RESULT = Path("reports/benchmark.json")

BATCH = 8
PACKAGES = ("onnxruntime", "torch", "transformers", "tokenizers", "numpy")
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")  # what int8 runs on


@dataclass(frozen=True)
class Round:
    """One variant's timings in one round."""

    latencies_ms: NDArray[np.float64]  # [texts], batch 1
    batch8_seconds: float  # all texts

    @property
    def texts_per_second(self) -> float:
        """At batch 1."""
        return len(self.latencies_ms) / (self.latencies_ms.sum() / 1_000)

    @property
    def batch8_texts_per_second(self) -> float:
        """At batch 8."""
        return len(self.latencies_ms) / self.batch8_seconds


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Torch on `threads` threads and no parallel tokenising inside; both as before afterwards.

    ONNX Runtime takes its threads when a session is opened.
    """
    import torch

    before = torch.get_num_threads(), os.environ.get("TOKENIZERS_PARALLELISM")
    torch.set_num_threads(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        if before[1] is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before[1]


def time_round(score: Score, texts: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> Round:
    """Score each text alone, then all of them in batches of 8."""
    latencies = np.empty(len(texts))
    for index, text in enumerate(texts):
        start = clock()
        score([text], 1)
        latencies[index] = (clock() - start) * 1_000
    start = clock()
    score(texts, BATCH)
    return Round(latencies, clock() - start)


def measure(scores: dict[str, Score], texts: Sequence[str], settings: Benchmark) -> dict[str, list[Round]]:
    """Warm up, then `settings.rounds` rounds in which all variants take a turn in random order.

    Args:
        scores: variant to its scoring function.
        texts: what is scored.
        settings: rounds, warm-up and seed.

    Returns:
        Variant to its rounds; the rounds of one index belong together.
    """
    for score in scores.values():
        for text in texts[: settings.warmup]:
            score([text], 1)
        if settings.warmup:
            score(texts[: settings.warmup], BATCH)
    random = np.random.default_rng(settings.seed)
    rounds: dict[str, list[Round]] = {name: [] for name in scores}
    for _ in range(settings.rounds):
        for name in random.permutation(list(scores)):
            rounds[str(name)].append(time_round(scores[name], texts))
    return rounds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest over the rounds."""
    return {"median": float(np.median(values)), "low": float(min(values)), "high": float(max(values))}


def ratios(ours: Sequence[Round], theirs: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Ours over theirs, paired by round: throughput (above 1 is faster), latency_p50 (below 1 is faster)."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "throughput": spread([a.texts_per_second / b.texts_per_second for a, b in pairs]),
        "batch8_throughput": spread(
            [a.batch8_texts_per_second / b.batch8_texts_per_second for a, b in pairs]
        ),
        "latency_p50": spread(
            [float(np.median(a.latencies_ms) / np.median(b.latencies_ms)) for a, b in pairs]
        ),
    }


def summarise(rounds: Sequence[Round], size: int, tokens_mean: float, memory_mb: float) -> dict[str, Any]:
    """One variant's block of the report: latencies over all rounds, throughputs as their median."""
    latencies = np.concatenate([item.latencies_ms for item in rounds])
    speed = spread([item.texts_per_second for item in rounds])
    texts_per_second = speed["median"]
    return {
        "bytes": size,
        "batch1": {
            "p50_ms": float(np.percentile(latencies, 50)),
            "p95_ms": float(np.percentile(latencies, 95)),
            "texts_per_second": texts_per_second,
            "texts_per_second_low": speed["low"],
            "texts_per_second_high": speed["high"],
        },
        "batch8": {"texts_per_second": float(np.median([item.batch8_texts_per_second for item in rounds]))},
        "tokens_per_second": texts_per_second * tokens_mean,
        "peak_memory_mb": memory_mb,
    }


def mean_lengths(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> tuple[float, float]:
    """Mean tokens and mean characters of a text, of the part that the model reads.

    Neither what is cut off nor [CLS] and [SEP] are counted: they would make a token look cheaper than
    it is. The tokenizer is the dense model's for every variant, so that a token is the same thing in all.
    """
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    encodings = tokenizer.encode_batch(list(texts))
    tokens = [len(item.ids) - sum(item.special_tokens_mask) for item in encodings]
    chars = [max((end for _, end in item.offsets), default=0) for item in encodings]
    return float(np.mean(tokens)), float(np.mean(chars))


def machine() -> dict[str, Any]:
    """What was measured on: processor, cores, the instructions that int8 products use, versions."""
    info = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in info.read_text().splitlines() if info.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
        "flags": [flag for flag in CPU_FLAGS if flag in flags],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def draw_texts(path: Path, count: int, seed: int) -> list[str]:
    """A seeded sample of a ticket table's texts, all of them where there are fewer.

    Raises:
        TicketSentimentError: the file is missing or holds no texts.
    """
    try:
        texts = pd.read_parquet(path, columns=["text"])["text"]
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: run `dvc repro prepare`") from None
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise TicketSentimentError(
            f"{path} has no readable texts ({reason}): run `dvc repro -f -s prepare`"
        ) from None
    if texts.empty:
        raise TicketSentimentError(f"{path} has no rows: collect more tickets")
    return texts.sample(min(count, len(texts)), random_state=seed).tolist()


def compare(variants: Sequence[Variant], texts: Sequence[str], settings: Benchmark) -> dict[str, list[Round]]:
    """Load all variants into this process and measure them with limited threads."""
    with limited_threads(settings.threads):
        return measure({variant.name: variant.load() for variant in variants}, texts, settings)


def report(
    variants: Sequence[Variant],
    rounds: dict[str, list[Round]],
    memory_mb: dict[str, float],
    tokens_mean: float,
) -> dict[str, Any]:
    """The blocks `variants`, `ratios`, `size_ratio` and `champion` of reports/benchmark.json."""
    sizes = {variant.name: variant.bytes for variant in variants}
    blocks = {name: summarise(rounds[name], sizes[name], tokens_mean, memory_mb[name]) for name in sizes}
    champion = blocks.pop(CHAMPION, None)
    if champion is not None:
        champion["ratio"] = ratios(rounds[CPU_BUNDLE], rounds[CHAMPION])
    return {
        "variants": blocks,
        "champion": champion,
        "ratios": {
            f"{CPU_BUNDLE}_over_{other}": ratios(rounds[CPU_BUNDLE], rounds[other])
            for other in (DENSE_TORCH, DENSE_ONNX)
        },
        "size_ratio": sizes[DENSE_TORCH] / sizes[CPU_BUNDLE],
    }


def main(params: Params) -> None:
    """Stage `benchmark`: dense model, CPU bundle and texts of the holdout to reports/benchmark.json."""
    from ticket_sentiment.model.classifier import load_tokenizer
    from ticket_sentiment.model.export import export_onnx

    settings = params.benchmark
    texts = draw_texts(HOLDOUT, settings.texts, settings.seed)
    bundle = load_bundle(BUNDLE)
    tokens, chars = mean_lengths(load_tokenizer(DENSE), texts, bundle.manifest.max_length)
    with tempfile.TemporaryDirectory() as folder:
        dense_onnx = export_dense(DENSE, bundle, Path(folder) / "dense", export_onnx)
        champion = load_bundle(CHAMPION_BUNDLE) if (CHAMPION_BUNDLE / MANIFEST).is_file() else None
        variants = all_variants(DENSE, dense_onnx, bundle, champion, settings.threads)
        memory = {variant.name: peak_memory_mb(variant, texts, BATCH) for variant in variants}
        rounds = compare(variants, texts, settings)
    result = report(variants, rounds, memory, tokens)
    result |= {
        "machine": machine(),
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "bundle_digest": bundle.digest,
        "champion_digest": champion and champion.digest,
        "threads": settings.threads,
        "rounds": settings.rounds,
        "texts": len(texts),
        "tokens_mean": tokens,
        "chars_mean": chars,
    }
    write_json(RESULT, rounded(result))
