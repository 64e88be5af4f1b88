"""One month at the desk: what customers got and how the rollout went; then what was learnt from it.

Records are JSON files: a replay that was interrupted goes on after the last one.
"""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.live.stack import Stack
from benchmarks.live.traffic import Line, Ticket, write_tickets
from benchmarks.replay.desk import Desk
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.files import read_json, replacing_folder
from ticket_sentiment.gates import metrics
from ticket_sentiment.gates.drift_section import drift_section
from ticket_sentiment.gates.evidence import Missing, read_part
from ticket_sentiment.gates.evidence_types import Drift
from ticket_sentiment.gates.scored import score_bundle
from ticket_sentiment.labels import LABEL_TO_ID
from ticket_sentiment.params import Evaluate
from ticket_sentiment.registry.store import CHAMPION, all_versions, connect
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean

LOOK_DAYS = 0.5
LABEL_DAYS = 0.5  # mean, from an answer to its label
LABEL_SHARE = 0.9
AFTERWARDS_DAYS = 5.0  # of looks after the last ticket, for labels and the end of the rollout
LATE_S = 30.0  # after the monthly flow began a rollout its month must have begun
MAX_FAILED = 0.01  # share of the requests
PAGES = {
    "release": "reports/release.html",
    "drift": "reports/drift/incoming.html",
    "rollout": "var/rollout.html",
}


@dataclass(frozen=True)
class Step:
    """An entry of the ledger: on which day of the month, what, and the challenger's share from then on."""

    day: float
    action: str
    version: str
    share: float
    reason: str


@dataclass(frozen=True)
class Served:
    """What customers got in a month.

    Attributes:
        month: YYYY-MM.
        tickets: answered.
        labelled: of them, with a label that people gave before: what quality is measured on.
        failed: requests that failed, labels too.
        versions: tickets that each version answered.
        live: macro-F1 of the answers, with its 95 % interval.
        first: of the first model on the same tickets, had nobody retrained.
        gain: `live` minus `first`, paired.
        champion: version that served at the end.
        rollout: what happened to the ledger.
    """

    month: str
    tickets: int
    labelled: int
    failed: int
    versions: dict[str, int]
    live: dict[str, float | None]
    first: dict[str, float | None]
    gain: dict[str, float | None]
    champion: str
    rollout: tuple[Step, ...]


@dataclass(frozen=True)
class Retrained:
    """What a month's flow made of it.

    Attributes:
        month: the newest that it learnt from or judged on.
        version: registered, or None when the gate said no.
        decision: of the gate.
        reasons: of the gate.
        drift: the finding, a sentence.
        train_months: that it learnt from.
        macro_f1: of the new model on the month, and of the champion of then.
        minutes: that the flow took.
    """

    month: str
    version: str | None
    decision: str
    reasons: tuple[str, ...]
    drift: str
    train_months: tuple[str, ...]
    macro_f1: dict[str, float | None]
    minutes: float


class Player:
    """Plays months of a desk on a stack whose servers are up."""

    def __init__(self, stack: Stack, desk: Desk, first_bundle: Path, say: Callable[[str], None]) -> None:
        """`first_bundle` is where the first champion's bundle is kept, for the comparison."""
        self.stack, self.desk, self.say = stack, desk, say
        self._first_bundle = first_bundle

    def retrain(self, month: str) -> Retrained:
        """The monthly flow on all exports that are there, as `make retrain` runs it.

        Raises:
            RuntimeError: the flow failed; the message holds the end of its output.
        """
        self.say(f"{month} is over: the monthly flow")
        began, log = time.monotonic(), self.stack.logs / f"retrain-{month}.log"
        process = self.stack.start(log.stem, [sys.executable, "-m", "flows.monthly_retrain"])
        if process.wait():
            raise RuntimeError(f"the monthly flow failed:\n{log.read_text(errors='replace')[-3000:]}")
        root = self.stack.root
        gate, split = read_json(root / "reports/gate.json"), read_json(root / "data/prepared/split.json")
        models = read_json(root / "reports/evaluation/metrics.json")["models"]
        drift = read_part(root / "reports/drift.json", Drift, "The drift report")
        self._keep(month, "release", "drift")
        return Retrained(
            month=month,
            version=self._registered(gate["bundle_digest"]),
            decision=gate["decision"],
            reasons=tuple(gate["reasons"]),
            drift=drift.sentence if isinstance(drift, Missing) else str(drift_section(drift)["title"]),
            train_months=tuple(split["months"]["train"]),
            macro_f1={
                name: models[name]["macro_f1"]["value"] if models[name] else None
                for name in ("compressed", "champion")
            },
            minutes=(time.monotonic() - began) / 60,
        )

    def _registered(self, digest: str) -> str | None:
        store = connect(self.stack.params, self.stack.root)
        found = [v for v in all_versions(store) if v.tags.get("bundle.cpu.digest") == digest]
        return str(found[-1].version) if found else None

    def install_first(self, made: Retrained) -> None:
        """The first model serves: by itself when it passed, else a person gives it the alias.

        Raises:
            RuntimeError: the gate said no; there is nothing to begin with.
        """
        from flows.reconcile import reconcile

        if made.version is None:
            raise RuntimeError(f"the first model was refused: {'; '.join(made.reasons)}")
        if self.stack.entry() is None:
            store = connect(self.stack.params, self.stack.root)
            store.client.set_registered_model_alias(store.model, CHAMPION, made.version)
            self.say(f"version {made.version} waits for a person, who gives it the alias champion")
        reconcile()
        if not self._first_bundle.exists():
            with replacing_folder(self._first_bundle) as temporary:
                shutil.copytree(self.stack.root / "models/release/cpu", temporary, dirs_exist_ok=True)

    def serve(self, month: str) -> Served:
        """The month's tickets reach the service, people label them, and the rollout flow looks.

        Raises:
            TicketSentimentError: this month was begun before, and its rollout went on by the clock; or the
                service failed.
        """
        from flows.rollout import rollout

        desk, sent = self.desk, self.desk.tickets(month)
        path = self.stack.root / f"var/{month}.jsonl"
        self._require_not_begun(path, month)
        write_tickets(sent, path)
        self.say(f"{month}: {len(sent):,} tickets reach the service")
        plan = {"tickets": str(path), "rate": len(sent) / desk.month_s, "seconds": 3 * desk.month_s}
        before, began = self.stack.entry(), time.time()
        with self.stack.traffic(**plan, label_share=LABEL_SHARE, label_s=LABEL_DAYS * desk.day_s) as traffic:
            while not traffic.ended():
                rollout()
                time.sleep(LOOK_DAYS * desk.day_s)
        until = time.time() + AFTERWARDS_DAYS * desk.day_s
        while time.time() < until and (entry := self.stack.entry()) and entry.on:
            rollout()
            time.sleep(LOOK_DAYS * desk.day_s)
        self._keep(month, "rollout")
        lines = traffic.lines()
        entry = self.stack.entry()
        assert entry and entry.change
        return Served(
            month=month,
            **self._quality(sent, lines),
            champion=entry.change.champion_version,
            rollout=self._steps(before, began),
        )

    def _require_not_begun(self, tickets: Path, month: str) -> None:
        entry = self.stack.entry()
        waited = time.time() - entry.state.since.timestamp() if entry and entry.on else 0.0
        if tickets.exists() or waited > LATE_S:
            raise TicketSentimentError(
                f"the replay was interrupted in {month}, whose rollout has gone on by the clock: run it "
                "with --anew"
            )

    def _quality(self, sent: Sequence[Ticket], lines: Sequence[Line]) -> dict:
        answers = {line.ticket: line for line in lines if line.what == "classify" and line.label}
        answered = [ticket for ticket in sent if ticket.label and ticket.ticket_id in answers]
        failed = sum(not 200 <= line.status < 300 for line in lines)
        if not answered or failed > MAX_FAILED * len(lines):
            raise TicketSentimentError(
                f"{failed:,} of {len(lines):,} requests failed: see {self.stack.logs}/serve.log, run it "
                "with --anew"
            )
        _, frozen = score_bundle(self._first_bundle, [canonical(clean(one.text)) for one in answered])
        said = [LABEL_TO_ID[answers[ticket.ticket_id].label] for ticket in answered]
        found = compare(
            np.array([LABEL_TO_ID[ticket.label] for ticket in answered]),
            np.array(said),
            frozen.predicted,
            [ticket.customer_id for ticket in answered],
            self.stack.params.evaluate,
        )
        return {
            "tickets": len(answers),
            "labelled": len(answered),
            "failed": failed,
            "versions": dict(sorted(Counter(line.version for line in answers.values()).items())),
            **found,
        }

    def _steps(self, before: Entry | None, began: float) -> tuple[Step, ...]:
        """What is on when the month begins, and what comes of it."""
        first = before.state.epoch + (not before.on) if before else 1
        entries = [one for one in self.stack.history(first) if one.change]
        return tuple(self._step(entry, began) for entry in entries)

    def _step(self, entry: Entry, began: float) -> Step:
        change = entry.change
        assert change
        return Step(
            day=(entry.state.since.timestamp() - began) / self.desk.day_s,
            action=change.action,
            version=change.challenger_version or change.champion_version,
            share=entry.state.challenger_share,
            reason=change.reason,
        )

    def _keep(self, month: str, *pages: str) -> None:
        folder = self.stack.root.parent / "pages"
        folder.mkdir(exist_ok=True)
        for page in pages:
            shutil.copyfile(self.stack.root / PAGES[page], folder / f"{month}-{page}.html")


def compare(
    actual: np.ndarray, live: np.ndarray, first: np.ndarray, customers: Sequence[str], settings: Evaluate
) -> dict[str, dict[str, float | None]]:
    """Macro-F1 of two models' answers on the same tickets, and the difference: a paired bootstrap.

    Args:
        actual: class indices, [rows].
        live: what the service answered, [rows].
        first: what the first model answers, [rows].
        customers: clusters of the bootstrap, [rows].
        settings: resamples and seed.
    """
    answers = {"live": live, "first": first}
    clusters = metrics.cluster_codes(customers, len(actual))
    drawn = metrics.bootstrap_confusions(actual, answers, clusters, settings.bootstrap_samples, settings.seed)
    whole = {
        name: float(metrics.macro_f1(metrics.confusion_matrix(actual, answers[name]))) for name in answers
    }
    resampled = {name: metrics.macro_f1(matrices) for name, matrices in drawn.items()}
    found = {name: metrics.percentile_interval(whole[name], resampled[name]) for name in answers}
    gain = whole["live"] - whole["first"]
    found["gain"] = metrics.percentile_interval(gain, resampled["live"] - resampled["first"])
    return {name: interval.as_json() for name, interval in found.items()}
