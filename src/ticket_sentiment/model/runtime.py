"""ONNX Runtime on a bundle: text in, calibrated probabilities out. No torch."""

import logging
import math
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # on by default on Linux, and read at import

import onnxruntime as ort

from ticket_sentiment.model.wordpiece import OtherTokenizer, WordPiece

if TYPE_CHECKING:  # pydantic is as large as ONNX Runtime, and model/edge.py does without it
    from tokenizers import Tokenizer

    from ticket_sentiment.model.bundle import Bundle

logger = logging.getLogger(__name__)

Provider = str | tuple[str, dict[str, str]]  # a name, or a name with options
CPU = "CPUExecutionProvider"


def _name(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]


def usable(providers: Sequence[Provider], available: Collection[str]) -> list[Provider]:
    """Those of `providers` whose names are `available`, in their order; the CPU when none is."""
    return [item for item in providers if _name(item) in available] or [CPU]


def open_session(
    model: Path, threads: int = 1, providers: Sequence[Provider] = (CPU,), arena: bool = True
) -> ort.InferenceSession:
    """An ONNX Runtime session on the first of `providers` that this machine has.

    Args:
        model: an ONNX file with inputs `input_ids` and `attention_mask` (int64, [batch, tokens]) and
            the output `logits` ([batch, labels]).
        threads: of one operator. One a session and a session a core is the fastest on short texts.
        providers: in order of preference; those not built into this ONNX Runtime, or whose
            libraries are missing, are passed over.
        arena: keep freed memory for the next text. Without it a session is smaller, and a little slower.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = arena
    # A waiting thread that spins takes the core from the next session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen = usable(providers, ort.get_available_providers())
    while len(chosen) > 1:
        try:
            session = ort.InferenceSession(str(model), options, providers=chosen, enable_fallback=0)
            session.enable_fallback()  # from here on: a card that fails is replaced by the CPU
            return session
        except Exception as error:  # of many unrelated types; ONNX Runtime's own fallback drops all options
            reason = " ".join(str(error).split())[-300:]  # what went wrong comes after where it did
            logger.warning("%s cannot be used: %s", _name(chosen[0]), reason)
            chosen = chosen[1:]
    return ort.InferenceSession(str(model), options, providers=chosen)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise softmax of [rows, labels]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def calibrated_row(logits: Sequence[float], temperature: float) -> list[float]:
    """`softmax` of one row at a temperature: in a fifth of the time that numpy takes for so few numbers."""
    highest = max(logits)
    shifted = [math.exp((logit - highest) / temperature) for logit in logits]
    total = sum(shifted)
    return [value / total for value in shifted]


class Runtime:
    """A bundle ready to answer.

    The temperature of the bundle is applied, so the probabilities are calibrated (Guo et al. 2017,
    "On Calibration of Modern Neural Networks").
    """

    def __init__(
        self, bundle: "Bundle", threads: int = 1, providers: Sequence[Provider] = (CPU,), arena: bool = True
    ) -> None:
        self.bundle = bundle
        self.session = open_session(bundle.model_path, threads, providers, arena)
        self.encode = self._open_tokenizer()

    def _open_tokenizer(self) -> Callable[[str], list[int]]:
        """What gives the token ids of a text, cut at the bundle's maximum length."""
        try:
            return WordPiece(self.bundle.tokenizer_path, self.bundle.manifest.max_length).encode
        except OtherTokenizer:
            return lambda text: self.tokenizer.encode(text).ids

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The one of the library `tokenizers`, which reads any kind and tells of the words of tokens."""
        # Here: a bundle of BERT's kind is answered without it, in half the time and ten megabytes less.
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.bundle.tokenizer_path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.bundle.manifest.max_length)
        return tokenizer

    @property
    def provider(self) -> str:
        """The execution provider that ONNX Runtime really took, e.g. `CPUExecutionProvider`."""
        return self.session.get_providers()[0]

    def logits(self, texts: Sequence[str], batch_size: int = 1) -> NDArray[np.float32]:
        """Raw logits, [texts, labels].

        The default batch of one needs no padding, which on a CPU is the fastest; it also makes each answer
        independent of its neighbours (dynamic int8 takes one activation scale for the whole batch). For
        larger batches texts are sorted by length and padded only within a batch.
        """
        rows = self.token_ids(texts)
        if len(rows) == 1:
            return self._run(rows)
        if batch_size == 1 and rows:
            return np.concatenate([self._run([row]) for row in rows])
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        result = np.empty((len(rows), len(self.bundle.manifest.labels)), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            result[chosen] = self._run([rows[index] for index in chosen])
        return result

    def logits_of_table(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`logits` of many texts, each alone, on all cores: the same numbers, sooner."""
        rows, cores = self.token_ids(texts), usable_cores()
        result = np.empty((len(rows), len(self.bundle.manifest.labels)), dtype=np.float32)

        def score(first: int) -> None:
            for index in range(first, len(rows), cores):
                result[index] = self._run([rows[index]])[0]

        with ThreadPoolExecutor(cores) as pool:  # a run of ONNX Runtime lets other threads go on
            list(pool.map(score, range(cores)))
        return result

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at the bundle's maximum length."""
        return [self.encode(text) for text in texts]

    def _run(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of one batch, padded to its longest row."""
        width = max(map(len, rows))
        ids = np.zeros((len(rows), width), dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    def probabilities(self, texts: Sequence[str], batch_size: int = 1) -> NDArray[np.float32]:
        """Calibrated probabilities, [texts, labels], rows summing to one, labels in the order of LABELS."""
        return softmax(self.logits(texts, batch_size) / self.bundle.manifest.temperature)
