"""The guardrails of a rollout: what each one knows, whether it is crossed, and whether it lets one promote.

Both ends of a guardrail's interval are the very bounds that decide, so that a person sees on the page when
and why: the bad end tells of a rollback (when it leaves 0 behind) and holds at alpha shared by all guardrails
(Bonferroni), as one false alarm of any of them rolls back; the good end tells of promotion (when it is inside
the margin) and holds at alpha itself, as all of them must agree (intersection-union test, Berger 1982).
"""

import math
from dataclasses import dataclass
from typing import Literal

from ticket_sentiment.params import Rollout
from ticket_sentiment.rollout import asymptotic, betting
from ticket_sentiment.rollout.assignment import Arm
from ticket_sentiment.rollout.asymptotic import CellKey, Difference, difference, mixing_precision
from ticket_sentiment.rollout.evidence import ByArm, Evidence, Metric
from ticket_sentiment.rollout.split_check import split_p

Name = Literal["paired_quality", "split_quality", "first_answers", "errors", "slow"]
GUARDRAILS: tuple[Name, ...] = ("paired_quality", "split_quality", "first_answers", "errors", "slow")
SUMS: dict[Name, Metric] = {"split_quality": "quality", "errors": "errors", "slow": "slow"}
COVERAGE_ERROR = 0.02  # standard error at which the check of the labels' coverage is tightest
State = Literal["crossed", "open", "clear"]
TITLES: dict[Name, str] = {
    "paired_quality": "Right answers, both models on the same ticket",
    "split_quality": "Right answers, customers of one model against those of the other",
    "first_answers": "Right answers to each customer's first labelled ticket",
    "errors": "Failed answers",
    "slow": "Answers over the time objective",
}


@dataclass(frozen=True)
class Guardrail:
    """One comparison, challenger minus champion, as shares of tickets.

    Attributes:
        name: of GUARDRAILS.
        estimate: None where nothing was seen.
        low: the difference is never below, None: not known yet.
        high: the difference is never above, None: not known yet.
        margin: how much worse still counts as no worse.
        higher_is_better: for right answers; not for failed and slow ones.
        e_value: evidence for "worse", capped at 1e12; 1 where nothing was seen.
        threshold: of the e-value, from which it is crossed.
        state: crossed (worse for sure), clear (no worse than the margin for sure), open (neither yet).
        sentence: for a support lead, with the figures.
    """

    name: Name
    estimate: float | None
    low: float | None
    high: float | None
    margin: float
    higher_is_better: bool
    e_value: float
    threshold: float
    state: State
    sentence: str

    @property
    def improved(self) -> bool:
        """Whether the challenger is better for sure, not merely no worse."""
        if self.higher_is_better:
            return self.low is not None and self.low > 0
        return self.high is not None and self.high < 0


@dataclass(frozen=True)
class SplitCheck:
    """Whether the arms can be compared at all: the customers and labels each should have.

    Attributes:
        name: `exposures`: of all customers; `labelled`: of those with a label; `coverage`: the share of
            audited tickets that got a label, which must be the same in both arms.
        p: anytime-valid p-value of "as it should be"; below `threshold` it is not.
        threshold: `rollout.split_alpha`.
        sentence: for a support lead, with the figures.
    """

    name: Literal["exposures", "labelled", "coverage"]
    p: float
    threshold: float
    sentence: str

    @property
    def wrong(self) -> bool:
        """Whether every step forward is blocked."""
        return self.p < self.threshold


def points(value: float, signed: bool = True) -> str:
    """0.012 as "+1.2 points", hundredths of a share of tickets; 0.0012 as "+0.12 points"."""
    digits = 2 if abs(value) < 0.00995 and round(value, 3) != round(value, 4) else 1
    rounded = round(100 * value, digits) + 0.0  # never "-0.0"
    return f"{rounded:{'+' if signed else ''}.{digits}f} points".replace("-", "−")


def guardrails(evidence: Evidence, settings: Rollout) -> tuple[Guardrail, ...]:
    """All of GUARDRAILS, in their order."""
    bad = settings.alpha / len(GUARDRAILS)
    first = betting.first_labels([(item.share, item.first_labels) for item in evidence.epochs])
    return (
        _by_betting("paired_quality", betting.paired(evidence.paired), evidence.paired.labels, bad, settings),
        _by_sums("split_quality", evidence, bad, settings),
        _by_betting("first_answers", first, int(first.counts.sum()), bad, settings),
        _by_sums("errors", evidence, bad, settings),
        _by_sums("slow", evidence, bad, settings),
    )


def split_checks(evidence: Evidence, settings: Rollout) -> tuple[SplitCheck, ...]:
    """Of all customers, of those with a label, and of the labels themselves.

    Labels that come from one arm less often than from the other would compare different tickets.
    """
    exposed = [(item.share, item.exposures) for item in evidence.epochs]
    labelled = [
        (item.share, ByArm(item.first_labels.champion.units, item.first_labels.challenger.units))
        for item in evidence.epochs
    ]
    return (
        _split_check("exposures", "customers", exposed, settings.split_alpha),
        _split_check("labelled", "customers with a label", labelled, settings.split_alpha),
        _coverage_check(evidence, settings.split_alpha),
    )


def _coverage_check(evidence: Evidence, threshold: float) -> SplitCheck:
    """Two-sided: the mean of the e-values of both sides is one, too."""
    found = _difference(evidence, "unlabelled")
    if found.estimate is None or not found.information:
        return SplitCheck("coverage", 1.0, threshold, "Too few audited tickets to compare their labels yet.")
    rho = mixing_precision(COVERAGE_ERROR, threshold)
    sides = (asymptotic.log_e_value(side, 0.0, rho) for side in (found, found.mirrored))
    p = min(1.0, 2 * math.exp(-max(sides)))  # twice the larger side: at most their sum
    verdict = "labels are lost" if p < threshold else "as it should be"
    sentence = (
        f"The share of audited tickets with a label differs by {points(-found.estimate)}, challenger minus "
        f"champion: {verdict} (p = {p:.2g}, limit {threshold:g})."
    )
    return SplitCheck("coverage", p, threshold, sentence)


def _split_check(
    name: Literal["exposures", "labelled"],
    what: str,
    epochs: list[tuple[float, ByArm[int]]],
    threshold: float,
) -> SplitCheck:
    p = split_p(epochs)
    seen = sum(units.champion + units.challenger for _, units in epochs)
    met = sum(units.challenger for _, units in epochs)
    wanted = sum(share * (units.champion + units.challenger) for share, units in epochs)
    verdict = "the split is wrong" if p < threshold else "as it should be"
    sentence = (
        f"The challenger has {met:,} of {seen:,} {what}, {wanted:,.0f} were to be expected: {verdict} "
        f"(p = {p:.2g}, limit {threshold:g})."
    )
    return SplitCheck(name, p, threshold, sentence if seen else f"No {what} in the ramp yet.")


def _by_betting(
    name: Name, outcomes: betting.Outcomes, seen: int, bad: float, settings: Rollout
) -> Guardrail:
    """Of right answers, where each outcome is one independent observation."""
    return _guardrail(
        name,
        outcomes.mean,
        betting.lower_bound(outcomes, settings.alpha) if seen else None,
        betting.upper_bound(outcomes, bad) if seen else None,
        settings.margins.quality,
        betting.log_capital_at(outcomes.mirrored, 0.0) if seen else 0.0,
        bad,
        f"{seen:,} labelled tickets" if name == "paired_quality" else f"{seen:,} customers",
    )


def _by_sums(name: Name, evidence: Evidence, bad: float, settings: Rollout) -> Guardrail:
    """Of bad outcomes, from sums over customers; for right answers the signs are turned."""
    metric = SUMS[name]
    margin = getattr(settings.margins, metric)
    found = _difference(evidence, metric)
    rho = mixing_precision(settings.tuning * margin, bad)
    low, high = asymptotic.lower_bound(found, bad, rho), asymptotic.upper_bound(found, settings.alpha, rho)
    estimate, log_e = found.estimate, asymptotic.log_e_value(found, 0.0, rho)
    requests = found.requests
    seen = f"{requests.challenger:,} tickets of the challenger and {requests.champion:,} of the champion"
    if name == "split_quality":
        estimate, low, high = (None if x is None else -x for x in (estimate, high, low))
    return _guardrail(name, estimate, low, high, margin, log_e, bad, seen)


def _difference(evidence: Evidence, metric: Metric) -> Difference:
    index = {item.epoch: position for position, item in enumerate(evidence.epochs)}

    def cell(epoch: int, arm: Arm) -> CellKey:
        return index[epoch], arm == "challenger"

    overlaps = {
        (cell(item.earlier, item.earlier_arm), cell(item.later, item.later_arm)): getattr(item, metric)
        for item in evidence.overlaps
    }
    return difference([getattr(item, metric) for item in evidence.epochs], overlaps)


def _guardrail(
    name: Name,
    estimate: float | None,
    low: float | None,
    high: float | None,
    margin: float,
    log_e: float,
    bad: float,
    seen: str,
) -> Guardrail:
    higher_is_better = name not in ("errors", "slow")
    log_threshold = -math.log(bad)
    inside = low is not None and low > -margin if higher_is_better else high is not None and high < margin
    state: State = "crossed" if log_e >= log_threshold else "clear" if inside else "open"
    return Guardrail(
        name,
        estimate,
        low,
        high,
        margin,
        higher_is_better,
        math.exp(min(log_e, math.log(1e12))),
        math.exp(log_threshold),
        state,
        _sentence(name, estimate, low, high, margin, state, seen),
    )


def _sentence(
    name: Name,
    estimate: float | None,
    low: float | None,
    high: float | None,
    margin: float,
    state: State,
    seen: str,
) -> str:
    if estimate is None:
        return f"{TITLES[name]}: nothing to compare yet."
    span = (
        "too few customers to say more" if low is None or high is None else f"{points(low)} to {points(high)}"
    )
    verdict = {
        "crossed": "the challenger is worse",
        "clear": f"at most {points(margin, signed=False)} worse",
        "open": f"it may still be more than {points(margin, signed=False)} worse",
    }[state]
    return f"{TITLES[name]}: challenger {points(estimate)} ({span}) on {seen}: {verdict}."
