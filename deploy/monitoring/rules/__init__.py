"""All recording and alerting rules, in groups that Prometheus evaluates one after the other."""

from deploy.monitoring.rules import flows, model, objectives, service
from deploy.monitoring.rules.rule import Alert, Group
from ticket_sentiment.params import Params


def groups(params: Params) -> tuple[Group, ...]:
    """Every group of rules."""
    return (
        Group("ticket-sentiment-objectives", objectives.rules(params)),
        Group("ticket-sentiment-service", service.rules(params)),
        Group("ticket-sentiment-model", model.rules(params)),
        Group("ticket-sentiment-flows", flows.rules(params)),
    )


def alerts(params: Params) -> tuple[Alert, ...]:
    """Every alert, in the order of the groups."""
    return tuple(rule for group in groups(params) for rule in group.rules if isinstance(rule, Alert))
