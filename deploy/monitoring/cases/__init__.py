"""An incident in which each alert fires and a like time in which it is silent, for `promtool test rules`."""

from deploy.monitoring.cases import model, objectives, service
from deploy.monitoring.cases.case import Case
from ticket_sentiment.params import Params


def cases(params: Params) -> tuple[Case, ...]:
    """All of them."""
    return (*objectives.cases(params), *service.cases(params), *model.cases(params))
