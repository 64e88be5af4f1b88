"""From an image in an engine to a registry, a signature and an overlay by digest."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.ci import images
from tests.support.container import engine_or_skip
from tests.support.image_registry import ImageRegistry
from ticket_sentiment.errors import TicketSentimentError

ROOT = Path(__file__).parents[2]
CPU, GPU = (f"ghcr.io/team/ticket-sentiment@sha256:{digit * 64}" for digit in "ab")


@pytest.fixture
def small_image(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """An engine, and the name of an image of one small file in it."""
    engine = engine_or_skip()
    (tmp_path / "file").write_text("small")
    subprocess.run(["tar", "-cf", "layer.tar", "file"], cwd=tmp_path, check=True)
    name = f"localhost/small:v1-{uuid.uuid4().hex[:12]}-cpu"
    subprocess.run([engine, "import", str(tmp_path / "layer.tar"), name], check=True, capture_output=True)
    yield engine, name
    subprocess.run([engine, "rmi", "--force", name], capture_output=True)


def test_what_was_pushed_is_named_by_the_digest_that_the_registry_has(
    small_image: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, name = small_image
    with ImageRegistry() as registry:
        (tmp_path / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{registry.address}"\ninsecure = true\n'
        )
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
        pushed = images.push({"cpu": name}, f"{registry.address}/team/ticket-sentiment", engine)
        ((tag, digest),) = registry.manifests.items()
    assert tag == f"team/ticket-sentiment:{name.rpartition(':')[2]}"
    assert pushed == {"cpu": f"{registry.address}/team/ticket-sentiment@{digest}"}
    subprocess.run([engine, "rmi", f"{registry.address}/{tag}"], capture_output=True)


def test_a_registry_that_is_away_or_no_name_is_one_line(small_image: tuple[str, str]) -> None:
    engine, name = small_image
    for repository in ("", "Registry.example.com/Team", "registry/name:tag "):
        with pytest.raises(TicketSentimentError, match="IMAGE_REPOSITORY is"):
            images.push({"cpu": name}, repository, engine)
    with pytest.raises(TicketSentimentError, match=f"{engine} push .* failed") as caught:
        images.push({"cpu": name}, "127.0.0.1:9/team/x", engine)
    assert "\n" not in str(caught.value)
    subprocess.run([engine, "rmi", f"127.0.0.1:9/team/x:{name.rpartition(':')[2]}"], capture_output=True)


def overlay(tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(ROOT / "deploy/kubernetes/overlays" / name, tmp_path / name))


def test_an_overlay_names_what_was_pushed_and_keeps_its_comments(tmp_path: Path) -> None:
    folder = overlay(tmp_path, "hybrid")
    before = (folder / "kustomization.yaml").read_text()
    assert images.set_digests({"cpu": CPU, "gpu": GPU}, folder) == [
        "ticket-sentiment-cpu",
        "ticket-sentiment-gpu",
    ]
    after = (folder / "kustomization.yaml").read_text()
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    changed = [(old, new) for old, new in lines if old != new]
    assert len(changed) == 4
    held = {entry["name"]: entry for entry in yaml.safe_load(after)["images"]}
    assert held["ticket-sentiment-gpu"] == {
        "name": "ticket-sentiment-gpu",
        "newName": "ghcr.io/team/ticket-sentiment",
        "digest": f"sha256:{'b' * 64}",
    }


def test_an_overlay_that_wants_another_image_is_left_as_it_is(tmp_path: Path) -> None:
    folder = overlay(tmp_path, "hybrid")
    before = (folder / "kustomization.yaml").read_text()
    with pytest.raises(TicketSentimentError, match="ticket-sentiment-gpu, which was not pushed"):
        images.set_digests({"cpu": CPU}, folder)
    assert (folder / "kustomization.yaml").read_text() == before
    with pytest.raises(TicketSentimentError, match="is no overlay"):
        images.set_digests({"cpu": CPU}, tmp_path / "away")
    with pytest.raises(TicketSentimentError, match="sets no images"):
        images.set_digests({"cpu": CPU}, overlay(tmp_path, "eks"))


def test_images_are_signed_by_digest_and_never_without_their_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cosign itself needs its transparency log: what it would be asked is kept here."""
    cosign = tmp_path / "cosign"
    cosign.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    cosign.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TicketSentimentError, match=r"cpu\.cdx\.json is missing"):
        images.sign({"cpu": CPU})
    assert not (tmp_path / "asked").exists()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/cpu.cdx.json").write_text("{}")
    images.sign({"cpu": CPU})
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"sign --yes {CPU}",
        f"attest --yes --type cyclonedx --predicate var/cpu.cdx.json {CPU}",
    ]
