"""The edge runtime answers as `Runtime` does, refuses what `load_bundle` refuses, and imports little."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece as LibraryWordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from tests.model.test_bundle import DAMAGES
from tests.support.tiny_bundle import make_tiny_bundle, tiny_tokenizer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model import bundle as full
from ticket_sentiment.model import edge
from ticket_sentiment.model.bundle import Bundle, Manifest, write_bundle
from ticket_sentiment.model.edge import EdgeRuntime, open_bundle
from ticket_sentiment.model.runtime import Runtime

TEXTS = ["Thanks, GREAT!", "terrible and  slow", "my invoice\0 please", "", "qwertz", "great " * 100]


@pytest.fixture
def wordpiece_bundle(tmp_path: Path) -> Bundle:
    """The tiny bundle with the same words in a WordPiece tokenizer."""
    tiny = make_tiny_bundle(tmp_path / "tiny", temperature=2.0)
    tokenizer = Tokenizer(LibraryWordPiece(tiny_tokenizer().get_vocab(), unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    fields = tiny.manifest.model_dump(exclude={"files", "labels", "format_version"})
    return write_bundle(tmp_path / "edge", tiny.model_path, tmp_path / "tokenizer.json", **fields)


def test_answers_are_those_of_runtime(wordpiece_bundle: Bundle) -> None:
    light = EdgeRuntime(open_bundle(wordpiece_bundle.path))
    texts = [text for text in TEXTS if text]  # the tiny model divides by the number of tokens
    expected = Runtime(wordpiece_bundle).probabilities(texts)
    np.testing.assert_array_equal(light.probabilities(texts), expected)
    np.testing.assert_array_equal(EdgeRuntime(wordpiece_bundle).probabilities(texts), expected)
    assert LABELS[expected[0].argmax()] == "positive"
    assert light.provider == "CPUExecutionProvider"
    options = light.session.get_session_options()
    assert (options.intra_op_num_threads, options.enable_cpu_mem_arena) == (1, False)


def test_what_is_read_is_what_load_bundle_reads(wordpiece_bundle: Bundle) -> None:
    light = open_bundle(wordpiece_bundle.path)
    assert (light.path, light.digest) == (wordpiece_bundle.path, wordpiece_bundle.digest)
    assert light.model_path == wordpiece_bundle.model_path
    assert light.tokenizer_path == wordpiece_bundle.tokenizer_path
    for name, value in light.manifest._asdict().items():
        assert getattr(wordpiece_bundle.manifest, name) == value


def test_the_format_is_that_of_model_bundle() -> None:
    for name in ("MANIFEST", "FILES", "FORMAT_VERSION"):
        assert getattr(edge, name) == getattr(full, name)
    assert set(Manifest.model_fields) == edge.KEYS


@pytest.mark.parametrize("name", DAMAGES)
def test_what_load_bundle_refuses_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    damage, reason = DAMAGES[name]
    make_tiny_bundle(tmp_path / "bundle")
    damage(tmp_path / "bundle")
    with pytest.raises(TicketSentimentError) as caught:
        open_bundle(tmp_path / "bundle")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 0},
        {"max_length": True},
        {"temperature": float("nan")},
        {"temperature": "1"},
        {"files": []},
    ],
)
def test_fields_of_the_wrong_type_are_named(tmp_path: Path, change: dict[str, object]) -> None:
    path = make_tiny_bundle(tmp_path / "bundle").path / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TicketSentimentError, match=next(iter(change))):
        open_bundle(tmp_path / "bundle")
    path.write_text("[]")
    with pytest.raises(TicketSentimentError, match="expected an object"):
        open_bundle(tmp_path / "bundle")


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    make_tiny_bundle(tmp_path / "bundle")
    with pytest.raises(
        TicketSentimentError, match=r"tokenizer\.json: model is WordLevel, expected WordPiece"
    ):
        EdgeRuntime(open_bundle(tmp_path / "bundle"))


def test_nothing_heavy_is_imported(wordpiece_bundle: Bundle) -> None:
    script = f"""
import sys
from pathlib import Path
from ticket_sentiment.model.edge import EdgeRuntime, open_bundle
runtime = EdgeRuntime(open_bundle(Path({str(wordpiece_bundle.path)!r})))
assert runtime.probabilities(["great, thanks"])[0].argmax() == 2
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert {"onnxruntime", "numpy"} <= loaded
    assert not loaded & {"torch", "transformers", "tokenizers", "pydantic", "yaml", "bentoml", "onnx"}
