import stat
from pathlib import Path

import pytest

from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.signing import keys

PARAMS = params_of_tests()
REGISTRY, SERVE = PARAMS.registry, PARAMS.serve


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (REGISTRY.signing_key_env, SERVE.public_keys_env):
        monkeypatch.delenv(name, raising=False)


def test_a_key_is_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    public = keys.generate(tmp_path / "new/key", "2026-11")
    secret = public.with_suffix("")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert public.read_text().startswith("2026-11 ")
    before = secret.read_text()
    with pytest.raises(TicketSentimentError, match="is there already"):
        keys.generate(secret, "2026-12")
    secret.rename(tmp_path / "elsewhere")
    with pytest.raises(TicketSentimentError, match=r"key\.pub is there already"):
        keys.generate(secret, "2026-12")
    assert (tmp_path / "elsewhere").read_text() == before
    with pytest.raises(TicketSentimentError, match="is no name of a key"):
        keys.generate(tmp_path / "other", "two words")
    assert not (tmp_path / "other").exists()


def test_the_variable_goes_before_the_file_and_without_both_nothing_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys.signing_key(REGISTRY, tmp_path) is None
    public = keys.generate(tmp_path / "first", "first")
    keys.generate(tmp_path / "second", "second")
    named = REGISTRY.model_copy(update={"signing_key_file": "first"})
    held = keys.signing_key(named, tmp_path)
    assert held is not None
    assert (held.name, held.public_line) == ("first", public.read_text().strip())
    assert held.line not in repr(held)
    monkeypatch.setenv(REGISTRY.signing_key_env, (tmp_path / "second").read_text())
    assert keys.signing_key(named, tmp_path).name == "second"


@pytest.mark.parametrize("text", ["hush", "{public}", "{secret} x", "{secret:.70}", "TICKET {rest}"])
def test_what_is_no_signing_key_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    public = keys.generate(tmp_path / "key", "first").read_text().strip()
    secret = (tmp_path / "key").read_text().strip()
    held = text.format(public=public, secret=secret, rest=secret.partition(" ")[2])
    monkeypatch.setenv(REGISTRY.signing_key_env, held)
    with pytest.raises(TicketSentimentError, match="holds no signing key") as caught:
        keys.signing_key(REGISTRY, tmp_path)
    assert held not in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    named = REGISTRY.model_copy(update={"signing_key_file": "away"})
    with pytest.raises(TicketSentimentError, match="away cannot be read"):
        keys.signing_key(named, tmp_path)


def test_several_public_keys_count_while_one_follows_another(tmp_path: Path) -> None:
    lines = [keys.generate(tmp_path / name, name).read_text() for name in ("2026", "2027")]
    (tmp_path / "keys").write_text("# whose signatures count\n\n" + "".join(lines))
    named = SERVE.model_copy(update={"public_keys_file": "keys"})
    assert list(keys.public_keys(named, tmp_path)) == ["2026", "2027"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no public key is here"),
        ("# nothing yet\n", "holds no public key"),
        ("{line}{line}", "line 2: expected a name that is not there yet"),
        ("{line}first\n", "line 2"),
        ("{line}other AAAA\n", "line 2"),
        ("{line}other not-base64!\n", "line 2"),
    ],
)
def test_a_service_never_goes_without_keys(tmp_path: Path, text: str | None, message: str) -> None:
    line = keys.generate(tmp_path / "first", "first").read_text()
    if text is not None:
        (tmp_path / "keys").write_text(text.format(line=line))
    named = SERVE.model_copy(update={"public_keys_file": "keys" if text is not None else None})
    with pytest.raises(TicketSentimentError, match=message):
        keys.public_keys(named, tmp_path)
