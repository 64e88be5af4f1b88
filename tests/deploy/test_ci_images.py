"""From an image in an engine to a registry, a signature and an overlay by digest."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from deploy.ci import images
from deploy.ci.images import Pushed
from tests.support.container import engine_or_skip
from tests.support.image_registry import ImageRegistry
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_json
from ticket_sentiment.registry import images as building
from ticket_sentiment.registry.images import BUILT, Built, Image

ROOT = Path(__file__).parents[2]
CPU, GPU = (
    Pushed(image=f"ghcr.io/team/ticket-sentiment@sha256:{digit * 64}", id=f"sha256:{digit * 64}")
    for digit in "ab"
)


def make_image(engine: str, folder: Path, name: str, content: str, path: str = "file") -> Image:
    """An image of one small file."""
    root = folder / uuid.uuid4().hex
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text(content)
    subprocess.run(["tar", "-cf", f"{root}.tar", path], cwd=root, check=True)
    subprocess.run([engine, "import", f"{root}.tar", name], check=True, capture_output=True)
    told = subprocess.run([engine, "image", "inspect", "--format", "{{.Id}}", name], capture_output=True)
    return Image(name=name, id=told.stdout.decode().strip())


@pytest.fixture
def small_image(tmp_path: Path) -> Iterator[tuple[str, Image]]:
    """An engine, and an image of one small file in it."""
    engine = engine_or_skip()
    name = f"localhost/small:v1-{uuid.uuid4().hex[:12]}-v2-{'0' * 12}-cpu"
    image = make_image(engine, tmp_path, name, "small")
    yield engine, image
    subprocess.run([engine, "rmi", "--force", image.id], capture_output=True)


def built(engine: str, images: dict[str, Image]) -> None:
    """As `make images` leaves it in the working folder."""
    write_json(BUILT, Built(engine=engine, images=images).model_dump())


def test_what_was_pushed_is_named_by_the_digest_that_the_registry_has(
    small_image: tuple[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, image = small_image
    # Meanwhile the name is given to another one, as by a second build.
    other = make_image(engine, tmp_path, image.name, "another")
    assert other.id != image.id
    with ImageRegistry() as registry:
        (tmp_path / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{registry.address}"\ninsecure = true\n'
        )
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
        monkeypatch.chdir(tmp_path)
        built(engine, {"cpu": image})
        monkeypatch.setenv("IMAGE_REPOSITORY", f"{registry.address}/Team/ticket-sentiment")
        images.main("push")
        ((tag, digest),) = registry.manifests.items()
    assert tag == f"team/ticket-sentiment:{image.name.rpartition(':')[2]}"
    pushed = {"cpu": {"image": f"{registry.address}/team/ticket-sentiment@{digest}", "id": image.id}}
    assert json.loads((tmp_path / "var/images.json").read_text()) == pushed
    there = subprocess.run(
        [engine, "image", "inspect", "--format", "{{.Id}}", f"{registry.address}/{tag}"], capture_output=True
    )
    assert there.stdout.decode().strip() == image.id
    subprocess.run([engine, "rmi", f"{registry.address}/{tag}", other.id], capture_output=True)


def test_nothing_is_released_that_was_not_built_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for step in ("ids", "scan", "bills", "push"):
        with pytest.raises(TicketSentimentError, match=r"var/built\.json is missing: run `make images`"):
            images.main(step)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/built.json").write_text('{"engine": "podman", "images": {"cpu": "x"}}')
    with pytest.raises(TicketSentimentError, match=r"var/built\.json: images\.cpu: .*: run `make images`"):
        images.main("push")
    built("podman", {"gpu": Image(name="x:v1-0a1b2c3d4e5f-gpu", id="sha256:1")})
    images.main("ids")
    assert capsys.readouterr().out == "sha256:1\n"
    monkeypatch.setenv("DEVICE", "cpu")
    with pytest.raises(TicketSentimentError, match="no image for cpu was built last, but gpu"):
        images.main("ids")
    (tmp_path / "var/images.json").write_text('{"cpu": "x@sha256:1"}')
    with pytest.raises(TicketSentimentError, match=r"images\.json: cpu: .*: run `make images-push`"):
        images.main("sign")


def test_the_tickets_of_both_versions_are_looked_for(
    small_image: tuple[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, image = small_image
    assert image.versions == ["1", "2"]
    monkeypatch.chdir(tmp_path)
    texts = {"data/prepared": "The order of this month came at noon, all of it", "v1": "o" * 40}
    texts["v2"] = "The challenger alone has learnt from this very ticket"
    for name, text in texts.items():
        folder = tmp_path / (name if name == "data/prepared" else f"var/released/{name}")
        folder.mkdir(parents=True)
        pd.DataFrame({"text": [text]}).to_parquet(folder / "train.parquet")
    bad = make_image(engine, tmp_path, image.name, f"so: {texts['v2']}", "home/notes")
    try:
        built(engine, {"cpu": bad})
        with pytest.raises(TicketSentimentError, match="1 things must not go out"):
            images.main("scan")
        # Of one of the two they are not known any more: what is here counts.
        shutil.rmtree(tmp_path / "var/released/v1")
        images.main("scan")
    finally:
        subprocess.run([engine, "rmi", "--force", bad.id], capture_output=True)


def test_a_registry_that_is_away_or_no_name_is_one_line(small_image: tuple[str, Image]) -> None:
    engine, image = small_image
    for repository in ("", "Registry.example.com/Team", "registry/name:tag "):
        with pytest.raises(TicketSentimentError, match="IMAGE_REPOSITORY is"):
            images.push({"cpu": image}, repository, engine)
    with pytest.raises(TicketSentimentError, match=f"{engine} push .* failed") as caught:
        images.push({"cpu": image}, "127.0.0.1:9/team/x", engine)
    assert "\n" not in str(caught.value)
    subprocess.run(
        [engine, "rmi", f"127.0.0.1:9/team/x:{image.name.rpartition(':')[2]}"], capture_output=True
    )


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
    small_image: tuple[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cosign itself needs its transparency log: what it would be asked is kept here."""
    engine, _ = small_image
    cosign = tmp_path / "cosign"
    cosign.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    cosign.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    site = "app/lib/python3.11/site-packages/a-1.0.dist-info/METADATA"
    first, second = (
        make_image(engine, tmp_path, f"localhost/{name}:v1-{uuid.uuid4().hex[:12]}-cpu", text, site)
        for name, text in (("one", "Name: a\nVersion: 1.0\n\n"), ("two", "Name: a\nVersion: 2.0\n\n"))
    )
    try:
        pushed = {"cpu": Pushed(image=CPU.image, id=second.id)}
        with pytest.raises(TicketSentimentError, match=r"cpu\.cdx\.json is missing"):
            images.sign(pushed)
        for image in (first, second):
            built(engine, {"cpu": image})
            images.main("bills")
            if image == first:  # of a build before
                with pytest.raises(TicketSentimentError, match=r"cpu\.cdx\.json is not of the image"):
                    images.sign(pushed)
        assert not (tmp_path / "asked").exists()
        images.sign(pushed)
    finally:
        subprocess.run([engine, "rmi", "--force", first.id, second.id], capture_output=True)
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"sign --yes {CPU.image}",
        f"attest --yes --type cyclonedx --predicate var/cpu.cdx.json {CPU.image}",
    ]


def test_a_build_that_fails_leaves_no_images_to_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {device: f"ticket-sentiment:v3-0a1b2c3d4e5f-{device}" for device in ("cpu", "gpu")}
    monkeypatch.setattr(building, "find_engine", lambda engine: engine or "podman")
    monkeypatch.setattr(building, "build_champion", lambda *_: tags)

    def build(tag: str, *_: object) -> Image:
        if tag.endswith("gpu"):
            raise TicketSentimentError("no room")
        return Image(name=tag, id="sha256:1")

    monkeypatch.setattr(building, "build_image", build)
    params = params_of_tests()
    made = building.build_images(params, ["cpu"], "buildah", root=tmp_path)
    assert building.read_built(tmp_path) == made
    assert (made.engine, made.images["cpu"].name) == ("buildah", tags["cpu"])
    with pytest.raises(TicketSentimentError, match="no room"):
        building.build_images(params, ["cpu", "gpu"], root=tmp_path)
    with pytest.raises(TicketSentimentError, match="is missing: run `make images`"):
        building.read_built(tmp_path)
