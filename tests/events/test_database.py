import traceback

import pytest
import yaml

from tests.support.params import params_file
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.database import open_engine
from ticket_sentiment.params import load_params


@pytest.mark.parametrize(
    "url",
    [
        "",
        "canary",
        "canary://user:canary@host/db",
        "mysql+canary://u:canary@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///canary.db",
        "sqlite+canary:///x.db",
        "postgresql+canary://u:canary@host/db",
        "postgresql+pg8000://u:canary@host/db",
        "postgresql://u:canary@host:no-port/db",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(url):
    with pytest.raises(TicketSentimentError, match=r"events\.url") as caught:
        open_engine(url, durable=True)
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary@" not in shown and "canary" not in str(caught.value).replace("postgresql", "")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TicketSentimentError, match=r"events\.url: the folder.*writable"):
        open_engine(f"sqlite:///{tmp_path}/file/events.db", durable=True)


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_sqlite_writes_ahead_and_feedback_waits_for_the_disk(tmp_path, durable, synchronous):
    engine = open_engine(f"sqlite:///{tmp_path}/events.db", durable=durable)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == synchronous
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    engine.dispose()


@pytest.mark.parametrize(("durable", "commit"), [(True, "on"), (False, "off")])
def test_postgresql_waits_for_the_disk_with_feedback_only(postgres, durable, commit):
    engine = open_engine(postgres.url(), durable=durable)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == commit
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "5s"
    engine.dispose()


def test_a_relative_path_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = open_engine("sqlite:///var/events.db", durable=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    engine.connect().close()
    engine.dispose()
    assert (tmp_path / "var" / "events.db").exists()


@pytest.mark.parametrize("url", ["postgresql://u:canary@host/db", "postgresql://host/db?password=canary"])
def test_a_password_in_params_is_refused_and_not_repeated(tmp_path, url):
    raw = yaml.safe_load(params_file().read_text())
    raw["events"]["url"] = url
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(TicketSentimentError, match=r"events\.url.*events\.url_env") as caught:
        load_params(path)
    assert "canary" not in str(caught.value)
