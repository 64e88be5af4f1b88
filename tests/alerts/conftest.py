from pathlib import Path

import pytest

from tests.support.params import params_of_tests
from ticket_sentiment.params import Alerts


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Alerts:
    """As in params.yaml, with a memory and a reader of mail, and nothing configured."""
    alerts = params_of_tests().alerts
    for name in (alerts.webhook.url_env, alerts.email.url_env, alerts.sns.topic_env):
        monkeypatch.delenv(name, raising=False)
    email = alerts.email.model_copy(update={"to": ["team@example.com"]})
    return alerts.model_copy(update={"memory": str(tmp_path / "told"), "email": email})
