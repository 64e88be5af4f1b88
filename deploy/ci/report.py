"""`make pr-report`: what a change does to the model, as Markdown for its pull request.

Metrics, parameters and plots are in git, so nothing is pulled and nothing is trained: DVC compares what is
here with the commit that BASE names. Curves are Mermaid, which GitHub draws itself: no image is put anywhere.
"""

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_text
from ticket_sentiment.labels import LABELS
from ticket_sentiment.pages.render import markdown_text

OUT = Path("var/pull-request.md")
PLOTS = Path("var/plots")  # DVC's own page of all plots, for the workflow's artifacts
GATE = "reports/gate.json"
CONFUSION = "reports/evaluation/confusion.csv"
CURVES = {
    "reports/training/learning_curve.csv": "The dense model learns",
    "reports/training/distillation_curve.csv": "The pruned model learns",
}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise TicketSentimentError(f"{' '.join(command[:3])} failed: {last}")
    return done.stdout


def base_commit(name: str) -> str:
    """The commit that is compared with, in full.

    Raises:
        TicketSentimentError: this clone does not have it.
    """
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise TicketSentimentError(f"BASE: this clone has no commit {name}: fetch it, or name another")
    return done.stdout.strip()


def _before(base: str, path: str) -> str | None:
    """A file of the commit; None where it had none."""
    done = subprocess.run(["git", "show", f"{base}:{path}"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def _now(path: str) -> str | None:
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _decision(before: str | None, now: str | None) -> list[str]:
    if now is None:
        return ["No model was judged here: `make retrain`, then commit what it wrote to `reports/`."]
    gate = json.loads(now)
    bundle = f"bundle `{str(gate.get('bundle_digest'))[:12]}`"
    if before == now:
        return [f"The model is unchanged: **{gate['decision']}**, {bundle}."]
    was = f" (before: {json.loads(before)['decision']})" if before else ""
    reasons = [f"- {markdown_text(str(reason))}" for reason in gate.get("reasons", [])]
    said = f"The gate says **{gate['decision']}**{was} to {bundle}."
    return [said, "", *_folded(f"{len(reasons)} reasons", reasons)]


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]


def _difference(base: str, kind: str) -> list[str]:
    """DVC's table of metrics or parameters that changed."""
    table = _run("dvc", kind, "diff", "--md", base).strip().replace(base, "before")
    rows = table.splitlines()[2:]  # below the head, which is there for nothing, too
    return [f"**{kind.capitalize()}**", "", table if rows else "None changed."]


def _curve(text: str | None) -> list[tuple[float, float]]:
    rows = csv.DictReader(io.StringIO(text or ""))
    return [(float(row["step"]), float(row["macro_f1"])) for row in rows]


def _chart(title: str, before: str | None, now: str | None) -> list[str]:
    """Macro-F1 on the tuning month after so many batches; nothing where it did not change."""
    old, new = _curve(before), _curve(now)
    if before == now or not new:
        return []
    values = [value for _, value in (*old, *new)]
    low, high = min(values) - 0.01, max(values) + 0.01
    lines = [f"  line [{', '.join(f'{value:.4f}' for _, value in curve)}]" for curve in (old, new) if curve]
    which = ": before, then now" if old else ""
    return [
        "```mermaid", "xychart-beta", f'  title "{title}{which}"',
        f'  x-axis "batches" {new[0][0]:.0f} --> {new[-1][0]:.0f}',
        f'  y-axis "macro-F1, tuning month" {low:.2f} --> {high:.2f}', *lines, "```", "",
    ]  # fmt: skip


def _counts(text: str | None) -> Counter[tuple[str, str]]:
    return Counter((row["actual"], row["predicted"]) for row in csv.DictReader(io.StringIO(text or "")))


def _confusion(before: str | None, now: str | None) -> list[str]:
    """Tickets of the holdout by label and answer; with the previous ones if both are of the same tickets."""
    if before == now or now is None:
        return []
    old, new = _counts(before), _counts(now)
    comparable = sum(old.values()) == sum(new.values())

    def cell(actual: str, predicted: str) -> str:
        here = (actual, predicted)
        was = f" ({old[here]:,})" if comparable else ""
        return f"{new[here]:,}{was}"

    head = ["actual", *(f"answered {label}" for label in LABELS)]
    rows = [[actual, *(cell(actual, predicted) for predicted in LABELS)] for actual in LABELS]
    lines = [head, ["---", *("---:" for _ in LABELS)], *rows]
    title = "Answers on the holdout" + (", before in brackets" if comparable else "")
    return [f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines), ""]


def report(base: str) -> str:
    """Markdown of the difference between a commit and what is here.

    Args:
        base: a commit that git knows.

    Raises:
        TicketSentimentError: git does not know it, or DVC cannot compare.
    """
    base = base_commit(base)
    charts = [
        line for path, title in CURVES.items() for line in _chart(title, _before(base, path), _now(path))
    ]
    parts = [
        "### What this change does to the model",
        "",
        *_decision(_before(base, GATE), _now(GATE)),
        "",
        *_difference(base, "metrics"),
        "",
        *_difference(base, "params"),
        "",
        *_confusion(_before(base, CONFUSION), _now(CONFUSION)),
        *(_folded("Curves", charts) if charts else []),
        "",
        f"Compared with `{base[:12]}` by `make pr-report`.",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write it, and DVC's page of plots beside it."""
    base = os.environ.get("BASE") or "origin/main"
    write_text(OUT, report(base))
    _run("dvc", "plots", "diff", "--out", str(PLOTS), base_commit(base))
    print(f"{OUT}; all plots: {PLOTS / 'index.html'}")


if __name__ == "__main__":
    try:
        main()
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")
