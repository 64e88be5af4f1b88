"""A container of the image gets what the settings in it ask for, whichever a team has chosen."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.container import Container
from tests.support.given import BENTO, CALLER, Given, given_for, settings_of
from tests.support.params import params_of_tests
from tests.support.signing import key_of
from ticket_sentiment.params import Keys
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.settings import Settings
from ticket_sentiment.signing.keys import public_keys

PARAMS = params_of_tests()
KEY = key_of("2026-11")
# A stand-in of podman: what it was called with, and the variable that it found.
ENGINE = """#!/bin/sh
echo "$*" >> {log}
echo "HELPDESK_KEY=$HELPDESK_KEY" >> {log}
[ "$1" = run ] && cat {answer}
"""


def settings_with(api_keys: dict[str, Any] | None = None, **serve: Any) -> Settings:
    """serving.json of a team that has set these."""
    keys = Keys.model_validate(PARAMS.serve.api_keys.model_dump() | (api_keys or {}))
    return Settings(
        model_version="1",
        serve=PARAMS.serve.model_copy(update={"api_keys": keys, **serve}),
        events=PARAMS.events,
        cache=PARAMS.cache,
        cloudwatch=PARAMS.objectives.cloudwatch,
    )


def accepted(given: Given, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch) -> ApiKeys:
    """The keys as a service reads them that has started with what is given; the caller's must be one."""
    for name, value in given.environment.items():
        monkeypatch.setenv(name, value)
    for path, file in given.mounts.items():
        place = home / Path(path).relative_to(BENTO)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    keys = ApiKeys(settings.serve.api_keys, home)
    index = keys.index(given.headers["Authorization"].encode(), None)
    assert not keys.forwards(index), "answers to a forwarder are not recorded"
    return keys


def test_a_service_that_answers_anybody_is_asked_without_a_key(tmp_path: Path) -> None:
    given = given_for(settings_with(workers=4), tmp_path)
    assert (given.key, given.headers, given.mounts, given.workers) == (None, {}, {}, 4)


def test_each_variable_of_a_key_is_set_and_one_of_them_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["CPU_SERVICE_KEY", "HELPDESK_KEY"]
    settings = settings_with({"environment": names, "forwarders": names[:1]})
    given = given_for(settings, tmp_path)
    assert accepted(given, settings, tmp_path / "home", monkeypatch).names == names
    assert given.environment["HELPDESK_KEY"] == given.key != given.environment["CPU_SERVICE_KEY"]


def test_a_file_of_keys_lies_where_the_service_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with({"file": "secrets/keys", "forwarders": ["cpu"]})
    given = given_for(settings, tmp_path)
    assert accepted(given, settings, tmp_path / "home", monkeypatch).names == [CALLER, "cpu"]
    absolute = given_for(settings_with({"file": "/etc/ticket-sentiment/api-keys"}), tmp_path)
    assert list(absolute.mounts) == ["/etc/ticket-sentiment/api-keys"]


def test_public_keys_come_from_where_this_machine_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.pub").write_text(KEY.public_line)
    settings = settings_with(require_signature=True, public_keys_file=str(tmp_path / "keys.pub"))
    monkeypatch.delenv(settings.serve.public_keys_env, raising=False)
    assert given_for(settings, tmp_path).mounts == {str(tmp_path / "keys.pub"): tmp_path / "keys.pub"}
    monkeypatch.setenv(settings.serve.public_keys_env, KEY.public_line)
    given = given_for(settings, tmp_path)
    assert given.mounts == {}
    monkeypatch.setenv(settings.serve.public_keys_env, given.environment[settings.serve.public_keys_env])
    assert list(public_keys(settings.serve)) == [KEY.name]


def test_missing_public_keys_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with(require_signature=True, public_keys_file="/etc/none/keys")
    monkeypatch.delenv(settings.serve.public_keys_env, raising=False)
    with pytest.raises(AssertionError, match=r"set TICKET_SENTIMENT_PUBLIC_KEYS .* into /etc/none/keys"):
        given_for(settings, tmp_path)


def test_the_image_s_own_settings_count_and_no_key_is_in_a_command_line(tmp_path: Path) -> None:
    settings = settings_with({"environment": ["HELPDESK_KEY"]}, workers=4)
    log, answer, engine = tmp_path / "log", tmp_path / "answer", tmp_path / "engine"
    answer.write_text(settings.model_dump_json())
    engine.write_text(ENGINE.format(log=log, answer=answer))
    engine.chmod(0o755)
    read = settings_of(str(engine), "image")
    assert read == settings
    given = given_for(read, tmp_path)
    answer.write_text("id")
    log.write_text("")
    with Container(str(engine), "image", given) as container:
        assert (container.id, container.given.workers) == ("id", 4)
    called, found = log.read_text().splitlines()[:2]
    assert "--env=HELPDESK_KEY " in called and given.key not in called
    assert found == f"HELPDESK_KEY={given.key}"
    assert "HELPDESK_KEY" not in os.environ
