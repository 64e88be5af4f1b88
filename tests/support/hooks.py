"""A webhook's receiver for tests."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Hook = self.server  # type: ignore[assignment]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.bodies.append(json.loads(body))
        if server.silent:
            server.release.wait(30)
            return
        self.send_response(server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"what a server says is nobody's business")

    def log_message(self, *_: Any) -> None:
        pass


class Hook(ThreadingHTTPServer):
    """Use it as a context manager; `bodies` holds what came."""

    daemon_threads = True

    def __init__(self, status: int = 200, silent: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.silent, self.release = status, silent, threading.Event()
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/T0/B0/secret-word"

    def __enter__(self) -> "Hook":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.shutdown()
        self.server_close()
