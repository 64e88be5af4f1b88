"""The output folder: bound to one job, a part for each chunk, the manifest last.

    _job.json               what the answers depend on: input, bundle, settings, code; written first
    part-000000.parquet     the answers to chunk 0; its rejects are in the metadata, so both are there or none
    _rejects.csv            all rejects: file, row, reason
    _manifest.json          what was made, with the SHA-256 of each part; where it is, all is there

Readers of Parquet folders pass over names that begin with an underscore. There is no time of day in any of
it: equal jobs give equal bytes.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ticket_sentiment.batch.scorer import ROW, SCORED
from ticket_sentiment.batch.source import Chunk
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, replacing, sha256_file, write_json
from ticket_sentiment.labels import LABELS

JOB, MANIFEST, REJECTS, LOCK = "_job.json", "_manifest.json", "_rejects.csv", "_lock"
_PART = re.compile(r"part-(\d{6,})\.parquet")
_TEMPORARY = re.compile(r"\.(?:part-\d+\.parquet|_[a-z]+\.(?:json|csv))\.\w+")
_KEY = b"ticket_sentiment"  # in a part's metadata

ANSWERS = pa.schema(
    [
        *(field for field in SCORED if field.name not in (ROW, "reason")),
        pa.field("model_version", pa.string()),
        pa.field("bundle_digest", pa.string()),
    ]
)


def job_digest(job: Mapping[str, Any]) -> str:
    """Names a job: equal digests give equal outputs."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()


def _difference(held: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    """What is another than when the output was begun."""
    if held.get("model") != job["model"]:
        digests = [str(one.get("model", {}).get("bundle_digest"))[:12] for one in (held, job)]
        version = held.get("model", {}).get("version")
        on = f"; `--version {version}` goes on with that" if version else ""
        return f"the model is another ({digests[0]} then, {digests[1]} now{on})"
    if held.get("input") != job["input"]:
        then, now = ({file["name"]: file["sha256"] for file in one.get("input", [])} for one in (held, job))
        name = next(
            (name for name in [*then, *now] if then.get(name) != now.get(name)), "the order of the files"
        )
        return f"the input is another ({name})"
    if held.get("settings") != job["settings"]:
        then, now = held.get("settings", {}), job["settings"]
        return f"{next(key for key in now if then.get(key) != now[key])} is set otherwise"
    return "the product's code, Python, numpy, tokenizers or ONNX Runtime is of another version"


class Output:
    """An output folder that belongs to a job.

    Attributes:
        folder: where it is.
        finished: whether all of it is there.
        done: chunks whose parts are there.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any]) -> None:
        self.folder, self._job, self._digest = folder, job, job_digest(job)
        self.finished = False
        self.done: set[int] = set()

    def open(self, replace: bool = False) -> None:
        """Begin, or go on where a run of the same job was; the caller holds the folder's lock.

        Args:
            replace: throw away what another job has left here.

        Raises:
            TicketSentimentError: the folder holds another job's output, or something else.
        """
        if (self.folder / JOB).exists():
            held = self._read(JOB)
            if held is None or job_digest(held) != self._digest:
                if not replace:
                    what = f"{JOB} is damaged" if held is None else _difference(held, self._job)
                    raise TicketSentimentError(
                        f"{self.folder} holds the output of another job: {what}; "
                        "name another folder, or throw that output away with --replace"
                    )
                self._clear()
        else:
            self._require_empty()
        self._remove_temporary()
        if not (self.folder / JOB).exists():
            write_json(self.folder / JOB, self._job)
        self.done = {index for index in map(self._index, self.folder.iterdir()) if index is not None}
        self.finished = (self.folder / MANIFEST).exists() and self._is_whole()
        if not self.finished:  # nothing has said yet what the parts' bytes shall be
            self.done = {index for index in self.done if self._is_readable(self.part(index))}

    def _read(self, name: str) -> dict[str, Any] | None:
        """A JSON object of ours; None of a damaged one."""
        try:
            value = read_json(self.folder / name)
        except TicketSentimentError:
            return None
        return value if isinstance(value, dict) else None

    def _require_empty(self) -> None:
        """But for the lock, and what a job left that was killed before it was bound to the folder."""
        others = (path for path in sorted(self.folder.iterdir()) if not _TEMPORARY.fullmatch(path.name))
        other = next((path for path in others if path.name != LOCK), None)
        if other is not None:
            raise TicketSentimentError(
                f"{self.folder} holds {other.name}, which no job has made: name a new or an empty folder"
            )

    def _clear(self) -> None:
        """The manifest first, so that nothing half removed looks whole, and the job last."""
        parts = [path.name for path in self.folder.iterdir() if _PART.fullmatch(path.name)]
        for name in (MANIFEST, REJECTS, *parts, JOB):
            (self.folder / name).unlink(missing_ok=True)

    def _remove_temporary(self) -> None:
        for path in self.folder.iterdir():
            if _TEMPORARY.fullmatch(path.name):
                path.unlink()

    def _index(self, path: Path) -> int | None:
        """The chunk of a whole part of this job; another's, or half of one, is removed."""
        if not (match := _PART.fullmatch(path.name)):
            return None
        index = int(match.group(1))
        about = self._about(path)
        if about is None or (about["job"], about["chunk"]) != (self._digest, index):
            path.unlink()
            return None
        return index

    @staticmethod
    def _about(path: Path) -> dict[str, Any] | None:
        try:
            return json.loads(pq.read_metadata(path.absolute()).metadata[_KEY])  # out:1 would be an address
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def _is_readable(path: Path) -> bool:
        """Whether a part's pages have the checksums that they were written with; else it is removed."""
        try:
            pq.read_table(path.absolute(), page_checksum_verification=True)
        except (pa.ArrowException, OSError):
            path.unlink()
            return False
        return True

    def _is_whole(self) -> bool:
        """Whether what the manifest names is there; what is not is made anew."""
        parts = (self._read(MANIFEST) or {}).get("parts")
        for part in parts or ():
            path = self.folder / part["name"]
            if not path.is_file() or sha256_file(path) != part["sha256"]:
                path.unlink(missing_ok=True)
                self.done.discard(int(_PART.fullmatch(part["name"]).group(1)))
        if parts is not None and len(self.done) == len(parts) and (self.folder / REJECTS).is_file():
            return True
        (self.folder / MANIFEST).unlink()
        return False

    def part(self, index: int) -> Path:
        return self.folder / f"part-{index:06d}.parquet"

    def write(self, chunk: Chunk, scored: pa.Table) -> None:
        """Write a chunk's answers and rejects, as a whole."""
        bad = scored.filter(pc.is_valid(scored["reason"]))
        rejects = sorted(
            [*chunk.rejects, *zip(*(bad[name].to_pylist() for name in (ROW, "reason")), strict=True)]
        )
        answered = scored.filter(pc.is_null(scored["reason"]))
        model = self._job["model"]
        constant = {"model_version": model["version"], "bundle_digest": model["bundle_digest"]}
        arrays = [
            pa.repeat(pa.scalar(constant[field.name], field.type), answered.num_rows)
            if field.name in constant
            else answered[field.name]
            for field in ANSWERS
        ]
        about = {"job": self._digest, "chunk": chunk.index, "file": chunk.file, "rejects": rejects}
        with (
            replacing(self.part(chunk.index)) as temporary,
            pq.ParquetWriter(temporary, ANSWERS, compression="zstd", write_page_checksum=True) as writer,
        ):
            writer.write_table(pa.table(arrays, schema=ANSWERS))
            writer.add_key_value_metadata({_KEY: json.dumps(about)})
        self.done.add(chunk.index)

    def finish(self, chunks: int) -> dict[str, Any]:
        """Gather the rejects, then write the manifest.

        Args:
            chunks: of the whole input.

        Returns:
            The manifest.

        Raises:
            TicketSentimentError: a part is not there.
        """
        parts, labels, abstained, count = [], Counter(dict.fromkeys(LABELS, 0)), 0, 0
        with (
            replacing(self.folder / REJECTS) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["file", "row", "reason"])
            for index in range(chunks):
                path = self.part(index)
                try:
                    about = self._about(path)
                    table = pq.ParquetFile(path.absolute()).read(["label", "abstain"])
                except (pa.ArrowException, OSError):
                    about = None
                if about is None:
                    raise TicketSentimentError(
                        f"{path} is missing or damaged: run the same again to make it anew"
                    )
                writer.writerows([about["file"], row, reason] for row, reason in about["rejects"])
                count += len(about["rejects"])
                labels.update(table["label"].to_pylist())
                abstained += pc.sum(table["abstain"]).as_py() or 0
                parts.append({"name": path.name, "rows": table.num_rows, "sha256": sha256_file(path)})
        manifest = {
            "job": self._digest,
            "model": self._job["model"],
            "rows": sum(part["rows"] for part in parts),
            "labels": dict(labels),
            "abstained": abstained,
            "rejects": count,
            "parts": parts,
        }
        write_json(self.folder / MANIFEST, manifest)
        return manifest

    def manifest(self) -> dict[str, Any]:
        """Of a finished output."""
        return read_json(self.folder / MANIFEST)
