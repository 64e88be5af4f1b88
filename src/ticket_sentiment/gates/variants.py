"""The models that the benchmark compares, each as a function from texts to scores, tokenising included."""

import functools
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle, load_bundle, write_bundle
from ticket_sentiment.processes import few_collections

DENSE_TORCH, DENSE_ONNX, CPU_BUNDLE = "dense_torch_fp32", "dense_onnx_fp32", "cpu_bundle"
CHAMPION = "champion"
DENSE_FILES = ("*.safetensors", "config.json", "tokenizer.json")  # what `load_dense` needs

Score = Callable[[Sequence[str], int], object]  # texts, batch size


@dataclass(frozen=True)
class Variant:
    """One way to answer.

    `load` can be pickled, since peak memory is taken in a process of its own.
    """

    name: str
    load: Callable[[], Score]
    bytes: int


def load_torch(folder: Path, max_length: int, threads: int) -> Score:
    """The dense model in torch, as a person would run it without this project."""
    import torch

    from ticket_sentiment.model.classifier import load_dense, load_tokenizer, predict_logits

    torch.set_num_threads(threads)
    model, tokenizer = load_dense(folder), load_tokenizer(folder)
    return lambda texts, batch_size: predict_logits(model, tokenizer, texts, max_length, batch_size)


def load_onnx(bundle: Path, threads: int) -> Score:
    """A bundle, as it is served."""
    from ticket_sentiment.model.runtime import Runtime

    return Runtime(load_bundle(bundle), threads).probabilities


def export_dense(dense: Path, like: Bundle, path: Path, export: Callable[[Any, Path], None]) -> Bundle:
    """The dense model as an fp32 bundle, so that it runs through the code that serves the compressed one.

    Args:
        dense: folder of the dense model.
        like: the released bundle, whose maximum length and temperature are taken over; so is the
            architecture, which nothing reads here: the bundle lives in a temporary folder.
        path: where the bundle shall lie.
        export: torch module and path to an ONNX file.
    """
    from ticket_sentiment.model.classifier import load_dense

    graph = path.with_suffix(".onnx")
    export(load_dense(dense), graph)
    fields = like.manifest.model_dump(exclude={"files", "labels"}) | {"precision": "fp32"}
    return write_bundle(path, graph, dense / "tokenizer.json", **fields)


def all_variants(
    dense: Path, dense_onnx: Bundle, bundle: Bundle, champion: Bundle | None, threads: int
) -> list[Variant]:
    """Those of the benchmark: dense in torch, dense in ONNX Runtime, the CPU bundle, a champion's."""
    max_length = bundle.manifest.max_length
    dense_bytes = sum(file.stat().st_size for pattern in DENSE_FILES for file in dense.glob(pattern))
    return [
        Variant(DENSE_TORCH, functools.partial(load_torch, dense, max_length, threads), dense_bytes),
        Variant(DENSE_ONNX, functools.partial(load_onnx, dense_onnx.path, threads), dense_onnx.size_bytes),
        *(
            Variant(name, functools.partial(load_onnx, one.path, threads), one.size_bytes)
            for name, one in ((CPU_BUNDLE, bundle), (CHAMPION, champion))
            if one is not None
        ),
    ]


def peak_resident_bytes() -> int:
    """The largest resident memory of this process so far.

    On Linux not from getrusage: its ru_maxrss survives exec, so a small process started by a large one
    reports the large one's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _score_and_tell(
    load: Callable[[], Score], texts: Sequence[str], batch_size: int, tell: Connection
) -> None:
    few_collections()
    load()(texts, batch_size)
    tell.send(peak_resident_bytes())
    tell.close()


def peak_memory_mb(variant: Variant, texts: Sequence[str], batch_size: int) -> float:
    """Peak resident memory, in MB, of a fresh process that loads the variant and scores the texts.

    Raises:
        TicketSentimentError: the process ended without an answer.
    """
    context = multiprocessing.get_context("spawn")
    listen, tell = context.Pipe(duplex=False)
    process = context.Process(
        target=_score_and_tell, args=(variant.load, texts, batch_size, tell), daemon=True
    )
    process.start()
    tell.close()  # so that the death of the process is the end of the pipe
    try:
        peak = listen.recv()
    except EOFError:
        process.join()
        raise TicketSentimentError(
            f"benchmark: the process that measures the memory of {variant.name} ended with exit status "
            f"{process.exitcode}: see the lines above, or give the machine more memory"
        ) from None
    process.join()
    return round(peak / 1e6, 1)
