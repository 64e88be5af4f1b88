"""The rollout state that a service read last, for a worker that starts while the database is away."""

import logging
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from ticket_sentiment.files import write_text
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving.logs import log_failure

logger = logging.getLogger(__name__)

_ADAPTER = TypeAdapter(RolloutState)


class LastState:
    """Reads the state from the database, and keeps it in a folder that all workers of the service share."""

    def __init__(self, read: Callable[[], RolloutState | None], folder: Path) -> None:
        """Prepare.

        Args:
            read: of the database; raises where that is away.
            folder: that the workers share.
        """
        self._read, self._path = read, folder / "rollout.json"
        self._kept: RolloutState | None = None
        self._failed = False

    def read(self) -> RolloutState | None:
        """The database's state, which is kept; raises as the database does."""
        state = self._read()
        if state is not None and state != self._kept:
            try:
                write_text(self._path, _ADAPTER.dump_json(state).decode())
            except OSError as error:  # as of a full disk: this worker knows it, and the next poll tries again
                if not self._failed:
                    log_failure(logger, "the rollout state could not be kept for later workers", error)
                self._failed = True
            else:
                self._kept, self._failed = state, False
        return state

    def first(self) -> RolloutState | None:
        """At a start: the database's state, or where that is away the one kept; None where there is none."""
        try:
            return self.read()
        except Exception:  # of any database driver; the poll says what is wrong, and tries again
            if not self._path.exists():
                return None
            state = _ADAPTER.validate_json(self._path.read_bytes())
        logger.warning("rollout epoch %d is taken from the workers that were here before", state.epoch)
        return state
