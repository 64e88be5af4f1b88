"""deploy/kubernetes passes its check, and the check sees errors that are planted in what was rendered."""

import copy
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deploy.manifests import render, schemas
from deploy.manifests.check import errors
from deploy.manifests.policies import POLICIES
from deploy.manifests.references import REFERENCES

OVERLAYS = {"local", "cpu", "hpa", "gpu", "hybrid", "split", "edge", "flows", "eks"}
REMOVE = object()

rendered = pytest.mark.skipif(
    render.renderer() is None, reason="manifests are not rendered: install kustomize or kubectl"
)


@cache
def objects_of(overlay: str) -> list[render.Object]:
    return render.render(render.KUBERNETES / "overlays" / overlay)


def planted(overlay: str, name: str, path: str, value: Any) -> list[str]:
    """What the check says when one field of one object (Kind name) is another, or gone."""
    objects = copy.deepcopy(objects_of(overlay))
    (place,) = [item for item in objects if render.name_of(item) == name]
    *keys, last = [int(key) if key.isdecimal() else key for key in path.split("/")]
    for key in keys:
        place = place[key]
    if value is REMOVE:
        del place[last]
    else:
        place[last] = value
    return errors(objects)


def test_every_overlay_is_known():
    assert {path.name for path in render.overlays()} == OVERLAYS


@rendered
@pytest.mark.parametrize("overlay", sorted(OVERLAYS))
def test_an_overlay_is_right(overlay):
    assert errors(objects_of(overlay)) == []


CPU, GPU = "Deployment ticket-sentiment-cpu", "Deployment ticket-sentiment-gpu"
HPA = "HorizontalPodAutoscaler ticket-sentiment-cpu"
RULES = "PrometheusRule ticket-sentiment"
ROUTE, MONITOR = "HTTPRoute ticket-sentiment", "ServiceMonitor ticket-sentiment"
SERVICE, BUDGET = "Service ticket-sentiment-cpu", "PodDisruptionBudget ticket-sentiment-cpu"
NETWORK, STORES = "NetworkPolicy ticket-sentiment-cpu", "NetworkPolicy ticket-sentiment-stores"
SCALED = "ScaledObject ticket-sentiment-cpu"
POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"
JOB = f"spec/jobTemplate/{CONTAINER}"
TRIGGER = "spec/triggers/0/metadata"
IN_FLIGHT = 'ticket_sentiment_in_flight{namespace="ticket-sentiment",service="ticket-sentiment-cpu"}'


@rendered
@pytest.mark.parametrize(
    ("overlay", "name", "path", "value", "said"),
    [
        ("cpu", CPU, f"{POD}/containerz", [], "'containerz' was unexpected"),
        ("cpu", CPU, f"{CONTAINER}/readynessProbe", {}, "'readynessProbe' was unexpected"),
        ("cpu", CPU, f"{CONTAINER}/lifecycle/preStop/sleep/seconds", "10", "'10' is not of type 'integer'"),
        ("cpu", CPU, "spec/selector", REMOVE, "'selector' is a required property"),
        ("cpu", CPU, "apiVersion", "apps/v2", "no schema for apps/v2 Deployment"),
        ("hpa", HPA, "spec/maxReplica", 3, "'maxReplica' was unexp"),
        ("split", ROUTE, "spec/rules/0/backendRefs/0/weight", "95", "type 'integer'"),
        ("split", ROUTE, "spec/rules/0/backendRefs/0/weigth", 95, "'weigth' was unexp"),
        ("split", ROUTE, "spec/rules/0/matches/0/path/type", "Prefix", "is not one of"),
        ("cpu", SCALED, f"{TRIGGER}/threshold", 16, "16 is not of type 'string'"),
        ("cpu", SCALED, "spec/fallback/behavior", "keep", "'keep' is not one of"),
        ("cpu", SCALED, "spec/maxReplicas", 9, "'maxReplicas' was unexpected"),
        ("cpu", MONITOR, "spec/endpoints/0/intervall", "5s", "'intervall' was unexp"),
        ("cpu", MONITOR, "spec/endpoints/0/interval", "5 s", "does not match"),
        ("cpu", RULES, "spec/groups/0/rules/0/exprs", "up", "'exprs' was unexpected"),
        ("cpu", RULES, "spec/groups/0/interval", "1 m", "does not match"),
        ("eks", "NodePool ticket-sentiment-base", "spec/weight", "100", "'100' is not of type 'integer'"),
        ("eks", "NodePool ticket-sentiment-base", "spec/weight", 101, "101 is greater than the maximum"),
        ("eks", "NodePool ticket-sentiment-base", "spec/disruption/consolidate", "5m", "was unexpected"),
        ("eks", "EC2NodeClass ticket-sentiment", "spec/amiSelectorTerms", REMOVE, "is a required property"),
    ],
)  # fmt: skip
def test_the_schemas_are_strict(overlay, name, path, value, said):
    found = planted(overlay, name, path, value)
    assert any(said in error and error.startswith(name) for error in found), found


@rendered
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sum(ticket_sentiment_in_flight", "PromQL: unclosed left parenthesis"),
        ("sum(rate(ticket_sentiment_in_flight))", "PromQL: expected type"),
        (f"sum({IN_FLIGHT.replace('in_flight', 'inflight')})", "exposes no metric ticket_sentiment_inflight"),
        ("ticket_sentiment_requests", "exposes no metric ticket_sentiment_requests"),  # it is ..._total
        (f"sum({IN_FLIGHT.replace('service=', 'servise=')})", "has no label servise"),
        (f"sum({IN_FLIGHT}) + ticket_sentiment_lost", "exposes no metric ticket_sentiment_lost"),
        (f"sum({IN_FLIGHT.replace('service=', 'pod=')})", "its query does not ask for"),
    ],
)
def test_queries_are_parsed_and_ask_for_what_is_exposed(query, said):
    found = planted("cpu", SCALED, f"{TRIGGER}/query", query)
    assert len(found) == 1 and said in found[0], found


@rendered
@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("ticket_sentiment_lost > 0", "exposes no metric ticket_sentiment_lost"),
        ("job:ticket_sentiment_failed:ratio_rate9h > 0", "exposes no metric job:ticket_sentiment_failed"),
        ("job:ticket_sentiment_failed:ratio_rate1h{arm='champion'} > 0", "has no label arm"),
        ("kube_job_failed{job='x'} >", "PromQL"),
    ],
)
def test_rules_ask_for_what_is_exposed_or_recorded(expr, said):
    found = planted("cpu", RULES, "spec/groups/1/rules/0/expr", expr)
    assert len(found) == 1 and said in found[0] and found[0].startswith(f"{RULES}, ServiceDown"), found


@rendered
@pytest.mark.parametrize(
    ("overlay", "name", "path", "value", "said"),
    [
        ("cpu", CPU, f"{CONTAINER}/livenessProbe", REMOVE, "no livenessProbe"),
        ("gpu", GPU, f"{CONTAINER}/resources/limits/ephemeral-storage", "1Gi", "may hold 2304 MiB"),
        ("cpu", CPU, f"{CONTAINER}/startupProbe", REMOVE, "no startupProbe"),
        ("cpu", CPU, f"{CONTAINER}/readinessProbe/httpGet/path", "/livez", "must ask /readyz"),
        ("cpu", CPU, f"{CONTAINER}/readinessProbe/httpGet/port", "metrics", "must ask /readyz"),
        ("cpu", CPU, f"{CONTAINER}/ports/0/containerPort", 8080, "but params.yaml has"),
        ("cpu", CPU, f"{CONTAINER}/env/0/name", "TICKET_SENTIMENT_EVENT_URL", "reads no variable"),
        ("cpu", CPU, f"{CONTAINER}/env", [], "Prometheus does not reach the metrics"),
        ("cpu", CPU, f"{CONTAINER}/resources", REMOVE, "no request for cpu and memory"),
        ("flows", "CronJob rollout", f"{JOB}/resources/limits/memory", "2Gi", "the limit"),
        ("cpu", CPU, f"{POD}/securityContext/runAsUser", 0, "must run as user 1034"),
        ("cpu", CPU, f"{POD}/securityContext/seccompProfile", REMOVE, "no seccompProfile"),
        ("cpu", CPU, f"{POD}/automountServiceAccountToken", REMOVE, "token of the API server"),
        ("cpu", CPU, f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False, "root file system"),
        ("cpu", CPU, f"{CONTAINER}/securityContext/allowPrivilegeEscalation", True, "privileges"),
        ("cpu", CPU, f"{CONTAINER}/securityContext/capabilities/drop", [], "capabilities are kept"),
        ("cpu", CPU, f"{CONTAINER}/volumeMounts", [], "no volume on /tmp"),
        ("cpu", CPU, f"{CONTAINER}/image", "ticket-sentiment:v1", "not named by its digest"),
        ("local", CPU, f"{CONTAINER}/image", "ticket-sentiment:latest", "not named by its digest"),
        ("local", CPU, f"{CONTAINER}/imagePullPolicy", "Always", "not named by its digest"),
        ("cpu", BUDGET, "spec/maxUnavailable", 0, "PodDisruptionBudget, with"),
        ("cpu", BUDGET, "spec/maxUnavailable", 1, "PodDisruptionBudget, with"),
        ("cpu", BUDGET, "spec/selector/matchLabels/a", "b", "selects no pod"),
        ("cpu", CPU, f"{POD}/topologySpreadConstraints/0", REMOVE, "not spread over zones and nodes"),
        ("cpu", NETWORK, "spec/policyTypes", ["Ingress"], "no NetworkPolicy of its"),
        ("cpu", "NetworkPolicy ticket-sentiment-default-deny", "spec/ingress", [{}], "that denies all"),
        ("cpu", STORES, "spec/podSelector/matchLabels/a", "b", "selects no pod"),
        ("cpu", CPU, f"{CONTAINER}/env/0", {"name": "TICKET_SENTIMENT_REMOTE_KEY", "value": "x"}, "a secret"),
        ("flows", "ConfigMap ticket-sentiment-flows", "data/URL", "postgresql://me:word@host/db", "a secret"),
        ("cpu", CPU, f"{POD}/terminationGracePeriodSeconds", 30, "stops within 56 s"),
        ("cpu", CPU, f"{CONTAINER}/lifecycle", REMOVE, "no preStop sleep"),
        ("cpu", SERVICE, "spec/ports/0/targetPort", "web", "its pods have no port web"),
        ("cpu", SERVICE, "spec/selector/a", "b", "selects no pod"),
        ("hybrid", ROUTE, "spec/rules/0/backendRefs/0/name", "gpu", "no Service gpu"),
        ("cpu", MONITOR, "spec/endpoints/0/port", "prometheus", "has its ports"),
        ("cpu", CPU, f"{POD}/priorityClassName", "high", "no PriorityClass high"),
        ("cpu", CPU, f"{CONTAINER}/volumeMounts/0/name", "cache", "mounts cache, which is no volume"),
        ("edge", "PersistentVolumeClaim ticket-sentiment-var", "metadata/name", "v", "no Persistent"),
        ("cpu", CPU, "spec/replicas", 3, "either `replicas` or an autoscaler"),
        ("edge", CPU, "spec/replicas", REMOVE, "either `replicas` or an autoscaler"),
        ("cpu", SCALED, "spec/scaleTargetRef/name", "cpu", "no Deployment cpu"),
        ("cpu", SCALED, "spec/minReplicaCount", REMOVE, "minReplicaCount must be 1 or more"),
        ("cpu", SCALED, "spec/fallback", REMOVE, "no fallback"),
        ("cpu", SCALED, f"{TRIGGER}/ignoreNullValues", REMOVE, 'ignoreNullValues "false"'),
        ("cpu", SCALED, f"{TRIGGER}/threshold", "512", "above what a pod refuses"),
        ("eks", "NodePool ticket-sentiment-gpu", f"{POD}/taints/0/key", "gpu", "does not tolerate gpu"),
        ("eks", GPU, f"{POD}/nodeSelector", {"ticket-sentiment/pool": "gpus"}, "no NodePool gpus"),
        ("eks", "EC2NodeClass ticket-sentiment", "metadata/name", "other", "no EC2NodeClass"),
    ],
)  # fmt: skip
def test_the_policies_see_what_a_schema_cannot(overlay, name, path, value, said):
    found = planted(overlay, name, path, value)
    assert any(said in error for error in found), found


@pytest.mark.parametrize(
    "source",
    [
        {"value": "first Zm9v"},
        {"valueFrom": {"configMapKeyRef": {"name": "keys", "key": "public", "optional": True}}},
    ],
)
def test_public_keys_may_be_set_in_the_pod(source):
    variable = {"name": render.params().serve.public_keys_env, **source}
    container = {"name": "service", "env": [variable]}
    pod = {"metadata": {"labels": {}}, "spec": {"containers": [container]}}
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": pod}}
    held = {"kind": "ConfigMap", "metadata": {"name": "keys"}, "data": {variable["name"]: "first Zm9v"}}
    rules = {rule.__name__: rule for rule in POLICIES}
    assert not [said for said in rules["environment"]([deployment]) if variable["name"] in said]
    assert [*rules["secrets"]([deployment, held])] == []


def test_traces_may_be_sent_from_the_pod():
    container = {"name": "service", "env": [{"name": "BENTOML_CONFIG", "value": "/etc/bentoml/traces.yaml"}]}
    pod = {"metadata": {"labels": {}}, "spec": {"containers": [container]}}
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": pod}}
    rules = {rule.__name__: rule for rule in POLICIES}
    assert not [said for said in rules["environment"]([deployment]) if "BENTOML_CONFIG" in said]


@rendered
def test_the_document_names_every_overlay_and_every_secret():
    text = (render.ROOT / "docs/kubernetes.md").read_text()
    wanted = set(OVERLAYS)
    for overlay in OVERLAYS:
        for _, pod in render.pods(objects_of(overlay)):
            for container in render.containers(pod):
                for variable in container.get("env", []):
                    if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                        wanted |= {reference["name"], reference["key"]}
                wanted |= {source["secretRef"]["name"] for source in container.get("envFrom", [])}
    assert {name for name in wanted if f"`{name}`" not in text} == set()


@rendered
@pytest.mark.parametrize("overlay", sorted(OVERLAYS))
def test_services_and_flows_make_pseudonyms_with_one_key(overlay):
    """Else a customer whom the service met is another one in the tickets, and nothing says so."""
    name, found = "TICKET_SENTIMENT_PSEUDONYM_KEY", []
    for _, pod in render.pods(objects_of(overlay)):
        for container in pod["spec"]["containers"]:
            held = {variable["name"]: variable.get("valueFrom") for variable in container.get("env", [])}
            found.append(held.get(name))
    one = {"name": "ticket-sentiment-pseudonyms", "key": "key", "optional": True}
    assert found and all(item == {"secretKeyRef": one} for item in found)


@rendered
def test_the_least_pods_of_each_overlay_cost_nothing_beyond_the_budget():
    """CostAboveBudget counts those above `objectives.least_pods`."""
    least = {"cpu": 0, "gpu": 0}
    for overlay in OVERLAYS:
        for item in render.of_kind(objects_of(overlay), "ScaledObject", "HorizontalPodAutoscaler"):
            device = "gpu" if "gpu" in item["metadata"]["name"] else "cpu"
            spec = item["spec"]
            least[device] = max(least[device], spec.get("minReplicaCount", spec.get("minReplicas", 0)))
    assert render.params().objectives.least_pods.model_dump() == least


@rendered
def test_what_is_gone_is_missed():
    def without(name: str) -> list[str]:
        return errors([item for item in objects_of("cpu") if render.name_of(item) != name])

    assert any("PodDisruptionBudget" in e for e in without(BUDGET))
    assert any("no NetworkPolicy of its own" in e for e in without(NETWORK))
    assert any("denies all" in e for e in without("NetworkPolicy ticket-sentiment-default-deny"))
    assert any("no ServiceAccount" in e for e in without("ServiceAccount ticket-sentiment"))


@rendered
def test_two_autoscalers_and_a_secret_are_seen():
    (autoscaler,) = render.of_kind(objects_of("hpa"), "HorizontalPodAutoscaler")
    assert any("2 autoscalers" in error for error in errors([*objects_of("cpu"), autoscaler]))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}}
    assert errors([secret])[0].startswith("Secret keys: no schema")
    (policy,) = [rule for rule in POLICIES if rule.__name__ == "secrets"]
    assert [*policy([secret])] == ["Secret keys: a Secret is made outside of the repository"]


def test_each_rule_is_asked_once():
    rules = [rule.__name__ for rule in (*POLICIES, *REFERENCES)]
    assert len(rules) == len(set(rules))


def test_each_schema_says_where_it_is_from():
    for path in Path(schemas.SCHEMAS).glob("*.json"):
        held = json.loads(path.read_text())
        assert held["source"].endswith(("MIT", "Apache-2.0"))
        assert set(held["kinds"].values()) <= held["$defs"].keys()


@rendered
def test_the_command_fails_with_what_is_wrong(tmp_path):
    program = (
        "import sys; from pathlib import Path; from deploy.manifests import __main__ as command;"
        "command.overlays = lambda: [Path(sys.argv[1])]; sys.exit(command.main())"
    )

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, folder], capture_output=True, text=True, cwd=render.ROOT
        )

    assert run(render.KUBERNETES / "overlays/local").returncode == 0
    (tmp_path / "kustomization.yaml").write_text("resources: [service.yaml]\n")
    (tmp_path / "service.yaml").write_text(
        "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {port: []}}\n"
    )
    done = run(tmp_path)
    assert done.returncode == 1
    assert "Service x: spec: Additional properties are not allowed ('port' was unexpected)" in done.stdout


def test_without_kustomize_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(render.shutil, "which", lambda name: None)
    with pytest.raises(render.TicketSentimentError, match="neither kustomize nor kubectl"):
        render.render(render.KUBERNETES / "overlays/local")


def containers_of(kind: str, overlay: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for item in objects_of(overlay):
        if item["kind"] == kind:
            spec = item["spec"].get("jobTemplate", item)["spec"]["template"]["spec"]
            found += [(item["metadata"]["name"], container) for container in spec["containers"]]
    return found


@rendered
def test_services_and_flows_have_the_public_keys():
    """With `serve.require_signature` a flow without them brings no release to anybody."""
    name = render.params().serve.public_keys_env
    for kind, expected in (("Deployment", 2), ("CronJob", 4)):
        found = containers_of(kind, "eks")
        assert len(found) == expected
        for _, container in found:
            (variable,) = [one for one in container["env"] if one["name"] == name]
            held = variable["valueFrom"]["configMapKeyRef"]["name"]
            # With a hash: a running pod never sees a change of its environment.
            assert re.fullmatch(r"ticket-sentiment-public-keys-\w{10}", held)


@rendered
def test_a_node_for_the_retraining_is_empty_when_it_is_over():
    """What runs every minute would hold it for ever."""
    pools = {
        item["metadata"]["name"]: item["spec"]["jobTemplate"]["spec"]["template"]["spec"]["nodeSelector"]
        for item in objects_of("eks")
        if item["kind"] == "CronJob"
    }
    of = {name: pool["ticket-sentiment/pool"] for name, pool in pools.items()}
    assert of.pop("monthly-retrain") == "batch"
    assert set(of.values()) == {"flows"}
    (kept,) = [
        item["spec"]["disruption"]["consolidateAfter"]
        for item in objects_of("eks")
        if render.name_of(item) == "NodePool ticket-sentiment-flows"
    ]
    assert kept == "Never"


@rendered
def test_the_pool_of_gpus_holds_a_rollout_at_full_scale():
    """A new pod starts before an old one stops, and needs a GPU meanwhile."""
    objects = {render.name_of(item): item.get("spec") for item in objects_of("eks")}
    pods = objects["ScaledObject ticket-sentiment-gpu"]["maxReplicaCount"]
    surge = objects["Deployment ticket-sentiment-gpu"]["strategy"]["rollingUpdate"]["maxSurge"]
    assert int(objects["NodePool ticket-sentiment-gpu"]["limits"]["nvidia.com/gpu"]) >= pods + surge


@rendered
def test_postgresql_is_asked_for_as_many_connections_as_pods_can_hold():
    """docs/operations.md: three of each worker (tests/events holds them to it), and some for all else."""
    workers = render.params().serve.workers
    text = (render.KUBERNETES.parents[1] / "docs/operations.md").read_text()
    for overlay in ("cpu", "hybrid"):
        scaled = [item["spec"] for item in objects_of(overlay) if item["kind"] == "ScaledObject"]
        needed = sum(spec["maxReplicaCount"] for spec in scaled) * workers * 3 + 20
        assert f" {needed}" in text.partition("max_connections` to 3")[2].partition("MLflow")[0]
