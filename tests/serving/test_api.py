"""Every path but POST /v1/classify's happy way (test_service.py): batch, feedback, OpenAPI, headers."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ticket_sentiment.serving
from tests.support.front import Service, run
from tests.support.params import params_of_tests
from tests.support.serving import Server
from ticket_sentiment.serving.errors import CODES, ApiError
from ticket_sentiment.serving.openapi import openapi
from ticket_sentiment.serving.schemas import parse_batch, parse_batch_ticket, parse_feedback, parse_ticket

SERVE = params_of_tests().serve
CLOSED = SERVE.model_copy(update={"api_keys": SERVE.api_keys.model_copy(update={"environment": ["A_KEY"]})})
CANARY = "zanzibar"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    return client.get("/v1/openapi.json").json()


def check(document: dict[str, Any], response: httpx.Response) -> Any:
    """A response is as the document says; returns its body."""
    operation = document["paths"][response.request.url.path][response.request.method.lower()]
    described = operation["responses"][str(response.status_code)]
    schema = described["content"]["application/json"]["schema"]
    body = response.json()
    validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    validator.validate(body)
    for name, header in described["headers"].items():
        assert name in response.headers or not header.get("required"), name
    if "error" in body:
        assert f"`{body['error']['code']}`" in described["description"]
    return body


def batch(client: httpx.Client, *tickets: Any, **headers: str) -> httpx.Response:
    return client.post("/v1/classify/batch", json={"tickets": list(tickets)}, headers=headers)


def test_a_batch_answers_in_order_and_a_bad_ticket_harms_no_other(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    results = check(
        document,
        batch(
            client,
            {"text": "great", "ticket_id": "a"},
            {"text": "", "ticket_id": "b"},
            {"text": "terrible"},
            {"text": "x" * (SERVE.max_text_chars + 1)},
            7,
            {"text": "great", "surprise": CANARY},
            {"text": "my invoice", "ticket_id": "c", "priority": "urgent"},
        ),
    )["results"]
    assert [item.get("label") or item["error"]["code"] for item in results] == [
        "positive",
        "empty_text",
        "negative",
        "text_too_long",
        "invalid_field",
        "invalid_field",
        "neutral",
    ]
    assert [item["ticket_id"] for item in results] == ["a", "b", None, None, None, None, "c"]
    assert CANARY not in json.dumps(results)


def test_half_a_surrogate_pair_in_a_batch_harms_its_own_ticket(client: httpx.Client) -> None:
    body = b'{"tickets": [{"text": "\\ud800"}, {"text": "great"}, {"text": "a", "ticket_id": "\\udfff"}]}'
    response = client.post("/v1/classify/batch", content=body, headers={"Content-Type": "application/json"})
    results = response.json()["results"]
    assert [item.get("label") or item["error"]["code"] for item in results] == [
        "empty_text",
        "positive",
        "invalid_field",
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b'{"tickets": [', 400, "invalid_json"),
        (b'{"tickets": ' + b"[" * 100_000, 400, "invalid_json"),
        (b'{"tickets": [' + b"9" * 10_000 + b"]}", 400, "invalid_json"),
        (b"[]", 422, "invalid_field"),
        (b"{}", 422, "invalid_field"),
        (b'{"tickets": []}', 422, "invalid_field"),
        (b'{"tickets": {"text": "a"}}', 422, "invalid_field"),
        (b'{"tickets": [{}], "more": 1}', 422, "invalid_field"),
        (b'{"tickets": [' + b"{}," * SERVE.max_batch_tickets + b"{}]}", 413, "batch_too_large"),
        (b'{"tickets": ["' + b"a" * SERVE.max_batch_body_bytes + b'"]}', 413, "body_too_large"),
    ],
)
def test_bad_batches(
    client: httpx.Client, document: dict[str, Any], body: bytes, status: int, code: str
) -> None:
    response = client.post("/v1/classify/batch", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert check(document, response)["error"]["code"] == code


def test_a_full_batch_is_answered(client: httpx.Client) -> None:
    results = batch(client, *({"text": f"great {n}"} for n in range(SERVE.max_batch_tickets))).json()[
        "results"
    ]
    assert {item["label"] for item in results} == {"positive"}


def feedback(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/v1/feedback", json=fields)


def test_feedback_is_stored_once_and_the_latest_wins(client: httpx.Client, document: dict[str, Any]) -> None:
    first = {"ticket_id": "t-9", "label": "negative", "event_id": "1", "at": "2026-01-01T10:00:00Z"}
    assert check(document, feedback(client, **first)) == {
        "ticket_id": "t-9",
        "created": True,
        "label": "negative",
    }
    assert feedback(client, **first).json()["created"] is False
    later = {**first, "label": "positive", "event_id": "2", "at": "2026-01-01T11:00:00+00:00"}
    assert feedback(client, **later).json()["label"] == "positive"
    earlier = {**first, "label": "neutral", "event_id": "0", "at": "2026-01-01T09:00:00Z"}
    assert feedback(client, **earlier).json() == {"ticket_id": "t-9", "created": True, "label": "positive"}
    conflict = feedback(client, **{**first, "label": "neutral"})
    assert conflict.status_code == 409
    assert check(document, conflict)["error"]["code"] == "feedback_conflict"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ticket_id": "a", "label": "bad", "event_id": "1"},
        {"ticket_id": "", "label": "positive", "event_id": "1"},
        {"ticket_id": "a" * 201, "label": "positive", "event_id": "1"},
        {"ticket_id": "a\0", "label": "positive", "event_id": "1"},
        {"ticket_id": "a", "label": "positive", "event_id": 1},
        {"ticket_id": "a", "label": "positive", "event_id": "1", "at": "2026-01-01T10:00:00"},
        {"ticket_id": "a", "label": "positive", "event_id": "1", "at": "2099-01-01T10:00:00Z"},
        {"ticket_id": "a", "label": "positive", "event_id": "1", "at": 1e300},
        {"ticket_id": "a", "label": "positive", "event_id": "1", "at": "0001-01-01T00:00:00+23:00"},
        {"ticket_id": "a", "label": "positive", "event_id": "1", "at": "1999-12-31T23:59:59Z"},
    ],
)
def test_bad_feedback(client: httpx.Client, document: dict[str, Any], fields: dict[str, Any]) -> None:
    response = feedback(client, **fields)
    assert response.status_code == 422
    assert check(document, response)["error"]["code"] == "invalid_field"


def test_answers_models_and_refusals_are_as_the_document_says(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    check(document, client.post("/v1/classify", json={"text": "great", "ticket_id": "1"}))
    assert check(document, client.get("/v1/models"))["rollout"] is None
    for body in ({}, {"text": ""}, {"text": "a" * (SERVE.max_text_chars + 1)}):
        check(document, client.post("/v1/classify", json=body))
    check(document, client.get("/v1/openapi.json"))


def test_the_document_is_complete(document: dict[str, Any]) -> None:
    assert document == json.loads(json.dumps(openapi(SERVE)))
    operations = [item for path in document["paths"].values() for item in path.values()]
    assert len({item["operationId"] for item in operations}) == len(operations) == 5
    described = json.dumps([operations, openapi(CLOSED)])
    assert [code for code in CODES if f"`{code}`" not in described] == ["not_found"]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= set(document["components"]["schemas"])
    ticket = document["components"]["schemas"]["Ticket"]
    assert ticket["properties"]["text"]["maxLength"] == SERVE.max_text_chars
    assert ticket["required"] == ["text"]


def test_a_key_is_asked_for_in_the_document_where_the_service_asks_for_one(document: dict[str, Any]) -> None:
    closed = openapi(CLOSED)["paths"]
    for name, path in document["paths"].items():
        for method, operation in path.items():
            assert operation["security"] == []
            assert not {"401", "403", "429"} & set(operation["responses"])
            asked = closed[name][method]
            expected = [] if name == "/v1/openapi.json" else [{"bearer": []}, {"apiKey": []}]
            assert asked["security"] == expected
            assert ("401" in asked["responses"]) == bool(expected)
            assert ("429" in asked["responses"]) == (method == "post")
    for used, loaded in ((document, SERVE), (openapi(CLOSED), CLOSED)):
        assert bool(used["components"]["securitySchemes"]) == bool(loaded.api_keys.environment)


@pytest.mark.parametrize(
    ("header", "value", "code", "paths"),
    [
        ("x-request-timeout-ms", "soon", "invalid_timeout", 5),
        ("x-ticket-sentiment-forwarded", "1", "not_forwarder", 4),  # all that ask for a key
    ],
)
def test_what_a_header_is_refused_for_is_documented_on_every_path_that_refuses_it(
    header: str, value: str, code: str, paths: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "0123456789abcdef"
    monkeypatch.setenv("A_KEY", key)
    refused = []

    async def test(service: Service) -> None:
        headers = {"x-api-key": key, header: value}
        for path, operations in openapi(CLOSED)["paths"].items():
            ((method, operation),) = operations.items()
            reply = await service.ask({}, path, method=method.upper(), **headers)
            if reply.status != 200:
                assert (reply.code, path) == (code, path)
                assert f"`{code}`" in operation["responses"][str(reply.status)]["description"]
                refused.append(path)

    run(test, home=tmp_path, api_keys=CLOSED.api_keys)
    assert len(refused) == paths


def test_every_code_is_one_that_the_service_raises() -> None:
    package = Path(ticket_sentiment.serving.__path__[0])
    raised = "".join(path.read_text() for path in package.glob("*.py"))
    assert [code for code in CODES if f'ApiError("{code}"' not in raised] == []


@pytest.mark.parametrize(
    ("parse", "first"),
    [
        (lambda body: parse_ticket(body, 100), "text"),
        (parse_feedback, "ticket_id"),
        (lambda body: parse_batch(body, 64), "tickets"),
        (lambda body: parse_batch_ticket(json.loads(body), 100), "text"),
    ],
)
def test_thousands_of_unknown_keys_are_refused_in_one_sentence(
    parse: Callable[[bytes], object], first: str
) -> None:
    body = json.dumps({f"k{n}": 0 for n in range(1000)}).encode()
    with pytest.raises(ApiError, match="invalid_field") as refused:
        parse(body)
    assert refused.value.message.startswith(f"body: unknown keys (known: {first}")


@pytest.mark.parametrize("body", [b'{"tickets": [', b'{"tickets": [nul]}', b"[" * 1000])
def test_only_half_a_surrogate_pair_is_worth_a_second_reading(body: bytes) -> None:
    with (
        patch("ticket_sentiment.serving.schemas.json.loads", side_effect=AssertionError),
        pytest.raises(ApiError, match="invalid_json"),
    ):
        parse_batch(body, 64)


@pytest.mark.parametrize("key", ["ticket_id", "customer_id"])
def test_an_identifier_that_no_database_can_keep_is_refused(
    client: httpx.Client, document: dict[str, Any], key: str
) -> None:
    response = client.post("/v1/classify", json={"text": "great", key: "a\0b"})
    assert response.status_code == 422
    assert check(document, response)["error"]["code"] == "invalid_field"
    schema = {"$ref": "#/components/schemas/Ticket", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    assert not validator.is_valid({"text": "great", key: "a\0b"})
    assert validator.is_valid({"text": "great", key: "a\nb"})
    assert client.post("/v1/classify", json={"text": "great", key: "a\nb"}).status_code == 200


@pytest.mark.parametrize("name", ["unknown", " Guest ", "N/A", "null", "  "])
def test_a_word_for_nobody_is_no_customer(name: str) -> None:
    """All tickets of nobody would be one customer: a third of the traffic would change its model at once."""
    ticket = parse_ticket(json.dumps({"text": "great", "customer_id": name}).encode(), 100)
    assert ticket.customer_id is None
    assert parse_ticket(b'{"text": "great", "customer_id": " c7 "}', 100).customer_id == "c7"


def test_request_id_and_trace_are_passed_through(client: httpx.Client) -> None:
    def headers(**sent: str) -> httpx.Headers:
        return client.post("/v1/classify", json={"text": "great"}, headers=sent).headers

    kept = headers(**{"X-Request-Id": "abc-1.2_3", "traceparent": TRACE})
    assert (kept["x-request-id"], kept["traceparent"]) == ("abc-1.2_3", TRACE)
    for bad in ("", "a" * 65, "a b", "<script>", "a\tb"):
        assert len(headers(**{"X-Request-Id": bad})["x-request-id"]) == 32
    for bad in ("junk", TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), TRACE + "-x"):
        assert "traceparent" not in headers(traceparent=bad)
    refusal = client.post("/v1/classify", json={}, headers={"X-Request-Id": "r-1"})
    assert refusal.json()["request_id"] == refusal.headers["x-request-id"] == "r-1"


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "", "9" * 30, "1e3", "١"])
def test_a_deadline_that_is_none(client: httpx.Client, value: str) -> None:
    response = client.post(
        "/v1/classify", json={"text": "great"}, headers=[("X-Request-Timeout-Ms", value.encode())]
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_timeout")


def test_a_deadline_in_time(client: httpx.Client) -> None:
    for value in ("1000", "999999999"):
        response = client.post(
            "/v1/classify", json={"text": "great"}, headers={"X-Request-Timeout-Ms": value}
        )
        assert response.status_code == 200


def test_an_equal_ticket_is_answered_from_the_cache(client: httpx.Client) -> None:
    first = client.post("/v1/classify", json={"text": "Great, it works for 12345"}).json()
    second = client.post("/v1/classify", json={"text": "great,  IT works for 12345 "}).json()
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["probabilities"] == second["probabilities"]


def test_a_slow_body_is_cut_off(server: Server) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head + b'X-Request-Timeout-Ms: 200\r\nContent-Length: 99\r\n\r\n{"text": "gre')
        started = time.monotonic()
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started < 2


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=80, deadline=None)
@given(
    path=st.sampled_from(["/v1/classify/batch", "/v1/feedback"]),
    body=st.binary(max_size=200)
    | json_values.map(json.dumps).map(str.encode)
    | st.lists(json_values, max_size=5).map(lambda items: json.dumps({"tickets": items}).encode()),
)
def test_no_body_is_a_server_error(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400, 413, 422)


header_values = st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if 32 <= byte != 127))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(
        ["X-Request-Id", "traceparent", "X-Request-Timeout-Ms", "Authorization", "X-API-Key", "Content-Type"]
    ),
    value=header_values,
)
def test_no_header_is_a_server_error(client: httpx.Client, name: str, value: bytes) -> None:
    sent = {"Content-Type": b"application/json", name: value.strip()}
    response = client.post("/v1/classify", content=b'{"text": "great"}', headers=sent)
    assert response.status_code in (200, 400, 415, 504)  # 504: a deadline of a millisecond


def test_a_websocket_is_refused(server: Server) -> None:
    head = (
        b"GET /v1/classify HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        status = int(connection.recv(1000).split()[1])
    assert 400 <= status < 500
    assert "Traceback" not in server.log.read_text()
