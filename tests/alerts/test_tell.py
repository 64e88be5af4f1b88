"""Telling: all ways at once, a dead one beside living ones, the same trouble once, nobody said plainly."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from tests.support.hooks import Hook
from tests.support.params import params_of_tests
from tests.support.smtp import MailServer
from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.alerts.memory import AT_ONCE, OWED_MOST, Memory
from ticket_sentiment.alerts.tell import OF_FLOWS, send_owed, tell
from ticket_sentiment.alerts.tell import main as alert_test
from ticket_sentiment.cli import main
from ticket_sentiment.params import Alerts
from ticket_sentiment.promotion import news

SOURCES = Path(__file__).parents[2] / "src" / "ticket_sentiment"
ALERT = Alert(
    "RetrainFailed", "ticket", "the month was not retrained", (), "docs/runbooks.md", "month 2026-11"
)


def test_nobody_is_configured_and_it_is_said(settings, capsys):
    (line,) = tell(settings, ALERT)
    assert line.startswith("not sent: nothing is configured (set one of TICKET_SENTIMENT_ALERT_WEBHOOK")
    assert "ALERT that nobody was told: [ticket] RetrainFailed" in capsys.readouterr().err
    assert tell(settings, ALERT) == (line,), "what was not told is tried again"


def test_a_dead_way_does_not_stop_the_others(settings, monkeypatch, capsys):
    patience = settings.model_copy(update={"timeout_s": 1.0})
    with Hook(silent=True) as dead, MailServer() as server:
        monkeypatch.setenv(settings.webhook.url_env, dead.url)
        monkeypatch.setenv(settings.email.url_env, server.url)
        lines = tell(patience, ALERT)
        assert lines[0].startswith("webhook: perhaps sent: no answer")
        assert lines[1:] == ("e-mail: sent",)
    assert len(server.mails) == 1
    assert capsys.readouterr().err == ""


def test_the_same_trouble_is_told_once_and_again_when_it_gets_worse(settings, monkeypatch):
    with Hook() as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        assert tell(settings, ALERT) == ("webhook: sent",)
        assert tell(settings, ALERT) == ("not told again: it was told 0.0 hours ago",)
        assert tell(settings, dataclasses.replace(ALERT, severity="page")) == ("webhook: sent",)
        assert tell(settings, ALERT)[0].startswith("not told again"), "a ticket after its page"
        assert tell(settings, dataclasses.replace(ALERT, key="month 2026-12")) == ("webhook: sent",)
    assert len(hook.bodies) == 3


def later(settings: Alerts, seconds: float) -> None:
    """What is remembered becomes so much older."""
    for path in Path(settings.memory).iterdir():
        told = json.loads(path.read_text())
        told["at"], told["seen"] = told["at"] - seconds, told["seen"] - seconds
        told["ways"] = {name: at and at - seconds for name, at in told["ways"].items()}
        path.write_text(json.dumps(told))


def test_a_mail_that_some_readers_are_refused_is_told_once(settings, monkeypatch):
    two = settings.email.model_copy(update={"to": ["team@example.com", "typo@example.com"]})
    alerts = settings.model_copy(update={"email": two})
    with MailServer(refused=("typo@",)) as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert tell(alerts, ALERT) == ("e-mail: sent, but the server refuses 1 of those in alerts.email.to",)
        later(alerts, 3600)
        assert tell(alerts, ALERT) == ("not told again: it was told 1.0 hours ago",)
    assert len(server.mails) == 1


def test_what_may_have_arrived_is_repeated_after_ever_longer_times(settings, monkeypatch, capsys):
    alerts = settings.model_copy(update={"timeout_s": 0.5})
    with Hook(silent=True) as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        for _ in range(3):
            lines = tell(alerts, ALERT)
        assert len(hook.bodies) == 1 and lines == ("not tried again yet: it was raised 0.0 hours ago",)
        assert capsys.readouterr().err.count("ALERT that nobody was told") == 1
        attempts = []
        for quarter in range(1, 24 * 4):
            later(alerts, 900)
            tell(alerts, ALERT)
            attempts += [quarter / 4] * (len(hook.bodies) - 1 - len(attempts))
    assert attempts[0] == 0.5 and attempts[-1] > 12 and len(attempts) <= 6, attempts
    assert "sent late: nothing shows that it arrived before." in hook.bodies[-1]["text"]


def test_what_a_dead_way_did_not_take_is_sent_before_the_next_alert(settings, monkeypatch):
    with MailServer() as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        monkeypatch.setenv(settings.webhook.url_env, "http://127.0.0.1:9/")
        assert tell(settings, ALERT)[0].startswith("webhook: not sent: ")
        with Hook() as hook:
            monkeypatch.setenv(settings.webhook.url_env, hook.url)
            later(settings, 60)
            assert tell(settings, dataclasses.replace(ALERT, key="another")) == (
                "webhook: sent",
                "e-mail: sent",
            )
            assert send_owed(settings) == ()
    late = next(body["text"] for body in hook.bodies if "sent late" in body["text"])
    assert late.startswith("[ticket] RetrainFailed: the month was not retrained\nRaised 20")
    assert len(hook.bodies) == len(server.mails) == 2


def test_what_is_owed_is_sent_without_another_alert_and_given_up_after_a_week(settings, monkeypatch, capsys):
    monkeypatch.setenv(settings.webhook.url_env, "http://127.0.0.1:9/")
    tell(settings, ALERT)
    assert send_owed(settings) == (), "not twice in one flow"
    later(settings, 3 * 86400)
    with Hook() as hook:
        tried = send_owed(settings)
        assert len(tried) == 1 and "not sent" in tried[0]
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        later(settings, 3 * 86400)
        (line,) = send_owed(settings)
        assert line.startswith("RetrainFailed of 20") and line.endswith(" UTC: webhook: sent")
        monkeypatch.setenv(settings.webhook.url_env, "http://127.0.0.1:9/")
        tell(settings, dataclasses.replace(ALERT, key="another"))
        later(settings, 8 * 86400)
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        assert send_owed(settings) == () and len(hook.bodies) == 1


def test_what_is_owed_is_bounded_and_the_latest_are_kept(settings, monkeypatch, tmp_path):
    monkeypatch.setenv(settings.webhook.url_env, "http://127.0.0.1:9/")
    for number in range(OWED_MOST + 3):
        tell(settings, dataclasses.replace(ALERT, key=f"k-{number}"))
    kept = {json.loads(path.read_text())["alert"]["key"] for path in (tmp_path / "told").iterdir()}
    assert kept == {f"k-{number}" for number in range(3, OWED_MOST + 3)}


def test_what_is_owed_to_a_way_that_is_gone_keeps_nothing_back(settings, monkeypatch):
    monkeypatch.setenv(settings.webhook.url_env, "http://127.0.0.1:9/")
    for number in range(AT_ONCE):
        tell(settings, dataclasses.replace(ALERT, key=f"k-{number}"))
    monkeypatch.delenv(settings.webhook.url_env)
    monkeypatch.setenv(settings.email.url_env, "smtp://127.0.0.1:9")
    tell(settings, ALERT)
    later(settings, 60)
    with MailServer() as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        (line,) = send_owed(settings)
    assert line.endswith("e-mail: sent")


def test_what_cannot_be_remembered_as_text_is_told(settings, monkeypatch):
    strange = dataclasses.replace(ALERT, details=("caf\udce9.csv: not found",))  # a file's name, not in UTF-8
    with Hook() as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        sent, warning = tell(settings, strange)
    assert sent == "webhook: sent" and warning.endswith("cannot be written (UnicodeEncodeError)")
    assert len(hook.bodies) == 1


def test_a_way_that_is_configured_later_hears_of_what_lasts(settings, monkeypatch, capsys):
    tell(settings, ALERT)
    with MailServer() as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert tell(settings, ALERT) == ("e-mail: sent",)
    assert len(server.mails) == 1


def test_after_its_time_it_is_told_again_and_the_old_is_forgotten(settings, monkeypatch, tmp_path):
    with Hook() as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        tell(settings, ALERT)
        (path,) = (tmp_path / "told").iterdir()
        old = json.loads(path.read_text())["at"] - 25 * 3600
        path.write_text(json.dumps({"at": old, "severity": "ticket"}))
        os.utime(path, (old, old))
        assert tell(settings, dataclasses.replace(ALERT, key="another")) == ("webhook: sent",)
        assert not path.exists()
        assert tell(settings, ALERT) == ("webhook: sent",)
        path.write_text("{")  # what cannot be read counts as never told
        assert tell(settings, ALERT) == ("webhook: sent",)


def test_what_is_over_is_forgotten_unless_it_comes_and_goes(settings, monkeypatch, tmp_path):
    memory, other = (
        Memory(tmp_path / "told", settings.repeat_hours),
        dataclasses.replace(ALERT, key="another"),
    )
    with Hook() as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        tell(settings, ALERT), tell(settings, other)
        memory.forget("month ", hours=1.0)
        assert tell(settings, ALERT)[0].startswith("not told again"), "it was told a moment ago"
        memory.forget("month ", hours=0.0)
        assert tell(settings, ALERT) == ("webhook: sent",)
        assert tell(settings, other)[0].startswith("not told again"), "another trouble is not over"


def test_a_memory_that_cannot_be_written_does_not_stop_it(settings, monkeypatch, tmp_path):
    (tmp_path / "told").write_text("a file where a folder should be")
    with Hook() as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        sent, warning = tell(settings, ALERT)
    assert sent == "webhook: sent" and warning.startswith("it will be told again: ")


def test_a_way_gets_its_severities_only(settings, monkeypatch, capsys):
    with MailServer() as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert tell(settings, dataclasses.replace(ALERT, severity="info")) == ()
        assert tell(settings, dataclasses.replace(ALERT, severity="page", key="p")) == ("e-mail: sent",)
        tickets = settings.email.model_copy(update={"severities": ["ticket"]})
        only = settings.model_copy(update={"email": tickets})
        assert tell(only, dataclasses.replace(ALERT, severity="page", key="q")) == (
            "not sent: nothing takes page",
        )
        assert tell(settings, ALERT) == ("e-mail: sent",)
    assert len(server.mails) == 2
    assert capsys.readouterr().err.startswith("ALERT that nobody was told: [page]")


@pytest.mark.parametrize(("status", "code"), [(200, 0), (403, 2)])
def test_the_command_tries_what_is_configured(settings, monkeypatch, capsys, status, code):
    with Hook(status) as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        assert main(["alert-test"]) == code
    assert "a test of the alerts" in hook.bodies[0]["text"]
    result = "sent" if code == 0 else "not sent: status 403"
    assert capsys.readouterr().out.startswith(f"webhook: {result} (takes ")


def test_the_command_sends_what_each_way_takes_and_says_which_hears_no_flow(settings, monkeypatch, capsys):
    pages = settings.webhook.model_copy(update={"severities": ["page"]})
    few = settings.email.model_copy(update={"severities": ["info"]})
    alerts = settings.model_copy(update={"webhook": pages, "email": few})
    with Hook() as hook, MailServer() as server:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        monkeypatch.setenv(settings.email.url_env, server.url)
        alert_test(params_of_tests().model_copy(update={"alerts": alerts}))
    assert hook.bodies[0]["text"].startswith("[page] Test")
    assert server.mails[0]["Subject"].strip().startswith("[info] Test")
    assert capsys.readouterr().out == (
        "webhook: sent (takes page; flows send ticket and info alone)\ne-mail: sent (takes info)\n"
    )


def test_flows_send_what_the_command_says_and_each_way_hears_them(settings):
    told = {severity for table in (news.ACTIONS, news.DECISIONS) for _, severity, _ in table.values()}
    assert told == set(OF_FLOWS)
    alarms = (SOURCES / "monitoring/alarms.py").read_text()
    assert '"ticket"' in alarms and '"page"' not in alarms
    for way in (settings.webhook, settings.email, settings.sns):
        assert set(OF_FLOWS) & set(way.severities)


def test_the_command_says_when_nothing_is_configured(settings, capsys):
    assert main(["alert-test"]) == 2
    assert "docs/monitoring.md says which variables to set" in capsys.readouterr().err
