"""The one kind of error that a person is meant to read."""

import errno
import socket


class TicketSentimentError(Exception):
    """A problem that a person can fix.

    The message is one line that names what was wrong, where (file, row, column, key), what was
    expected and what to do. The command line prints it without a traceback and exits with 2.
    It never carries ticket text, a customer's name or a secret.
    """


class Unavailable(TicketSentimentError):
    """What was asked is away just now: a source, a registry, a remote. It may be back, so flows try again."""


def is_away(error: BaseException | None) -> bool:
    """Whether a failure, or one that it came of, is of a connection or of a server that cannot answer now.

    The clients of clouds, hubs and databases each have classes of their own; below them all are Python's.
    """
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError | socket.gaierror) or _status(error) >= 500:
            return True
        error = error.__cause__ or error.__context__
    return False


# What a person must put right. Others, as of a share that is not there for a moment, may pass.
REFUSED = (
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ENOSPC,
    errno.EDQUOT,
)  # fmt: skip


def of_files(error: BaseException) -> str | None:
    """What to say of a file, folder or disk that the system refuses; None of another error."""
    if not isinstance(error, OSError) or isinstance(error, ConnectionError | TimeoutError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'a file'} cannot be written: {error.strerror}: make room and run again"
    if error.errno is None or not error.filename:  # HTTP's errors have a file name, which is their address
        return None
    return f"{error.filename}: {error.strerror}: see that it is there and may be read or written"


def reason(error: BaseException) -> str:
    """What failed, in words that hold no value, address or statement: the class and a database's own code."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's errors hold the driver's
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__}{f' {code}' if code else ''}"


def _status(error: BaseException) -> int:
    """Of HTTP, as requests, httpx and botocore keep it; too many requests count as a server's trouble."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if not isinstance(status, int):
        return 0
    return 503 if status == 429 else status
