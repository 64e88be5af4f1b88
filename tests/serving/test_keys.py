"""API keys and their rates."""

import hashlib
import threading
from multiprocessing import get_context
from pathlib import Path

import httpx
import pytest

from tests.support.serving import SERVICE, Server, write_params
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Keys
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.keys import ApiKeys, share_keys
from ticket_sentiment.serving.limiter import RateLimiter

KEY, OTHER = "0123456789abcdef-helpdesk", "fedcba9876543210-website"


def keys(**changes: object) -> Keys:
    return Keys(**{"environment": [], "file": None, "rate": 10.0, "burst": 5, **changes})


def key_file(folder: Path) -> Path:
    path = folder / "keys"
    path.write_text(f"# who may call\nwebsite {hashlib.sha256(OTHER.encode()).hexdigest()}\n")
    return path


def test_keys_of_the_environment_and_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELPDESK_KEY", KEY)
    key_file(tmp_path)
    held = ApiKeys(keys(environment=["HELPDESK_KEY"], file="keys"), tmp_path)
    assert held.names == ["HELPDESK_KEY", "website"]
    assert held.index(b"Bearer " + KEY.encode(), None) == 0
    assert held.index(b"bearer  " + OTHER.encode(), None) == 1
    assert held.index(None, OTHER.encode()) == 1
    assert not ApiKeys(keys(), tmp_path)


def test_a_key_of_the_environment_may_end_with_a_newline_as_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELPDESK_KEY", f"{KEY}\n")
    assert ApiKeys(keys(environment=["HELPDESK_KEY"]), tmp_path).index(None, KEY.encode()) == 0
    monkeypatch.setenv("HELPDESK_KEY", "short" + " " * 20)
    with pytest.raises(TicketSentimentError, match="HELPDESK_KEY"):
        ApiKeys(keys(environment=["HELPDESK_KEY"]), tmp_path)


def test_the_old_and_the_new_key_of_a_forwarder_both_forward(tmp_path: Path) -> None:
    hashes = [hashlib.sha256(key.encode()).hexdigest() for key in (KEY, OTHER, "x" * 16)]
    lines = zip(("front", "front", "website"), hashes, strict=True)
    (tmp_path / "keys").write_text("".join(f"{name} {digest}\n" for name, digest in lines))
    held = ApiKeys(keys(file="keys", forwarders=["front"]), tmp_path)
    assert [held.forwards(held.index(None, key.encode())) for key in (KEY, OTHER, "x" * 16)] == [
        True, True, False
    ]  # fmt: skip
    with pytest.raises(TicketSentimentError, match=r"forwarders: no key is named back \(front"):
        ApiKeys(keys(file="keys", forwarders=["back"]), tmp_path)


@pytest.mark.parametrize(
    ("authorization", "api_key", "status"),
    [
        (None, None, 401),
        (b"", b"", 401),
        (b"Basic dTpw", None, 401),
        (b"Bearer ", None, 401),
        (b"Bearer wrong", None, 403),
        (b"Bearer " + KEY.encode() + b"x", None, 403),
        (None, KEY[:-1].encode(), 403),
        (None, b"\xff\x00", 403),
    ],
)
def test_without_the_right_key(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    authorization: bytes | None,
    api_key: bytes | None,
    status: int,
) -> None:
    monkeypatch.setenv("HELPDESK_KEY", KEY)
    with pytest.raises(ApiError) as refused:
        ApiKeys(keys(environment=["HELPDESK_KEY"]), tmp_path).index(authorization, api_key)
    assert refused.value.status == status
    assert KEY not in refused.value.message


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compared = []
    monkeypatch.setenv("HELPDESK_KEY", KEY)
    key_file(tmp_path)
    held = ApiKeys(keys(environment=["HELPDESK_KEY"], file="keys"), tmp_path)
    real = hashlib.sha256(KEY.encode()).digest()
    monkeypatch.setattr(
        "ticket_sentiment.serving.keys.hmac.compare_digest", lambda a, b: compared.append(b) or a == b
    )
    assert held.index(None, KEY.encode()) == 0
    assert len(compared) == 2
    assert compared[0] == real


@pytest.mark.parametrize("content", ["website nothex\n", "", "only-a-name\n", "\udcff"])
def test_a_file_that_is_not_as_it_should_be_never_opens_the_service(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(TicketSentimentError, match="keys"):
        ApiKeys(keys(file="keys"), tmp_path)
    with pytest.raises(TicketSentimentError, match="cannot be read"):
        ApiKeys(keys(file="missing"), tmp_path)


def test_workers_know_the_keys_of_the_services_start_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    path = key_file(tmp_path)
    assert ApiKeys(keys(file="keys"), tmp_path, shared).names == ["website"]  # nothing is shared: of the file
    share_keys(keys(file="keys"), tmp_path, shared)
    (copy,) = shared.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    path.write_text(f"other {'0' * 64}\n")
    assert ApiKeys(keys(file="keys"), tmp_path, shared).names == ["website"]
    path.write_text("not a key")
    assert ApiKeys(keys(file="keys"), tmp_path, shared).index(None, OTHER.encode()) == 0
    with pytest.raises(TicketSentimentError, match="missing cannot be read"):
        share_keys(keys(file="missing"), tmp_path, shared)
    copy.write_text("not a key")
    with pytest.raises(TicketSentimentError, match=f"{path}, line 1"):  # people know this file, not the copy
        ApiKeys(keys(file="keys"), tmp_path, shared)


def test_a_variable_that_is_not_set_or_too_short_never_opens_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "abc")
    for name in ("SHORT", "NOT_SET"):
        with pytest.raises(TicketSentimentError, match=name):
            ApiKeys(keys(environment=[name]), tmp_path)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("ticket_sentiment.serving.limiter.time", clock)
    return clock


def taken(limiter: RateLimiter, key: int = 0, tokens: int = 1) -> bool:
    try:
        limiter.take(key, tokens)
    except ApiError as error:
        assert error.status == 429
        assert any(name == b"retry-after" for name, _ in error.headers)
        return False
    return True


def test_a_burst_then_the_rate_and_each_key_for_itself(tmp_path: Path, clock: Clock) -> None:
    limiter = RateLimiter(tmp_path / "rates", 2, rate=10, burst=5)
    assert [taken(limiter) for _ in range(6)] == [True] * 5 + [False]
    assert taken(limiter, key=1)
    passed = 0
    for _ in range(1000):  # ten seconds of a caller who asks a hundred times a second
        clock.now += 0.01
        passed += taken(limiter)
    assert passed == pytest.approx(100, rel=0.01)


def test_a_batch_costs_its_tickets(tmp_path: Path, clock: Clock) -> None:
    limiter = RateLimiter(tmp_path / "rates", 1, rate=10, burst=5)
    assert taken(limiter, tokens=3)
    assert not taken(limiter, tokens=3)
    assert taken(limiter, tokens=2)
    assert not taken(limiter)
    clock.now += 0.5
    assert taken(limiter, tokens=5)


def _spend(path: str, barrier: "threading.Barrier", spent: "object") -> None:
    limiter = RateLimiter(Path(path), 1, rate=0.001, burst=500)
    barrier.wait()
    spent.put(sum(taken(limiter) for _ in range(500)))


def test_workers_share_one_bucket(tmp_path: Path) -> None:
    context = get_context("spawn")
    barrier, spent = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_spend, args=(str(tmp_path / "rates"), barrier, spent)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    counts = [spent.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(counts) == 500


def test_a_service_with_keys(folder: Path, tmp_path: Path) -> None:
    port = write_params(
        tmp_path,
        {
            "api_keys": {"environment": ["HELPDESK_KEY"], "rate": 0.01, "burst": 4},
            "max_batch_tickets": 4,
            "access_log": "all",
        },
    )
    environment = {"TICKET_SENTIMENT_BUNDLE": str(folder / "bundle"), "HELPDESK_KEY": KEY}
    with Server(SERVICE, tmp_path / "serve.log", tmp_path, workers=2, **environment) as server:
        server.wait_until_ready()

        def ask(key: str | None, path: str = "/v1/classify", body: object = None) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            if path == "/v1/models":
                return httpx.get(server.url + path, headers=headers)
            return httpx.post(server.url + path, json=body or {"text": "great"}, headers=headers)

        assert ask(None).status_code == 401
        assert ask(None).headers["www-authenticate"] == "Bearer"
        assert ask(None, "/v1/models").status_code == 401
        assert ask(OTHER).status_code == 403
        assert httpx.get(f"{server.url}/v1/openapi.json").status_code == 200
        assert ask(KEY).status_code == ask(KEY, "/v1/models").status_code == 200
        assert ask(KEY, "/v1/classify/batch", {"tickets": [{"text": "a"}, {"text": "b"}]}).status_code == 200
        assert ask(KEY).status_code == 200  # the fourth ticket of the burst
        refused = [ask(KEY) for _ in range(6)]  # by new connections, so both workers are asked
        assert {response.status_code for response in refused} == {429}
        assert {response.json()["error"]["code"] for response in refused} == {"rate_limited"}
        assert all(int(response.headers["retry-after"]) > 1 for response in refused)
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    log = (tmp_path / "serve.log").read_text()
    assert '"status":200' in log
    assert "HELPDESK_KEY" in log  # its name
    for text in (log, metrics):
        assert KEY not in text
        assert OTHER not in text
