"""What was told lately, so that a trouble that lasts is not told every hour. A small file each, no lock."""

import contextlib
import json
import time
from hashlib import sha256
from pathlib import Path

from ticket_sentiment.alerts.alert import RANK, Alert
from ticket_sentiment.files import write_json
from ticket_sentiment.params import Alerts


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

    def hours_since(self, alert: Alert) -> float | None:
        """How long ago the same was told; None where it must be told now.

        That is so, too, when it is worse than it was, or when what is remembered cannot be read or is of a
        time to come.
        """
        try:
            told = json.loads(self._path(alert).read_text())
            seconds, worse = time.time() - told["at"], RANK[alert.severity] > RANK[told["severity"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if worse or not 0 <= seconds < self._seconds else seconds / 3600

    def remember(self, alert: Alert) -> None:
        """It was told now.

        Raises:
            OSError: the folder cannot be written.
        """
        now = time.time()
        for path in self._folder.glob("*.json"):
            if now - path.stat().st_mtime > self._seconds:
                path.unlink(missing_ok=True)
        content = {"at": now, "key": alert.key, "name": alert.name, "severity": alert.severity}
        write_json(self._path(alert), content)

    def forget(self, beginning: str, hours: float) -> None:
        """What was told of keys with this beginning is over; told in the last `hours` it is still remembered.

        So that what comes and goes every minute is not told every minute.
        """
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                told = json.loads(path.read_text())
                if told["key"].startswith(beginning) and time.time() - told["at"] > hours * 3600:
                    path.unlink()
