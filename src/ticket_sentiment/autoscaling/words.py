"""The trial in figures and in words, the same in the terminal and on the page."""

from collections.abc import Sequence
from typing import Any

from ticket_sentiment.autoscaling.policy import Metric, Policy
from ticket_sentiment.autoscaling.simulation import Day
from ticket_sentiment.autoscaling.trial import Result, Setting
from ticket_sentiment.costs.words import usd
from ticket_sentiment.gates.words import number

KNOWS, FIXED = "knows the traffic", "never changes"
KINDS = {"in_flight": "requests in flight", "cpu": "processor", "memory": "memory"}


def missed(value: float) -> str:
    """A share of requests: "0.27 %", "under 0.001 %", "none"."""
    percent = 100 * value
    if percent < 1e-9:
        return "none"
    if percent < 0.001:
        return "under 0.001 %"
    return f"{number(percent, 0 if percent >= 10 else 1 if percent >= 1 else 2 if percent >= 0.1 else 3)} %"


def target(metric: Metric) -> str:
    """What one pod shall have."""
    value = f"{metric.target:g}" if metric.kind == "in_flight" else f"{100 * metric.target:g} %"
    return f"{KINDS[metric.kind]} {value}"


def describe(policy: Policy) -> str:
    """A policy in one line."""
    return (
        f"{policy.minimum} to {policy.maximum} pods; "
        f"{', '.join(target(metric) for metric in policy.metrics)} a pod; "
        f"down after {policy.behavior.scale_down.stabilization_window_seconds or 0:g} s"
    )


def row(result: Result, name: str, day: Day, setting: Setting) -> dict[str, Any]:
    """One policy on one day."""
    return {
        "policy": name,
        "missed": day.share_missed,
        "lost": day.lost,
        "replica_hours": day.replica_seconds / 3600,
        "over_clairvoyant": result.hours(day),
        "usd": day.node_seconds / 3600 * setting.usd_per_hour,
        "most_pods": max(day.serving),
        "changes": len(day.changes),
    }


def figures(setting: Setting, results: Sequence[Result]) -> dict[str, Any]:
    """All of it, for a file."""
    knobs = setting.params.autoscale
    return {
        "answer": answer(setting, results),
        "requests": results[0].clairvoyant.requests,
        "busiest_per_second": setting.busiest,
        "pod": {
            "planned_per_second": setting.planned,
            "at_objective_per_second": setting.worker.capacity(knobs.max_missed) * setting.workers,
            "start_s": setting.around.node_start_s + setting.around.pod_start_s,
        },
        "objective_ms": setting.params.serve.objective_ms,
        "policies": [{"name": one.name, "what": describe(one)} for one in setting.policies],
        "scenarios": [{"name": result.scenario.name, "rows": rows(setting, result)} for result in results],
    }


def rows(setting: Setting, result: Result) -> list[dict[str, Any]]:
    """The policies and the references on one day."""
    named = [(policy.name, day) for policy, day in zip(setting.policies, result.days, strict=True)]
    named += [(KNOWS, result.clairvoyant), (f"{setting.peak_replicas} pods, {FIXED}", result.fixed)]
    return [row(result, name, day, setting) for name, day in named]


def answer(setting: Setting, results: Sequence[Result]) -> dict[str, Any]:
    """Whether the judged policy is within its bounds, and what to know of it."""
    knobs, first, ordinary = setting.params.autoscale, setting.policies[0], results[0]
    day = ordinary.days[0]
    share, hours = day.share_missed, ordinary.hours(day)
    downs = sum(result.scale_downs(first, result.days[0]) for result in results)
    holds = share <= knobs.max_missed and hours <= knobs.max_hours and not downs
    title = (
        f"{first.name} {'holds' if holds else 'does not hold'}: {missed(share)} of an ordinary day's "
        "requests miss the objective, with "
        f"{number(hours)} times the replica-hours of a policy that {KNOWS}"
    )
    return {
        "holds": holds,
        "scale_downs_without_metrics": downs,
        "title": title,
        "lines": [
            f"Allowed are {missed(knobs.max_missed)} and {number(knobs.max_hours)} times.",
            f"Pods were taken away {downs} times while metrics were missing."
            if downs
            else "No pod was taken away while metrics were missing.",
            *(_line(result) for result in results[1:]),
            saved(ordinary, setting),
        ],
    }


def _line(result: Result) -> str:
    day = result.days[0]
    lost = f", {number(day.lost, 0)} requests lost" if day.lost else ""
    name = result.scenario.name
    share = missed(day.share_missed)
    return f"{name[0].upper()}{name[1:]}: {share} of the day's requests missed{lost}."


def saved(ordinary: Result, setting: Setting) -> str:
    """What the day costs, beside one that never changes."""
    own, whole = (
        one.node_seconds / 3600 * setting.usd_per_hour for one in (ordinary.days[0], ordinary.fixed)
    )
    if own >= whole:
        return f"It saves nothing: {usd(own)} a day, and {usd(whole)} with as many pods all day."
    return (
        f"The machines of an ordinary day cost {usd(own)}, and {usd(whole)} with {setting.peak_replicas} "
        "pods all day, as planned for the busiest moment."
    )
