"""What ONNX Runtime is told, without a GPU: names, values, shapes, order of fallback, refusals."""

import logging
from pathlib import Path

import onnxruntime
import pytest
import yaml

from tests.support.params import params_file
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.providers import CUDA, TENSORRT, prepare, profile, requested
from ticket_sentiment.model.runtime import CPU, Runtime, open_session, usable
from ticket_sentiment.params import Gpu, load_params
from ticket_sentiment.serving.classifier import Classifier

CUDA_OPTIONS = {
    "device_id": "0",
    "arena_extend_strategy": "kSameAsRequested",
    "do_copy_in_default_stream": "1",
    "use_tf32": "0",
    "enable_cuda_graph": "0",
}


def gpu(folder: Path, provider: str = "tensorrt") -> Gpu:
    return Gpu(provider=provider, max_batch=16, engine_cache=str(folder / "engines"), workspace_mb=512)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_tiny_bundle(tmp_path / "bundle", precision="fp16", max_length=48)


def test_cpu(tmp_path: Path, bundle: Bundle) -> None:
    assert requested("cpu", gpu(tmp_path), bundle) == [(CPU, {})]


def test_cuda(tmp_path: Path, bundle: Bundle) -> None:
    assert requested("gpu", gpu(tmp_path, "cuda"), bundle) == [(CUDA, CUDA_OPTIONS), (CPU, {})]


def test_tensorrt(tmp_path: Path, bundle: Bundle) -> None:
    (name, options), *rest = requested("gpu", gpu(tmp_path), bundle)
    assert rest == [(CUDA, CUDA_OPTIONS), (CPU, {})]
    assert name == TENSORRT
    assert options == {
        "device_id": "0",
        "trt_fp16_enable": "True",
        "trt_max_workspace_size": str(512 * 1024 * 1024),
        "trt_builder_optimization_level": "3",
        "trt_profile_min_shapes": "input_ids:1x1,attention_mask:1x1",
        "trt_profile_opt_shapes": "input_ids:16x48,attention_mask:16x48",
        "trt_profile_max_shapes": "input_ids:16x48,attention_mask:16x48",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(tmp_path / "engines" / bundle.digest),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(tmp_path / "engines/timing"),
    }


def test_only_an_fp16_bundle_is_computed_in_fp16(tmp_path: Path) -> None:
    exact = make_tiny_bundle(tmp_path / "fp32", precision="fp32")
    assert dict(requested("gpu", gpu(tmp_path), exact))[TENSORRT]["trt_fp16_enable"] == "False"


def test_a_profile_names_every_input_of_the_graph(bundle: Bundle) -> None:
    inputs = open_session(bundle.model_path).get_inputs()
    assert profile(4, 9) == ",".join(f"{item.name}:4x9" for item in inputs)


def test_another_bundle_has_another_engine_folder(tmp_path: Path, bundle: Bundle) -> None:
    other = make_tiny_bundle(tmp_path / "other", precision="fp16", max_length=48, seed=1)
    folders = {
        dict(requested("gpu", gpu(tmp_path), item))[TENSORRT]["trt_engine_cache_path"]
        for item in (bundle, other)
    }
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("available", "taken"),
    [
        ([TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        ([CPU, CUDA], [CUDA, CPU]),
        ([TENSORRT, CPU], [TENSORRT, CPU]),
        ([CPU], [CPU]),
        (["AzureExecutionProvider", CPU], [CPU]),
    ],
)
def test_fallback_keeps_the_order(
    tmp_path: Path, bundle: Bundle, available: list[str], taken: list[str]
) -> None:
    chain = requested("gpu", gpu(tmp_path), bundle)
    assert [name for name, _ in usable(chain, available)] == taken


def test_names_alone_are_taken_too_and_the_cpu_is_last() -> None:
    assert usable([CUDA, CPU], [CPU]) == [CPU]
    assert usable([CUDA], []) == [CPU]


def test_folders_are_made_only_for_tensorrt(tmp_path: Path, bundle: Bundle) -> None:
    prepare(usable(requested("gpu", gpu(tmp_path), bundle), [CUDA, CPU]))
    assert not (tmp_path / "engines").exists()
    prepare(requested("gpu", gpu(tmp_path), bundle))
    made = tmp_path / "engines" / bundle.digest
    assert made.is_dir() and (tmp_path / "engines/timing").is_dir()
    assert made.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_named_with_its_key(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "engines").write_text("a file in its place")
    with pytest.raises(TicketSentimentError, match=r"serve\.gpu\.engine_cache: .*cannot be written"):
        prepare(requested("gpu", gpu(tmp_path), bundle))


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="needs a machine without CUDA")
def test_a_gpu_build_without_gpu_answers_says_so_once_and_writes_nothing(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = Classifier(bundle, "1", gpu(tmp_path), "gpu")
    about = classifier.describe()
    assert (about["backend"], about["requested_backend"]) == (CPU, TENSORRT)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        f"this build asks for {TENSORRT} and answers on {CPU}: see which of its libraries are in the image"
    ]
    assert not (tmp_path / "engines").exists()
    caplog.clear()
    assert Classifier(bundle, "1", gpu(tmp_path), "cpu").describe()["requested_backend"] == CPU
    assert caplog.records == []


def test_runtime_names_the_provider_it_took(bundle: Bundle, tmp_path: Path) -> None:
    if CUDA not in onnxruntime.get_available_providers():
        assert Runtime(bundle, providers=requested("gpu", gpu(tmp_path), bundle)).provider == CPU


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"provider": "rocm"}, "serve.gpu.provider: Input should be 'cuda' or 'tensorrt'"),
        (
            {"trt_fp8": True},
            "serve.gpu.trt_fp8: is not a known key (known: provider, max_batch, engine_cache, workspace_mb)",
        ),
        ({"max_batch": 0}, "serve.gpu.max_batch"),
        ({"workspace_mb": 1.5}, "serve.gpu.workspace_mb"),
        ({"engine_cache": ""}, "serve.gpu.engine_cache"),
    ],
)
def test_refused_values_are_named_with_what_is_known(tmp_path: Path, change: dict, said: str) -> None:
    raw = yaml.safe_load(params_file().read_text())
    raw["serve"]["gpu"] |= change
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(TicketSentimentError) as caught:
        load_params(path)
    assert said in str(caught.value)
