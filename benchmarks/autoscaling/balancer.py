"""HAProxy as the cluster's Service: it asks /readyz, and learns of pods by its socket."""

import asyncio
import shutil
import subprocess
from pathlib import Path

from tests.support.serving import free_port
from ticket_sentiment.processes import die_with_parent

SLOTS = 12
START_S = 10.0
# - Checks every 200 ms, of which three must fail: the service says 503 from the first moment of a stop, and
#   listens for another second. A check may take its time, as a busy pod is none that stops; by default one
#   that takes longer than the interval has failed.
# - A request is sent again only when no connection came about, so never one that a pod may have read.
# - Idle connections to pods end after 2 s, before the service ends them itself (5 s): a request that meets a
#   connection in its last moment would be lost.
CONFIGURATION = """
global
    stats socket {socket} mode 600 level admin
    maxconn 2000
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    timeout check 10s
    retries 3
    option redispatch 1
    retry-on conn-failure
frontend front
    bind 127.0.0.1:{port}
    default_backend pods
backend pods
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 200ms fall 3 rise 1 pool-purge-delay 2s
    server-template pod {slots} 127.0.0.1:1 disabled
"""


def program() -> str | None:
    """Where HAProxy is; None where it is not."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


class Balancer:
    """An HAProxy of our own; use it as an asynchronous context manager."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder, self._socket = folder, folder / "haproxy.sock"
        self._slots: dict[int, int] = {}  # port of a pod: its slot

    async def __aenter__(self) -> "Balancer":
        found = program()
        if found is None:
            raise RuntimeError("haproxy is not installed")
        file = self._folder / "haproxy.cfg"
        file.write_text(CONFIGURATION.format(socket=self._socket, port=self.port, slots=SLOTS))
        with (self._folder / "haproxy.log").open("wb") as log:
            self._process = subprocess.Popen(
                [found, "-db", "-f", str(file)], stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        for _ in range(int(START_S / 0.05)):
            if self._socket.exists():
                return self
            await asyncio.sleep(0.05)
        raise RuntimeError(f"haproxy did not start:\n{(self._folder / 'haproxy.log').read_text()}")

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, START_S)

    async def add(self, port: int) -> None:
        """A pod that is ready gets requests from now on."""
        slot = next(number for number in range(1, SLOTS + 1) if number not in self._slots.values())
        self._slots[port] = slot
        await self._say(f"set server pods/pod{slot} addr 127.0.0.1 port {port}")
        await self._say(f"enable health pods/pod{slot}")
        await self._say(f"set server pods/pod{slot} state ready")

    async def drain(self, port: int) -> None:
        """No new requests to a pod; those that it has go on."""
        await self._say(f"set server pods/pod{self._slots[port]} state drain")

    async def remove(self, port: int) -> None:
        """A pod that has ended."""
        if port in self._slots:
            await self._say(f"set server pods/pod{self._slots.pop(port)} state maint")

    async def _say(self, command: str) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        writer.write(f"{command}\n".encode())
        answer = (await reader.read()).decode().strip()
        writer.close()
        if answer and "changed" not in answer and "no need to change" not in answer:
            raise RuntimeError(f"haproxy: {command}: {answer}")
