"""A service that asks for signatures, at its start and at every release that it takes up: real servers."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.serving import SERVICE, Server, write_params
from tests.support.signing import key_of, sign_folder
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.files import write_json
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving.settings import load_deployed
from ticket_sentiment.signing.signature import signature_path

KEY, LATER, FOREIGN = key_of("2026"), key_of("2027"), key_of("foreign")


class Asking:
    """A folder in which a service asks for the signature of KEY or LATER."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bundle, self.log = folder, folder / "bundle", folder / "serve.log"
        self.built = make_tiny_bundle(self.bundle).digest
        (folder / "keys").write_text(f"{KEY.public_line}\n")
        serve = {"require_signature": True, "public_keys_file": "keys", "rollout_poll_seconds": 0.1}
        write_params(folder, serve)
        self.epoch = 0

    def server(self) -> Server:
        return Server(SERVICE, self.log, self.folder, TICKET_SENTIMENT_BUNDLE=str(self.bundle))

    def release(self, seed: int, version: str) -> str:
        """An unsigned one, in the folder of releases; its name."""
        folder = self.folder / "var/releases"
        name = make_tiny_bundle(folder / "new", seed=seed).digest
        (folder / name).mkdir()
        shutil.move(folder / "new", folder / name / "cpu")
        write_json(folder / name / "release.json", {"version": version, "bundles": {"cpu": name}})
        return name

    def promote(self, store: EventStore, name: str) -> None:
        state = RolloutState(self.epoch + 1, "salt", name, None, 0.0, False, datetime.now(UTC))
        assert store.set_rollout_state(state, self.epoch)
        self.epoch += 1

    def await_log(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 30
        while self.log.read_text().count(text) < times:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.log.read_text()}"
            time.sleep(0.05)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    monkeypatch.delenv("TICKET_SENTIMENT_PUBLIC_KEYS", raising=False)
    yield Asking(tmp_path)


@pytest.mark.slow
def test_an_unsigned_bundle_is_never_served(asking: Asking) -> None:
    with asking.server() as server, pytest.raises(AssertionError) as caught:
        server.wait_until_ready()
    (line,) = [line for line in str(caught.value).splitlines() if line.startswith("error:")]
    assert "bundle.signature.json is missing" in line
    assert "Traceback" not in asking.log.read_text()


@pytest.mark.slow
def test_a_running_service_takes_up_only_what_is_signed(asking: Asking) -> None:
    sign_folder(asking.bundle, KEY, "development")
    name = asking.release(seed=5, version="7")
    bundle = asking.folder / "var/releases" / name / "cpu"
    store = EventStore(f"sqlite:///{asking.folder}/var/events.db", 10, False)

    def answered() -> str:
        response = httpx.post(f"{server.url}/v1/classify", json={"text": "great"}, timeout=30)
        assert response.status_code == 200
        return response.json()["bundle_digest"]

    with asking.server() as server:
        server.wait_until_ready()
        asking.promote(store, name)
        asking.await_log("signature.json is missing")
        assert answered() == asking.built
        sign_folder(bundle, KEY, "6", name)  # a genuine signature, of another version
        asking.await_log("is not of version 7 (cpu")
        assert answered() == asking.built
        sign_folder(bundle, LATER, "7", name)
        asking.await_log("none of the public keys (2026)")
        assert answered() == asking.built
        (asking.folder / "keys").write_text(f"{KEY.public_line}\n{LATER.public_line}\n")  # the key is changed
        asking.await_log(f"release {name[:12]} is loaded")
        assert answered() == name
    store.close(1)


def test_both_bundles_of_a_build_are_asked_for(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(asking.folder)
    challenger = asking.folder / "challenger"
    make_tiny_bundle(challenger, seed=1)
    monkeypatch.setenv("TICKET_SENTIMENT_BUNDLE", str(asking.bundle))
    monkeypatch.setenv("TICKET_SENTIMENT_CHALLENGER", str(challenger))
    sign_folder(asking.bundle, KEY, "development")
    with pytest.raises(TicketSentimentError, match=r"challenger\.signature\.json is missing"):
        load_deployed()
    sign_folder(challenger, KEY, "development-challenger")
    assert load_deployed().challenger is not None
    with pytest.raises(TicketSentimentError, match=r"is not of version development \(gpu"):
        load_deployed(device="gpu")
    sign_folder(asking.bundle, FOREIGN, "development")
    with pytest.raises(TicketSentimentError, match=r"none of the public keys \(2026\)"):
        load_deployed()
    signature_path(asking.bundle).unlink()
    with pytest.raises(TicketSentimentError, match=r"bundle\.signature\.json is missing"):
        load_deployed()
