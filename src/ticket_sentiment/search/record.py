"""models/frontier/points.json: what every point gave for each seed, and how fast the first seed's are.

It is kept in git beside the frontier that is made of it. A search takes hours: on another machine, after a
spot instance was taken away, it goes on from here, without the bundles that the one before had made.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, write_json
from ticket_sentiment.model.frontier import FRONTIER
from ticket_sentiment.search.points import Job, Result
from ticket_sentiment.search.speed import Speed

RECORD = FRONTIER.with_name("points.json")


@dataclass(frozen=True)
class Speeds:
    """How fast the points were beside each other, in one process."""

    cpu: str
    measured_on: str
    settings: dict[str, int]  # `benchmark` of params.yaml
    points: dict[str, Speed]  # by the name of the point


@dataclass
class Record:
    """What was found with one set of knobs, tickets and code.

    Args:
        settings: the search's key.
        seeds: results by seed and name of the point.
        speeds: of the first seed's points; None until they are all made.
    """

    settings: str
    seeds: dict[int, dict[str, Result]] = field(default_factory=dict)
    speeds: Speeds | None = None

    def of(self, jobs: Iterable[Job]) -> dict[Job, Result]:
        """The results of these jobs, as far as there are any."""
        found = {job: self.seeds.get(job.seed, {}).get(job.name) for job in jobs}
        return {job: result for job, result in found.items() if result is not None}

    def add(self, job: Job, result: Result) -> None:
        """Note what a job gave."""
        self.seeds.setdefault(job.seed, {})[job.name] = result

    def forget(self, seed: int) -> None:
        """Have all points of a seed made again."""
        self.seeds.pop(seed, None)

    def speeds_of(self, jobs: Iterable[Job], settings: dict[str, int]) -> Speeds | None:
        """The speeds, if every one of these jobs' points was measured, and with these settings."""
        found = self.speeds
        if found is None or found.settings != settings:
            return None
        return found if all(job.name in found.points for job in jobs) else None


def read_record(path: Path, settings: str) -> Record:
    """What is known of this search; nothing, if what lies there is of other knobs, tickets or code.

    Raises:
        TicketSentimentError: the file is not as it should be; the message names the place in it.
    """
    if not path.is_file():
        return Record(settings)
    remedy = "fetch it again from git, or remove it to have every point made anew"
    try:
        record = TypeAdapter(Record).validate_python(read_json(path, remedy))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TicketSentimentError(f"{path}: {where}: {first['msg']}: {remedy}") from None
    if record.settings == settings:
        return record
    points = sum(len(found) for found in record.seeds.values())
    print(f"{path}: its {points} points are of other knobs, tickets or code: all are made anew", flush=True)
    return Record(settings)


def write_record(record: Record, path: Path) -> None:
    """Write points.json as a whole."""
    write_json(path, asdict(record))
