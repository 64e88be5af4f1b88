"""Hybrid routing: what goes to the other service, in whose name, and who may send it."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.front import SERVE, Reply, Service, run
from tests.support.hybrid import KEY, LOCAL, REMOTE, URGENT, Pair, between, challenger, gpu, routes, settings
from tests.support.remote import Impostor, good, http, listening
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.settings import remote_address


def test_urgent_tickets_go_there_and_the_rest_stays() -> None:
    async def test(made: Pair) -> None:
        urgent = await made.ask(URGENT | {"ticket_id": "7"})
        assert (urgent["route"], urgent["backend"]) == ("remote", "CUDAExecutionProvider")
        assert (urgent["bundle_digest"], urgent["model_version"], urgent["ticket_id"]) == (REMOTE, "1", "7")
        normal = await made.ask({"text": "my invoice"})
        assert (normal["route"], normal["backend"], normal["bundle_digest"]) == ("local", "fake", LOCAL)
        assert made.calls("answered") == made.here.value("remote_seconds_count") == 1
        assert made.here.scorer.remote_answers == 1
        labels = {"route": "classify", "arm": "champion", "backend": "CUDAExecutionProvider", "code": "200"}
        assert made.here.value("requests_total", **labels) == 1

    between(test)


def test_it_is_recorded_here_once_and_nothing_over_there() -> None:
    async def test(made: Pair) -> None:
        ticket = URGENT | {"text": "ask a.b@example.com", "ticket_id": "7", "customer_id": "c"}
        await made.ask(ticket, **{"x-request-id": "r-1"})
        (event,) = made.here.store.predictions
        assert (event.bundle_digest, event.model_version, event.backend) == (
            REMOTE, "1", "CUDAExecutionProvider",
        )  # fmt: skip
        assert (event.request_id, event.ticket_id, event.shadow) == ("r-1", "7", False)
        assert made.there.store.predictions == made.there.store.exposures == []
        assert made.there.value("predicted_total", arm="champion", label="positive") == 0
        assert made.here.value("predicted_total", arm="champion", label="positive") == 1

    between(test)


def test_what_is_sent_is_masked_and_names_neither_ticket_nor_customer() -> None:
    async def test() -> None:
        async with Impostor(lambda body: http(good(body))) as other:
            service = Service(FakeClassifier(LOCAL), remote_url=other.url, remote_key=KEY, remote=settings())
            trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
            ticket = URGENT | {"text": "Hello,\nask a@b.com", "ticket_id": "T-7", "customer_id": "C-9"}
            reply = await service.ask(
                ticket, **{"x-request-id": "r-1", "traceparent": trace, "x-request-timeout-ms": "20000"}
            )
            assert json.loads(reply.body)["route"] == "remote"
            ((head,), (body,)) = other.heads, other.bodies
            assert body == {"ticket_id": body["ticket_id"], "text": "ask [EMAIL]", "priority": "urgent"}
            assert body["ticket_id"].isdecimal()
            assert "t-7" not in head and "c-9" not in head
            assert f"authorization: bearer {KEY}" in head
            assert "x-ticket-sentiment-forwarded: 1\r\n" in head
            assert "x-request-id: r-1\r\n" in head and f"traceparent: {trace}\r\n" in head
            sent_ms = int(head.split("x-request-timeout-ms: ")[1].split("\r\n")[0])
            assert 0 < sent_ms <= 5000
            await service.remote.close()

    asyncio.run(test())


def test_a_large_batch_goes_there_in_calls_of_the_size_that_it_takes() -> None:
    async def test(made: Pair) -> None:
        tickets = [{"text": f"invoice {n}", "ticket_id": str(n)} for n in range(8)]
        results = await made.batch(*tickets)
        assert routes(results) == ["remote"] * 8
        assert [result["ticket_id"] for result in results] == [str(n) for n in range(8)]
        assert made.calls("answered") == 3
        assert sorted(made.there.arms.split.champion.seen) == [f"invoice {n}" for n in range(8)]
        assert made.here.arms.split.champion.seen == []
        assert [event.ticket_id for event in made.here.store.predictions] == [str(n) for n in range(8)]
        small = await made.batch(*tickets[:3])
        assert routes(small) == ["local"] * 3

    between(test)


def test_only_the_urgent_tickets_of_a_small_batch_go_there() -> None:
    async def test(made: Pair) -> None:
        results = await made.batch({"text": "a"}, URGENT, {"text": "b"})
        assert routes(results) == ["local", "remote", "local"]

    between(test)


def test_what_the_cache_knows_is_not_sent_and_does_not_make_a_batch_large() -> None:
    async def test(made: Pair) -> None:
        known = [{"text": f"invoice {n}"} for n in range(4)]
        for ticket in known:
            await made.ask(ticket)
        results = await made.batch(*known, {"text": "new"})
        assert routes(results) == ["local"] * 5
        assert [result["cached"] for result in results] == [True] * 4 + [False]
        results = await made.batch(*known, *({"text": f"other {n}"} for n in range(4)))
        assert routes(results) == ["local"] * 4 + ["remote"] * 4
        assert sorted(made.there.arms.split.champion.seen) == [f"other {n}" for n in range(4)]
        assert (await made.ask(known[0] | {"priority": "urgent"}))["route"] == "local"

    between(test, cache=PredictionCache(100, 60))


def test_its_answers_are_never_kept_under_the_digest_of_the_bundle_here() -> None:
    async def test(made: Pair) -> None:
        assert (await made.ask())["route"] == "remote"
        normal = await made.ask({"text": URGENT["text"]})
        assert (normal["bundle_digest"], normal["cached"], normal["route"]) == (LOCAL, False, "local")
        assert (await made.ask({"text": URGENT["text"]}))["cached"] is True

    between(test, cache=PredictionCache(100, 60))


def test_a_bad_ticket_of_a_large_batch_harms_no_other() -> None:
    async def test(made: Pair) -> None:
        texts = ["a", "b", "", "c", "nothing", "d"]
        results = await made.batch(*({"text": text} for text in texts), {"wrong": 1})
        codes = [result["error"]["code"] if "error" in result else result["route"] for result in results]
        assert codes == ["remote", "remote", "empty_text", "remote", "empty_text", "remote", "invalid_field"]

    between(test)


def test_a_ticket_that_fails_over_there_is_answered_here() -> None:
    broken = gpu()

    def fail(texts: Any) -> Any:
        raise RuntimeError("the card is gone")

    broken.answers = fail

    async def test(made: Pair) -> None:
        results = await made.batch(*({"text": f"invoice {n}"} for n in range(6)))
        assert routes(results) == ["fallback"] * 6
        assert {result["bundle_digest"] for result in results} == {LOCAL}
        assert made.here.scorer.remote_fallbacks == 6

    between(test, broken)


def test_the_tickets_answered_here_are_no_latency_of_those_that_the_other_service_answered() -> None:
    async def test(made: Pair) -> None:
        urgent = [{"text": f"urgent {number}", "priority": "urgent"} for number in range(2)]
        await made.batch(*urgent, *({"text": f"slow {number}"} for number in range(60)))
        taken = {event.text: event.latency_ms for event in made.here.store.predictions}
        assert len(taken) == 62
        slow = sum(ms for text, ms in taken.items() if text.startswith("slow"))
        assert max(taken["urgent 0"], taken["urgent 1"]) < 0.7 * slow, "they wait for no ticket of the batch"

    between(test, here=(FakeClassifier(LOCAL, seconds=0.01),), min_batch=1000)


def test_another_version_is_a_miss_that_is_said_once_and_asked_for_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(made: Pair) -> None:
        answers = [await made.ask() for _ in range(3)]
        assert routes(answers) == ["fallback"] * 3
        assert {answer["bundle_digest"] for answer in answers} == {LOCAL}
        assert (made.calls("mismatch"), made.calls("mismatch_known")) == (1, 2)
        assert made.here.remote.available
        made.there.arms.split.champion.version = "1"  # it is replaced
        made.here.remote._missing["1"] = 0.0
        assert (await made.ask())["route"] == "remote"

    between(test, gpu(version="2"))
    assert caplog.text.count("does not hold version 1") == 1


def on_trial(share: float = 0.5) -> RolloutState:
    return RolloutState(1, "salt", LOCAL, "d" * 64, share, False, datetime.now(UTC))


def test_each_arm_is_answered_by_its_own_version_without_a_state_over_there() -> None:
    async def test(made: Pair) -> None:
        state = on_trial()
        made.here.arms.apply(state)
        for n in range(8):
            customer = f"customer-{n}"
            answer = await made.ask(URGENT | {"customer_id": customer})
            arm = assign(customer, None, state)
            version, digest = {"champion": ("1", REMOTE), "challenger": ("2", "c" * 64)}[arm]
            assert (answer["arm"], answer["model_version"], answer["bundle_digest"]) == (arm, version, digest)
            assert answer["route"] == "remote"
        assert len(made.here.store.exposures) == 8 and not made.there.store.exposures
        tickets = [{"text": f"invoice {n}", "customer_id": f"customer-{n}"} for n in range(8)]
        results = await made.batch(*tickets)
        assert [result["arm"] for result in results] == [
            assign(f"customer-{n}", None, state) for n in range(8)
        ]
        assert routes(results) == ["remote"] * 8

    between(test, gpu(), gpu("c" * 64, "2"), here=(FakeClassifier(LOCAL), challenger()))


def test_what_was_answered_there_and_scored_in_shadow_here_is_no_pair() -> None:
    """The one computes in fp16, the other in int8; but the other arm was heard."""

    async def test(made: Pair) -> None:
        made.here.arms.apply(RolloutState(1, "salt", LOCAL, "d" * 64, 0.0, True, datetime.now(UTC)))
        for asked in (URGENT, {"text": "my parcel"}):
            await made.ask(asked | {"customer_id": "c"})
        while made.here.engine.shadow_scored < 2:
            await asyncio.sleep(0.001)
        events = made.here.store.predictions
        unit = made.here.store.exposures[0].unit
        assert {(e.text, e.shadow): e.unit for e in events} == {
            ("my invoice", False): unit,
            ("my invoice", True): None,
            ("my parcel", False): unit,
            ("my parcel", True): unit,
        }
        assert [event.arm for event in events if event.shadow] == ["challenger"] * 2

    between(test, gpu(), gpu("c" * 64, "2"), here=(FakeClassifier(LOCAL), challenger()))


def test_on_trial_no_arm_goes_to_a_service_that_holds_only_one() -> None:
    async def test(made: Pair) -> None:
        state = on_trial(1.0)
        made.here.arms.apply(state)
        assert (await made.ask(URGENT | {"customer_id": "c"}))["arm"] == "challenger"
        made.here.arms.apply(RolloutState(2, "salt", LOCAL, "d" * 64, 0.0, False, datetime.now(UTC)))
        answer = await made.ask(URGENT | {"customer_id": "c"})
        assert (answer["arm"], answer["route"]) == ("champion", "fallback")
        assert (made.calls("mismatch"), made.calls("mismatch_known")) == (1, 1)

    between(test, here=(FakeClassifier(LOCAL), challenger()))


def test_two_services_that_name_each_other_make_no_circle() -> None:
    async def test(made: Pair) -> None:
        async with listening(made.here) as port:
            back = Service(gpu(), remote_url=f"http://127.0.0.1:{port}", remote=settings())
            async with listening(back) as other:
                made.line.target = other
                assert (await made.ask())["bundle_digest"] == REMOTE
                assert back.scorer.remote_answers == back.scorer.remote_fallbacks == 0
            await back.remote.close()

    between(test)


def closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forwarders: list[str]) -> dict[str, Any]:
    monkeypatch.setenv("FRONT_KEY", KEY)
    keys = SERVE.api_keys.model_copy(
        update={"environment": ["FRONT_KEY"], "forwarders": forwarders, "rate": 0.01, "burst": 2}
    )
    return {"home": tmp_path, "over_there": {"api_keys": keys}}


def test_with_keys_only_a_forwarder_suppresses_records_and_it_pays_no_rate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(made: Pair) -> None:
        assert routes([await made.ask() for _ in range(5)]) == ["remote"] * 5

    between(test, key=KEY, **closed(monkeypatch, tmp_path, ["FRONT_KEY"]))


def test_a_key_that_is_no_forwarder_is_refused_and_what_was_asked_not_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(made: Pair) -> None:
        assert routes([await made.ask(), await made.ask()]) == ["fallback"] * 2
        assert (made.calls("refused"), made.calls("resting")) == (1, 1)
        headers = {"x-ticket-sentiment-forwarded": "1"}
        reply: Reply = await made.there.ask({"text": "a"}, **headers, **{"x-api-key": KEY})
        assert (reply.status, reply.code) == (403, "not_forwarder")
        assert (await made.there.ask({"text": "a"}, **headers)).code == "missing_key"
        assert made.there.arms.split.champion.seen == []

    between(test, key=KEY, **closed(monkeypatch, tmp_path, []))


def test_a_forwarder_that_is_no_key_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = closed(monkeypatch, tmp_path, ["FRONT_KYE"])["over_there"]["api_keys"]
    with pytest.raises(TicketSentimentError, match=r"forwarders: no key is named FRONT_KYE \(FRONT_KEY\)"):
        ApiKeys(keys, tmp_path)


def test_a_version_that_is_asked_for_and_not_loaded_is_refused() -> None:
    async def test(service: Service) -> None:
        reply = await service.ask({"text": "a"}, **{"x-ticket-sentiment-forwarded": "9\xff"})
        assert (reply.status, reply.code) == (409, "model_not_loaded")

    run(test)


def test_the_address_of_the_other_service() -> None:
    def of(url: str, key: str = "") -> Any:
        environment = {"TICKET_SENTIMENT_REMOTE_URL": url, "TICKET_SENTIMENT_REMOTE_KEY": key}
        return remote_address(SERVE.remote, environment)

    assert remote_address(SERVE.remote, {}) is of("") is None
    assert of("http://gpu:3000/") == ("http://gpu:3000", None)
    assert of("https://gpu.example/sentiment", "secret") == ("https://gpu.example/sentiment", "secret")
    assert of("http://gpu", "secret\n") == ("http://gpu", "secret"), "as of a file"
    for url in (
        "gpu:3000",
        "ftp://gpu",
        "http://",
        "http://u:s3cret@gpu",
        "http://gpu:x",
        "http://g\nh",
        "http://g?s3cret",
    ):
        with pytest.raises(TicketSentimentError, match="TICKET_SENTIMENT_REMOTE_URL holds no URL") as raised:
            of(url)
        assert "s3cret" not in str(raised.value)
    with pytest.raises(TicketSentimentError, match="TICKET_SENTIMENT_REMOTE_KEY holds no API key"):
        of("http://gpu", "a\r\nb")
