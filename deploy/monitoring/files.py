"""Every file that `make monitoring` writes."""

import json
from pathlib import Path
from typing import Any

import yaml

from deploy.manifests.render import ROOT
from deploy.monitoring import cloudwatch
from deploy.monitoring.cases import cases
from deploy.monitoring.dashboards import dashboards
from deploy.monitoring.rules import alerts, groups
from ticket_sentiment.params import Params

HEAD = "# Written by `make monitoring` from params.yaml and deploy/monitoring: change those.\n"
SCRAPE_INTERVAL = "15s"
PREFIX = "ticket-sentiment-"
CLOUDWATCH = Path("deploy/cloudwatch")
GRAFANA = Path("deploy/grafana/dashboards")
PROMETHEUS = Path("deploy/prometheus")
COMPONENT = Path("deploy/kubernetes/components/monitoring/prometheus-rule.yaml")


def _yaml(value: Any) -> str:
    return HEAD + yaml.safe_dump(value, sort_keys=False, width=116, allow_unicode=True)


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _configuration(params: Params) -> dict[str, Any]:
    """A Prometheus beside the service, on one machine; Kubernetes has its ServiceMonitor."""
    return {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": "1m"},
        "rule_files": ["rules/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["localhost:9093"]}]}]},
        "scrape_configs": [
            {
                "job_name": "ticket-sentiment",
                "static_configs": [{"targets": [f"localhost:{params.serve.metrics.port}"]}],
            }
        ],
    }


def _rules(params: Params) -> dict[Path, str]:
    made = {}
    for group in groups(params):
        name = group.name.removeprefix(PREFIX)
        made[PROMETHEUS / f"rules/{name}.yaml"] = _yaml({"groups": [group.rendered(params)]})
    return made


def _tests(params: Params) -> dict[Path, str]:
    """A file for each group and step: promtool then evaluates no rule in vain."""
    by_name = {alert.name: alert for alert in alerts(params)}
    made = {}
    for group in groups(params):
        name = group.name.removeprefix(PREFIX)
        here = [case for case in cases(params) if by_name[case.alert] in group.rules]
        for step in sorted({case.step for case in here}):
            tests = [case.rendered(by_name[case.alert], params) for case in here if case.step == step]
            made[PROMETHEUS / f"tests/{name}-{step}.yaml"] = _yaml(
                {"rule_files": [f"../rules/{name}.yaml"], "evaluation_interval": step, "tests": tests}
            )
    return made


def _prometheus_rule(params: Params) -> str:
    return _yaml(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": "ticket-sentiment"},
            "spec": {"groups": [group.rendered(params) for group in groups(params)]},
        }
    )


def files(params: Params) -> dict[Path, str]:
    """Their texts, by path from the repository's root."""
    return {
        PROMETHEUS / "prometheus.yml": _yaml(_configuration(params)),
        **_rules(params),
        **_tests(params),
        **{GRAFANA / f"{d.uid}.json": _json(d.rendered()) for d in dashboards(params)},
        CLOUDWATCH / "alarms.json": _json(
            {"metric": cloudwatch.metric_alarms(params), "composite": cloudwatch.composite_alarms(params)}
        ),
        CLOUDWATCH / "dashboard.json": _json(cloudwatch.dashboard(params)),
        CLOUDWATCH / "budget.json": _json(cloudwatch.budget(params)),
        COMPONENT: _prometheus_rule(params),
    }


def differing(params: Params) -> list[Path]:
    """Those that are missing or not as `make monitoring` would write them."""
    return [
        path
        for path, text in files(params).items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text
    ]
