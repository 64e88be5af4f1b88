"""The ways of telling: a webhook, e-mail, Amazon SNS.

What a sink says of its failure never holds an address that may be a secret, nor what a server answered: only
the name of the environment variable, a status, or the kind of the error.
"""

import http.client
import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Collection
from email.message import EmailMessage
from email.utils import make_msgid
from hashlib import sha256
from urllib.parse import SplitResult, unquote, urlsplit

from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.params import AlertEmail, Alerts, AlertSns, AlertWebhook, Severity

SNS_SUBJECT = 100  # characters, ASCII
SLACK_TEXT = 3000  # characters; Slack cuts a message off at 40,000, people before
GATEWAYS = (502, 504)  # of one whose server did not answer it: that may have the message


class SinkFailure(Exception):
    """Nothing is known to be sent; the message says why in words that may be shown.

    Attributes:
        unsure: the message was on its way when the answer did not come: it may have arrived.
    """

    def __init__(self, why: str, unsure: bool = False) -> None:
        super().__init__(why)
        self.unsure = unsure


class Sink(ABC):
    """One way of telling, configured where the variable of the environment that holds its address is set.

    Args:
        severities: of the alerts that it takes.
        variable: the name of that variable, which may be shown; its value may not.
    """

    name: str

    def __init__(self, severities: Collection[Severity], variable: str) -> None:
        self.severities, self._variable = severities, variable
        self._address = os.environ.get(variable, "")

    @property
    def configured(self) -> bool:
        return bool(self._address)

    def takes(self, alert: Alert) -> bool:
        return alert.severity in self.severities

    @abstractmethod
    def send(self, alert: Alert, timeout_s: float) -> str:
        """Tell.

        Returns:
            Who of its readers did not get it, in words that may be shown; empty where all have it.

        Raises:
            SinkFailure: it could not.
        """


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET that says nothing: better a failure."""

    def redirect_request(self, *_: object) -> None:
        return None


class Webhook(Sink):
    """POST of `{"text": ...}`, as Slack, Mattermost and Rocket.Chat take it."""

    name = "webhook"

    def __init__(self, settings: AlertWebhook) -> None:
        super().__init__(settings.severities, settings.url_env)

    def send(self, alert: Alert, timeout_s: float) -> str:
        if not self._address.startswith(("https://", "http://")):
            raise SinkFailure(f"{self._variable} is no http or https address")
        text = alert.text[:SLACK_TEXT].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        try:
            request = urllib.request.Request(
                self._address, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s):
                return ""
        except urllib.error.HTTPError as error:
            raise SinkFailure(f"status {error.code}", unsure=error.code in GATEWAYS) from None
        except (urllib.error.URLError, http.client.InvalidURL, ValueError) as error:  # it was not sent whole
            reason = getattr(error, "reason", error)
            kind = type(reason if isinstance(reason, Exception) else error).__name__
            raise SinkFailure(f"{kind}: is the address in {self._variable} right?") from None
        except (OSError, http.client.HTTPException) as error:
            raise SinkFailure(f"no answer ({type(error).__name__})", unsure=True) from None


class Email(Sink):
    """A mail to everybody in `alerts.email.to`."""

    name = "e-mail"

    def __init__(self, settings: AlertEmail) -> None:
        super().__init__(settings.severities, settings.url_env)
        self._settings = settings

    def send(self, alert: Alert, timeout_s: float) -> str:
        if not self._settings.to:
            raise SinkFailure("alerts.email.to of params.yaml names nobody")
        refused: dict[str, tuple[int, bytes]] | None = None
        sending = False
        try:
            url = urlsplit(self._address)
            if url.scheme not in ("smtp", "smtps") or not url.hostname:
                raise ValueError
            with self._connect(url, timeout_s) as server:
                self._log_in(server, url)
                sending = True
                refused = server.send_message(self._message(alert))
        except (OSError, ValueError, smtplib.SMTPException) as error:
            if refused is None:  # else the mail was taken, and only the goodbye went wrong
                unsure = sending and isinstance(error, smtplib.SMTPServerDisconnected)
                raise SinkFailure(self._why(error), unsure) from None
        return f"the server refuses {len(refused)} of those in alerts.email.to" if refused else ""

    def _why(self, error: Exception) -> str:
        if isinstance(error, UnicodeEncodeError):
            return f"user and password in {self._variable} must be ASCII"
        if isinstance(error, ValueError):
            return f"{self._variable} is no smtp:// or smtps:// address"
        if isinstance(error, smtplib.SMTPResponseException):
            return f"the server answers {error.smtp_code}"
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return "the server refuses everybody in alerts.email.to"
        return f"{type(error).__name__}: is {self._variable} right?"

    def _connect(self, url: SplitResult, timeout_s: float) -> smtplib.SMTP:
        assert url.hostname
        if url.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(url.hostname, url.port or 465, timeout=timeout_s, context=context)
        return smtplib.SMTP(url.hostname, url.port or 587, timeout=timeout_s)

    def _log_in(self, server: smtplib.SMTP, url: SplitResult) -> None:
        encrypted = url.scheme == "smtps"
        server.ehlo()
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            encrypted = True
        if url.username:
            if not encrypted:
                raise SinkFailure("the server offers no encryption, and a password is not sent without")
            server.login(unquote(url.username), unquote(url.password or ""))

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self._settings.sender, ", ".join(self._settings.to)
        message["Subject"] = alert.title
        domain = self._settings.sender.rpartition("@")[2]
        message["Message-ID"] = make_msgid(domain=domain)
        # Mail programs show what refers to the same message, which need not be there, as one conversation.
        message["References"] = f"<{sha256(alert.key.encode()).hexdigest()[:32]}@{domain}>"
        message.set_content(alert.text)
        return message


class Sns(Sink):
    """A message to a topic, from which people and pagers have it."""

    name = "SNS"

    def __init__(self, settings: AlertSns) -> None:
        super().__init__(settings.severities, settings.topic_env)

    def send(self, alert: Alert, timeout_s: float) -> str:
        parts = self._address.split(":")
        if len(parts) != 6 or parts[0] != "arn" or parts[2] != "sns":
            raise SinkFailure(f"{self._variable} is not the ARN of a topic")
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import (
                BotoCoreError,
                ClientError,
                ConnectionClosedError,
                ReadTimeoutError,
            )
        except ImportError:
            raise SinkFailure("boto3 is not installed: pip install -e .[aws]") from None
        patience = Config(
            connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1}
        )
        try:
            boto3.client("sns", region_name=parts[3], config=patience).publish(
                TopicArn=self._address,
                Subject=alert.title.encode("ascii", "replace").decode()[:SNS_SUBJECT],
                Message=alert.text,
                MessageAttributes={
                    key: {"DataType": "String", "StringValue": value}
                    for key, value in (("name", alert.name), ("severity", alert.severity))
                },
            )
        except ClientError as error:
            raise SinkFailure(f"AWS answers {error.response['Error']['Code']}") from None
        except BotoCoreError as error:
            unsure = isinstance(error, ConnectionClosedError | ReadTimeoutError)
            raise SinkFailure(type(error).__name__, unsure) from None
        return ""


def sinks(settings: Alerts) -> tuple[Sink, ...]:
    """All that there are, configured or not."""
    return Webhook(settings.webhook), Email(settings.email), Sns(settings.sns)
