"""Panels and dashboards, and their form for Grafana (schema version 39, Grafana 10 and later)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

GREEN, ORANGE, RED = "green", "orange", "red"
COLUMNS, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${source}"}
SELECTED = 'job=~"$job"'  # of every query

Thresholds = tuple[tuple[float, str], ...]  # from a value on, a colour; below the first one green


@dataclass(frozen=True)
class Query:
    """PromQL, and how its series are called in the legend."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """What is shown at one place.

    Attributes:
        title: short; the description says what to make of it.
        queries: of its series.
        unit: Grafana's name: reqps, s, percentunit, short, currencyUSD, ...
        description: what it means, and what is bad.
        thresholds: values at which a colour begins, shown as lines in a graph.
        kind: of Grafana's panels.
        base: colour below the first threshold.
        stacked: shares of a whole, on top of each other.
        width: of 24 columns.
        without: why it may be empty beside a healthy service; empty itself where it must not be.
    """

    title: str
    queries: tuple[Query, ...]
    unit: str
    description: str
    thresholds: Thresholds = ()
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    base: str = GREEN
    stacked: bool = False
    width: int = 8
    without: str = ""

    def rendered(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Grafana's JSON."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(query, chr(ord("A") + i)) for i, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            **self._transformations(),
        }

    @property
    def height(self) -> int:
        return HEIGHT // 2 if self.kind == "stat" else HEIGHT

    def _target(self, query: Query, letter: str) -> dict[str, Any]:
        instant = self.kind != "timeseries"
        return {
            "refId": letter,
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": instant,
            "range": not instant,
            "format": "table" if self.kind == "table" else "time_series",
        }

    def _defaults(self) -> dict[str, Any]:
        steps = [{"value": None, "color": self.base}, *({"value": v, "color": c} for v, c in self.thresholds)]
        held: dict[str, Any] = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.kind == "timeseries":
            held["min"] = 0
            held["custom"] = {
                "fillOpacity": 60 if self.stacked else 10,
                "stacking": {"mode": "normal" if self.stacked else "none"},
                "thresholdsStyle": {"mode": "line" if self.thresholds else "off"},
                "showPoints": "never",
            }
        elif self.kind == "stat":
            held["color"] = {"mode": "thresholds"}
        return held

    def _options(self) -> dict[str, Any]:
        if self.kind == "timeseries":
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        if self.kind == "stat":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
        return {"showHeader": True}

    def _transformations(self) -> dict[str, Any]:
        if self.kind != "table":
            return {}
        hidden = {"Time": True, "Value": True, "__name__": True}
        return {"transformations": [{"id": "organize", "options": {"excludeByName": hidden}}]}


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page of Grafana."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterable[Panel]:
        """All of them."""
        return chain.from_iterable(row.panels for row in self.rows)

    def rendered(self) -> dict[str, Any]:
        """Grafana's JSON."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["ticket-sentiment"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "graphTooltip": 1,
            "templating": {"list": _variables()},
            "links": [{"type": "dashboards", "title": "Ticket Sentiment", "tags": ["ticket-sentiment"]}],
            "panels": self._placed(),
        }

    def _placed(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
            made.append(
                {"id": len(made) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place}
            )
            x, y, tallest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                made.append(panel.rendered(len(made) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return made


def _variables() -> list[dict[str, Any]]:
    """Where the data is, and of which service."""
    return [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "job",
            "label": "Service",
            "type": "query",
            "datasource": SOURCE,
            "query": "label_values(ticket_sentiment_workers, job)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "current": {"text": "All", "value": "$__all"},
        },
    ]
