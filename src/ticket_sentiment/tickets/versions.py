"""The folders of months under DVC: what is versioned is brought back, never lost, never changed unasked."""

import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.tickets.dvc import data_status, has_remote, require, run_dvc
from ticket_sentiment.tickets.schema import MONTH_FILE, TICKET_TABLE, Table

ERASING = Path("var/erasing.json")  # there while an erasure is under way, or was killed


class MonthVersions:
    """The DVC side of a folder of months in one repository."""

    def __init__(self, root: Path, kind: Table = TICKET_TABLE, erasing: bool = False) -> None:
        """Find the repository, before anything is read.

        Args:
            root: of the repository.
            kind: of the table.
            erasing: whether it is the erasure itself that asks.

        Raises:
            TicketSentimentError: there is no DVC repository, or an erasure was killed.
        """
        if not (root / ".dvc").is_dir():
            raise TicketSentimentError(
                f"{root.resolve()} is no DVC repository: run from the repository's root, or `dvc init` first"
            )
        if not erasing and (root / ERASING).is_file():
            raise TicketSentimentError(
                f"{ERASING}: an erasure is under way or was killed: wait for its end, or finish it with "
                "`ticket-sentiment erase`"
            )
        self.root = root
        self.kind = kind
        self._folder, self._pointer = kind.folder.as_posix(), kind.pointer.as_posix()

    def _dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_dvc(self.root, *arguments)

    def _status(self) -> dict[str, set[str]]:
        """Months on disk against the versioned ones: added, modified, deleted; `folder` when the list of
        versioned months itself is not at hand; `uncached`: those whose versioned file is not in the cache."""
        report = data_status(self.root, self._folder)
        uncommitted = report.get("uncommitted", {})
        folder = PurePosixPath(self._folder)
        found: dict[str, set[str]] = {"folder": set()}
        for kind in ("added", "modified", "deleted", "unknown"):
            paths = [PurePosixPath(path) for path in uncommitted.get(kind, [])]
            ours = {path.name for path in paths if path.parent == folder}
            found[kind] = {name.removesuffix(".parquet") for name in ours if MONTH_FILE.match(name)}
            if kind != "added" and folder in paths:
                found["folder"].add(kind)
        uncached = {PurePosixPath(path) for path in report.get("not_in_cache", [])}
        found["uncached"] = {path.stem for path in uncached if path.parent == folder}
        unlisted = self._folder in {path.rstrip("/") for path in report.get("not_in_cache", [])}
        if unlisted and found["folder"]:
            found["folder"].add("unlisted")
        return found

    def restore_missing(self, besides: Collection[str] = ()) -> dict[str, set[str]]:
        """Bring back versioned months that are not on disk, from the cache, else from the remote.

        Months that are there are not touched.

        Args:
            besides: months that need not come back.

        Returns:
            Months on disk that are not as versioned: `added`, `modified`, and more; all empty when the
            versioned state lies there. {"added": {"all"}} when nothing has been versioned yet.

        Raises:
            Unavailable: the remote did not bring them; going on would lose them.
            TicketSentimentError: there is no remote either.
        """
        if not (self.root / self._pointer).is_file():
            return {"added": {"all"}, "modified": set()}
        status = self._status()
        if "unlisted" in status["folder"] or status["deleted"].difference(besides) & status["uncached"]:
            self._dvc("fetch", self._pointer)  # ends with 0 without a remote, so look again
            status = self._status()
        missing = status["deleted"].difference(besides)
        # A checkout of which one file is nowhere removes the whole folder: so not where one is.
        if not missing & status["uncached"] and (missing or "deleted" in status["folder"]):
            whole = "deleted" in status["folder"] and missing == status["deleted"]
            months = (f"{self._folder}/{month}.parquet" for month in sorted(missing))
            self._dvc("checkout", *([self._pointer] if whole else months))
            status = self._status()
            missing = status["deleted"].difference(besides)
        if missing or "unlisted" in status["folder"]:
            gone = sorted(missing & status["uncached"] or missing)
            lost = ", ".join(gone) or "months"
            dropping = " ".join(f"--drop {self.kind.replace.format(month=month)}" for month in gone)
            kind = Unavailable if has_remote(self.root) else TicketSentimentError
            raise kind(
                f"{self._pointer}: {lost} neither on disk nor in DVC's cache, and no remote brought them: "
                "set the remote that holds them (`dvc remote default NAME`), see that "
                f"`dvc pull {self._pointer}` works, and run again"
                + (f"; or go on without: `ticket-sentiment collect {dropping}`" if gone else "")
            )
        return status

    def add(self) -> None:
        """`dvc add` of the folder.

        Raises:
            TicketSentimentError: DVC refuses; what was collected stays, and a second run goes on from there.
        """
        done = self._dvc("add", "--quiet", self._folder)
        require(done, f"dvc add {self._folder} failed", "correct that and run again")

    def push(self) -> None:
        """`dvc push` of the folder where a default remote is configured.

        Raises:
            Unavailable: the remote did not take it; a second run goes on from there.
        """
        if has_remote(self.root):
            done = self._dvc("push", "--quiet", self._pointer)
            require(
                done,
                f"{self._folder} is collected and versioned here, but dvc push failed",
                "check the remote (`dvc remote list`) and its credentials and run again",
                Unavailable,
            )

    def refuse_modified(self, status: dict[str, set[str]], allowed: Iterable[str]) -> None:
        """Refuse when a month on disk is not what was versioned and is not about to be replaced.

        Args:
            status: what `restore_missing` returned.
            allowed: months that may be replaced.

        Raises:
            TicketSentimentError: naming the months and both remedies.
        """
        modified = sorted(status["modified"] - set(allowed))
        if modified:
            paths = " ".join(f"{self._folder}/{month}.parquet" for month in modified)
            replacing = " ".join(f"--replace {self.kind.replace.format(month=month)}" for month in modified)
            raise TicketSentimentError(
                f"{paths} is not what {self._pointer} has versioned: restore it with "
                f"`dvc checkout --force {paths}`, or run `ticket-sentiment collect {replacing}`"
            )
