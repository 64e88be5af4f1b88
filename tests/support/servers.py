"""Real database and cache servers for tests: started on a free port, stopped, frozen, started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.serving import free_port


def _wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not listen on {port}")


class RedisServer:
    """redis-server without persistence: what it held is gone after a stop."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed: the shared cache is not tested")
        self.port, self._folder, self._program = free_port(), folder, program
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [self._program, *arguments], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        _wait_for_port(self.port, self._process)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class PostgresServer:
    """A PostgreSQL cluster in a temporary folder; as root it runs as another user, because it must."""

    PASSWORD = "s3cr3t-canary"

    def __init__(self) -> None:
        places = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
        found = [Path(place) for place in places if place and Path(place).exists()]
        if not found:
            pytest.skip("PostgreSQL's initdb is not installed: the event database is tested on SQLite alone")
        self._programs = found[-1].resolve().parent
        self._user = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
        if self._user:
            shutil.chown(self._folder, **self._user)
        self.port = free_port()
        password = self._folder / "password"
        password.write_text(self.PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-D", f"{self._folder}/data", "-U", "tickets", "-A", "scram-sha-256", "-N",
            "--pwfile", str(password), "-E", "UTF8", "--locale", "C",
        )  # fmt: skip
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], check=True, capture_output=True, cwd=self._folder,
            **self._user,
        )  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://tickets:{self.PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                self._programs / "postgres", "-D", f"{self._folder}/data", "-p", str(self.port),
                "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder, **self._user,
        )  # fmt: skip
        _wait_for_port(self.port, self._process)
        self._wait_for_answer()  # it listens before it has recovered, and refuses until then

    def _wait_for_answer(self, seconds: float = 30) -> None:
        url = self.url().replace("+psycopg", "")
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(url, connect_timeout=10).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def freeze(self) -> None:
        """It holds its connections and says nothing, as where its disk hangs."""
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children()):
            process.suspend()

    def thaw(self) -> None:
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children()):
            process.resume()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # fast shutdown: sessions are cut off
        self._process.wait(30)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once, without writing what nobody will read
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)
