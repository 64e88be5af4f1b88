"""What do the models answer, and how does the challenger fare beside the champion?"""

from deploy.monitoring.dashboards.panel import RED, SELECTED, Dashboard, Panel, Query, Row
from deploy.monitoring.dashboards.queries import NEEDS_CHALLENGER, part, quantile, rate, seconds, series
from deploy.monitoring.rules.flows import DAY, HOUR, last_success
from deploy.monitoring.rules.objectives import FAULTS
from deploy.monitoring.rules.rule import TICKETS
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params

CLUSTER = "only a cluster's kube-state-metrics has it"


def _arms(params: Params) -> Row:
    asked = rate("requests", "arm", f'{TICKETS},arm!=""')
    failed = rate("requests", "arm", f'{TICKETS},arm!="",{FAULTS}')
    everybody = rate("requests", labels=f'{TICKETS},arm!=""')
    challenger = rate("requests", labels=f'{TICKETS},arm="challenger"')
    return Row(
        "Champion and challenger",
        (
            Panel(
                "Requests by arm",
                (Query(asked, "{{arm}}"),),
                "reqps",
                "Who answered; shadow is not in it, as it answers nobody.",
            ),
            Panel(
                "The challenger's share",
                (
                    Query(part(challenger, everybody), "of the requests"),
                    Query(f"max({series('rollout_share')})", "of the customers, intended"),
                ),
                "percentunit",
                "The two differ as customers do; the rollout tests the split by customer.",
            ),
            Panel(
                "Latency by arm",
                tuple(Query(seconds(q, "arm"), f"p{100 * q:g} {{{{arm}}}}") for q in (0.5, 0.95)),
                "s",
                "Side by side, on the same machines.",
                ((params.serve.objective_ms / 1000, RED),),
            ),
            Panel(
                "Failures by arm",
                (Query(f"({failed} or {asked} * 0) / ({asked} > 0)", "{{arm}}"),),
                "percentunit",
                "Of the requests that an arm was to answer.",
                ((1 - params.objectives.availability, RED),),
            ),
            Panel(
                "Shadow",
                (
                    Query(rate("shadow_scored"), "scored"),
                    Query(rate("shadow_dropped"), "dropped"),
                    Query(rate("shadow_failed"), "failed"),
                ),
                "ops",
                "Tickets for the arm that did not answer; dropped ones found its queue full.",
            ),
            Panel(
                "Shadow queue",
                (Query(series("shadow_queue_length"), "{{instance}}"),),
                "short",
                "Texts that wait until nobody waits for an answer.",
                ((params.serve.max_shadow_queue * params.serve.workers, RED),),
            ),
        ),
    )


def _answers(params: Params) -> Row:
    def mix(arm: str, empty: str = "") -> Panel:
        of_arm = f'arm="{arm}"'
        whole = rate("predicted", labels=of_arm)
        labelled = {label: rate("predicted", labels=f'{of_arm},label="{label}"') for label in LABELS}
        shares = tuple(Query(f"{expr} / ({whole} > 0)", label) for label, expr in labelled.items())
        return Panel(
            f"Answers of the {arm}",
            shares,
            "percentunit",
            "The mix moves with the customers' mood, with the channel, and with what is wrong upstream.",
            stacked=True,
            without=empty,
        )

    held = params.objectives
    labelled = rate("requests", labels='route="feedback",code="200"')
    record = "job_arm_label:ticket_sentiment_predicted:share"
    shift = f"sum by (job, arm) (abs({record}6h{{{SELECTED}}} - {record}7d{{{SELECTED}}})) / 2"
    abstained = f"{rate('abstained', 'arm')} / ({rate('predicted', 'arm')} > 0)"
    mean = (
        f"sum by (arm) (rate({series('confidence_sum')}[$__rate_interval])) / "
        f"(sum by (arm) (rate({series('confidence_count')}[$__rate_interval])) > 0)"
    )
    return Row(
        "Answers",
        (
            mix("champion"),
            mix("challenger", NEEDS_CHALLENGER),
            Panel(
                "Shift of the mix",
                (Query(shift, "{{job}}, {{arm}}"),),
                "percentunit",
                "Six hours against a week: share of the answers that would have to change their label.",
                ((held.max_mix_shift, RED),),
            ),
            Panel(
                "Abstentions",
                (Query(abstained, "{{arm}}"),),
                "percentunit",
                "Answers less sure than serve.abstain_below, which people should read.",
            ),
            Panel(
                "Confidence",
                (
                    Query(mean, "mean, {{arm}}"),
                    Query(quantile(0.1, "confidence", "arm"), "tenth that is least sure, {{arm}}"),
                ),
                "percentunit",
                "It falls when tickets are unlike what was learnt from.",
            ),
            Panel(
                "Labels from people",
                (Query(f"{labelled} * {HOUR}", "an hour"),),
                "short",
                "Feedback that was stored; promotion and retraining live on it.",
                without="nobody has sent feedback",
            ),
        ),
    )


def _rollout(params: Params) -> Row:
    days = params.objectives.max_retrain_days
    return Row(
        "Rollout and retraining",
        (
            Panel(
                "Epoch of the rollout",
                (Query(series("rollout_epoch"), "{{instance}}"),),
                "short",
                "Each step is a new epoch; all lines should be one.",
            ),
            Panel(
                "Bundles not loaded",
                (Query(series("rollout_not_loaded"), "{{instance}}"),),
                "short",
                "That the rollout names and a process does not hold; 0 is right.",
                ((1, RED),),
            ),
            Panel(
                "Since the last retraining",
                (Query(f"(time() - {last_success('monthly-retrain')}) / {DAY}", "days"),),
                "d",
                "As a CronJob on Kubernetes.",
                ((days, RED),),
                without=CLUSTER,
            ),
            Panel(
                "Models",
                (Query(f"count by (arm, model_version, digest, backend) ({series('build_info')} == 1)", ""),),
                "short",
                "What is loaded, over all processes.",
                kind="table",
                width=24,
            ),
        ),
    )


def dashboard(params: Params) -> Dashboard:
    """All rows."""
    return Dashboard(
        "ticket-sentiment-models",
        "Ticket Sentiment: models",
        "What the models answer, and how the challenger fares beside the champion.",
        (_arms(params), _answers(params), _rollout(params)),
    )
