"""Each way of telling against a real server; no failure shows an address or what a server said."""

import contextlib
import smtplib
import socket

import boto3
import pytest
from moto import mock_aws
from moto.sns import sns_backends

from tests.support.hooks import Hook
from tests.support.smtp import MailServer
from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.alerts.sinks import Email, Sink, SinkFailure, Sns, Webhook

ALERT = Alert(
    "PredictionsDrift", "ticket", "answers moved <by> 12 %\nin a day", ("negative 20 % to 32 %",),
    "docs/runbooks.md#predictionsdrift", "drift 2026-11",
)  # fmt: skip


def failure(sink: Sink, alert: Alert = ALERT) -> str:
    with pytest.raises(SinkFailure) as caught:
        sink.send(alert, 2)
    return str(caught.value)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


def test_the_webhook_gets_one_text_in_slacks_form(settings, monkeypatch):
    with Hook() as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        Webhook(settings.webhook).send(ALERT, 5)
    assert hook.bodies == [
        {
            "text": "[ticket] PredictionsDrift: answers moved &lt;by&gt; 12 % in a day\n"
            "negative 20 % to 32 %\nRunbook: docs/runbooks.md#predictionsdrift"
        }
    ]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_or_leads_on_is_a_failure(settings, monkeypatch, status):
    with Hook(status) as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        assert failure(Webhook(settings.webhook)) == f"status {status}"
    assert len(hook.bodies) == 1


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "hooks.example.com/secret-word", "http://[secret-word", "http://127.0.0.1:0/secret-word"],
)  # fmt: skip
def test_a_bad_address_is_named_by_its_variable_only(settings, monkeypatch, url):
    monkeypatch.setenv(settings.webhook.url_env, url)
    said = failure(Webhook(settings.webhook))
    assert settings.webhook.url_env in said and "secret-word" not in said and "passwd" not in said


def test_a_mail_has_subject_sender_readers_and_text(settings, monkeypatch):
    with MailServer() as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        Email(settings.email).send(ALERT, 5)
        Email(settings.email).send(ALERT, 5)
    first, second = server.mails
    assert first["Subject"] == "[ticket] PredictionsDrift: answers moved <by> 12 % in a day"
    assert (first["From"], first["To"]) == ("ticket-sentiment@localhost", "team@example.com")
    assert "negative 20 % to 32 %" in first.get_payload(decode=True).decode()
    assert first["References"] == second["References"], "one conversation in the reader's program"
    assert first["Message-ID"] != second["Message-ID"]


def test_a_password_is_not_sent_in_the_clear(settings, monkeypatch):
    with MailServer(offers="AUTH PLAIN LOGIN") as server:
        monkeypatch.setenv(settings.email.url_env, server.url.replace("//", "//me:secret-word@"))
        said = failure(Email(settings.email))
    assert "no encryption" in said
    assert not server.mails and not [line for line in server.commands if line.startswith("AUTH")]


def unsure(sink: Sink) -> bool:
    with pytest.raises(SinkFailure) as caught:
        sink.send(ALERT, 0.5)
    return caught.value.unsure


def test_what_was_on_its_way_when_no_answer_came_may_have_arrived(settings, monkeypatch):
    with Hook(silent=True) as hook, MailServer(silent=True) as server:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert unsure(Webhook(settings.webhook)) and unsure(Email(settings.email))
        assert len(hook.bodies) == len(server.mails) == 1
    with Hook(504) as hook:
        monkeypatch.setenv(settings.webhook.url_env, hook.url)
        assert unsure(Webhook(settings.webhook)), "of a gateway: its server may have it"
    monkeypatch.setenv(settings.webhook.url_env, f"http://127.0.0.1:{unused_port()}/")
    monkeypatch.setenv(settings.email.url_env, f"smtp://127.0.0.1:{unused_port()}")
    assert not unsure(Webhook(settings.webhook)) and not unsure(Email(settings.email))


def test_a_mail_that_was_taken_is_sent_although_the_goodbye_goes_wrong(settings, monkeypatch):
    with MailServer(goodbye="421 too busy") as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert Email(settings.email).send(ALERT, 5) == ""
    assert len(server.mails) == 1


def test_refused_readers_and_an_absent_server_are_failures(settings, monkeypatch):
    two = settings.email.model_copy(update={"to": ["team@example.com", "gone@example.com"]})
    with MailServer(refused=("gone@",)) as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert Email(two).send(ALERT, 5) == "the server refuses 1 of those in alerts.email.to"
        assert len(server.mails) == 1, "the other one has it"
    with MailServer(refused=("team@", "gone@")) as server:
        monkeypatch.setenv(settings.email.url_env, server.url)
        assert failure(Email(two)) == "the server refuses everybody in alerts.email.to"
    monkeypatch.setenv(settings.email.url_env, f"smtp://me:secret-word@127.0.0.1:{unused_port()}")
    said = failure(Email(two))
    assert said == f"ConnectionRefusedError: is {settings.email.url_env} right?"
    assert failure(Email(settings.email.model_copy(update={"to": []}))).endswith("names nobody")


def test_a_password_that_smtp_cannot_carry_is_said(settings, monkeypatch):
    monkeypatch.setattr(Email, "_connect", lambda *_: contextlib.nullcontext(LoggingIn()))
    monkeypatch.setenv(settings.email.url_env, "smtps://me:pässword@mail")
    assert failure(Email(settings.email)) == f"user and password in {settings.email.url_env} must be ASCII"


class LoggingIn(smtplib.SMTP):
    """A server that offers a login, as far as that needs no connection."""

    def ehlo(self, name=""):
        self.ehlo_resp, self.does_esmtp, self.esmtp_features = b"", True, {"auth": "PLAIN"}
        return 250, b""

    def ehlo_or_helo_if_needed(self):
        return None


@pytest.mark.parametrize("url", ["https://mail", "smtp://", "smtp://host:port"])
def test_what_is_no_mail_server_is_said(settings, monkeypatch, url):
    monkeypatch.setenv(settings.email.url_env, url)
    assert failure(Email(settings.email)) == f"{settings.email.url_env} is no smtp:// or smtps:// address"


@pytest.fixture
def aws(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def test_sns_gets_subject_text_and_severity(settings, monkeypatch, aws):
    topic = boto3.client("sns", region_name="eu-central-1").create_topic(Name="alerts")["TopicArn"]
    monkeypatch.setenv(settings.sns.topic_env, topic)
    sink = Sns(settings.sns)
    assert sink.configured and sink.takes(ALERT)
    sink.send(ALERT, 5)
    (held,) = (backend["eu-central-1"].topics[topic] for backend in sns_backends.values())
    ((_, message, subject, attributes, _),) = held.sent_notifications
    assert subject == "[ticket] PredictionsDrift: answers moved <by> 12 % in a day"
    assert message == ALERT.text
    assert attributes["severity"]["Value"] == "ticket"


def test_a_topic_that_does_not_answer_may_have_the_message(settings, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv(settings.sns.topic_env, "arn:aws:sns:eu-central-1:123456789012:alerts")
    with socket.create_server(("127.0.0.1", 0)) as held:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{held.getsockname()[1]}")
        assert unsure(Sns(settings.sns))
    assert not unsure(Sns(settings.sns)), "nobody listens"


def test_an_absent_topic_is_a_failure_by_its_code(settings, monkeypatch, aws):
    monkeypatch.setenv(settings.sns.topic_env, "arn:aws:sns:eu-central-1:123456789012:gone")
    assert failure(Sns(settings.sns)) == "AWS answers NotFound"
    monkeypatch.setenv(settings.sns.topic_env, "gone")
    assert failure(Sns(settings.sns)) == f"{settings.sns.topic_env} is not the ARN of a topic"
