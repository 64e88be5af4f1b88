"""One JSON object a line. No ticket text, no customer and no key is ever handed to a logger."""

import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Literal

from pydantic_core import to_json

access = logging.getLogger("ticket_sentiment.access")
MAX_LINES_PER_SECOND = 100  # of access: an overload must not become one of the log


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, and the dictionary given as `extra={"fields": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return to_json(line, fallback=str).decode()


def configure() -> None:
    """Log as JSON: this package's loggers, and those that BentoML has given handlers."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    package = logging.getLogger("ticket_sentiment")
    package.handlers, package.propagate = [handler], False
    package.setLevel(logging.INFO)
    for name in ("", "bentoml", "uvicorn.error", "circus"):
        for other in logging.getLogger(name).handlers:
            other.setFormatter(handler.formatter)


def log_failure(logger: logging.Logger, what: str, error: Exception, **fields: object) -> None:
    """Log the type of an exception and where it was raised: its message could quote a ticket."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s\n%s", what, type(error).__name__, place, extra={"fields": fields})


class AccessLog:
    """A line for each request, or for each that failed; at most so many a second, the others counted."""

    def __init__(self, which: Literal["all", "errors", "none"]) -> None:
        self._lowest = {"all": 0, "errors": 500, "none": 1000}[which]
        self._second, self._lines, self._left_out = 0, 0, 0

    def write(self, status: int, request_id: str, trace_id: str, seconds: float, **fields: object) -> None:
        """Log an answered request."""
        if status < self._lowest:
            return
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > MAX_LINES_PER_SECOND:
            self._left_out += 1
            return
        line = {"status": status, "ms": round(1000 * seconds, 3), "request_id": request_id, **fields}
        if trace_id:
            line["trace_id"] = trace_id
        if self._left_out:
            line["lines_left_out"], self._left_out = self._left_out, 0
        access.log(logging.ERROR if status >= 500 else logging.INFO, "request", extra={"fields": line})
