"""What of a look is an alarm, and what is said where there is none: of facts that are made up."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.support.hooks import Hook
from tests.support.params import params_of_tests
from ticket_sentiment.events.live import Counts
from ticket_sentiment.gates.evidence_types import DriftTest
from ticket_sentiment.monitoring.alarms import alarms
from ticket_sentiment.monitoring.facts import Facts, Window, independent
from ticket_sentiment.monitoring.look import Look, tell_alarms
from ticket_sentiment.monitoring.page import headline, quality
from ticket_sentiment.rollout.guardrails import SplitCheck

PARAMS = params_of_tests()
NOW, HOUR, DAY = datetime(2026, 3, 20, tzinfo=UTC), timedelta(hours=1), timedelta(days=1)
SAME = DriftTest(
    method="wasserstein", threshold=0.2, learnt=0.1, floor=0.2, value=0.05, status="SUCCESS", drifted=False
)
WELL = Facts(
    NOW,
    "c" * 64,
    "1",
    reference=2000,
    accuracy=0.8,
    abstentions=0.03,
    windows=tuple(
        Window(days, 3000, {"text_chars": SAME}, "", {}, 0.03, Counts({"champion": 3000, "challenger": 0}, 0))
        for days in (1, 7)
    ),
    audited=1200,
    labelled=1000,
    counted=900,
    right=720,
    month=NOW.replace(day=1),
    last_answer=NOW,
    last_label=NOW,
)


def told(**changes: object) -> tuple[list[str], str, str]:
    """Names of the alarms, and the headline, of facts that are otherwise well."""
    facts = replace(WELL, **changes)
    found = Look(facts, alarms(facts, PARAMS))
    return [alarm.name for alarm in found.alarms], *headline(found, PARAMS)


def test_all_is_well_only_where_quality_is_known():
    assert told() == ([], "pass", "The model in service does as it did when it was judged")


@pytest.mark.parametrize(
    "changes",
    [
        {"labelled": 600, "counted": 600, "right": 240},  # half of the audited, and two in five of them right
        {"labelled": 40, "counted": 40, "right": 32, "audited": 60},
        {"audited": 0, "labelled": 0, "counted": 0, "right": 0, "last_label": None},
    ],
    ids=["few have a label", "few were audited", "just begun"],
)
def test_where_quality_is_not_known_nothing_is_said_to_be_well(changes):
    names, tone, title = told(**changes)
    assert names == [] and tone == "wait" and "how good the answers are is not known yet" in title


MOVED = SAME.model_copy(update={"value": 0.9, "drifted": True, "status": "FAIL"})


@pytest.mark.parametrize(
    ("lasting", "names", "said", "retrains"),
    [
        (("text_chars",), ["AnswersDrifted"], "For at least half of that time", True),
        ((), ["AnswersDrifted", "FeedChanged"], "It began lately.", False),
        (None, ["AnswersDrifted", "FeedChanged"], "For how long is not known", False),
    ],
    ids=["for weeks", "since today", "too few before"],
)
def test_what_has_been_so_for_weeks_is_not_said_to_have_changed_today(lasting, names, said, retrains):
    moved = tuple(replace(window, tests={"text_chars": MOVED}) for window in WELL.windows)
    found = alarms(replace(WELL, windows=moved, lasting=lasting), PARAMS)
    assert [alarm.name for alarm in found] == names
    assert said in found[0].evidence[-1] and found[0].retrains is retrains


def test_what_broke_today_is_told_although_the_same_measure_has_been_off_for_weeks():
    far = SAME.model_copy(update={"value": 3.0, "drifted": True, "status": "FAIL"})
    short, long = (
        replace(window, tests={"text_chars": test})
        for window, test in zip(WELL.windows, (far, MOVED), strict=True)
    )
    names, *_ = told(windows=(short, long), lasting=("text_chars",))
    assert names == ["AnswersDrifted", "FeedChanged"]


def test_labels_that_never_came_are_late_once_the_first_ticket_is_old_enough():
    none = {"labelled": 0, "counted": 0, "right": 0, "last_label": None, "unlabelled_since": NOW - 15 * DAY}
    names, tone, title = told(**none)
    assert (names, tone, title) == (["LabelsLate"], "fail", "Nobody has labelled an audited ticket yet.")
    allowed = PARAMS.monitor.max_label_silence_hours * HOUR
    begun = {**none, "unlabelled_since": NOW - allowed}
    assert told(**begun)[:2] == ([], "wait"), "a team that has just begun"
    assert told(**{**none, "unlabelled_since": NOW - allowed - HOUR})[0] == ["LabelsLate"]
    facts = replace(WELL, **none)
    (evidence,) = alarms(facts, PARAMS)[0].evidence
    assert "The first of 1,200 was answered 360 hours ago" in evidence


def test_labels_are_late_only_while_tickets_of_the_audit_wait_for_them():
    assert told(last_label=NOW - 10 * DAY)[0] == [], "nobody asked anything since"
    waiting = {"last_label": NOW - 10 * DAY, "unlabelled_since": NOW - 2 * DAY}
    assert told(**waiting)[0] == [], "the first after a holiday"
    (alarm,) = alarms(replace(WELL, **{**waiting, "unlabelled_since": NOW - 5 * DAY}), PARAMS)
    assert alarm.evidence[0].startswith(
        "The audit's last label came 240 hours ago, and the first audited ticket since was answered 120 hours"
    )


def test_a_service_whose_answers_never_came_is_silent_once_its_model_is_old_enough():
    allowed = PARAMS.monitor.max_traffic_silence_hours * HOUR
    assert told(last_answer=None, since=NOW - allowed)[0] == [], "nobody has asked it yet"
    (alarm,) = alarms(replace(WELL, last_answer=None, since=NOW - allowed - HOUR), PARAMS)
    assert alarm.name == "TrafficSilent"
    assert alarm.evidence == ("A model is in service for 73 hours, and no answer is recorded.",)


def test_a_reference_that_cannot_be_had_is_told_to_those_who_want_no_info():
    gone = replace(WELL, reference=0, accuracy=None, trouble=("MLflow does not answer.",))
    assert alarms(gone, PARAMS)[0].severity == "ticket"
    assert alarms(replace(gone, unreferenced=True), PARAMS)[0].severity == "info"


def feed_changed(*measures: str) -> Look:
    """A look that finds these to have moved since today."""
    short, long = WELL.windows
    facts = replace(WELL, windows=(replace(short, tests=dict.fromkeys(measures, MOVED)), long))
    return Look(facts, alarms(facts, PARAMS))


def test_another_change_is_told_and_one_that_comes_and_goes_is_not(tmp_path, monkeypatch):
    alerts = PARAMS.alerts.model_copy(update={"memory": str(tmp_path / "told")})
    params = PARAMS.model_copy(update={"alerts": alerts})

    def pass_time(hours: float) -> None:
        for path in (tmp_path / "told").iterdir():
            held = json.loads(path.read_text())
            held["at"], held["seen"] = held["at"] - 3600 * hours, held["seen"] - 3600 * hours
            path.write_text(json.dumps(held))

    told = ["FeedChanged: webhook: sent"]
    with Hook() as hook:
        monkeypatch.setenv(alerts.webhook.url_env, hook.url)
        capitals, well = feed_changed("capital_share"), Look(WELL, ())
        assert tell_alarms(capitals, params) == told
        for found in (well, capitals, well, capitals):
            pass_time(1)
            tell_alarms(found, params)
        assert len(hook.bodies) == 1
        assert tell_alarms(feed_changed("text_chars"), params) == told
        assert tell_alarms(feed_changed("text_chars", "capital_share"), params) == told
        pass_time(13)
        tell_alarms(well, params)
        assert tell_alarms(capitals, params) == told, "it was over for hours"


def test_a_loss_of_quality_names_whose_labels_count_on_both_sides():
    worse = replace(WELL, right=450)
    (alarm,) = alarms(worse, PARAMS)
    assert alarm.name == "QualityFell" and alarm.evidence[0].startswith("50 % of 900 audited tickets")
    assert alarm.evidence[2].startswith(
        "In service labels of audit alone count, on the holdout those of audit,"
    )
    same = PARAMS.model_copy(
        update={"prepare": PARAMS.prepare.model_copy(update={"label_sources": ["audit"]})}
    )
    assert len(alarms(worse, same)[0].evidence) == 2
    assert "of 900 audited tickets" in quality(worse, PARAMS)["title"]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [(["coverage"], "labels"), (["exposures"], "customers"), (["labelled", "coverage"], "customers")],
)
def test_a_wrong_split_says_what_the_arms_lack(wrong, what):
    checks = [
        SplitCheck(name, 1e-9 if name in wrong else 1.0, 0.001, f"{name}.")
        for name in ("exposures", "labelled", "coverage")
    ]
    (alarm,) = alarms(replace(WELL, rollout=True, split=tuple(checks)), PARAMS)
    assert alarm.name == "SplitWrong"
    assert alarm.summary == f"The arms of the rollout do not get the {what} they should."
    assert alarm.evidence == tuple(f"{name}." for name in wrong)


def test_of_a_customers_tickets_within_hours_the_first_that_was_known_counts():
    def row(ticket: str, customer: str | None, hours: float, known: float) -> SimpleNamespace:
        return SimpleNamespace(
            ticket_id=ticket, customer=customer, at=NOW + hours * HOUR, known_at=NOW + known * HOUR
        )

    rows = [
        row("T-1", "c", 1, 60),  # the next was known first
        row("T-2", "c", 2, 40),
        row("T-3", "c", 25, 50),  # the next day
        row("T-4", "d", 1, 60),
        row("T-5", None, 1, 60),
        row("T-6", None, 1, 60),
    ]
    found = independent(rows, 24, DAY)
    assert sorted(item.ticket_id for item in found) == ["T-2", "T-3", "T-4", "T-5", "T-6"]
    # Both labels came before the tickets were old enough: then the older one is the first.
    early = [row("T-2", "c", 2, 3), row("T-1", "c", 1, 5)]
    assert [item.ticket_id for item in independent(early, 24, DAY)] == ["T-1"]
