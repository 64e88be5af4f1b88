"""Timing: all servers of a comparison take turns, in a new random order in each round."""

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count

from benchmarks.serving.load import Plan, Window, drive
from benchmarks.serving.peers import Peer
from benchmarks.serving.servers import post

AGREE = 0.9  # of the sample texts: int8 may move a ticket that was on the edge
PAUSE = 0.3


@dataclass(frozen=True)
class Settings:
    """Of a whole run: `seconds` of a window, and how many rounds of windows."""

    seconds: float
    rounds: int
    warm_up: float


@dataclass
class Row:
    """A server's windows, one a round; processor time in milliseconds a request."""

    windows: list[Window] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    memory_mb: float = 0.0

    def median(self, what: str) -> float:
        """Of a figure of the windows."""
        return statistics.median(getattr(window, what) for window in self.windows)

    def spread(self, what: str) -> tuple[float, float]:
        """Lowest and highest of it."""
        values = [getattr(window, what) for window in self.windows]
        return min(values), max(values)

    @property
    def errors(self) -> dict[str, int]:
        """All that was no answer."""
        total: dict[str, int] = {}
        for window in self.windows:
            for kind, number in window.errors.items():
                total[kind] = total.get(kind, 0) + number
        return total


Table = dict[str, Row]
_next_text = count(0, 200_000)  # no window sends what another has sent


@contextmanager
def running(peers: Sequence[Peer]) -> Iterator[None]:
    """Start all, check their answers, and freeze them.

    Raises:
        RuntimeError: one does not start, or answers otherwise than its model.
    """
    with ExitStack() as stack:
        for peer in peers:
            stack.enter_context(peer)
            check(peer)
            if peer.freezes:
                peer.server.freeze()  # type: ignore[union-attr]
        yield


def check(peer: Peer) -> None:
    """Ask for the sample texts: who answers nonsense may do so quickly.

    Raises:
        RuntimeError: too many labels are not those of the model.
    """
    expected = peer.assets.expected.get(peer.model)
    if expected is None:  # a constant
        return
    texts = peer.assets.samples
    labels = [peer.label(post(peer.port, peer.path, peer.body(text), peer.headers)) for text in texts]
    same = sum(own == label for own, label in zip(labels, expected, strict=True))
    if same < AGREE * len(texts):
        raise RuntimeError(f"{peer.name}: {same} of {len(texts)} labels are those of its model")


def measure(peers: Sequence[Peer], connections: int, settings: Settings, **plan: float) -> Table:
    """Time the servers of `running`.

    Args:
        peers: that take turns.
        connections: of each.
        settings: of the run.
        **plan: further fields of load.Plan.
    """
    table: Table = {peer.name: Row() for peer in peers}
    for number in range(settings.rounds):
        order = list(peers)
        random.Random(number).shuffle(order)
        for peer in order:
            _window(peer, connections, settings, plan, table[peer.name])
    return table


def _window(peer: Peer, connections: int, settings: Settings, plan: Mapping[str, float], row: Row) -> None:
    server = peer.server
    assert server is not None
    server.thaw()
    time.sleep(PAUSE)
    cpu = server.cpu()
    window = drive(
        Plan(
            peer.port, peer.path, peer.template, str(peer.assets.texts), peer.headers, connections,
            settings.seconds, settings.warm_up, next(_next_text), **plan,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    row.windows.append(window)
    row.cpu_ms.append(1000 * (server.cpu() - cpu) / max(window.sent, 1))
    row.memory_mb = server.memory_mb()
    if peer.freezes:
        server.freeze()


def ratios(table: Table, ours: str, theirs: str, what: str = "rps") -> list[float]:
    """Ours by theirs, within each round."""
    pairs = zip(table[ours].windows, table[theirs].windows, strict=True)
    return [getattr(own, what) / getattr(other, what) for own, other in pairs]
