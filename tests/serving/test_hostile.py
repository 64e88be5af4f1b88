"""Bodies, heads and connections that no friendly client sends, over real sockets to a real server.

None may be a server error, hang, or keep the service from the good ticket that comes right after it.
"""

import contextlib
import gzip
import json
import pickle
import re
import socket
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator

import pytest

from tests.support.params import params_of_tests
from tests.support.serving import Server
from ticket_sentiment.serving.protocol import MAX_HEAD_BYTES, MAX_WAITING, REST_SECONDS

SERVE = params_of_tests().serve
POSTS = ("/v1/classify", "/v1/classify/batch", "/v1/feedback")
HANG_SECONDS = 30  # of a busy machine; every bound of the service is shorter
GOOD = b'{"text": "great"}'
MB = 1_000_000


def head(*lines: str, start: str = "POST /v1/classify HTTP/1.1", json_type: bool = True) -> bytes:
    kind = ["Content-Type: application/json"] if json_type else []
    return "\r\n".join([start, "Host: x", *kind, *lines, "", ""]).encode("latin-1")


def post(body: bytes, *lines: str, path: str = POSTS[0]) -> bytes:
    return head(f"Content-Length: {len(body)}", *lines, start=f"POST {path} HTTP/1.1") + body


Answer = tuple[int, dict[str, str], bytes]


def parse(stream: bytes) -> Iterator[Answer]:
    """The whole answers in what a server sent; `100 Continue` is none."""
    while (end := stream.find(b"\r\n\r\n")) >= 0:
        first, *lines = stream[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", 0))
        body = stream[end + 4 : end + 4 + size]
        if len(body) < size:
            return
        status = int(first.split()[1])
        stream = stream[end + 4 + size :]
        if status != 100:
            yield status, headers, body


def talk(
    server: Server, pieces: Iterable[bytes], answers: int | None = 1, half_close: bool = False
) -> list[Answer]:
    """Send pieces on one connection, while reading.

    Args:
        server: whom to.
        pieces: to send, one after the other; a server that stops listening ends that.
        answers: to wait for; None: until the server closes the connection.
        half_close: say that nothing more will come.

    Raises:
        TimeoutError: it hangs.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_SECONDS) as connection:

        def send() -> None:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    connection.sendall(piece)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        stream = b""
        with contextlib.suppress(ConnectionError):
            while answers is None or len(list(parse(stream))) < answers:
                received = connection.recv(MB)
                if not received:
                    break
                stream += received
    sender.join(HANG_SECONDS)
    return list(parse(stream))


@contextlib.contextmanager
def together(server: Server, pieces: dict[str, Iterable[bytes]]) -> Iterator[dict[str, list[Answer]]]:
    """Connections at once, each until the server closes it, what comes being known after the block."""
    ended: dict[str, list[Answer]] = {}

    def wait(name: str) -> None:
        ended[name] = talk(server, pieces[name], None)

    clients = [threading.Thread(target=wait, args=(name,)) for name in pieces]
    for client in clients:
        client.start()
    yield ended
    for client in clients:
        client.join(2 * HANG_SECONDS)
    assert set(ended) == set(pieces)  # one that hung has raised in its thread


def well(server: Server) -> None:
    """The service answers a good ticket; a busy machine may refuse for a moment."""
    for _ in range(20):
        ((status, headers, body),) = talk(server, [post(GOOD)])
        if status != 503:
            break
        time.sleep(int(headers["retry-after"]))
    assert (status, json.loads(body)["label"]) == (200, "positive")
    assert "Traceback" not in server.log.read_text()


def survives(server: Server, answers: list[Answer]) -> list[int]:
    """No answer is a server error, each refusal says why, and the service is well. Returns the statuses."""
    for status, headers, body in answers:
        assert status < 500 or (status == 503 and "retry-after" in headers), (status, body)
        if status >= 400:
            error = json.loads(body)["error"]
            assert re.fullmatch(r"[a-z_]+", error["code"])
            assert error["message"]
    well(server)
    return [status for status, _, _ in answers]


# Marks of every combining class, the highest first: to sort them takes a time that grows with the square.
_CLASSES = [
    [chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code)) == n]
    for n in range(240, 0, -1)
]
DESCENDING = "".join("".join(marks) * (1 + 9000 // 56 // len(marks)) for marks in _CLASSES if marks)

BODIES: dict[str, tuple[bytes, int]] = {  # and the status that POST /v1/classify gives them
    "empty": (b"", 400),
    "white space": (b" \n\t ", 400),
    "10 MB": (b"a" * 10 * MB, 413),
    "10 MB of JSON": (b'{"text": "' + b"a" * 10 * MB + b'"}', 413),
    "NUL escaped": (b'{"text": "great\\u0000"}', 200),
    "NUL raw": (b'{"text": "great\x00"}', 400),
    "only NULs": (b"\x00" * 1000, 400),
    "lone high surrogate": (b'{"text": "great \\ud800"}', 400),
    "lone low surrogate": (b'{"text": "\\udfff great"}', 400),
    "surrogates in UTF-8": (b'{"text": "great \xed\xa0\x80"}', 400),
    "right-to-left": ('{"text": "\u202egreat\u202c \u0645\u062a\u0627\u0632 \u2067x"}'.encode(), 200),
    "combining": (b'{"text": "great a' + "\u0301".encode() * 9000 + b'"}', 200),
    "combining in the wrong order": (b'{"text": "great a' + DESCENDING.encode() + b'"}', 200),
    "100,000 tokens": (b'{"text": "' + b"great " * 100_000 + b'"}', 413),
    "as many tokens as may be": (b'{"text": "' + b"a " * (SERVE.max_text_chars // 2) + b'"}', 200),
    "deep arrays": (b"[" * 50_000 + b"]" * 50_000, 400),
    "deep objects": (b'{"text": ' * 20_000 + b"1" + b"}" * 20_000, 400),
    "deep value": (b'{"text": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
    "NaN": (b'{"text": NaN}', 422),
    "Infinity": (b'{"text": Infinity}', 422),
    "-Infinity": (b'{"text": "great", "ticket_id": -Infinity}', 422),
    "1e400": (b'{"text": 1e400}', 422),
    "a number of 10,000 digits": (b'{"text": ' + b"9" * 10_000 + b"}", 400),
    "text a number": (b'{"text": 7}', 422),
    "text null": (b'{"text": null}', 422),
    "text an object": (b'{"text": {"text": "great"}}', 422),
    "body a string": (b'"great"', 422),
    "body an array": (b'[{"text": "great"}]', 422),
    "channel an array": (b'{"text": "great", "channel": ["email"]}', 422),
    "priority an array": (b'{"text": "great", "priority": ["urgent"]}', 422),
    "customer a number": (b'{"text": "great", "customer_id": 1.5}', 422),
    "duplicate keys": (b'{"text": "terrible", "text": "great"}', 200),
    "duplicate keys of two types": (b'{"text": "great", "text": 7}', 422),
    "15,000 unknown keys": (json.dumps({f"k{n}": n for n in range(15_000)}).encode(), 422),
    "a prototype": (b'{"text": "great", "__proto__": {"x": 1}, "__class__": "os.system"}', 422),
    "two documents": (GOOD + GOOD, 400),
    "trailing comma": (b'{"text": "great",}', 400),
    "a comment": (b'{"text": "great" /* hello */}', 400),
    "single quotes": (b"{'text': 'great'}", 400),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), 400),
    "Latin-1": ('{"text": "gr\xfc\xdfe"}'.encode("latin-1"), 400),
    "pickle": (pickle.dumps({"text": "great"}), 400),
    "gzip": (gzip.compress(b"a" * MB), 400),
    "multipart": (b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\ngreat\r\n--x--\r\n', 400),
    "form": (b"text=great", 400),
    "XML": (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><text>&e;</text>', 400),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_body(server: Server, name: str) -> None:
    body, expected = BODIES[name]
    assert survives(server, talk(server, [post(body)])) == [expected]
    for path in POSTS[1:]:
        (status,) = survives(server, talk(server, [post(body, path=path)]))
        assert 400 <= status < 500


@pytest.mark.parametrize(
    "ticket",
    ['"great"', "NaN", "[[[[]]]]", '{"text": 1e400}', '{"text": "\\ud800"}', '{"text": "\\u0000"}',
     '{"text": "a", "ticket_id": "\\u0000"}', '{"text": "' + "a " * 9000 + '"}',
     '{"text": "' + "a" * 99_000 + '"}'],
    ids=lambda ticket: ticket[:24],
)  # fmt: skip
def test_a_ticket_of_a_batch_harms_no_other(server: Server, ticket: str) -> None:
    body = f'{{"tickets": [{{"text": "great"}}, {ticket}, {{"text": "terrible"}}]}}'.encode()
    answer = talk(server, [post(body, "X-Request-Timeout-Ms: 20000", path="/v1/classify/batch")])
    assert survives(server, answer) == [200]
    results = json.loads(answer[0][2])["results"]
    assert [results[0]["label"], results[2]["label"]] == ["positive", "negative"]


KINDS = {
    "none": [],
    "empty": ["Content-Type:"],
    "text": ["Content-Type: text/plain"],
    "pickle": ["Content-Type: application/vnd.bentoml+pickle"],
    "multipart": ["Content-Type: multipart/form-data; boundary=x"],
    "form": ["Content-Type: application/x-www-form-urlencoded"],
    "almost": ["Content-Type: application/jsonx"],
    "two": ["Content-Type: application/json", "Content-Type: application/vnd.bentoml+pickle"],
    "a long one": ["Content-Type: " + "application/" * 4000],
    "not ASCII": ["Content-Type: \xff\xfe"],
}


@pytest.mark.parametrize("name", KINDS)
def test_another_content_type_is_refused_unread(server: Server, name: str) -> None:
    for body in (GOOD, pickle.dumps({"text": "great"}), b"a" * 10 * MB):
        sent = head(*KINDS[name], f"Content-Length: {len(body)}", json_type=False) + body
        assert survives(server, talk(server, [sent])) == [415]


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAA")
HEADS: dict[str, tuple[bytes, set[int]]] = {
    "negative length": (head("Content-Length: -1") + GOOD, {400}),
    "a length in words": (head("Content-Length: many") + GOOD, {400}),
    "a length with a sign": (head("Content-Length: +17") + GOOD, {400}),
    "a length beyond 64 bits": (head("Content-Length: " + "9" * 30) + GOOD, {400}),
    "a length of an exabyte": (head("Content-Length: " + "9" * 18) + GOOD, {413}),
    "two lengths": (head("Content-Length: 17", "Content-Length: 5") + GOOD, {400}),
    "length and chunks": (
        head("Content-Length: 5", "Transfer-Encoding: chunked") + b"11\r\n" + GOOD + b"\r\n0\r\n\r\n", {400}),
    "no length": (head(), {400}),
    "too short a length": (post(GOOD).replace(b": 17", b": 9"), {400}),
    "unknown coding": (head("Transfer-Encoding: gzip") + gzip.compress(GOOD), {400}),
    "a chunk's size in words": (head("Transfer-Encoding: chunked") + b"zz\r\n", {400}),
    "a chunk's size beyond 64 bits": (head("Transfer-Encoding: chunked") + b"f" * 20 + b"\r\n", {400}),
    "a chunk longer than it says": (head("Transfer-Encoding: chunked") + b"1\r\n" + GOOD + b"\r\n", {400}),
    "gzip said": (post(gzip.compress(GOOD), "Content-Encoding: gzip"), {400}),
    "a header without a colon": (head("nonsense", "Content-Length: 17") + GOOD, {400}),
    "a header with NUL": (head("X-A: \x00", "Content-Length: 17") + GOOD, {400}),
    "a name with a space": (head("X A: 1", "Content-Length: 17") + GOOD, {400}),
    "a bare line feed": (post(GOOD).replace(b"\r\n", b"\n"), {200, 400}),
    "request id with another line": (post(GOOD, "X-Request-Id: a\rSet-Cookie: b"), {400}),
    "request id of 10 kB": (post(GOOD, "X-Request-Id: " + "a" * 10_000), {200}),
    "traceparent of nonsense": (post(GOOD, "traceparent: 00-\xff-x-01"), {200}),
    "a time that is none": (post(GOOD, "X-Request-Timeout-Ms: soon"), {400}),
    "no time": (post(GOOD, "X-Request-Timeout-Ms: 0"), {400}),
    "a time of nine nines": (post(GOOD, "X-Request-Timeout-Ms: 999999999"), {200}),
    "a time in Arabic digits": (post(GOOD, "X-Request-Timeout-Ms: \xd9\xa3"), {400}),
    "a key of 60 kB": (post(GOOD, "Authorization: Bearer " + "k" * 60_000), {200}),
    "100-continue": (post(GOOD, "Expect: 100-continue"), {200}),
    "another expectation": (post(GOOD, "Expect: a-miracle"), {200, 417}),
    "upgrade to HTTP/2": (post(GOOD, *UPGRADE), {200}),
    "HTTP/1.0": (post(GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"), {200}),
    "HTTP/9.9": (post(GOOD).replace(b"HTTP/1.1", b"HTTP/9.9"), {400}),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, {400}),
    "noise": (bytes(range(256)) * 40, {400}),
    "a method of its own": (post(GOOD).replace(b"POST", b"FROB"), {400}),
    "CONNECT": (b"CONNECT localhost:22 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    "TRACE": (head(start="TRACE /v1/classify HTTP/1.1"), {405}),
    "OPTIONS *": (head(start="OPTIONS * HTTP/1.1"), {400, 404}),
    "DELETE": (head(start="DELETE /v1/models HTTP/1.1"), {405}),
    "NUL in the path": (post(GOOD, path="/v1/classify%00"), {404}),
    "up and up": (post(GOOD, path="/v1/../../../../etc/passwd"), {404}),
    "up, encoded": (post(GOOD, path="/v1/%2e%2e/%2e%2e/etc/passwd"), {404}),
    "bad escapes": (post(GOOD, path="/v1/%zz%f"), {404}),
    "escapes that are no UTF-8": (post(GOOD, path="/v1/%ff%fe"), {404}),
    "a path in bytes": (post(GOOD, path="/v1/\xff"), {400, 404}),
    "two slashes": (post(GOOD, path="//v1/classify"), {400, 404}),
    "a whole address": (post(GOOD, path="http://elsewhere.example/v1/classify"), {200, 404}),
    "a query": (post(GOOD, path="/v1/classify?text=terrible&%ff=%00"), {200}),
    "a giant header": (head("X-A: " + "a" * 50 * MB), {431}),
    "a giant name": (head("X" * 5 * MB + ": a"), {431}),
    "200,000 headers": (head(*("X-A: 1" for _ in range(200_000))), {431}),
    "a giant path": (post(GOOD, path="/" + "a" * 5 * MB), {431}),
    "giant trailers": (
        head("Transfer-Encoding: chunked") + b"11\r\n" + GOOD + b"\r\n0\r\nX-A: " + b"a" * 50 * MB,
        {200, 431}),
    "a giant chunk extension": (head("Transfer-Encoding: chunked") + b"11;" + b"a" * 5 * MB, {431}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_a_head(server: Server, name: str) -> None:
    sent, expected = HEADS[name]
    statuses = survives(server, talk(server, [sent]))
    # Who goes on sending to a closed connection may lose the answer to a reset.
    assert statuses or len(sent) > MAX_HEAD_BYTES
    assert set(statuses) <= expected


def test_a_giant_head_keeps_nobody_waiting(server: Server) -> None:
    """Its time grew with the square of its size: one client could keep a worker for seconds."""

    def endless() -> Iterator[bytes]:
        yield head("X-A: ")[:-4]
        while True:
            yield b"a" * MB

    with together(server, {str(n): endless() for n in range(4)}) as ended:
        for _ in range(20):
            well(server)
    assert {status for answers in ended.values() for status, _, _ in answers} <= {431}


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    texts = ["great", "terrible", "my invoice"] * 100
    sent = [post(json.dumps({"text": text, "ticket_id": str(n)}).encode()) for n, text in enumerate(texts)]
    answers = talk(server, [b"".join(sent)], len(sent))
    assert set(survives(server, answers)) <= {200, 503}
    for n, (status, _, body) in enumerate(answers):
        assert status == 503 or json.loads(body)["ticket_id"] == str(n)
    assert len(answers) == len(sent)


def test_who_would_rather_speak_http_2_is_answered_on_a_connection_that_stays(server: Server) -> None:
    models = head(*UPGRADE, start="GET /v1/models HTTP/1.1")
    chunked = head(*UPGRADE, "Transfer-Encoding: chunked") + b"11\r\n" + GOOD + b"\r\n0\r\n\r\n"
    ticket = post(GOOD, *UPGRADE)
    for pieces in (
        [ticket + models + chunked + ticket],
        [ticket[:-9], ticket[-9:] + models, chunked, ticket],
    ):
        answers = talk(server, pieces, 4)
        assert survives(server, answers) == [200] * 4
        labels = [json.loads(body).get("label") for _, _, body in answers]
        assert labels == ["positive", None, "positive", "positive"]


def test_a_client_that_asks_and_asks_takes_up_no_room(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield head(start="GET / HTTP/1.1") * 10_000

    answers = talk(server, endless(), None)
    assert set(survives(server, answers)) <= {400, 404}
    assert len(answers) < MAX_WAITING


def test_pipelined_nonsense_ends_the_connection(server: Server) -> None:
    answers = talk(server, [post(GOOD), b"nonsense\r\n\r\n" + post(GOOD)], None)
    assert set(survives(server, answers)) <= {200, 400}
    assert answers[-1][0] == 400


def test_a_half_closed_connection_is_let_go(server: Server) -> None:
    for sent in (post(GOOD), post(GOOD)[:-1], head("Content-Length: 17")[:-2], b""):
        assert set(survives(server, talk(server, [sent], None, half_close=True))) <= {200}


def drip(data: bytes, seconds: float) -> Iterator[bytes]:
    for n in range(len(data)):
        yield data[n : n + 1]
        time.sleep(seconds)


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_does_not_come_is_waited_for_as_long_as_a_request_may_take(
    server: Server, path: str
) -> None:
    start = f"POST {path} HTTP/1.1"
    chunks = b"".join(b"1\r\na\r\n" for _ in range(100))
    for pieces in (
        [head("Content-Length: 99", start=start) + GOOD],
        [head("Transfer-Encoding: chunked", start=start), *[b"5\r\n"]],
        [head("Transfer-Encoding: chunked", start=start), *drip(chunks[:6], 0), b"1;" + b"a" * 1000],
    ):
        assert survives(server, talk(server, pieces)) == [408]
    slow = (
        piece
        for part in ([head("Transfer-Encoding: chunked", start=start)], drip(chunks, 0.1))
        for piece in part
    )
    assert survives(server, talk(server, slow)) == [408]


def test_a_connection_that_only_takes_up_room_ends(server: Server) -> None:
    refused = head("Content-Length: 5000", json_type=False)
    silent: dict[str, Iterable[bytes]] = {
        "nothing": [],
        "half a head": [head()[:-2]],
        "a head, slowly": drip(head("X-A: " + "a" * 1000), 0.1),
        "half a second head": [post(GOOD), head()[:-2]],
        "half a refused body": [refused + b"a" * 100],
        "a refused body, slowly": (part for some in ([refused], drip(b"a" * 4000, 0.1)) for part in some),
        "a refused body, then nothing": [refused, b"a" * 5000],
        "empty lines": drip(b"\r\n" * 500, 0.1),
    }
    assert REST_SECONDS < HANG_SECONDS / 2
    with together(server, silent) as ended:
        well(server)
    for name, answers in ended.items():
        expected = [415] if "refused" in name else [200] if "second" in name else []
        assert [status for status, _, _ in answers] == expected, name


def test_a_client_that_reads_no_answers_is_let_go(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_SECONDS) as connection:
        connection.sendall(head(start="GET /v1/openapi.json HTTP/1.1") * MAX_WAITING)
        well(server)
        time.sleep(1.5 * REST_SECONDS)
        stream = b""
        with contextlib.suppress(ConnectionError):
            while received := connection.recv(MB):
                stream += received
    assert 0 < len(list(parse(stream))) < MAX_WAITING
