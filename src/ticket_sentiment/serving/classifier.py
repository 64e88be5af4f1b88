"""One bundle on one ONNX Runtime session of one thread."""

import logging
from collections.abc import Sequence
from typing import Any

import onnxruntime

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.key import folds_case
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.providers import CUDA, prepare, requested
from ticket_sentiment.model.runtime import CPU, Runtime, calibrated_row, usable
from ticket_sentiment.params import Device, Gpu
from ticket_sentiment.tickets.privacy import clean

logger = logging.getLogger(__name__)

WARM_UP_TEXTS = ("warm up", "a longer text to warm up with, so that no request pays for the first call " * 8)


class Classifier:
    """Answers cleaned texts. Warm when constructed; for one thread at a time."""

    def __init__(
        self, bundle: Bundle, version: str, gpu: Gpu, device: Device, release: str | None = None
    ) -> None:
        """Open the model and warm it up.

        Args:
            bundle: verified.
            version: of the registry.
            gpu: how a GPU is used.
            device: what this build is for.
            release: how the rollout state names the model on every device; by default the bundle's digest.
        """
        available = onnxruntime.get_available_providers()
        if device == "gpu" and CUDA in available:
            # CUDA and cuDNN come as Python packages, which the dynamic linker does not know about.
            onnxruntime.preload_dlls()
        self.bundle, self.version, self.release = bundle, version, release or bundle.digest
        wanted = requested(device, gpu, bundle)
        self.requested_backend = wanted[0][0]
        providers = usable(wanted, available)
        prepare(providers)
        self.runtime = Runtime(bundle, threads=1, providers=providers)
        self.folds_case = folds_case(self.runtime.encode)
        self._gpu_batch = gpu.max_batch
        if self.backend != self.requested_backend:
            logger.warning(
                "this build asks for %s and answers on %s: see which of its libraries are in the image",
                self.requested_backend,
                self.backend,
            )
        for text in WARM_UP_TEXTS:
            self.answers([clean(text)])
        if self.max_batch > 1:
            self.answers([clean(WARM_UP_TEXTS[-1])] * self.max_batch)

    @property
    def digest(self) -> str:
        return self.bundle.digest

    @property
    def backend(self) -> str:
        """What runs the model now: ONNX Runtime goes on with the CPU when a card fails."""
        return self.runtime.provider

    @property
    def max_batch(self) -> int:
        """Texts at once.

        On two cores batching gained nothing at short texts, padding and the activation scale that a batch
        shares in dynamic int8 aside. A GPU needs it, and CUDA in TensorRT's place is one.
        """
        return 1 if self.backend == CPU else self._gpu_batch

    def describe(self) -> dict[str, Any]:
        """What is being served, without its weights."""
        manifest = self.bundle.manifest
        return {
            "model_version": self.version,
            "bundle_digest": self.digest,
            "backend": self.backend,
            "requested_backend": self.requested_backend,
            "precision": manifest.precision,
            "labels": list(manifest.labels),
            "max_length": manifest.max_length,
            "base_model": manifest.base_model,
            "training_data": manifest.training_data,
        }

    def answers(self, texts: Sequence[str], at_once: int | None = None) -> list[Answer | None]:
        """Answer cleaned texts; None for one of which the tokenizer leaves nothing.

        Args:
            texts: of `tickets.canonical.canonical`.
            at_once: in one call of the model, instead of `max_batch`.

        Raises:
            ArithmeticError: the model's answer is no number.
        """
        rows = self.runtime.logits(texts, batch_size=at_once or self.max_batch).tolist()
        return [self._answer(text, row) for text, row in zip(texts, rows, strict=True)]

    def _answer(self, text: str, logits: list[float]) -> Answer | None:
        values = [round(value, 6) for value in calibrated_row(logits, self.bundle.manifest.temperature)]
        if not all(0 <= value <= 1 for value in values):  # NaN is neither
            if not self.runtime.encode(text):
                return None  # a tokenizer that adds no tokens of its own left nothing of the text
            raise ArithmeticError("the model's answer is no number")
        return Answer(LABELS[values.index(max(values))], (values[0], values[1], values[2]), self.backend)
