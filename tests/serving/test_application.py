"""One worker's service in this process."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.params import params_of_tests
from tests.support.serving import free_port
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.serving import application
from ticket_sentiment.serving.application import Application
from ticket_sentiment.serving.settings import Deployed, Settings


def run(folder: Path, test: Callable[[Application], Awaitable[None]]) -> None:
    params = params_of_tests()
    metrics = params.serve.metrics.model_copy(update={"port": free_port()})
    settings = Settings(
        model_version="1",
        serve=params.serve.model_copy(update={"metrics": metrics}),
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
