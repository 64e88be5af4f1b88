"""A page in headless Chromium, driven over its debugging protocol; and a server of static files."""

import contextlib
import functools
import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.browser import browser

SECONDS = 120  # for one answer, on a busy machine


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    """Ends with its connections: on one that a browser opened in advance it would answer after its end."""

    def __init__(self, *arguments: Any) -> None:
        self._accepted: list[socket.socket] = []
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        self._accepted.append(connection)
        return connection, client

    def server_close(self) -> None:
        super().server_close()
        for connection in self._accepted:
            with contextlib.suppress(OSError):  # most are closed already
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def static_server(folder: Path) -> Iterator[str]:
    """Serve a folder on localhost; yields its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._last = connection, 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol and its result; events are passed over."""
        self._last += 1
        self._connection.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while (answer := json.loads(self._connection.recv(timeout=SECONDS))).get("id") != self._last:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"]["description"]
        return answer["result"].get("value")

    def open(self, address: str) -> None:
        """Go to an address and wait until its scripts have begun."""
        self._go("Page.navigate", url=address)

    def reload_hard(self) -> None:
        """As with Shift: past every cache, a service worker's too."""
        self._go("Page.reload", ignoreCache=True)

    def _go(self, method: str, **params: Any) -> None:
        self.evaluate("globalThis.isBefore = true")
        self.call(method, **params)
        self.wait(
            "!globalThis.isBefore && document.readyState === 'complete' && !!globalThis.ticketSentiment"
        )

    def wait(self, condition: str) -> None:
        """Until an expression in the page is true."""
        end = time.monotonic() + SECONDS
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)


@contextlib.contextmanager
def tab(profile: Path) -> Iterator[Page]:
    """Chromium with a profile folder of its own; ended with its children."""
    command = [
        browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file, end = profile / "DevToolsActivePort", time.monotonic() + SECONDS
        while not (port_file.is_file() and (lines := port_file.read_text().splitlines())):
            assert process.poll() is None and time.monotonic() < end, "Chromium does not start"
            time.sleep(0.05)
        with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
            (target,) = [item for item in json.load(answer) if item["type"] == "page"]
        with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait()
