"""Batch scoring by its flow, with a real Prefect and MLflow."""

import asyncio
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.score_batch import score_batch
from tests.batch.jobs import content, tickets, write
from tests.support.project import Project
from ticket_sentiment.errors import TicketSentimentError

pytestmark = pytest.mark.slow


async def shown() -> str:
    async with get_client() as client:
        (artifact,) = (item for item in await client.read_artifacts() if item.key == "score-batch")
        return str(artifact.data)


def test_the_champion_scores_and_a_second_run_finds_it_done(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.result()
    project.register()
    monkeypatch.chdir(project.root)
    write(Path("in.csv"), tickets(30))
    digest = project.store.client.get_model_version(project.store.model, "1").tags["bundle.cpu.digest"]
    said = score_batch("in.csv", "var/scores")
    assert said.startswith(f"30 tickets scored by version 1 {digest[:12]} in var/scores\n")
    assert "30 tickets scored" in asyncio.run(shown())
    before = content(Path("var/scores"))
    assert "all of it was there already" in score_batch("in.csv", "var/scores")
    said = score_batch("in.csv", "var/scores", version=1)  # as `--param version=1` comes
    assert "all of it was there already" in said
    write(Path("in.csv"), tickets(31))
    with pytest.raises(TicketSentimentError, match="the input is another"):
        score_batch("in.csv", "var/scores")
    assert content(Path("var/scores")) == before
