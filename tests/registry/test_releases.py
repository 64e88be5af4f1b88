"""Releases: from the registry into the folder that running services read."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.project import Project
from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.registry.releases import LEFTOVER_S, put_release, registered_bundle, remove_releases
from ticket_sentiment.rollout.releases import load_release
from ticket_sentiment.rollout.state import RolloutState


def put(project: Project, version: int = 1) -> str:
    return put_release(project.store, project.params, version, project.root)


@pytest.fixture
def released(project: Project) -> tuple[Path, str]:
    """The folder of releases, and the one in it."""
    project.result()
    project.register()
    name = put(project)
    return project.root / project.params.serve.releases, name


def test_a_release_holds_the_registered_bundles_of_every_device(
    project: Project, released: tuple[Path, str]
) -> None:
    folder, name = released
    tags = project.store.client.get_model_version(project.store.model, "1").tags
    for device in ("cpu", "gpu"):
        bundle, version = load_release(folder, name, device)
        assert (bundle.digest, version) == (tags[f"bundle.{device}.digest"], "1")
    assert name == tags["bundle.cpu.digest"]


def test_the_bundle_of_the_champion_or_of_a_version_is_fetched(project: Project) -> None:
    with (
        pytest.raises(TicketSentimentError, match="no version with the alias `champion`"),
        registered_bundle(project.params, root=project.root),
    ):
        pass
    for seed in (0, 1):
        project.result(seed)
        project.register()
    tags = [project.store.client.get_model_version(project.store.model, number).tags for number in "12"]
    for version, number in ((None, "1"), ("2", "2")):
        with registered_bundle(project.params, version, project.root) as (bundle, held):
            assert (held, bundle.digest) == (number, tags[int(number) - 1]["bundle.cpu.digest"])
            assert bundle.model_path.is_file()
    with (
        pytest.raises(TicketSentimentError, match="no version 9"),
        registered_bundle(project.params, "9", project.root),
    ):
        pass


@pytest.mark.parametrize("part", ["cpu/model.onnx", "gpu/bundle.json", "release.json"])
def test_what_is_damaged_is_refused_and_brought_again(
    project: Project, released: tuple[Path, str], part: str
) -> None:
    folder, name = released
    (folder / name / part).write_bytes(b"{}")
    with pytest.raises(TicketSentimentError):
        for device in ("cpu", "gpu"):
            load_release(folder, name, device)
    assert put(project) == name
    for device in ("cpu", "gpu"):
        load_release(folder, name, device)


def test_a_whole_release_is_left_alone(project: Project, released: tuple[Path, str]) -> None:
    folder, name = released
    before = (folder / name).stat().st_ino
    put(project)
    assert (folder / name).stat().st_ino == before


def test_the_bundle_of_another_release_is_refused(released: tuple[Path, str]) -> None:
    folder, name = released
    shutil.rmtree(folder / name / "gpu")
    make_tiny_bundle(folder / name / "gpu", seed=5)
    with pytest.raises(TicketSentimentError, match=r"not the bundle that release\.json names"):
        load_release(folder, name, "gpu")
    (folder / name).rename(folder / ("e" * 64))
    with pytest.raises(TicketSentimentError, match="of another release"):
        load_release(folder, "e" * 64, "cpu")
    with pytest.raises(TicketSentimentError, match="is missing"):
        load_release(folder, name, "cpu")


def test_only_named_releases_are_kept(project: Project, released: tuple[Path, str]) -> None:
    folder, name = released
    (folder / "notes").mkdir()
    assert remove_releases(project.params, [name], project.root) == []
    assert remove_releases(project.params, [], project.root) == [name]
    assert [path.name for path in folder.iterdir()] == ["notes"]


def test_a_removal_that_was_killed_is_finished_by_the_next(
    project: Project, released: tuple[Path, str]
) -> None:
    folder, name = released
    (folder / name / "release.json").unlink()
    shutil.rmtree(folder / name / "gpu")
    assert remove_releases(project.params, [], project.root) == [name]
    assert list(folder.iterdir()) == []


def test_what_a_killed_download_left_is_removed_a_day_later(
    project: Project, released: tuple[Path, str]
) -> None:
    folder, name = released
    for suffix, age in (("old", LEFTOVER_S + 60), ("new", 60)):
        half = folder / f".{name}.{suffix}"
        (half / "cpu").mkdir(parents=True)
        os.utime(half, (time.time() - age,) * 2)
    (folder / ".snapshot").mkdir()
    os.utime(folder / ".snapshot", (0, 0))
    assert remove_releases(project.params, [name], project.root) == []
    assert {path.name for path in folder.iterdir()} == {name, f".{name}.new", ".snapshot"}


def test_a_version_that_the_loop_did_not_register_is_refused(project: Project) -> None:
    client = project.store.client
    client.create_registered_model(project.store.model)
    client.create_model_version(project.store.model, "file:///nowhere")
    with pytest.raises(TicketSentimentError, match="was not registered by"):
        put(project)


@pytest.mark.slow
def test_a_running_service_takes_up_a_release_it_was_not_built_with(project: Project, tmp_path: Path) -> None:
    project.result(seed=3)
    project.register()
    built, name = make_tiny_bundle(tmp_path / "bundle").digest, put(project)
    folder = project.root / project.params.serve.releases
    write_params(tmp_path, {"rollout_poll_seconds": 0.1, "releases": str(folder)})
    store = EventStore(f"sqlite:///{tmp_path}/var/events.db", 10, False)
    environment = {"TICKET_SENTIMENT_BUNDLE": str(tmp_path / "bundle")}
    with Server(SERVICE, tmp_path / "serve.log", tmp_path, **environment) as server:
        server.wait_until_ready()
        for epoch, champion in ((1, name), (2, built), (3, name)):
            state = RolloutState(epoch, "salt", champion, None, 0.0, False, datetime.now(UTC))
            assert store.set_rollout_state(state, epoch - 1)
            deadline, answer = time.monotonic() + 10, ""
            while answer != champion:
                assert time.monotonic() < deadline, (tmp_path / "serve.log").read_text()
                response = httpx.post(f"{server.url}/v1/classify", json={"text": "my order is great"})
                assert response.status_code == 200
                answer = response.json()["bundle_digest"]
    store.close(1)
