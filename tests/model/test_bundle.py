import json
import shutil

import pytest

from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment import files
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import load_bundle, write_bundle


def test_a_bundle_is_named_by_its_content(tmp_path):
    first = make_tiny_bundle(tmp_path / "first", seed=1)
    again = make_tiny_bundle(tmp_path / "again", seed=1)
    other = make_tiny_bundle(tmp_path / "other", seed=2)
    assert first.digest == again.digest != other.digest
    assert load_bundle(first.path) == first


def edit_manifest(change):
    def damage(folder):
        manifest = json.loads((folder / "bundle.json").read_text())
        change(manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest))

    return damage


DAMAGES = {
    "a changed weight": (lambda f: (f / "model.onnx").write_bytes(b"x"), "model.onnx is not what"),
    "a changed tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json is not what"),
    "no model": (lambda f: (f / "model.onnx").unlink(), "model.onnx is missing"),
    "no manifest": (lambda f: (f / "bundle.json").unlink(), "bundle.json is missing"),
    "a pickle beside it": (lambda f: (f / "model.pkl").write_bytes(b""), "model.pkl"),
    "external data": (lambda f: (f / "model.onnx.data").write_bytes(b""), "model.onnx.data"),
    "half a manifest": (lambda f: (f / "bundle.json").write_text('{"format'), "bundle.json"),
    "an unknown key": (edit_manifest(lambda m: m.update(extra=1)), "extra"),
    "a future format": (edit_manifest(lambda m: m.update(format_version=2)), "format_version"),
    "other labels": (edit_manifest(lambda m: m.update(labels=["a", "b", "c"])), "labels"),
    "labels swapped": (
        edit_manifest(lambda m: m.update(labels=["positive", "neutral", "negative"])),
        "labels",
    ),
    "no temperature": (edit_manifest(lambda m: m.pop("temperature")), "temperature"),
    "a temperature of zero": (edit_manifest(lambda m: m.update(temperature=0)), "temperature"),
    "a file too many": (edit_manifest(lambda m: m["files"].update({"../x": "0" * 64})), "files"),
    "a file too few": (edit_manifest(lambda m: m["files"].pop("tokenizer.json")), "files"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bundle_is_refused_with_the_reason(tmp_path, name):
    damage, reason = DAMAGES[name]
    folder = tmp_path / "bundle"
    make_tiny_bundle(folder)
    damage(folder)
    with pytest.raises(TicketSentimentError) as caught:
        load_bundle(folder)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_space_nothing_is_written_and_the_old_bundle_stays(tmp_path, monkeypatch):
    bundle = make_tiny_bundle(tmp_path / "bundle")
    usage = shutil._ntuple_diskusage(total=10, used=9, free=1)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    fields = bundle.manifest.model_dump(exclude={"files", "labels", "format_version"})
    with pytest.raises(TicketSentimentError, match=r"no space for .* MB needed, 0 MB free"):
        write_bundle(bundle.path, bundle.model_path, bundle.tokenizer_path, **fields)
    assert load_bundle(bundle.path).digest == bundle.digest
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]
