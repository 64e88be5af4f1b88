"""Grafana's dashboards, written as the JSON that it provisions from."""

from deploy.monitoring.dashboards import models, service
from deploy.monitoring.dashboards.panel import Dashboard
from ticket_sentiment.params import Params


def dashboards(params: Params) -> tuple[Dashboard, ...]:
    """Every dashboard."""
    return (service.dashboard(params), models.dashboard(params))
