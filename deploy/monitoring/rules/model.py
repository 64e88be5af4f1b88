"""Alerts on what the models answer, and on which models are loaded where."""

from deploy.monitoring.rules.rule import JOBS, TICKETS, Record, Rule, enough, ticket
from deploy.monitoring.rules.service import JOB, PERCENT, PLAIN, total
from ticket_sentiment.params import Params

ARM = "{{ $labels.job }}, {{ $labels.arm }}"
LATELY, USUALLY = "6h", "7d"


def _records() -> tuple[Rule, ...]:
    made: list[Rule] = []
    for window in (LATELY, USUALLY):
        of_label = total("predicted", window, by="job, arm, label")
        of_arm = total("predicted", window, by="job, arm")
        abstained = total("abstained", window, by="job, arm")
        made += [
            Record(
                f"job_arm_label:ticket_sentiment_predicted:share{window}",
                f"{of_label} / ignoring (label) group_left () ({of_arm} > 0)",
            ),
            Record(f"job_arm:ticket_sentiment_abstained:share{window}", f"{abstained} / ({of_arm} > 0)"),
        ]
    return tuple(made)


def _answers(params: Params) -> tuple[Rule, ...]:
    held = params.objectives
    mix, abstained = (
        "job_arm_label:ticket_sentiment_predicted:share",
        "job_arm:ticket_sentiment_abstained:share",
    )
    counted = enough(total("predicted", LATELY, by="job, arm"), params)
    shift = f"sum by (job, arm) (abs({mix}{LATELY} - {mix}{USUALLY})) / 2"
    rise = f"{abstained}{LATELY} - {abstained}{USUALLY}"
    labelled = total("requests", f"{held.max_feedback_gap_days}d", 'route="feedback",code="200"')
    before = labelled.replace("]", f"] offset {held.max_feedback_gap_days}d")
    asked = total("requests", f"{held.max_feedback_gap_days}d", TICKETS)
    return (
        ticket(
            "PredictionMixShifted",
            f"{shift} > {held.max_mix_shift} and {counted}",
            "30m",
            f"{ARM}: {PERCENT} of the answers would have to change their label to be as the week before",
        ),
        ticket(
            "AbstentionsRose",
            f"{rise} > {held.max_abstained_rise} and {counted}",
            "30m",
            f"{ARM}: the share of unsure answers is up by {PERCENT} against the week",
        ),
        ticket(
            "FeedbackStopped",
            # Pods that never took a label, as an update broke the integration, have no counter of them.
            f"({labelled} or {asked} * 0) == 0 and {before} > 0 and {enough(asked, params)}",
            "1h",
            f"{JOB}: no label from people for {held.max_feedback_gap_days} days; there were some before",
        ),
    )


def _shadow(params: Params) -> tuple[Rule, ...]:
    held = params.objectives
    dropped, scored = total("shadow_dropped", "15m"), total("shadow_scored", "15m")
    return (
        ticket(
            "ShadowDropped",
            f"{dropped} / ({dropped} + {scored}) > {held.max_shadow_dropped} "
            f"and {enough(f'{dropped} + {scored}', params)}",
            "10m",
            f"{JOB}: {PERCENT} of the other arm's tickets are dropped: its queue is full",
        ),
        ticket(
            "ShadowFailed",
            f"{total('shadow_failed', '1h')} > 0",
            "0m",
            f"{JOB}: the other arm failed on {PLAIN} tickets in an hour",
        ),
    )


def _loaded(params: Params) -> tuple[Rule, ...]:
    held = params.objectives
    champions = f'ticket_sentiment_build_info{{{JOBS},arm="champion"}} == 1'
    newest = f"max by (job) (ticket_sentiment_rollout_epoch_newest{{{JOBS}}})"
    oldest = f"min by (job) (ticket_sentiment_rollout_epoch{{{JOBS}}})"
    arms = f'{TICKETS},arm=~"champion|challenger"'
    answered = total("requests", "1h", arms)
    challenger = total("requests", "1h", f'{TICKETS},arm="challenger"')
    share = f"max by (job) (avg_over_time(ticket_sentiment_rollout_share{{{JOBS}}}[1h]))"
    return (
        ticket(
            "ModelsDiffer",
            f"count by (job) (count by (job, digest) ({champions})) > 1",
            "15m",
            f"{JOB}: {PLAIN} different champions are loaded",
        ),
        ticket(
            "ReleaseNotLoaded",
            f"sum by (job) (ticket_sentiment_rollout_not_loaded{{{JOBS}}}) > 0",
            "10m",
            f"{JOB}: processes lack {PLAIN} bundles that the rollout names; customers get the model before",
        ),
        ticket(
            "RolloutEpochsDiffer",
            f"{newest} - {oldest} > 0",
            "10m",
            f"{JOB}: some processes do not follow the rollout; they are up to {PLAIN} epochs behind",
        ),
        ticket(
            "SplitDeviates",
            f"abs(({challenger} or {answered} * 0) / {answered} - {share}) > {held.max_split_deviation} "
            f"and {share} > 0 and {enough(answered, params)}",
            "15m",
            f"{JOB}: the challenger's share of the requests is {PERCENT} off its share of the customers",
        ),
    )


def rules(params: Params) -> tuple[Rule, ...]:
    """All of them."""
    return (*_records(), *_answers(params), *_shadow(params), *_loaded(params))
