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
from ticket_sentiment.edge import pack as packing
from ticket_sentiment.edge.pack import MODULES, pack
from ticket_sentiment.edge.runner import BUNDLES, NEXT, PROGRAM, RELEASE, Edge, install
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
        ({"version": 1}, r"release\.json: version: expected a text"),
        ({"program_sha256": "a"}, r"release\.json: program_sha256: expected a SHA-256"),
        ({"program_sha256": "a" * 64}, r"edge\.pyz is not what release\.json names \(SHA-256 differs\)"),
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
def newer(make_bundle, params, runtime, tmp_path, monkeypatch) -> Path:
    """Of another bundle and another program: what it answers is marked in `label`."""
    source = Path(shutil.copytree(packing._SOURCE, tmp_path / "source"))
    runner = source / "edge/runner.py"
    runner.write_text(runner.read_text().replace('"label": LABELS', '"label": "newer " + LABELS'))
    monkeypatch.setattr(packing, "_SOURCE", source)
    packed = pack(make_bundle(1), "2", params, runtime, tmp_path / "newer")
    monkeypatch.undo()
    return packed


def answered(folder: Path, program: str = PROGRAM) -> dict:
    done = run(folder / program, given="hello")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_update_takes_over_the_whole_release(packed, newer, tmp_path):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    (here / PROGRAM).chmod(0o755)
    done = run(here / PROGRAM, "--update", str(newer))
    assert done.stdout == "version 2\n", done.stderr
    assert answered(here) == answered(newer) != answered(packed)
    assert answered(here)["label"].startswith("newer ")
    assert (here / PROGRAM).stat().st_mode & 0o777 == 0o755
    assert len(list((here / BUNDLES).iterdir())) == 1 and not (here / NEXT).exists()
    assert install(newer, here) == "2"  # again, as nothing says that it was done


def test_a_program_of_another_name_is_updated_under_it(packed, newer, tmp_path):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    (here / PROGRAM).rename(here / "sentiment.pyz")
    assert run(here / "sentiment.pyz", "--update", str(newer)).stdout == "version 2\n"
    assert answered(here, "sentiment.pyz") == answered(newer)
    assert not (here / PROGRAM).exists()


# In the order in which an update comes by them, and whose answers it leaves there.
@pytest.mark.parametrize(
    ("fails", "new"),
    [("shutil.copytree", False), ("write_json", False), ("replacing", False), ("os.replace", True),
     ("shutil.rmtree", True)],
)  # fmt: skip
def test_an_update_that_is_interrupted_leaves_one_whole_release(
    packed, newer, tmp_path, monkeypatch, fails, new
):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))

    def stop(*arguments: object, **__: object) -> None:
        # os.replace and shutil.rmtree are everybody's: only `install` itself is interrupted.
        names = [str(argument) for argument in arguments]
        if fails == "os.replace" and not names[0].endswith(NEXT):
            return replace(*arguments)
        if fails == "shutil.rmtree" and "." in Path(names[0]).name:
            return None
        raise KeyboardInterrupt

    replace = os.replace
    monkeypatch.setattr(f"ticket_sentiment.edge.runner.{fails}", stop)
    with pytest.raises(KeyboardInterrupt):
        install(newer, here)
    monkeypatch.undo()
    assert answered(here) == answered(newer if new else packed)
    assert install(packed, here) == "1" and answered(here) == answered(packed)  # the way back
    assert install(newer, here) == "2" and answered(here) == answered(newer)


def test_the_way_back_from_an_interrupted_update_may_be_interrupted_too(packed, newer, tmp_path, monkeypatch):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    install(newer, here)
    shutil.copyfile(packed / RELEASE, here / RELEASE)  # as it was before its last step
    shutil.copyfile(newer / RELEASE, here / NEXT)
    assert answered(here) == answered(newer)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ticket_sentiment.edge.runner.replacing", stop)
    with pytest.raises(KeyboardInterrupt):
        install(packed, here)
    monkeypatch.undo()
    assert answered(here) == answered(newer)


def test_a_folder_that_cannot_be_written_says_so(packed, newer, tmp_path, monkeypatch):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(here / PROGRAM))

    monkeypatch.setattr("ticket_sentiment.edge.runner.replacing", refuse)
    with pytest.raises(TicketSentimentError, match=r"cannot be updated \(.*edge\.pyz.*let this user write"):
        install(newer, here)
    monkeypatch.undo()
    assert answered(here) == answered(packed)


def test_an_old_bundle_that_stays_fails_no_update(packed, newer, tmp_path, monkeypatch):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    rmtree = shutil.rmtree

    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if Path(path).parent == here / BUNDLES and not Path(path).name.startswith("."):
            if not ignore_errors:
                raise PermissionError(13, "Permission denied", str(path))
        else:
            rmtree(path, ignore_errors)

    monkeypatch.setattr("ticket_sentiment.edge.runner.shutil.rmtree", refuse)
    install(newer, here)
    monkeypatch.undo()
    assert answered(here) == answered(newer)


def test_a_release_that_was_packed_before_programs_were_named_is_not_taken(packed, newer, tmp_path):
    here = Path(shutil.copytree(packed, tmp_path / "edge"))
    release = json.loads((newer / RELEASE).read_text())
    del release["program_sha256"]
    (newer / RELEASE).write_text(json.dumps(release))
    done = run(here / PROGRAM, "--update", str(newer))
    assert done.returncode == 2 and "program_sha256: expected" in done.stderr and "`make edge`" in done.stderr
    assert answered(here) == answered(packed)


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
