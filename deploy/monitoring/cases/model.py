"""Cases of what the models answer, of which are loaded where, and of the flows as CronJobs."""

from collections.abc import Mapping
from functools import partial

from deploy.monitoring.cases.case import JOB, SLOW, Case, grows, named, stays
from deploy.monitoring.cases.objectives import BY_JOB
from deploy.monitoring.rules.flows import DAY, HOUR
from ticket_sentiment.params import Params

ARM = {"job": JOB, "arm": "champion"}
SPACE = "ticket-sentiment"
CONDITIONS = ("true", "false", "unknown")
PER_DAY = 24 * 2  # slow steps


def _turns(first: float, later: float, days: int, later_steps: int) -> str:
    """A counter that grows by one amount a step, then by another."""
    steps = days * PER_DAY
    return f"0+{first:g}x{steps} {first * steps + later:g}+{later:g}x{later_steps - 1}"


def _answers(params: Params) -> tuple[Case, ...]:
    held = params.objectives
    days, hours = 7, 6

    def mixed(negative: float) -> Mapping[str, str]:
        """A week with 20 % negative answers, then six hours with another share."""
        shares = (("negative", 0.2, negative), ("positive", 0.8, 1 - negative))
        return {
            named("predicted_total", arm="champion", label=label): _turns(100 * a, 100 * b, days, hours * 2)
            for label, a, b in shares
        }

    def unsure(share: float) -> Mapping[str, str]:
        """A week with 10 % unsure answers, then six hours with another share."""
        return {
            named("predicted_total", arm="champion", label="negative"): _turns(100, 100, days, hours * 2),
            named("abstained_total", arm="champion"): _turns(10, 100 * share, days, hours * 2),
        }

    seen = 1 - hours / (24 * days)  # of a change, as the six hours are in the week, too
    shift, rise = held.max_mix_shift * 2, held.max_abstained_rise * 2
    gap = held.max_feedback_gap_days
    feedback = named("requests_total", route="feedback", code="200")
    answered = named("requests_total", route="classify", code="200")
    tickets = {answered: grows(100, 3 * gap * PER_DAY)}
    after = f"{2 * gap * 24 - 6}h"
    steps = (gap - 1) * PER_DAY  # then a pod comes that never takes a label, and counts none
    later = named("requests_total", route="classify", code="200", instance="b:3001")
    refused = {
        answered: grows(100, steps),
        feedback: grows(1, steps),
        later: f"_x{steps} " + grows(100, 3 * gap * PER_DAY),
    }
    at = f"{days * 24 + hours}h"
    return (
        Case("PredictionMixShifted", "angrier", mixed(0.2 + shift), at, ARM, shift * seen, step=SLOW),
        Case("PredictionMixShifted", "as ever", mixed(0.2 + held.max_mix_shift / 2), at, step=SLOW),
        Case("AbstentionsRose", "unsure more often", unsure(0.1 + rise), at, ARM, rise * seen, step=SLOW),
        Case("AbstentionsRose", "as ever", unsure(0.1 + held.max_abstained_rise / 2), at, step=SLOW),
        Case(
            "FeedbackStopped",
            "then none",
            tickets | {feedback: _turns(1, 0, gap - 1, 3 * gap * PER_DAY)},
            after,
            BY_JOB,
            step=SLOW,
        ),
        Case("FeedbackStopped", "new pods refuse them", refused, after, BY_JOB, step=SLOW),
        Case(
            "FeedbackStopped",
            "some every day",
            tickets | {feedback: grows(1, 3 * gap * PER_DAY)},
            after,
            step=SLOW,
        ),
        Case(
            "FeedbackStopped",
            "there never was any",
            tickets | {feedback: stays(0, 3 * gap * PER_DAY)},
            after,
            step=SLOW,
        ),
    )


def _arms(params: Params) -> tuple[Case, ...]:
    held = params.objectives
    dropped = min(1.0, 2 * held.max_shadow_dropped)
    off = 1.5 * held.max_split_deviation

    def shadow(share: float) -> Mapping[str, str]:
        return {
            named("shadow_dropped_total"): grows(100 * share),
            named("shadow_scored_total"): grows(100 * (1 - share)),
        }

    def split(seen: float, intended: float) -> Mapping[str, str]:
        by_arm = {"route": "classify", "code": "200"}
        return {
            named("requests_total", arm="challenger", **by_arm): grows(100 * seen),
            named("requests_total", arm="champion", **by_arm): grows(100 * (1 - seen)),
            named("rollout_share"): stays(intended),
        }

    return (
        Case("ShadowDropped", "a tenth of them", shadow(dropped), "30m", BY_JOB, dropped),
        Case("ShadowDropped", "hardly any", shadow(held.max_shadow_dropped / 2), "30m"),
        Case("ShadowFailed", "twice a minute", {named("shadow_failed_total"): grows(2)}, "90m", BY_JOB, 120),
        Case("ShadowFailed", "never lately", {named("shadow_failed_total"): stays(9)}, "90m"),
        Case("SplitDeviates", "nobody meets the challenger", split(0.5 - off, 0.5), "90m", BY_JOB, off),
        Case("SplitDeviates", "as intended", split(0.5 - held.max_split_deviation / 2, 0.5), "90m"),
        Case("SplitDeviates", "no challenger has a share", split(0, 0), "90m"),
    )


def _loaded() -> tuple[Case, ...]:
    def champions(second: str) -> Mapping[str, str]:
        first, other = {"digest": "d", "instance": "a:3001"}, {"digest": second, "instance": "b:3001"}
        return {named("build_info", arm="champion", **held): stays(1) for held in (first, other)}

    def epochs(oldest: int) -> Mapping[str, str]:
        return {
            named("rollout_epoch", instance="a:3001"): stays(oldest),
            named("rollout_epoch_newest", instance="a:3001"): stays(7),
        }

    return (
        Case("ModelsDiffer", "a pod holds another", champions("e"), "30m", BY_JOB, 2),
        Case("ModelsDiffer", "all hold the same", champions("d"), "30m"),
        Case(
            "ReleaseNotLoaded",
            "its folder is missing",
            {named("rollout_not_loaded"): stays(2)},
            "20m",
            BY_JOB,
            2,
        ),
        Case("ReleaseNotLoaded", "all is loaded", {named("rollout_not_loaded"): stays(0)}, "20m"),
        Case("RolloutEpochsDiffer", "a pod hangs behind", epochs(4), "20m", BY_JOB, 3),
        Case("RolloutEpochsDiffer", "all follow", epochs(7), "20m"),
    )


def _flows(params: Params) -> tuple[Case, ...]:
    days, hours = params.objectives.max_retrain_days, params.rollout.max_look_gap_hours

    def since(metric: str, cronjob: str, seconds_ago: float) -> Mapping[str, str]:
        """A time so long before the case begins, at the time 0."""
        labels = f'namespace="{SPACE}",cronjob="{cronjob}"'
        return {f"kube_cronjob_{metric}{{{labels}}}": stays(-seconds_ago)}

    last, created = partial(since, "status_last_successful_time"), partial(since, "created")

    def job(outcome: str, failed_pods: int) -> Mapping[str, str]:
        """As kube-state-metrics shows one that is over: a series for each state that a condition may have."""
        labels = f'namespace="{SPACE}",job_name="rollout-1"'
        conditions = {f'{outcome}{{{labels},condition="{c}"}}': stays(c == "true") for c in CONDITIONS}
        return {f"kube_job_status_failed{{{labels}}}": stays(failed_pods), **conditions}

    failed, complete = "kube_job_failed", "kube_job_complete"

    retrain, rollout = ({"namespace": SPACE, "cronjob": name} for name in ("monthly-retrain", "rollout"))
    return (
        Case(
            "RetrainLate",
            "last month's failed",
            last("monthly-retrain", 2 * days * DAY - 2 * HOUR),
            "2h",
            retrain,
            2 * days,
        ),
        Case(
            "RetrainLate",
            "none ever has",
            created("monthly-retrain", 2 * days * DAY - 2 * HOUR),
            "2h",
            retrain,
            2 * days,
        ),
        Case(
            "RetrainLate",
            "it is in time",
            {**last("monthly-retrain", (days - 1) * DAY), **created("monthly-retrain", 9 * days * DAY)},
            "2h",
        ),
        Case(
            "RolloutLookLate", "for long", last("rollout", 2 * hours * HOUR - HOUR), "1h", rollout, 2 * hours
        ),
        Case("RolloutLookLate", "just now", last("rollout", 0), "1h"),
        Case("FlowFailed", "one did", job(failed, 4), "5m", {"namespace": SPACE, "job_name": "rollout-1"}, 1),
        Case("FlowFailed", "a retry succeeded", job(complete, 1), "5m"),
    )


def cases(params: Params) -> tuple[Case, ...]:
    """All of them."""
    return (*_answers(params), *_arms(params), *_loaded(), *_flows(params))
