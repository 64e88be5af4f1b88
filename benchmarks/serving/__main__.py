"""Our service beside what people would otherwise use: starts each server, drives it, judges bars 1 to 5.

    python -m benchmarks.serving                        # after `make retrain`; about 12 minutes on two cores
    python -m benchmarks.serving --bars 3 --rounds 1 --seconds 1                 # only to see that it works
    python -m benchmarks.serving --heavy                # Ray Serve and MLServer too

Prints Markdown. LitServe (with --heavy Ray Serve and MLServer) is installed into an environment of its own
below --work, once. Exit status 1 when a bar is missed.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.serving.assets import prepare
from benchmarks.serving.bars import COMPARISONS, CONNECTIONS, Bench, run
from benchmarks.serving.load import Plan, Window, drive
from benchmarks.serving.markdown import heading, report
from benchmarks.serving.peers import HEAVY, PEERS
from benchmarks.serving.rounds import Settings
from benchmarks.serving.servers import Server
from tests.support.serving import free_port
from ticket_sentiment.model.runtime import usable_cores

REPOSITORY = Path(__file__).parents[2]


def ceiling(texts: Path, log: Path, seconds: float) -> Window:
    """What the load generator reaches on the least server there is."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.ceiling", str(port)]
    server = Server(command, {}, REPOSITORY, log, port)
    template = '{"text": %(text)b}'
    try:
        server.wait("/", b"{}", "")
        return drive(Plan(port, "/", template, str(texts), connections=CONNECTIONS, seconds=seconds))
    finally:
        server.stop()


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bars", default="1,2,3,4,5", help="which, e.g. 1,3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one window")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before each window")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="a server's processes")
    parser.add_argument("--project", type=Path, default=Path(), help="where `make retrain` has run")
    parser.add_argument("--work", type=Path, default=Path("var/bench"))
    parser.add_argument("--heavy", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.bars.split(",")
    if unknown := set(wanted) - set(COMPARISONS):
        parser.error(f"--bars: {', '.join(sorted(unknown))}: expected some of {', '.join(COMPARISONS)}")
    work = arguments.work.resolve()
    assets = prepare(arguments.project.resolve(), work)
    settings = Settings(arguments.seconds, arguments.rounds, arguments.warm_up)
    best = ceiling(assets.texts, work / "ceiling.log", settings.seconds)
    peers = (*PEERS, *(HEAVY if arguments.heavy else ()))
    print(heading(settings, arguments.workers, peers, best), flush=True)
    bench = Bench(assets, work, arguments.workers, settings, arguments.heavy)
    results = run(bench, wanted)
    for part in report(results):
        print(f"\n{part}")
    return int(not all(verdict.holds for result in results for verdict in result.verdicts))


if __name__ == "__main__":
    sys.exit(main())
