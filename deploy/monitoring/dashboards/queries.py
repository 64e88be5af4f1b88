"""The shapes of query that panels share."""

from deploy.monitoring.dashboards.panel import SELECTED
from deploy.monitoring.rules.objectives import SINGLE
from deploy.monitoring.rules.rule import TICKETS
from ticket_sentiment.serving.metrics import PREFIX

NEEDS_CHALLENGER = "a challenger is loaded"


def series(name: str, labels: str = "") -> str:
    """The chosen services' series of a metric."""
    return f"{PREFIX}_{name}{{{SELECTED}{',' if labels else ''}{labels}}}"


def rate(name: str, by: str = "", labels: str = "") -> str:
    """A counter's growth in a second, over all processes."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({series(f'{name}_total', labels)}[$__rate_interval]))"


def quantile(q: float, name: str, by: str = "", labels: str = "") -> str:
    """Of a histogram; as fine as its buckets."""
    grouped = f"le, {by}" if by else "le"
    inner = f"sum by ({grouped}) (rate({series(f'{name}_bucket', labels)}[$__rate_interval]))"
    return f"histogram_quantile({q}, {inner})"


def seconds(q: float, by: str = "") -> str:
    """Time of single tickets."""
    return quantile(q, "request_seconds", by, SINGLE)


def part(some: str, all_of_it: str) -> str:
    """A share of two rates, 0 where the part has no series yet."""
    return f"({some} or {all_of_it} * 0) / ({all_of_it} > 0)"


ASKED = rate("requests", labels=TICKETS)
