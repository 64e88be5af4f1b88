"""The benchmark: honest pairs, honest memory, and figures that can be worked out by hand."""

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from tests.gates.memory_stand_ins import dying, heavy, light
from tests.support.tiny_bundle import make_tiny_bundle, tiny_graph, tiny_tokenizer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates import benchmark, variants
from ticket_sentiment.gates.benchmark import Round
from ticket_sentiment.gates.evidence_types import Benchmark as Evidence
from ticket_sentiment.gates.variants import Score, Variant
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Benchmark, Params

SETTINGS = Benchmark(texts=10, rounds=3, threads=1, warmup=2, seed=7)
TEXTS = [
    "great order",
    "my invoice is broken",
    "the refund was slow",
    "thanks it works",
    "when is the order",
] * 4


def rounds(*milliseconds: float, texts: int = 4) -> list[Round]:
    """Rounds in which each text took the same time at batch 1, and half of it at batch 8."""
    return [Round(np.full(texts, ms), texts * ms / 2 / 1_000) for ms in milliseconds]


def test_ratios_are_paired_so_a_slow_moment_of_the_machine_cancels_out():
    ours, theirs = rounds(2, 20, 2), rounds(10, 100, 10)  # the machine was ten times slower in round two
    found = benchmark.ratios(ours, theirs)
    assert found["throughput"] == pytest.approx({"median": 5, "low": 5, "high": 5})
    assert found["batch8_throughput"] == pytest.approx({"median": 5, "low": 5, "high": 5})
    assert found["latency_p50"] == pytest.approx({"median": 0.2, "low": 0.2, "high": 0.2})


def test_the_spread_over_rounds_is_told():
    found = benchmark.ratios(rounds(2, 2, 2), rounds(4, 6, 12))["throughput"]
    assert found == pytest.approx({"median": 3, "low": 2, "high": 6})


def test_unequal_numbers_of_rounds_are_no_pairs():
    with pytest.raises(ValueError):
        benchmark.ratios(rounds(1, 1), rounds(1))


def test_a_variants_block_by_hand():
    found = benchmark.summarise(rounds(4, 5, 10), size=1_000, tokens_mean=20, memory_mb=12.5)
    assert found["batch1"] == pytest.approx(
        {
            "p50_ms": 5,
            "p95_ms": 10,
            "texts_per_second": 200,
            "texts_per_second_low": 100,
            "texts_per_second_high": 250,
        }
    )
    assert found["batch8"]["texts_per_second"] == pytest.approx(400)
    assert found["tokens_per_second"] == pytest.approx(4_000)
    assert (found["bytes"], found["peak_memory_mb"]) == (1_000, 12.5)


def test_a_timing_holds_each_text_alone_and_then_all_in_batches():
    ticks = itertools.accumulate([0.0, 0.001, 1.0, 0.003, 1.0, 0.008])
    asked: list[tuple[list[str], int]] = []
    found = benchmark.time_round(
        lambda texts, size: asked.append((list(texts), size)), ["a", "b"], lambda: next(ticks)
    )
    assert asked == [(["a"], 1), (["b"], 1), (["a", "b"], 8)]
    assert found.latencies_ms == pytest.approx([1, 3])
    assert found.batch8_seconds == pytest.approx(0.008)


def test_every_variant_has_a_turn_in_every_round_in_changing_order():
    calls: list[str] = []

    def variant(name: str) -> Score:
        return lambda texts, size: calls.append(name) if size == benchmark.BATCH else None

    names = ["a", "b", "c"]
    settings = SETTINGS.model_copy(update={"rounds": 8, "warmup": 0})
    found = benchmark.measure({name: variant(name) for name in names}, TEXTS, settings)
    turns = [tuple(calls[start : start + 3]) for start in range(0, len(calls), 3)]
    assert [sorted(turn) for turn in turns] == [names] * 8
    assert len(set(turns)) > 1
    assert {name: len(items) for name, items in found.items()} == dict.fromkeys(names, 8)


def test_the_warm_up_is_not_timed():
    calls: list[int] = []
    settings = SETTINGS.model_copy(update={"rounds": 1, "warmup": 3})
    found = benchmark.measure({"a": lambda texts, size: calls.append(size)}, TEXTS, settings)
    assert len(calls) == (3 + 1) + (len(TEXTS) + 1)
    assert len(found["a"][0].latencies_ms) == len(TEXTS)


def test_threads_are_limited_and_given_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="inside"), benchmark.limited_threads(1):
            assert torch.get_num_threads() == 1
            assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
            raise RuntimeError("inside")
        assert torch.get_num_threads() == 2
        assert "TOKENIZERS_PARALLELISM" not in os.environ
    finally:
        torch.set_num_threads(before)


def test_only_what_the_model_reads_is_counted():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[PAD] $A [PAD]", special_tokens=[("[PAD]", 0)])
    # "my order" is 2 tokens and 8 characters; of the second text 4 places leave "great order": 2 and 11
    assert benchmark.mean_lengths(tokenizer, ["my order", "great order please thanks"], 4) == (2.0, 9.5)
    assert benchmark.mean_lengths(tokenizer, [""], 4) == (0.0, 0.0)


def test_peak_memory_is_that_of_the_variant_and_not_of_this_process():
    ballast = np.ones(75_000_000)  # 600 MB here must not be seen there
    small = variants.peak_memory_mb(Variant("light", light, 0), TEXTS, 8)
    large = variants.peak_memory_mb(Variant("heavy", heavy, 0), TEXTS, 8)
    assert large - small == pytest.approx(200, abs=30)
    assert variants.peak_resident_bytes() > ballast.nbytes
    assert small < ballast.nbytes / 1e6


def test_a_process_that_dies_is_named():
    with pytest.raises(TicketSentimentError, match="memory of dying ended with exit status 3"):
        variants.peak_memory_mb(Variant("dying", dying, 0), TEXTS, 8)


def test_texts_are_a_seeded_sample(tmp_path: Path):
    path = tmp_path / "holdout.parquet"
    pd.DataFrame({"text": [f"text {index}" for index in range(50)]}).to_parquet(path)
    assert benchmark.draw_texts(path, 10, seed=7) == benchmark.draw_texts(path, 10, seed=7)
    assert benchmark.draw_texts(path, 10, seed=7) != benchmark.draw_texts(path, 10, seed=8)
    assert sorted(benchmark.draw_texts(path, 99, seed=7)) == sorted(f"text {index}" for index in range(50))


def test_missing_texts_are_named(tmp_path: Path):
    with pytest.raises(TicketSentimentError, match=r"holdout\.parquet is missing: run `dvc repro prepare`"):
        benchmark.draw_texts(tmp_path / "holdout.parquet", 10, seed=7)
    pd.DataFrame({"text": pd.Series([], dtype="str")}).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(TicketSentimentError, match=r"empty\.parquet has no rows"):
        benchmark.draw_texts(tmp_path / "empty.parquet", 10, seed=7)
    pd.DataFrame({"body": ["x"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(TicketSentimentError, match=r"other\.parquet has no readable texts"):
        benchmark.draw_texts(tmp_path / "other.parquet", 10, seed=7)


def test_the_machine_is_described():
    found = benchmark.machine()
    assert found["cores"] >= 1
    assert set(found["versions"]) == set(benchmark.PACKAGES)
    json.dumps(found, allow_nan=False)


def test_a_faster_variant_measures_as_faster(tmp_path: Path):
    """Real sessions: the tiny bundle against itself asked 20 times, so 20 times as slow but for overhead."""
    runtime = Runtime(make_tiny_bundle(tmp_path / "cpu"))

    def slow(texts: Sequence[str], batch_size: int) -> None:
        for _ in range(20):
            runtime.probabilities(texts, batch_size)

    names = (variants.DENSE_TORCH, variants.DENSE_ONNX, variants.CPU_BUNDLE)
    loaded = [
        Variant(
            name, (lambda: slow) if name != variants.CPU_BUNDLE else (lambda: runtime.probabilities), size
        )
        for name, size in zip(names, (900, 600, 100), strict=True)
    ]
    found = benchmark.report(
        loaded, benchmark.compare(loaded, TEXTS, SETTINGS), dict.fromkeys(names, 1.0), tokens_mean=4.0
    )
    for other in (variants.DENSE_TORCH, variants.DENSE_ONNX):
        ratio = found["ratios"][f"cpu_bundle_over_{other}"]
        assert ratio["throughput"]["median"] > 3  # with room for a busy machine
        assert ratio["latency_p50"]["median"] < 0.5
    assert found["size_ratio"] == 9
    json.dumps(found, allow_nan=False)


def test_the_dense_model_becomes_a_bundle_that_the_runtime_takes(tmp_path: Path):
    released = make_tiny_bundle(tmp_path / "cpu", max_length=16)
    dense = tiny_dense(tmp_path / "dense")
    made = variants.export_dense(
        dense, released, tmp_path / "dense_onnx", lambda model, path: onnx.save(tiny_graph(0, "fp32"), path)
    )
    assert made.manifest.precision == "fp32"
    assert made.manifest.max_length == 16
    assert Runtime(load_bundle(made.path)).probabilities(["great"]).argmax() == 2


def test_the_stage_writes_the_contract_and_the_gate_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params
):
    """The whole stage with real parts of a few kilobytes: torch, export, ONNX Runtime, processes."""
    monkeypatch.chdir(tmp_path)
    Path("data/prepared").mkdir(parents=True)
    pd.DataFrame({"text": TEXTS}).to_parquet(benchmark.HOLDOUT)
    tiny_dense(benchmark.DENSE)
    bundle = make_tiny_bundle(benchmark.BUNDLE, max_length=16)
    champion = make_tiny_bundle(benchmark.CHAMPION_BUNDLE, max_length=16, seed=1)
    benchmark.main(params.model_copy(update={"benchmark": SETTINGS}))

    raw = json.loads(benchmark.RESULT.read_text())
    found = Evidence.model_validate_json(benchmark.RESULT.read_text())
    assert found.bundle_digest == bundle.digest
    assert found.champion_digest == champion.digest
    assert found.champion.bytes == champion.size_bytes and found.champion.ratio.throughput.median > 0
    assert found.variants.cpu_bundle.bytes == bundle.size_bytes
    assert found.variants.dense_torch_fp32.peak_memory_mb > found.variants.cpu_bundle.peak_memory_mb
    assert raw["texts"] == 10
    block = raw["variants"]["cpu_bundle"]
    assert block["tokens_per_second"] == pytest.approx(
        block["batch1"]["texts_per_second"] * raw["tokens_mean"], rel=1e-3
    )
    slow, fast = (block["batch1"][f"texts_per_second_{end}"] for end in ("low", "high"))
    assert slow <= block["batch1"]["texts_per_second"] <= fast


def tiny_dense(folder: Path) -> Path:
    """A dense model of a few kilobytes with random weights, as stage `train` saves one."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=32, num_labels=3, **size
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
