"""One bundle on one ONNX Runtime session, asked from an event loop that stays free."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import onnxruntime

from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.serving.settings import Deployed
from ticket_sentiment.tickets.privacy import clean

Device = Literal["cpu", "gpu"]
CUDA = "CUDAExecutionProvider"
PROVIDERS: dict[Device, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    # TensorRT would build an engine for every new length, for seconds each, in the middle of requests.
    "gpu": (CUDA, "CPUExecutionProvider"),
}
WARM_UP_TEXTS = ("warm up", "a longer text to warm up with, so that no request pays for the first call " * 8)


class Classifier:
    """Answers for one text at a time. Warm when constructed."""

    def __init__(self, deployed: Deployed, device: Device) -> None:
        if device == "gpu" and CUDA in onnxruntime.get_available_providers():
            # CUDA and cuDNN come as Python packages, which the dynamic linker does not know about.
            onnxruntime.preload_dlls()
        self.bundle = deployed.bundle
        self.settings = deployed.settings
        self.runtime = Runtime(deployed.bundle, threads=1, providers=PROVIDERS[device])
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onnxruntime")
        for text in WARM_UP_TEXTS:
            self.runtime.probabilities([clean(text)])

    def describe(self) -> dict[str, Any]:
        """What is being served, without its weights."""
        manifest = self.bundle.manifest
        return {
            "model_version": self.settings.model_version,
            "bundle_digest": self.bundle.digest,
            "backend": self.runtime.provider,
            "precision": manifest.precision,
            "labels": list(manifest.labels),
            "max_length": manifest.max_length,
            "base_model": manifest.base_model,
            "training_data": manifest.training_data,
        }

    def _answer(self, text: str) -> dict[str, Any] | None:
        cleaned = clean(text)
        if not cleaned:
            return None
        row = self.runtime.probabilities([cleaned])[0]
        if not np.isfinite(row).all():
            if not self.runtime.tokenizer.encode(cleaned).ids:
                return None  # a tokenizer that adds no tokens of its own left nothing of the text
            raise ArithmeticError("the model's answer is no number")
        best = int(row.argmax())
        probabilities = {label: round(float(value), 6) for label, value in zip(LABELS, row, strict=True)}
        confidence = probabilities[LABELS[best]]
        return {
            "label": LABELS[best],
            "probabilities": probabilities,
            "confidence": confidence,
            "abstain": confidence < self.settings.serve.abstain_below,
            "model_version": self.settings.model_version,
            "bundle_digest": self.bundle.digest,
            "backend": self.runtime.provider,
        }

    async def classify(self, text: str) -> dict[str, Any] | None:
        """Label, calibrated probabilities and what they come from; None when cleaning leaves no text.

        The text is masked first, as the texts were that the model learnt from.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, text)
