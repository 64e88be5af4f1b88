"""A registry of images in a thread: as much of the OCI distribution specification as a push asks for."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    """Blobs are taken in one or more pieces, manifests by tag."""

    server: "_Server"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing to standard error."""

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def do_GET(self) -> None:
        """The version check."""
        self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        """Whether a blob is there."""
        digest = self.path.rpartition("/")[2]
        size = len(self.server.blobs.get(digest, b""))
        self._answer(200 if size else 404, **({"Content_Length": str(size)} if size else {}))

    def do_POST(self) -> None:
        """A blob begins."""
        name = str(len(self.server.uploads))
        self.server.uploads[name] = b""
        self._answer(202, Location=f"{self.path.rstrip('/')}/{name}")

    def do_PATCH(self) -> None:
        """A piece of it."""
        self.server.uploads[self.path.rpartition("/")[2]] += self._body()
        self._answer(202, Location=self.path)

    def do_PUT(self) -> None:
        """The end of a blob, or a manifest."""
        body = self._body()
        if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.server.manifests[f"{match[1]}:{match[2]}"] = digest
        else:
            place, _, digest = self.path.partition("?digest=")
            digest = digest.replace("%3A", ":")
            self.server.blobs[digest] = self.server.uploads.pop(place.rpartition("/")[2]) + body
        self._answer(201, Docker_Content_Digest=digest, Location=self.path)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uploads: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, str] = {}


class ImageRegistry:
    """Use it as a context manager."""

    def __enter__(self) -> "ImageRegistry":
        self._server = _Server()
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    @property
    def manifests(self) -> dict[str, str]:
        """Digest by `repository:tag`."""
        return self._server.manifests

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
