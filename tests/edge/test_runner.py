"""The program for Python answers as the service does, with nothing but ONNX Runtime and numpy."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.texts import AWKWARD, NOTHING
from ticket_sentiment.edge.pack import MODULES, PROGRAM, pack
from ticket_sentiment.edge.runner import BUNDLES, RELEASE, Edge, install
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean

# Runs the program as `python PROGRAM` does, where every other package cannot be imported.
RESTRICTED = """
import runpy, sys
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {*sys.stdlib_module_names, "numpy", "onnxruntime", "ticket_sentiment", "__main__"}:
            raise ModuleNotFoundError(f"{name} must not be needed")
sys.meta_path.insert(0, Only())
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    own = sorted(name for name in sys.modules if name.startswith("ticket_sentiment"))
    print(*(sys.modules[name].__file__ for name in own), sep="\\n", file=sys.stderr)
"""


def run(program: Path, *options: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", RESTRICTED, str(program), *options],
        input=given, capture_output=True, text=True, cwd=program.parent.parent, env=environment, check=False,
    )  # fmt: skip


def test_the_answers_are_the_service_s(packed, server):
    edge = Edge(packed)
    labels = set()
    for text in AWKWARD:
        answer, expected = edge.classify(text), server.answers([canonical(clean(text))])[0]
        assert answer["label"] == expected.label
        assert tuple(answer["probabilities"].values()) == pytest.approx(expected.probabilities, abs=2e-6)
        labels.add(answer["label"])
    assert len(labels) > 1, "a model of one answer shows nothing"


@pytest.mark.parametrize("text", NOTHING)
def test_a_text_of_which_nothing_is_left_is_an_error(packed, text):
    with pytest.raises(TicketSentimentError, match="nothing is left"):
        Edge(packed).classify(text)


def test_a_text_is_as_long_as_the_service_takes_it_at_most(packed, params):
    edge, limit = Edge(packed), params.serve.max_text_chars
    assert edge.classify("🙂" * limit)["label"]  # characters, not bytes
    with pytest.raises(TicketSentimentError, match=f"^text: longer than {limit} characters: shorten it"):
        edge.classify("a" * (limit + 1))
    longest = "good " * (limit // 5)  # the line end that `echo` puts behind it is not counted
    done = run(packed / PROGRAM, "--lines", given=f"{longest}\n{longest}!\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["label"] and "longer than" in second["error"]


def test_the_program_needs_onnx_runtime_and_numpy_only(packed):
    done = run(packed / PROGRAM, "--lines", given="Thanks, it works, grüße 🙂\n\nawful\n")
    assert done.returncode == 0, done.stderr
    first, empty, last = map(json.loads, done.stdout.splitlines())
    assert first == Edge(packed).classify("Thanks, it works, grüße 🙂")
    assert "nothing is left" in empty["error"]
    assert last["model_version"] == "1"
    loaded = [line for line in done.stderr.splitlines() if "ticket_sentiment" in line]
    assert all(line.startswith(str(packed / PROGRAM)) for line in loaded)
    assert len(loaded) == len(MODULES), "the program holds what it does not import"
    assert len(zipfile.ZipFile(packed / PROGRAM).namelist()) == len(MODULES) + 1


def test_all_of_standard_input_is_one_ticket(packed):
    done = run(packed / PROGRAM, given="Dear team,\nit broke.\nKind regards\nAnna Smith\n")
    assert json.loads(done.stdout) == Edge(packed).classify("it broke.")


def test_a_damaged_bundle_is_refused_in_one_line(packed, bundle, tmp_path):
    shutil.copytree(packed, tmp_path / "edge")
    (tmp_path / "edge" / BUNDLES / bundle.digest[:12] / "tokenizer.json").write_text("{}")
    done = run(tmp_path / "edge" / PROGRAM, given="hello")
    assert done.returncode == 2
    assert "SHA-256 differs" in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, r"release\.json cannot be read \(No such file"),
        ("{", r"release\.json is not JSON"),
        ("[]", r"release\.json: expected an object"),
        ("{}", r"release\.json: version: expected a text"),
        ({"bundle_digest": "../.."}, r"release\.json: bundle_digest: expected a SHA-256"),
        ({"abstain_below": "0.5"}, r"release\.json: abstain_below: expected a number from 0 to 1"),
        ({"max_text_chars": 0}, r"release\.json: max_text_chars: expected a whole number above 0"),
    ],
)
def test_a_damaged_release_is_refused_with_file_key_and_remedy(packed, tmp_path, written, said):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    release = json.loads((here / RELEASE).read_text())
    if written is None:
        (here / RELEASE).unlink()
    else:
        (here / RELEASE).write_text(written if isinstance(written, str) else json.dumps(release | written))
    with pytest.raises(TicketSentimentError, match=f"{said}.*: copy the folder again"):
        Edge(here)


@pytest.fixture
def newer(make_bundle, params, runtime, tmp_path) -> Path:
    return pack(make_bundle(1), "2", params, runtime, tmp_path / "newer")


def test_an_update_takes_over_the_whole_release(packed, newer, tmp_path):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    done = run(here / PROGRAM, "--update", str(newer))
    assert done.stdout == "version 2\n", done.stderr
    assert Edge(here).classify("hello") == Edge(newer).classify("hello") != Edge(packed).classify("hello")
    assert len(list((here / BUNDLES).iterdir())) == 1
    assert install(newer, here) == "2"  # again, as nothing says that it was done


@pytest.mark.parametrize("fails", ["shutil.copytree", "write_json"])
def test_an_update_that_is_interrupted_leaves_the_release_before(packed, newer, tmp_path, monkeypatch, fails):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"ticket_sentiment.edge.runner.{fails}", stop)
    with pytest.raises(KeyboardInterrupt):
        install(newer, here)
    monkeypatch.undo()
    assert Edge(here).classify("hello") == Edge(packed).classify("hello")
    assert install(newer, here) == "2"


def test_an_update_from_a_folder_that_is_not_whole_changes_nothing(packed, newer, tmp_path):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    (next((newer / BUNDLES).iterdir()) / "model.onnx").write_bytes(b"half")
    with pytest.raises(TicketSentimentError, match="SHA-256 differs"):
        install(newer, here)
    assert Edge(here).release["version"] == "1"
    release = json.loads((newer / RELEASE).read_text())
    (newer / RELEASE).write_text(json.dumps(release | {"bundle_digest": "0" * 64}))
    with pytest.raises(TicketSentimentError, match=r"bundle\.json is missing"):
        install(newer, here)
