"""Alerts on the flows as CronJobs: metrics of kube-state-metrics, which a cluster's Prometheus has.

Elsewhere Prefect's server knows about its runs, and the flows tell by themselves (`alerts`).
"""

from deploy.monitoring.rules.rule import Rule, ticket
from ticket_sentiment.params import Params

NAMESPACE = 'namespace="ticket-sentiment"'
DAY, HOUR = 86400, 3600


def last_success(cronjob: str) -> str:
    """When a CronJob last succeeded, in seconds since 1970; since it is there, where it never has."""
    chosen = f'{{{NAMESPACE},cronjob="{cronjob}"}}'
    times = (f"kube_cronjob_status_last_successful_time{chosen}", f"kube_cronjob_created{chosen}")
    return "({} or {})".format(*(f"max by (namespace, cronjob) ({time})" for time in times))


def rules(params: Params) -> tuple[Rule, ...]:
    """All of them."""
    days, hours = params.objectives.max_retrain_days, params.rollout.max_look_gap_hours
    return (
        ticket(
            "RetrainLate",
            f"(time() - {last_success('monthly-retrain')}) / {DAY} > {days}",
            "1h",
            f'no retraining has succeeded for {{{{ printf "%.0f" $value }}}} days; {days} are allowed',
        ),
        ticket(
            "RolloutLookLate",
            f"(time() - {last_success('rollout')}) / {HOUR} > {hours:g}",
            "10m",
            "nobody has looked at the rollout for "
            f'{{{{ printf "%.1f" $value }}}} hours; longer than {hours:g} do not count as its time',
        ),
        ticket(
            "FlowFailed",
            # Not kube_job_status_failed: that counts pods, of a job that succeeded after a retry too.
            f'max by (namespace, job_name) (kube_job_failed{{{NAMESPACE},condition="true"}}) == 1',
            "0m",
            "the job {{ $labels.job_name }} has failed",
        ),
    )
