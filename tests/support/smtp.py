"""A mail server for tests: takes what smtplib sends, on a port of its own."""

import socketserver
import threading
from email import message_from_bytes
from email.message import Message


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: MailServer = self.server  # type: ignore[assignment]
        self._say("220 test")
        while line := self.rfile.readline().decode().strip():
            word = line.split(":")[0].upper()
            if word.startswith("EHLO"):
                self._say("250-test", f"250 {server.offers}" if server.offers else "250 8BITMIME")
            elif word == "RCPT TO":
                self._say("550 nobody" if any(name in line for name in server.refused) else "250 ok")
            elif word == "DATA":
                self._say("354 go on")
                data = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    data += part
                server.mails.append(message_from_bytes(data))
                if server.silent:
                    server.release.wait(30)
                self._say("250 taken")
            elif word == "QUIT":
                self._say(server.goodbye)
                return
            else:
                server.commands.append(line)
                self._say("250 ok")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class MailServer(socketserver.ThreadingTCPServer):
    """Use it as a context manager; `mails` holds what came."""

    daemon_threads = True

    def __init__(
        self, refused: tuple[str, ...] = (), offers: str = "", silent: bool = False, goodbye: str = "221 bye"
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused, self.offers, self.silent, self.goodbye = refused, offers, silent, goodbye
        self.release = threading.Event()
        self.mails: list[Message] = []
        self.commands: list[str] = []

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "MailServer":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.shutdown()
        self.server_close()
