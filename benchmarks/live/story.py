"""What has to happen, in order, and how it is seen to have happened. The flows run as flows."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import httpx
from mlflow import MlflowClient

from benchmarks.live.models import accuracy, check, mistakes
from benchmarks.live.stack import Stack, Traffic
from tests.support.project import Project
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.registry.store import CHALLENGER, CHAMPION

ROLLBACK_S = 5.0
FAILURES_SHOWN = 20
SEEN_S = 30.0  # until the traffic must have met what the ledger says


@dataclass(frozen=True)
class Claim:
    """A row of the table."""

    what: str
    seen: str
    bound: str
    holds: bool


@dataclass(frozen=True)
class Cast:
    """The models, by how many words each is wrong about, and what one rollout may take.

    Attributes:
        champion: of the first version.
        good: of the second.
        bad: of the third.
        look_s: between two looks.
        rollout_s: after which a rollout that has not ended is given up.
    """

    champion: int
    good: int
    bad: int
    look_s: float
    rollout_s: float


class Story:
    """Runs it on a stack whose service is up and has traffic."""

    def __init__(self, stack: Stack, project: Project, cast: Cast, say: Callable[[str], None]) -> None:
        self.stack, self.project, self.cast, self.say = stack, project, cast, say
        self.claims: list[Claim] = []
        self._began = time.monotonic()

    def claim(self, what: str, seen: str, bound: str, holds: bool) -> None:
        """Add a row."""
        self.claims.append(Claim(what, seen, bound, holds))
        self.say(f"{'holds ' if holds else 'MISSED'} {what}: {seen}")

    def register(self, words: int, seed: int) -> str:
        """Register a version that is wrong about so many words, with the reports of a month; its number."""
        self.project.result(seed=seed, mistakes=mistakes(words))
        check(load_bundle(self.stack.root / "models/release/cpu"), words)
        version = self.project.register().version
        self.say(f"version {version} registered: right about {accuracy(words):.1%} of the tickets")
        return str(version)

    def entry(self) -> Entry:
        """Of the ledger, in force."""
        found = self.stack.entry()
        assert found is not None, "the ledger is empty"
        return found

    def adopt_first(self) -> None:
        """The first version is the champion; the ledger takes it over."""
        from flows.reconcile import reconcile

        self.register(self.cast.champion, seed=1)
        reconcile()
        assert self.entry().change is not None

    def play_rollout(self, version: str) -> tuple[list[Entry], float]:
        """Looks, until the rollout of a version has ended; its entries, and the seconds that it took."""
        from flows.rollout import rollout

        first, began = self.entry().state.epoch + 1, time.monotonic()
        while time.monotonic() - began < self.cast.rollout_s:
            rollout()
            made = self.stack.history(first)
            if made and not made[-1].on:
                return made, time.monotonic() - began
            time.sleep(self.cast.look_s)
        raise RuntimeError(
            f"the rollout of version {version} has not ended in {self.cast.rollout_s:g} s; "
            f"the last look: {self._last_reasons()}"
        )

    def _last_reasons(self) -> str:
        entry = self.entry()
        with closing(Ledger.open(self.stack.params.events)) as ledger:
            looks = ledger.looks(entry.change.rollout) if entry.change and entry.change.rollout else ()
        return " ".join(looks[-1].reasons) if looks else "none"

    def good_is_promoted(self, traffic: Traffic) -> None:
        """(a)"""
        before = time.time()
        version = self.register(self.cast.good, seed=2)
        made, seconds = self.play_rollout(version)
        steps = [f"{entry.state.challenger_share:.0%}" for entry in made if entry.on]
        wanted = [f"{step.share:.0%}" for step in self.stack.params.rollout.steps]
        action = made[-1].change.action if made[-1].change else "none"
        self.claim(
            "a good challenger is promoted through all steps",
            f"{', '.join(steps)}, {action} after {seconds:.0f} s",
            f"{', '.join(wanted)}, promote",
            steps == wanted and action == "promote",
        )
        self._serves(traffic, version, "the promoted version answers everybody")
        self._aliases({CHAMPION: version}, "MLflow's aliases follow the promotion")
        lines = traffic.answers(before)
        back = self._changed_back(lines, made)
        self.claim("customers who went back and forth meanwhile", str(back), "0", back == 0)

    def _changed_back(self, lines: list, made: list[Entry]) -> int:
        """Customers whom the champion answered after the challenger had, while that rollout was on."""
        last = made[-1].state.since.timestamp()
        met: set[str] = set()
        back: set[str] = set()
        poll = self.stack.params.serve.rollout_poll_seconds + 1
        changes = [entry.state.since.timestamp() for entry in made]
        for line in lines:
            if line.left >= last or any(0 <= line.left - at < poll for at in changes):
                continue  # the workers take a new state up one after the other
            if line.arm == "challenger":
                met.add(line.customer)
            elif line.customer in met:
                back.add(line.customer)
        return len(back)

    def bad_is_rolled_back(self, traffic: Traffic) -> None:
        """(b)"""
        before = self.entry().change
        assert before is not None
        start = time.time()
        version = self.register(self.cast.bad, seed=3)
        made, seconds = self.play_rollout(version)
        end = made[-1].change
        assert end is not None
        met = sum(line.version == version for line in traffic.answers(start))
        self.claim(
            f"a bad challenger is rolled back (it answered {met:,} tickets)",
            f"{end.action} after {seconds:.0f} s: {end.reason}",
            "rollback",
            end.action == "rollback" and end.champion_version == before.champion_version,
        )
        self._aliases({CHAMPION: before.champion_version, CHALLENGER: None}, "MLflow's aliases follow it")

    def person_is_obeyed(self, traffic: Traffic, version: str) -> None:
        """(c) As MLflow's UI does it: one call of its REST API."""
        from flows.reconcile import reconcile

        client = MlflowClient(tracking_uri=self.stack.mlflow, registry_uri=self.stack.mlflow)
        client.set_registered_model_alias(self.stack.params.registry.model, CHAMPION, version)
        began = time.time()
        reconcile()
        change = self.entry().change
        assert change is not None
        self.claim(
            f"a person gives version {version} the alias in MLflow: the ledger",
            f"{change.action} by {change.actor}: version {change.champion_version}",
            f"version {version}, by a person",
            change.champion_version == version and "person" in change.actor,
        )
        self._serves(traffic, version, "the running service answers with it", since=began)

    def command_brings_back(self, traffic: Traffic, version: str) -> None:
        """(d)"""
        began = time.time()
        self.stack.run("rollback", "--reason", "To see how long it takes.")
        self._serves(traffic, version, "after the command rollback", since=began)
        others = [line.left for line in traffic.answers(began) if line.version != version]
        took = max(others, default=began) - began
        self.claim(
            "`ticket-sentiment rollback`, as the traffic sees it",
            f"{took:.1f} s from the command to the last answer of the other version",
            f"{ROLLBACK_S:g} s",
            took <= ROLLBACK_S,
        )
        self._aliases({CHAMPION: version}, "MLflow's aliases follow the command")

    def _serves(self, traffic: Traffic, version: str, what: str, since: float | None = None) -> None:
        """Wait until all of one second's answers are of a version."""
        began = since or time.time()
        until = time.time() + SEEN_S
        while time.time() < until:
            now = time.time()
            recent = [line for line in traffic.answers(now - 1.5) if line.answered < now]
            if recent and all(line.version == version for line in recent):
                others = [line.left for line in traffic.answers(began) if line.version != version]
                took = max(others, default=began) - began
                self.claim(what, f"version {version}, after {took:.1f} s", f"{SEEN_S:g} s", True)
                return
            time.sleep(0.2)
        met = sorted({line.version for line in traffic.answers(time.time() - 1.5)})
        self.claim(what, f"versions {', '.join(met) or 'none'}", f"version {version}", False)

    def _aliases(self, wanted: dict[str, str | None], what: str) -> None:
        client = MlflowClient(tracking_uri=self.stack.mlflow, registry_uri=self.stack.mlflow)
        held = client.get_registered_model(self.stack.params.registry.model).aliases
        found = {name: str(held[name]) if name in held else None for name in wanted}
        words = ", ".join(f"{name} {version or 'nobody'}" for name, version in found.items())
        asked = ", ".join(f"{name} {version or 'nobody'}" for name, version in wanted.items())
        self.claim(what, words, asked, found == wanted)

    def nothing_failed(self, traffic: Traffic) -> None:
        """(e)"""
        lines = traffic.lines()
        failed = [line for line in lines if not 200 <= line.status < 300]
        kinds = Counter(f"{line.what} {line.status} {line.code}".rstrip() for line in failed)
        for line in failed[:FAILURES_SHOWN]:
            seconds = line.left - (time.time() - (time.monotonic() - self._began))
            took = line.answered - line.left
            self.say(
                f"failed: {line.what} at {seconds:.1f} s of the story, after {took:.2f} s: "
                f"{line.status} {line.code}"
            )
        tickets = sum(line.what == "classify" for line in lines)
        self.claim(
            "failed requests through all of it",
            f"{len(failed)} of {len(lines):,} ({tickets:,} tickets, the rest labels)"
            + "".join(f"; {number} {kind}" for kind, number in kinds.items()),
            "0",
            not failed and tickets > 0,
        )

    def flows_completed(self) -> None:
        """Prefect's server has seen all of the flows end well."""
        answer = httpx.post(f"{self.stack.prefect}/api/flow_runs/filter", json={"limit": 200}, timeout=30)
        states = [run["state_type"] for run in answer.raise_for_status().json()]
        bad = sum(state != "COMPLETED" for state in states)
        self.claim(
            "flow runs that Prefect's server saw fail",
            f"{bad} of {len(states)}",
            "0",
            not bad and states != [],
        )
