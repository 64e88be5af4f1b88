"""A look at the model in service: silent while all is as it was, and each thing that can be wrong named."""

import re
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from tests.monitoring.desk import channels, in_service, people_label, traffic
from tests.promotion.loop import Loop
from tests.support.page import Page
from ticket_sentiment.events.database import open_engine
from ticket_sentiment.events.types import Feedback
from ticket_sentiment.monitoring import look as monitor
from ticket_sentiment.monitoring.page import headline, markdown, write_page
from ticket_sentiment.monitoring.reference import FOLDER
from ticket_sentiment.params import Params


@pytest.fixture
def params(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Of the project, with its event database."""
    monkeypatch.chdir(loop.root)
    monkeypatch.delenv(loop.params.events.url_env, raising=False)
    few = loop.params.drift.model_copy(update={"resamples": 20})
    return loop.params.model_copy(update={"drift": few})


def names(found: monitor.Look) -> list[str]:
    return [alarm.name for alarm in found.alarms]


def page_of(found: monitor.Look, params: Params, loop: Loop) -> Page:
    path = write_page(found, params, loop.root / "var/monitor.html")
    return Page(path.read_text())


def test_before_anything_is_in_service_nothing_is_wrong(loop: Loop, params: Params) -> None:
    found = monitor.look(params)
    assert names(found) == [] and found.lines() == ["No model is in service yet."]
    assert "No model is in service yet" in page_of(found, params, loop).text
    assert monitor.ask_early(found, params) is None


def test_traffic_like_the_holdout_gives_no_alarm(loop: Loop, params: Params) -> None:
    digest = in_service(loop)
    people_label(loop, traffic(loop, digest, days=7), accuracy=0.9)
    found = monitor.look(params)
    assert names(found) == []
    short, long = found.facts.windows
    assert (short.days, long.days) == (1, 7) and long.rows == 600 and not short.tests, "too few in a day"
    assert found.facts.reference == 1000 and found.facts.labelled > 50
    page = page_of(found, params, loop)
    assert "The model in service does as it did when it was judged" in page.text
    assert "In the last 7 days tickets and answers look as they did on the holdout" in page.text
    assert "audited tickets were answered right" in page.text
    monitor.keep_pages(found.facts, params.monitor)
    assert (loop.root / f"var/monitor/{found.facts.now:%Y-%m}/7-days.html").stat().st_size > 100_000


def test_a_feed_in_capitals_is_seen_within_a_day_and_asks_for_no_retraining(
    loop: Loop, params: Params
) -> None:
    digest = in_service(loop)
    before = traffic(loop, digest, days=7, rows=3000, seed=5, until=loop.ledger.now() - timedelta(days=1))
    people_label(loop, before, accuracy=0.9)
    traffic(loop, digest, days=0.9, rows=300, change=str.upper)
    found = monitor.look(params)
    assert names(found) == ["AnswersDrifted", "FeedChanged"], "a seventh of the week is in capitals"
    drifted, changed = found.alarms
    assert "Share of capitals" in changed.evidence[0]
    assert changed.runbook == "docs/drift.md#feedchanged"
    assert "It began lately." in drifted.evidence and not drifted.retrains, "mended, not learnt"
    assert monitor.ask_early(found, params) is None
    text = markdown(found, params)
    assert "FeedChanged" in text and "docs/drift.md#feedchanged" in text


def test_another_mix_of_channels_is_seen_where_callers_say_theirs(loop: Loop, params: Params) -> None:
    digest = in_service(loop)
    people_label(loop, traffic(loop, digest, days=7, said=channels(600, 3)), accuracy=0.9)
    found = monitor.look(params)
    assert names(found) == [] and "channel" in found.facts.windows[1].tests
    traffic(loop, digest, days=0.9, rows=300, seed=6, said=channels(300, 6, chat=0.7))
    found = monitor.look(params)
    assert "FeedChanged" in names(found)
    changed = next(alarm for alarm in found.alarms if alarm.name == "FeedChanged")
    assert len(changed.evidence) == 2 and "Mix of channels" in changed.evidence[0]


def test_callers_that_say_no_channel_and_a_reference_without_one_are_no_change(
    loop: Loop, params: Params
) -> None:
    digest = in_service(loop)
    people_label(loop, traffic(loop, digest, days=7, said=[*channels(500, 3), *[None] * 100]), accuracy=0.9)
    found = monitor.look(params)
    assert names(found) == [] and "channel" not in found.facts.windows[1].tests
    kept = loop.root / FOLDER / f"{digest}.parquet"
    pd.read_parquet(kept).drop(columns="channel").to_parquet(kept)
    traffic(loop, digest, days=7, rows=6000, seed=7, said=channels(6000, 7))
    found = monitor.look(params)
    assert names(found) == [] and "channel" not in found.facts.windows[1].tests


def test_a_change_that_lasts_asks_for_one_retraining_and_then_cools_down(loop: Loop, params: Params) -> None:
    digest = in_service(loop)
    people_label(loop, traffic(loop, digest, days=7, change=lambda text: text[:20]), accuracy=0.9)
    found = monitor.look(params)
    assert names(found) == ["AnswersDrifted"]
    assert headline(found, params)[0] == "fail"
    first = monitor.ask_early(found, params)
    assert first and (first.number, first.reasons, first.run) == (1, ("AnswersDrifted",), None)
    assert monitor.ask_early(found, params) == first, "killed before its run was noted: the same one again"
    waiting = monitor.look(params)
    assert waiting.early == first, "it is open"
    on_trial = replace(waiting, facts=replace(waiting.facts, rollout=True))
    assert monitor.ask_early(on_trial, params) is None, "it waits for the end of the rollout"
    assert monitor.ask_early(replace(waiting, alarms=()), params) == first, "its alarm is gone"
    monitor.note_started(first, "run-1", params)
    assert monitor.ask_early(found, params) is None, "it cools down"
    again = monitor.look(params)
    assert again.early and again.early.run == "run-1"
    assert "run run-1 of Prefect" in page_of(again, params, loop).text

    with open_engine(loop.url, durable=True).begin() as connection:
        connection.exec_driver_sql("UPDATE early_retrainings SET at = '2026-01-01 00:00:00.000000'")
    second = monitor.ask_early(found, params)
    assert second and second.number == 2
    assert re.fullmatch(r"early-retraining-2-\d{8}-\d{6}", second.name), "no other database's second"
    monitor.note_started(second, "run-2", params)
    with open_engine(loop.url, durable=True).begin() as connection:
        connection.exec_driver_sql("UPDATE early_retrainings SET at = '2100-01-01 00:00:00.000000'")
    third = monitor.ask_early(found, params)
    assert third and third.number == 3, "the clock was ahead when it was asked for"
    off = params.monitor.model_copy(
        update={"early_retraining": params.monitor.early_retraining.model_copy(update={"enabled": False})}
    )
    assert monitor.ask_early(found, params.model_copy(update={"monitor": off})) is None
    on_trial = replace(found, facts=replace(found.facts, rollout=True), early=None)
    assert monitor.ask_early(on_trial, params) is None, "a newer model is on its way"


def test_a_loss_of_quality_is_an_alarm_when_it_is_certain(loop: Loop, params: Params) -> None:
    digest = in_service(loop)
    old = loop.ledger.now() - timedelta(days=2)
    labelled = people_label(loop, traffic(loop, digest, days=3, rows=900, until=old), accuracy=0.4)
    found = monitor.look(params)
    assert "QualityFell" in names(found)
    assert found.facts.labelled == labelled
    assert found.facts.lag_hours == pytest.approx(1.0)


def test_where_people_only_correct_what_is_wrong_quality_is_not_known(loop: Loop, params: Params) -> None:
    digest = in_service(loop)
    old = loop.ledger.now() - timedelta(days=2)
    given = traffic(loop, digest, days=3, rows=900, until=old)
    drawn = people_label(loop, given, accuracy=0.6, only_wrong=True)
    found = monitor.look(params)
    assert names(found) == [] and found.facts.right == 0
    assert headline(found, params)[0] == "wait", "what is not known is no health"
    few = found.facts.labelled
    assert few >= params.monitor.min_labels and found.facts.audited == drawn
    said = f"Only {few} of {drawn} audited tickets have a label, 60 % are needed: the quality in service is"
    assert said in page_of(found, params, loop).text


def test_answers_of_a_gpu_service_are_the_champions_and_stay_so_while_mlflow_is_away(
    loop: Loop, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_service(loop)
    old = loop.ledger.now() - timedelta(days=2)
    given = traffic(loop, loop.tag(1, "bundle.gpu.digest"), days=3, rows=900, until=old, change=str.upper)
    labelled = people_label(loop, given, accuracy=0.4)
    found = monitor.look(params)
    assert names(found) == ["AnswersDrifted", "QualityFell"]
    assert (found.facts.windows[1].rows, found.facts.labelled) == (900, labelled)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert names(monitor.look(params)) == ["AnswersDrifted", "QualityFell"]
    (loop.root / FOLDER / f"{found.facts.champion}.json").unlink()
    assert monitor.look(params).facts.windows[1].rows == 0, "only the digest that the state names is known"


def test_silence_is_no_health(loop: Loop, params: Params) -> None:
    digest = in_service(loop, reference=False)
    old = traffic(loop, digest, days=1, rows=60, until=loop.ledger.now() - timedelta(days=6))
    found = monitor.look(params)
    assert names(found) == ["TrafficSilent", "ReferenceMissing"]
    assert "registered without a reference" in found.alarms[1].evidence[0]
    assert found.alarms[1].severity == "info"
    people_label(loop, old, accuracy=1.0)
    with open_engine(loop.url, durable=True).begin() as connection:
        connection.exec_driver_sql("UPDATE feedback SET received_at = '2026-01-01 00:00:00.000000'")
    traffic(loop, digest, days=0.5, rows=30, seed=8)
    store = loop.events()
    store.feedback(Feedback(loop.ledger.now(), old[0].ticket_id, "csat", "e-csat", "neutral"))
    store.close(5)
    assert "LabelsLate" in names(monitor.look(params)), "a customer's label is none of the audit"


def test_an_answer_of_a_time_to_come_is_no_traffic(loop: Loop, params: Params) -> None:
    """One service's clock was ahead once."""
    digest = in_service(loop)
    now = loop.ledger.now()
    traffic(loop, digest, days=1, rows=60, until=now - timedelta(days=6))
    traffic(loop, digest, days=0, rows=1, seed=9, until=now + timedelta(days=400))
    assert names(monitor.look(params)) == ["TrafficSilent"]


def test_answers_that_go_to_another_database_are_missed(loop: Loop, params: Params) -> None:
    in_service(loop)
    assert names(monitor.look(params)) == [], "nobody has asked it yet"
    with open_engine(loop.url, durable=True).begin() as connection:
        connection.exec_driver_sql("UPDATE rollout_states SET since = '2026-01-01 00:00:00.000000'")
    found = monitor.look(params)
    assert names(found) == ["TrafficSilent"] and "no answer is recorded" in found.alarms[0].evidence[0]


def test_the_first_ticket_after_a_quiet_time_has_no_late_label(loop: Loop, params: Params) -> None:
    digest, now = in_service(loop), loop.ledger.now()
    people_label(loop, traffic(loop, digest, days=0.1, rows=60, until=now - timedelta(days=8)), accuracy=0.9)
    received = f"{now - timedelta(days=8):%Y-%m-%d %H:%M:%S.%f}"
    with open_engine(loop.url, durable=True).begin() as connection:
        connection.exec_driver_sql(f"UPDATE feedback SET received_at = '{received}'")
    traffic(loop, digest, days=1.9, rows=60, seed=8)
    found = monitor.look(params)
    assert found.facts.last_label and found.facts.unlabelled_since
    assert found.facts.unlabelled_since > now - timedelta(days=2) and names(found) == []


def test_where_nothing_can_be_written_the_alarms_are_found(loop: Loop, params: Params) -> None:
    digest = in_service(loop)
    traffic(loop, digest, days=1, rows=60, until=loop.ledger.now() - timedelta(days=6))
    (loop.root / "var/monitor").write_text("a file where a folder should be")
    found = monitor.look(params)
    assert names(found) == ["ReferenceMissing", "TrafficSilent"] and found.alarms[0].severity == "ticket"


def test_a_kept_reference_that_cannot_be_read_is_fetched_again(loop: Loop, params: Params) -> None:
    kept = loop.root / FOLDER / f"{in_service(loop)}.parquet"
    assert names(monitor.look(params)) == [] and kept.is_file()
    kept.write_bytes(kept.read_bytes()[:100])
    assert names(monitor.look(params)) == ["ReferenceMissing"]
    assert names(monitor.look(params)) == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg://nobody@127.0.0.1:9/none"])
def test_without_mlflow_and_a_kept_reference_the_rest_is_seen(
    loop: Loop, params: Params, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    digest = in_service(loop)
    old = traffic(loop, digest, days=1, rows=600, until=loop.ledger.now() - timedelta(days=6))
    labelled = people_label(loop, old, accuracy=1.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 0)  # ten take minutes
    found = monitor.look(params)
    assert names(found) == ["ReferenceMissing", "TrafficSilent"]
    assert re.search("MLflow (does not answer|cannot be opened)", found.alarms[0].evidence[0])
    assert found.facts.labelled == labelled > 0
    monkeypatch.undo()
    monkeypatch.chdir(loop.root)
    assert names(monitor.look(params)) == ["TrafficSilent"], "it is fetched as soon as MLflow is back"


def test_without_the_store_of_artifacts_the_rest_is_seen(
    loop: Loop, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud's client raises errors of its own: MLflow does not wrap them."""
    digest = in_service(loop)
    traffic(loop, digest, days=1, rows=60, until=loop.ledger.now() - timedelta(days=6))

    class EndpointConnectionError(Exception):
        """As botocore's, which is no OSError."""

    def away(**_: object) -> None:
        raise EndpointConnectionError("https://bucket.example")

    monkeypatch.setattr("ticket_sentiment.monitoring.reference.download_artifacts", away)
    found = monitor.look(params)
    assert names(found) == ["ReferenceMissing", "TrafficSilent"]
    assert found.alarms[0].severity == "ticket", "also those hear of it who want no info"
    assert "MLflow's artifacts (EndpointConnectionError)" in found.alarms[0].evidence[0]


def test_an_event_database_that_is_away_is_an_alarm(loop: Loop, params: Params) -> None:
    away = params.events.model_copy(update={"url": "postgresql+psycopg://nobody@127.0.0.1:9/none"})
    found = monitor.look(params.model_copy(update={"events": away}))
    assert names(found) == ["MonitorBlind"]
    assert "How the model in service does is not known" in page_of(found, params, loop).text
    assert monitor.ask_early(found, params) is None


def test_old_months_of_pages_go(loop: Loop, params: Params, tmp_path) -> None:
    digest = in_service(loop)
    traffic(loop, digest, days=7)
    for month in ("2024-01", "2024-02", "2024-03"):
        (loop.root / "var/monitor" / month).mkdir(parents=True)
    few = params.model_copy(update={"monitor": params.monitor.model_copy(update={"keep_months": 2})})
    found = monitor.look(few).facts
    monitor.keep_pages(found, few.monitor)
    kept = sorted(path.name for path in (loop.root / "var/monitor").glob("2*"))
    assert kept == ["2024-03", f"{found.now:%Y-%m}"]
