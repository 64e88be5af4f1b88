"""Damaged candidates and data sets, each of which the gate meant for it must stop.

    python -m benchmarks.mutations [--project .] [--cache var/mutations] [--only WORD] [--json FILE]

Needs a project in which all stages have run (`make retrain`). The undamaged project must pass every gate;
then each damage is done to a copy of it, the stages' functions look at it again, and the gates judge. Prints
a table, and ends with status 1 when a damage was not stopped by its gate.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.mutations.catalogue import Mutation, collect
from benchmarks.mutations.demo import SIBLING_SEED, bootstrap_head, released, set_champion, undamaged
from benchmarks.mutations.workplace import Known, Workplace, copy
from ticket_sentiment.files import write_json
from ticket_sentiment.gates.verdict import Verdict
from ticket_sentiment.params import Params, load_params


def try_out(original: Path, mutation: Mutation, params: Params, known: Known) -> dict[str, Any]:
    """Do one damage to a copy of `original`, and let the gates judge."""
    with tempfile.TemporaryDirectory() as name:
        root = copy(original, Path(name) / "project")
        with contextlib.chdir(root):
            place = Workplace(root, params, known, set())
            mutation.make(place)
            verdicts = place.judge()
    meant = verdicts[mutation.gate]
    stopped = sorted(one for one, verdict in verdicts.items() if verdict.decision != "pass")
    return {
        "mutation": mutation.name,
        "how": mutation.how,
        "gate": mutation.gate,
        "decision": meant.decision,
        "reason": meant.reasons[0],
        "stopped_by": stopped,
    }


def row(found: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    cells = (found[key] for key in ("mutation", "how", "gate", "decision", "reason"))
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def passed(verdicts: dict[str, Verdict]) -> list[str]:
    """The gates that stop the undamaged project, with their reasons: there must be none."""
    return [f"{name}: {'; '.join(one.reasons)}" for name, one in verdicts.items() if one.decision != "pass"]


def main() -> int:
    """Run the suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--cache", type=Path, default=Path("var/mutations"))
    parser.add_argument("--only", default="", help="mutations whose name or gate holds this word")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    project, cache = options.project.resolve(), options.cache.resolve()
    params = load_params(project / "params.yaml")
    chosen = [one for one in collect() if options.only in f"{one.gate} {one.name}"]
    with tempfile.TemporaryDirectory() as name:
        original = copy(project, Path(name) / "original")
        os.chdir(original)
        known, labels, _ = released(project, cache, params, behaviour=True)
        set_champion(known, bootstrap_head(known.features, labels, SIBLING_SEED))
        place = undamaged(original, params, known, cache)
        wrong = passed(place.judge())
        if wrong:
            print("The undamaged project is stopped:", *wrong, sep="\n")
            return 1
        print(f"The undamaged project passes {len(place.made_anew)} gates.\n")
        print("| mutation | how made | gate | verdict | reason |\n| --- | --- | --- | --- | --- |")
        results = []
        for mutation in chosen:
            started = time.monotonic()
            results.append(try_out(original, mutation, params, known))
            print(row(results[-1]), flush=True)
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        os.chdir(project)
        shutil.rmtree(original)
    slipped = [one["mutation"] for one in results if one["decision"] == "pass"]
    print(f"\n{len(results) - len(slipped)} of {len(results)} were stopped by the gate meant for them.")
    if options.json:
        write_json(options.json, results)
    return 1 if slipped else 0


if __name__ == "__main__":
    sys.exit(main())
