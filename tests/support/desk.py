"""A help desk in a real event database: tickets of two models, late labels, and looks that decide.

Bulk rows instead of a service, so that weeks pass in seconds; the evidence, the decisions and the ledger are
the real ones.
"""

import random
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ticket_sentiment.events import schema
from ticket_sentiment.events.changes import Change, Look
from ticket_sentiment.events.evidence import read_evidence
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.policy import Decision, decide
from ticket_sentiment.rollout.state import RolloutState

BEGIN = datetime(2026, 10, 5, 8, tzinfo=UTC)
CHAMPION, CHALLENGER = "a" * 64, "b" * 64
ACTOR = "rollout flow"


class Desk:
    """One rollout of a challenger that is right more (`gain`) or less often than the champion."""

    def __init__(
        self,
        ledger: Ledger,
        params: Params,
        gain: float,
        seed: int = 7,
        tickets_a_day: int = 800,
        customers: int = 400,
    ) -> None:
        self.ledger, self.params, self.gain = ledger, params, gain
        self.draw, self.rate, self.customers = random.Random(seed), tickets_a_day, customers
        self.now, self.tickets, self.looks = BEGIN, 0, 0
        first = RolloutState(1, "before", CHAMPION, None, 0.0, False, BEGIN)
        adopted = Change(
            BEGIN, "adopt", "person via MLflow", "Alias champion found on version 7.", 0, None, False, "7",
            None, None, None,
        )  # fmt: skip
        ledger.change(first, adopted, 0)
        state = RolloutState(2, "salt", CHAMPION, CHALLENGER, 0.0, True, BEGIN)
        begun = replace(
            adopted, action="start", actor="monthly-retrain", challenger_version="8", rollout=2,
            reason="Version 8 passed the gate: macro-F1 0.712 (+1.1 points).",
        )  # fmt: skip
        ledger.change(state, begun, 1)

    def pass_hours(self, hours: float) -> None:
        """Tickets, answers of both models, and the labels that people will give."""
        entry = self.ledger.current()
        assert entry is not None
        rows: dict[Any, list[dict[str, Any]]] = {
            schema.predictions: [], schema.feedback: [], schema.exposures: [],
        }  # fmt: skip
        count = round(self.rate * hours / 24)
        for number in range(count):
            self._ticket(self.now + timedelta(hours=hours * number / count), entry.state, rows)
        self.now += timedelta(hours=hours)
        with self.ledger.database.writing("") as connection:
            for table, made in rows.items():
                if made:
                    connection.execute(self.ledger.database.insert(table).on_conflict_do_nothing(), made)

    def _ticket(self, at: datetime, state: RolloutState, rows: dict[Any, list[dict[str, Any]]]) -> None:
        draw, self.tickets = self.draw, self.tickets + 1
        ticket, customer = f"T-{self.tickets}", f"c{int(self.customers * draw.random() ** 2)}"
        truth, luck = draw.choice(LABELS), draw.random()
        wrong = next(label for label in LABELS if label != truth)
        right = {"champion": luck < 0.8, "challenger": luck < 0.75 + self.gain or 0.80 <= luck < 0.85}
        served = assign(customer, ticket, state)
        for place, arm in enumerate((served, "champion" if served == "challenger" else "challenger")):
            if state.challenger is None and arm == "challenger":
                continue
            rows[schema.predictions].append({
                "writer": "desk", "sequence": 2 * self.tickets + place, "at": at, "ticket_id": ticket,
                "request_id": f"{self.tickets:032x}", "customer": customer, "unit": customer, "arm": arm,
                "epoch": state.epoch, "bundle_digest": CHAMPION if arm == "champion" else CHALLENGER,
                "model_version": "7" if arm == "champion" else "8", "label": truth if right[arm] else wrong,
                "p_negative": 0.2, "p_neutral": 0.3, "p_positive": 0.5, "confidence": 0.5, "abstain": False,
                "cached": False, "backend": "cpu", "latency_ms": draw.lognormvariate(3, 0.5),
                "shadow": bool(place), "text": None,
            })  # fmt: skip
        if state.challenger:
            rows[schema.exposures].append({"epoch": state.epoch, "unit": customer, "arm": served, "at": at})
        if draw.random() < 0.85:
            late = at + timedelta(hours=draw.lognormvariate(2, 1))
            rows[schema.feedback].append({
                "ticket_id": ticket, "source": "audit", "event_id": "1", "at": late, "received_at": late,
                "label": truth,
            })  # fmt: skip

    def look(self) -> Decision:
        """Look at the evidence, note it, and do what it says."""
        entry = self.ledger.current()
        assert entry is not None and entry.change is not None
        self.looks += 1
        settings = self.params.rollout
        found = read_evidence(self.ledger, settings, self.params.serve.objective_ms, self.now)
        decision = decide(found, settings)
        rails = tuple(asdict(rail) for rail in decision.guardrails)
        self.ledger.look(
            Look(found.epoch, self.looks, self.now, decision.action, decision.reasons, rails, found.fresh)
        )
        if decision.action != "wait":
            self._carry_out(decision)
        return decision

    def _carry_out(self, decision: Decision) -> None:
        entry = self.ledger.current()
        assert entry is not None and entry.change is not None
        state, change = entry.state, entry.change
        new = replace(state, epoch=state.epoch + 1, since=self.now, challenger_share=decision.share)
        made = replace(change, at=self.now, actor=ACTOR, reason=decision.reasons[0])
        ended = {"challenger": None, "challenger_share": 0.0, "shadow": False}
        if decision.action == "advance" and decision.share < 1:
            made = replace(made, action="advance", step=change.step + 1)
        elif decision.action == "advance":
            new = replace(new, champion=CHALLENGER, **ended)
            made = replace(
                made, action="promote", rollout=None, champion_version="8", challenger_version=None,
                previous_champion=CHAMPION, previous_version="7",
            )  # fmt: skip
        else:
            new = replace(new, **ended)
            made = replace(made, action=decision.action, rollout=None, challenger_version=None)
        self.ledger.change(new, made, state.epoch)

    def play(self, days: float, hours: float = 12) -> str:
        """Until the rollout ends, or some days have passed; the last decision's action."""
        action = "wait"
        for _ in range(round(24 * days / hours)):
            self.pass_hours(hours)
            action = self.look().action
            entry = self.ledger.current()
            if entry is None or not entry.on:
                break
        return action
