"""One worker's service in this process."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.params import params_of_tests
from tests.support.serving import free_port
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.files import write_json
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving import application
from ticket_sentiment.serving.application import Application
from ticket_sentiment.serving.last_state import LastState
from ticket_sentiment.serving.settings import Deployed, Settings


def run(folder: Path, test: Callable[[Application], Awaitable[None]]) -> None:
    params = params_of_tests()
    metrics = params.serve.metrics.model_copy(update={"port": free_port()})
    settings = Settings(
        model_version="1",
        serve=params.serve.model_copy(update={"metrics": metrics, "releases": str(folder / "releases")}),
        events=params.events.model_copy(update={"url": f"sqlite:///{folder}/events.db"}),
        cache=params.cache,
        cloudwatch=params.objectives.cloudwatch,
    )
    deployed = Deployed(make_tiny_bundle(folder / "bundle"), None, settings)

    async def main() -> None:
        made = Application(deployed, "cpu", folder, alone=True)
        await made.start()
        try:
            await asyncio.wait_for(test(made), 10)
        finally:
            await made.stop()

    asyncio.run(main())


def value(made: Application, name: str) -> float | None:
    return made.metrics.registry.get_sample_value(f"ticket_sentiment_{name}")


@pytest.mark.parametrize(("key", "warned"), [("", True), ("secret", False)])
def test_pseudonyms_without_a_key_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, key: str, warned: bool
) -> None:
    monkeypatch.setenv("TICKET_SENTIMENT_PSEUDONYM_KEY", key)

    async def test(_: Application) -> None: ...

    run(tmp_path, test)
    assert ("TICKET_SENTIMENT_PSEUDONYM_KEY is not set" in caplog.text) is warned


def test_a_sample_that_fails_is_not_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(application, "SAMPLE_SECONDS", 0.01)

    async def test(made: Application) -> None:
        sample = made.metrics.sample

        def fail(*_: object) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(made.metrics, "sample", fail)
        await asyncio.sleep(0.1)
        monkeypatch.setattr(made.metrics, "sample", sample)
        made.engine.runs = 7
        await asyncio.sleep(0.1)
        assert value(made, "model_runs_total") == 7

    run(tmp_path, test)
    assert caplog.text.count("the metrics could not be sampled: OSError") == 1


def test_what_is_away_is_a_gauge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "SAMPLE_SECONDS", 0.01)

    async def test(made: Application) -> None:
        assert value(made, "events_available") == 1
        assert (value(made, "cache_shared_available"), value(made, "rollout_not_loaded")) == (0, 0)
        monkeypatch.setattr(type(made.store), "available", False)
        monkeypatch.setattr(type(made.cache), "shared_available", True)
        monkeypatch.setattr(type(made.arms.split), "not_loaded", 2)
        await asyncio.sleep(0.1)
        assert value(made, "events_available") == 0
        assert (value(made, "cache_shared_available"), value(made, "rollout_not_loaded")) == (1, 2)

    run(tmp_path, test)


def test_the_watching_process_imports_nothing_that_answers():
    """It starts before the workers do: what it imports is added to the time until they are ready."""
    heavy = {"numpy", "onnxruntime", "tokenizers", "redis", "aiohttp"}
    code = f"import sys; import ticket_sentiment.serving.service; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def rolled_back(champion: str, epoch: int = 1) -> RolloutState:
    return RolloutState(epoch, "salt", champion, None, 0.0, False, datetime.now(UTC))


def release(folder: Path, seed: int) -> str:
    """A bundle that no build holds, in the folder of releases; its name."""
    releases = folder / "releases"
    name = make_tiny_bundle(releases / "new", seed=seed).digest
    (releases / name).mkdir()
    (releases / "new").rename(releases / name / "cpu")
    write_json(releases / name / "release.json", {"version": "1", "bundles": {"cpu": name}})
    return name


def away() -> None:
    raise EventStoreUnavailable("the database does not answer")


def test_a_worker_that_starts_while_the_database_is_away_keeps_to_a_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = release(tmp_path, seed=5)
    store = EventStore(f"sqlite:///{tmp_path}/events.db", 10, True)
    assert store.set_rollout_state(rolled_back(name), 0)
    store.close(1)

    async def answered(made: Application) -> None:
        assert (made.arms.split.champion.release, made.arms.split.epoch) == (name, 1)

    run(tmp_path, answered)
    monkeypatch.setattr(EventStore, "rollout_state", lambda _: away())
    run(tmp_path, answered)
    assert "rollout epoch 1 is taken from the workers" in caplog.text

    async def unverified(made: Application) -> None:
        assert made.arms.split.champion.release != name
        assert made.arms.split.not_loaded == 1

    with (tmp_path / "releases" / name / "cpu/model.onnx").open("ab") as stream:
        stream.write(b"x")
    run(tmp_path, unverified)  # verified as ever


@pytest.mark.parametrize("content", [None, "{", '{"epoch": 0}'])
def test_a_worker_without_a_kept_state_starts_with_its_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setattr(EventStore, "rollout_state", lambda _: away())
    if content is not None:
        (tmp_path / "rollout.json").write_text(content)

    async def test(made: Application) -> None:
        assert made.arms.split.state is None

    run(tmp_path, test)


def test_a_state_that_could_not_be_kept_is_kept_by_the_next_poll(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = [rolled_back("a" * 64), rolled_back("b" * 64, 2)]
    last = LastState(lambda: states[-1], tmp_path / "file" / "shared")
    (tmp_path / "file").touch()  # in the folder's place
    for _ in range(2):
        assert last.read() == states[-1]
    assert caplog.text.count("could not be kept") == 1
    (tmp_path / "file").unlink()
    last.read()
    assert LastState(away, tmp_path / "file" / "shared").first() == states[-1]
