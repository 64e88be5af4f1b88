"""What ONNX Runtime is told for each device: execution providers in order of preference, with their options.

Names and meanings: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html and
TensorRT-ExecutionProvider.html, each found again in the libraries of onnxruntime-gpu 1.31.1 (TensorRT 10,
CUDA 13). Every value is a string, as ONNX Runtime hands it back. A switch of CUDA is 0 or 1, one of TensorRT
False or True: with 1 its session does not open.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.runtime import CPU, Provider
from ticket_sentiment.params import Device, Gpu

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
INPUTS = ("input_ids", "attention_mask")  # both [batch, tokens]


def cuda_options() -> dict[str, str]:
    """Of the CUDA provider. Its choice of convolutions is left out: an encoder has none."""
    return {
        "device_id": "0",
        # Champion and challenger share the card; doubling would keep memory that neither uses.
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",  # on a stream of its own a copy can race with the computation
        "use_tf32": "0",  # rounds what is left in fp32 to ten bits; the products in fp16 are not concerned
        "enable_cuda_graph": "0",  # replays one recorded shape, and every text has its own length
    }


def profile(batch: int, tokens: int) -> str:
    """A shape of every input as TensorRT's profiles name it, e.g. `input_ids:1x1,attention_mask:1x1`."""
    return ",".join(f"{name}:{batch}x{tokens}" for name in INPUTS)


def tensorrt_options(gpu: Gpu, bundle: Bundle) -> dict[str, str]:
    """Of the TensorRT provider.

    Without profiles it builds an engine anew, for seconds to minutes, whenever a text is shorter or longer
    than all before it. With them there is one engine for every shape up to `gpu.max_batch` texts of the
    bundle's maximum length, built when the session opens. It is tuned for the largest shape, which is
    ONNX Runtime's own choice too (microsoft/onnxruntime#5737) and where the throughput matters.
    """
    longest = bundle.manifest.max_length
    return {
        "device_id": "0",
        "trt_fp16_enable": str(bundle.manifest.precision == "fp16"),
        "trt_max_workspace_size": str(gpu.workspace_mb * 2**20),
        "trt_builder_optimization_level": "3",
        "trt_profile_min_shapes": profile(1, 1),
        "trt_profile_opt_shapes": profile(gpu.max_batch, longest),
        "trt_profile_max_shapes": profile(gpu.max_batch, longest),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(engine_folder(gpu, bundle)),
        # How long each kernel took on this card: no engine, so that the next model's build may use it.
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(Path(gpu.engine_cache).absolute() / "timing"),
    }


def engine_folder(gpu: Gpu, bundle: Bundle) -> Path:
    """Where the engines of this bundle lie, and of no other.

    TensorRT's cache is keyed by the shape of the graph, not by its weights (LeelaChessZero/lc0#2214): in one
    folder, next month's model would be answered by the engine of this month's.
    """
    return Path(gpu.engine_cache).absolute() / bundle.digest


def requested(device: Device, gpu: Gpu, bundle: Bundle) -> list[Provider]:
    """Providers in order of preference: tensorrt, cuda, cpu, from the one that the device asks for."""
    chain: list[Provider] = [(CPU, {})]
    if device == "gpu":
        chain.insert(0, (CUDA, cuda_options()))
        if gpu.provider == "tensorrt":
            chain.insert(0, (TENSORRT, tensorrt_options(gpu, bundle)))
    return chain


def prepare(providers: Sequence[Provider]) -> None:
    """Make the folders that these providers write to.

    Raises:
        TicketSentimentError: one cannot be written. TensorRT would go on without, and build for minutes at
            every start.
    """
    for provider in providers:
        options = {} if isinstance(provider, str) else provider[1]
        for option in ("trt_engine_cache_path", "trt_timing_cache_path"):
            if option in options:
                _make_writable(Path(options[option]))


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # whoever writes an engine writes our answers
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise TicketSentimentError(
            f"serve.gpu.engine_cache: {folder} cannot be written: name a folder that can, "
            "in a container one on a volume, or set serve.gpu.provider to cuda"
        )
