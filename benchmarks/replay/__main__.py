"""The whole loop over months of the demo, live: traffic, drift, retraining, rollout, month after month.

    make replay                                    # or: python -m benchmarks.replay [--months 3] [--anew]
    python -m benchmarks.replay --short            # tiny model, made-up words: six minutes; var/replay-short

In var/replay: a project of its own, real MLflow and Prefect servers, the real service. The first model is
made of the first months. Then each month's tickets reach the service in three minutes, people's labels come
after half a day, the rollout flow looks twice a day; the month over, the monthly flow retrains, and what it
registers is rolled out over the next month's tickets. var/replay/replay.html shows what customers got, beside
what the first model would have answered. Interrupted while it learns from a month, the same command goes on;
interrupted in a month's traffic it must be begun --anew, as a rollout goes on by the clock.
"""

import argparse
import datetime
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from benchmarks.live.stack import REPOSITORY, Stack
from benchmarks.replay.desk import Desk, demo_desk, short_desk
from benchmarks.replay.month import Player, Retrained, Served, Step
from benchmarks.replay.page import lines, write_page
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import exclusive, read_json, write_json
from ticket_sentiment.gates.benchmark import machine
from ticket_sentiment.params import load_params

FOLDER, SHORT_FOLDER = REPOSITORY / "var/replay", REPOSITORY / "var/replay-short"
KNOWN = 3  # months of which the first model is made: one to learn from, one to tune, one to judge on
Record = TypeVar("Record", Served, Retrained)


def _kept(path: Path, kind: type[Record], make: Callable[[], Record]) -> Record:
    """A record that is there, or the one that is made now and kept."""
    if path.is_file():
        raw = read_json(path)
        for name, value in raw.items():
            if isinstance(value, list):
                raw[name] = tuple(Step(**item) if isinstance(item, dict) else item for item in value)
        return kind(**raw)
    made = make()
    write_json(path, asdict(made))
    return made


def play(folder: Path, desk: Desk, say: Callable[[str], None]) -> tuple[list[Served], list[Retrained]]:
    """Play all months of a desk that are not played yet; what became of all of them."""
    root, months, whole = folder / "project", folder / "months", folder / "desk.json"
    told = json.loads(json.dumps(desk.told))
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        months.mkdir(parents=True)
        desk.project(root, load_params(REPOSITORY / "params.yaml"))
        write_json(whole, told)
    elif read_json(whole) != told:
        raise TicketSentimentError(
            f"{folder} holds the replay of another desk: run with --anew or another --folder"
        )
    stack = Stack(root, {})
    os.environ.update(stack.environment)
    os.chdir(root)  # flows read params.yaml where they run
    try:
        stack.start_servers()
        player = Player(stack, desk, folder / "first", say)
        return _play(player, desk, months, say)
    finally:
        stack.close()


def _play(
    player: Player, desk: Desk, months: Path, say: Callable[[str], None]
) -> tuple[list[Served], list[Retrained]]:
    def retrain(month: str) -> Retrained:
        made = _kept(months / f"{month}-retrained.json", Retrained, lambda: player.retrain(month))
        version = f"version {made.version}" if made.version else "no version"
        say(f"{month}: {version}, the gate says {made.decision}; {made.drift}")
        return made

    first = retrain(list(desk.months)[desk.known - 1])
    player.install_first(first)
    player.stack.start_service()
    served, retrained = [], [first]
    for month in desk.played:
        one = _kept(months / f"{month}-served.json", Served, lambda month=month: player.serve(month))
        say(f"{month}: macro-F1 {one.live['value']:.3f}, without retraining {one.first['value']:.3f}")
        served.append(one)
        if month != desk.played[-1]:
            desk.export(month, player.stack.root)
            retrained.append(retrain(month))
    return served, retrained


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where it is played (var/replay)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--months", type=int, default=3, help="to retrain on, at most 6")
    form.add_argument("--short", action="store_true", help="the way in minutes, not the quality")
    parser.add_argument(
        "--anew", action="store_true", help="from the beginning, not where it was interrupted"
    )
    arguments = parser.parse_args()
    quiet_environment()
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder, began = arguments.folder or (SHORT_FOLDER if arguments.short else FOLDER), time.monotonic()
    folder = folder.resolve()

    def say(text: str) -> None:
        print(f"{(time.monotonic() - began) / 60:5.1f} min  {text}", flush=True)

    if not 1 <= arguments.months <= 6:
        parser.error("--months: 1 to 6, the demo has ten and three are known when it begins")
    try:
        with exclusive(folder.with_suffix(".lock"), "a replay"):
            if arguments.anew:
                (folder / "desk.json").unlink(missing_ok=True)  # then the rest is laid out anew
            desk = short_desk() if arguments.short else demo_desk(KNOWN, arguments.months + 1)
            served, retrained = play(folder, desk, say)
    except (TicketSentimentError, RuntimeError) as error:  # RuntimeError: a server or a flow, with its log
        print(f"error: {error}", file=sys.stderr)
        return 2
    about = machine()
    write_page(desk, served, retrained, folder / "pages", folder / "replay.html")
    print(f"\n{datetime.date.today().isoformat()}, {about['cpu']}, {about['cores']} cores\n")
    print("\n".join(lines(served, retrained)))
    print(f"\nas a page: {folder / 'replay.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
