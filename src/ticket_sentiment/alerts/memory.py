"""What was told lately, and which way still has to hear it. A small file for each alert, no lock.

So a trouble that lasts is not told every hour, and one that a dead way did not take is told when it is back.
"""

import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ticket_sentiment.alerts.alert import RANK, Alert
from ticket_sentiment.files import write_json
from ticket_sentiment.params import Alerts

OWED_S = 7 * 86400.0  # that an alert is still sent to a way that did not take it
OWED_MOST = 50  # alerts that wait for a way: of more the oldest are dropped
AT_ONCE = 10  # of them in one run


@dataclass
class Told:
    """An alert, and which ways have it.

    Attributes:
        alert: as it was told first.
        at: when that was, in seconds since 1970.
        seen: when the same was there last, likewise.
        ways: by name when each is asked next, likewise; None where it has the alert.
        kept: whether it was read from the memory.
    """

    alert: Alert
    at: float
    seen: float
    ways: dict[str, float | None]
    kept: bool = False

    @property
    def raised(self) -> str:
        """`at`, for a person."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M} UTC"

    @property
    def heard(self) -> bool:
        """Whether any way has it."""
        return None in self.ways.values()

    @property
    def next(self) -> float | None:
        """When the first of the ways that do not have it is asked; None where all have it."""
        return min((at for at in self.ways.values() if at is not None), default=None)

    def due(self, now: float) -> set[str]:
        """Ways that are to be asked by now."""
        return {name for name, at in self.ways.items() if at is not None and at <= now}


class Memory:
    """A folder with a file for each key that was told."""

    def __init__(self, folder: Path, repeat_hours: float) -> None:
        self._folder, self._seconds = folder, repeat_hours * 3600

    @classmethod
    def of(cls, settings: Alerts) -> "Memory":
        """That of section `alerts`."""
        return cls(Path(settings.memory), settings.repeat_hours)

    def _path(self, alert: Alert) -> Path:
        return self._folder / f"{sha256(alert.key.encode()).hexdigest()[:32]}.json"

    def find(self, alert: Alert) -> Told | None:
        """The same as it was told within `repeat_hours`; None where it must be told now.

        That is so, too, when it is worse than it was, or when what is remembered cannot be read or is of a
        time to come.
        """
        told = _read(self._path(alert))
        if told is None or RANK[alert.severity] > RANK[told.alert.severity]:
            return None
        return told if 0 <= time.time() - told.at < self._seconds else None

    def owed(self, ways: Collection[str], but: Alert | None = None) -> list[Told]:
        """Alerts that one of these ways is to be asked for by now, those that wait the longest first."""
        now, skipped = time.time(), self._path(but) if but else None
        found = [
            told
            for path, told in self._all()
            if told and path != skipped and 0 <= now - told.at < OWED_S and not told.due(now).isdisjoint(ways)
        ]
        return sorted(found, key=lambda told: told.next or 0.0)[:AT_ONCE]

    def keep(self, told: Told) -> None:
        """Remember it as it is now.

        Raises:
            OSError: the folder cannot be written.
        """
        content = {"at": told.at, "seen": told.seen, "ways": told.ways, "alert": asdict(told.alert)}
        write_json(self._path(told.alert), content)
        if not told.kept:
            self._tidy()

    def _tidy(self) -> None:
        """Drop what is remembered no longer, and of what is owed to a way what is too old or too much."""
        now, over, waiting = time.time(), [], []
        for path, told in self._all():
            is_owed = told is not None and told.next is not None
            if told is None or not 0 <= now - told.at <= max(self._seconds, OWED_S if is_owed else 0.0):
                over.append(path)
            elif is_owed:
                waiting.append((told.at, path))
        over += [path for _, path in sorted(waiting, reverse=True)[OWED_MOST:]]
        _remove(over)

    def forget(self, beginning: str, hours: float) -> None:
        """What was told of keys with this beginning is over; told in the last `hours` it is still remembered.

        So that what comes and goes every minute is not told every minute.
        """
        self._drop(beginning, lambda told: time.time() - told.at > hours * 3600)

    def forget_gone(self, beginning: str) -> None:
        """Of keys with this beginning, what nobody has seen for half of `repeat_hours` is over."""
        self._drop(beginning, lambda told: time.time() - told.seen > self._seconds / 2)

    def _drop(self, beginning: str, over: Callable[[Told], bool]) -> None:
        _remove(
            path for path, told in self._all() if told and told.alert.key.startswith(beginning) and over(told)
        )

    def _all(self) -> list[tuple[Path, Told | None]]:
        return [(path, _read(path)) for path in sorted(self._folder.glob("*.json"))]


def _read(path: Path) -> Told | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        alert = Alert(**{**held["alert"], "details": tuple(held["alert"]["details"])})
        ways = {name: None if at is None else float(at) for name, at in held["ways"].items()}
        return Told(alert, float(held["at"]), float(held["seen"]), ways, kept=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
