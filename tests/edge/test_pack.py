import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.edge import npm
from ticket_sentiment.edge.pack import PROGRAM, champion_bundle, main, pack
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file, sha256_tree
from ticket_sentiment.model.bundle import load_bundle


def test_the_manifest_names_every_file_of_the_page(packed):
    web = packed / "web"
    release = json.loads((web / "release.json").read_text())
    there = {path.relative_to(web).as_posix() for path in web.rglob("*") if path.is_file()}
    assert set(release["files"]) == there - {"release.json", "service-worker.js"}
    for name, file in release["files"].items():
        assert file == {"sha256": sha256_file(web / name), "bytes": (web / name).stat().st_size}
    assert {"index.html", release["runtime"]["module"], release["runtime"]["wasm"]} <= there
    assert release["bundle_digest"] == load_bundle(web / "bundle").digest


def test_the_same_bundle_gives_the_same_bytes(packed, bundle, params, runtime, tmp_path):
    assert sha256_tree(pack(bundle, "1", params, runtime, tmp_path / "again")) == sha256_tree(packed)


def test_the_page_asks_nobody_else(packed):
    own = [path for path in (packed / "web").iterdir() if path.suffix in (".html", ".js")]
    assert len(own) == 7
    for path in own:
        text = path.read_text()
        assert "http://" not in text and "https://" not in text, path.name
    assert "connect-src 'self'" in (packed / "web/index.html").read_text()


def test_a_tokenizer_that_devices_cannot_read_is_refused(params, runtime, tmp_path):
    with pytest.raises(TicketSentimentError, match="expected WordPiece"):
        pack(make_tiny_bundle(tmp_path / "bundle"), "1", params, runtime, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_registered_champion_s_edge_bundle_is_packed(project, tmp_path):
    with pytest.raises(TicketSentimentError, match="no champion yet"):
        champion_bundle(project.params, project.root, tmp_path)
    project.result()
    project.register()
    project.result(seed=1)  # of a month that is not registered: not the champion's
    (tmp_path / "champion").mkdir()
    bundle, version = champion_bundle(project.params, project.root, tmp_path / "champion")
    assert version == "1"
    assert bundle.digest == make_tiny_bundle(tmp_path / "same", seed=0).digest
    project.store.client.delete_model_version_tag(project.store.model, "1", "bundle.edge.digest")
    with pytest.raises(TicketSentimentError, match=r"registered without its edge bundle.*--bundle"):
        champion_bundle(project.params, project.root, tmp_path / "champion")


def test_a_named_bundle_is_packed_and_its_place_said(params, bundle, runtime, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(npm, "runtime", lambda _: runtime)
    main(params, bundle.path, tmp_path)
    said = capsys.readouterr().out
    assert f"version unregistered, bundle {bundle.digest[:12]}" in said
    assert (tmp_path / "dist/edge" / PROGRAM).is_file() and "MB of runtime" in said


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path):
    (tmp_path / f"{npm.NAME}-{npm.VERSION}.tgz").write_bytes(b"another")
    with pytest.raises(TicketSentimentError, match="expected sha512-"):
        npm.runtime(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".tgz"]


def test_the_pinned_package_is_unpacked_once(tmp_path, monkeypatch):
    package = tmp_path / f"{npm.NAME}-{npm.VERSION}.tgz"
    with tarfile.open(package, "w:gz") as files:
        for name in npm.FILES:
            (tmp_path / name).write_text(name)
            files.add(tmp_path / name, f"package/dist/{name}")
    monkeypatch.setattr(npm, "INTEGRITY", npm.integrity(package))
    folder = npm.runtime(tmp_path)
    assert {path.name for path in folder.iterdir()} == set(npm.FILES.values())
    package.unlink()
    assert npm.runtime(tmp_path) == folder


def test_without_npm_or_network_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    with pytest.raises(TicketSentimentError, match=r"npm is not here.*Node\.js"):
        npm.runtime(tmp_path)
    monkeypatch.setattr(npm.shutil, "which", lambda name: name)
    failed = subprocess.CompletedProcess([], 1, "", "npm error network\nmore")
    monkeypatch.setattr(npm.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(TicketSentimentError, match=r"could not be fetched \(npm error network\).*\.tgz"):
        npm.runtime(tmp_path)


def test_the_program_says_how_to_start_itself(packed):
    assert (packed / PROGRAM).read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert Path(packed / "release.json").is_file()
