"""What `make monitoring` writes: up to date, checked by Prometheus' own tools, each alert tried both ways."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.manifests import queries
from deploy.manifests.render import ROOT, params
from deploy.monitoring import checks
from deploy.monitoring.cases import cases
from deploy.monitoring.dashboards import dashboards
from deploy.monitoring.files import COMPONENT, differing, files
from deploy.monitoring.rules import alerts, groups
from deploy.monitoring.rules.rule import Record
from tests.support.params import params_file
from ticket_sentiment.params import load_params

P = params()
RECORDED = queries.recorded([yaml.safe_load((ROOT / COMPONENT).read_text())])
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()

amtool = pytest.mark.skipif(
    shutil.which("amtool") is None,
    reason="amtool is not installed: its Debian package is prometheus-alertmanager",
)
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: its Debian package is prometheus"
)


def test_the_files_are_what_params_yaml_makes():
    assert differing(P) == [], "run make monitoring"


def test_another_objective_makes_other_rules(tmp_path):
    raw = yaml.safe_load(params_file().read_text())
    raw["objectives"]["availability"] = 0.95
    raw["serve"]["objective_ms"] = 70
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    made = files(load_params(tmp_path / "params.yaml"))
    (rules,) = [text for path, text in made.items() if path.name == "objectives.yaml"]
    assert 'le="0.07"' in rules and "ratio_rate1h > 0.72" in rules
    (board,) = [text for path, text in made.items() if path.name == "ticket-sentiment-service.json"]
    assert 'le=\\"0.07\\"' in board and "objective 95.000%" in board


@pytest.mark.parametrize("alert", alerts(P), ids=lambda alert: alert.name)
def test_each_alert_has_a_case_that_fires_one_that_is_silent_and_a_runbook(alert):
    fires = [case.labels is not None for case in cases(P) if case.alert == alert.name]
    assert True in fires and False in fires
    assert f"\n## {alert.name}\n" in RUNBOOKS
    address, _, anchor = alert.annotations(P)["runbook_url"].partition("#")
    assert address == P.objectives.runbooks and anchor == alert.name.lower()


def test_no_case_and_no_name_is_left_over():
    names = [alert.name for alert in alerts(P)]
    assert len(names) == len(set(names))
    assert {case.alert for case in cases(P)} == set(names)


@pytest.mark.parametrize("rule", [rule for group in groups(P) for rule in group.rules], ids=lambda r: r.name)
def test_a_rule_asks_only_for_what_is_exposed_or_recorded(rule):
    assert queries.errors(rule.expr, RECORDED) == []
    if isinstance(rule, Record):
        assert re.fullmatch(r"job(_\w+)?:ticket_sentiment_\w+:\w+", rule.name)


def test_a_metric_that_nobody_exposes_is_seen():
    assert queries.errors("job:ticket_sentiment_lost:ratio_rate1h > 0", RECORDED)
    assert queries.errors("job:ticket_sentiment_failed:ratio_rate1h{arm='champion'}", RECORDED)


@pytest.mark.parametrize("board", dashboards(P), ids=lambda board: board.uid)
def test_a_dashboard_is_sound(board):
    made = board.rendered()
    assert json.loads((ROOT / f"deploy/grafana/dashboards/{board.uid}.json").read_text()) == made
    numbers = [panel["id"] for panel in made["panels"]]
    assert len(numbers) == len(set(numbers))
    titles = [panel.title for panel in board.panels]
    assert len(titles) == len(set(titles))
    taken = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    for panel in board.panels:
        assert panel.description and panel.unit and panel.queries, panel.title
        for query in panel.queries:
            plain = re.sub(r"\$(__rate_interval|__range)", "5m", query.expr)
            assert queries.errors(plain, RECORDED) == [], panel.title
            cluster = "kube_" in query.expr
            assert cluster or 'job=~"$job"' in query.expr, f"{panel.title} mixes services"


@pytest.mark.parametrize("name", checks.commands())
def test_prometheus_own_tools_are_content(name):
    command = checks.commands()[name]
    if checks.missing(command):
        pytest.skip(f"{command[0]} is not installed (Debian: prometheus, prometheus-alertmanager)")
    content, said = checks.run(command)
    assert content, said


@promtool
def test_a_rule_that_is_wrong_fails_its_case(tmp_path):
    """The cases are no decoration: one threshold out of reach, and they say so."""
    shutil.copytree(checks.PROMETHEUS, tmp_path / "prometheus")
    rules = tmp_path / "prometheus/rules/flows.yaml"
    limit = f"> {P.objectives.max_retrain_days}"
    assert limit in rules.read_text()
    rules.write_text(rules.read_text().replace(limit, "> 99999"))
    content, said = checks.run(
        ("promtool", "test", "rules", str(tmp_path / "prometheus/tests/flows-1m.yaml"))
    )
    assert not content and "RetrainLate" in said


@amtool
@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets")])
def test_an_alert_goes_to_whom_it_should(severity, receiver):
    command = ["amtool", "config", "routes", "test", f"--config.file={checks.ALERTMANAGER}"]
    done = subprocess.run([*command, f"severity={severity}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [receiver]


def test_alertmanager_holds_no_secret_and_knows_the_alerts_it_names():
    text = checks.ALERTMANAGER.read_text()
    assert "hooks.slack.com" not in text and not re.search(r"(api_url|routing_key|password):", text)
    named = set(re.findall(r'alertname="(\w+)"', text))
    assert named <= {alert.name for alert in alerts(P)}


def test_grafana_finds_the_dashboards():
    provider = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/dashboards/ticket-sentiment.yaml").read_text()
    )
    assert provider["providers"][0]["options"]["path"].endswith("/dashboards")
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text())
    assert source["datasources"][0]["type"] == "prometheus"
    assert {Path(f"deploy/grafana/dashboards/{board.uid}.json") for board in dashboards(P)} <= files(P).keys()
