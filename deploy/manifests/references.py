"""What names another object names one that is there, and autoscalers cannot do harm."""

from collections.abc import Iterator

import promql_parser

from deploy.manifests.queries import selectors
from deploy.manifests.render import Object, containers, labels_match, name_of, of_kind, params, pods

POOL = "ticket-sentiment/pool"


def names(objects: list[Object], kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in of_kind(objects, kind)}


def services(objects: list[Object]) -> Iterator[str]:
    """A Service has pods, and sends to ports that they have."""
    templates = [pod for _, pod in pods(objects)]
    for item in of_kind(objects, "Service"):
        selector = {"matchLabels": item["spec"].get("selector", {})}
        chosen = [pod for pod in templates if labels_match(selector, pod["metadata"]["labels"])]
        if not chosen:
            yield f"{name_of(item)}: selects no pod"
        for pod in chosen:
            held = {port.get("name") for container in containers(pod) for port in container.get("ports", [])}
            for port in item["spec"]["ports"]:
                if port.get("targetPort") not in held:
                    yield f"{name_of(item)}: its pods have no port {port.get('targetPort')}"


def routes(objects: list[Object]) -> Iterator[str]:
    """A route's backends are Services with that port; monitors find a Service with theirs."""
    held = {
        (item["metadata"]["name"], port["port"])
        for item in of_kind(objects, "Service")
        for port in item["spec"].get("ports", [])
    }
    for item in of_kind(objects, "HTTPRoute"):
        for rule in item["spec"].get("rules", []):
            for backend in rule.get("backendRefs", []):
                if (backend["name"], backend.get("port")) not in held:
                    yield f"{name_of(item)}: no Service {backend['name']} with port {backend.get('port')}"
    for item in of_kind(objects, "ServiceMonitor"):
        asked = {endpoint.get("port") for endpoint in item["spec"]["endpoints"]}
        found = [
            {port.get("name") for port in service["spec"].get("ports", [])}
            for service in of_kind(objects, "Service")
            if labels_match(item["spec"]["selector"], service["metadata"].get("labels", {}))
        ]
        if not found or any(not asked <= held_ports for held_ports in found):
            yield f"{name_of(item)}: not every Service that it selects has its ports, or it selects none"


def selected(objects: list[Object]) -> Iterator[str]:
    """A NetworkPolicy or a budget that selects nothing is a typo."""
    labels = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for item in of_kind(objects, "NetworkPolicy", "PodDisruptionBudget"):
        selector = item["spec"].get("podSelector", item["spec"].get("selector", {}))
        if not any(labels_match(selector, held) for held in labels):
            yield f"{name_of(item)}: selects no pod"


def mounted(objects: list[Object]) -> Iterator[str]:
    """What a pod is made of is there: account, priority, claims, settings, volumes."""
    for item, pod in pods(objects):
        spec = pod["spec"]
        wanted = {
            ("ServiceAccount", spec.get("serviceAccountName", "default")),
            ("PriorityClass", spec.get("priorityClassName", "of its own")),
        }
        for volume in spec.get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                wanted.add(("PersistentVolumeClaim", claim["claimName"]))
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        for container in containers(pod):
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("configMapKeyRef"):
                    wanted.add(("ConfigMap", reference["name"]))
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{name_of(item)}: mounts {mount['name']}, which is no volume of it"
        for kind, name in sorted(wanted):
            if name not in names(objects, kind):
                yield f"{name_of(item)}: no {kind} {name}"


def scaled(objects: list[Object]) -> Iterator[str]:
    """One autoscaler for a Deployment, which then has no `replicas`, as each apply would set it back."""
    scalers = of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")
    targets = [item["spec"]["scaleTargetRef"]["name"] for item in scalers]
    for item in of_kind(objects, "Deployment"):
        count = targets.count(item["metadata"]["name"])
        if count > 1:
            yield f"{name_of(item)}: {count} autoscalers"
        if (count == 0) != ("replicas" in item["spec"]):
            yield f"{name_of(item)}: must have either `replicas` or an autoscaler"
    for item, target in zip(scalers, targets, strict=True):
        if target not in names(objects, "Deployment"):
            yield f"{name_of(item)}: no Deployment {target}"


def keda(objects: list[Object]) -> Iterator[str]:
    """Lost metrics scale nobody down, and the target lies below what a pod refuses."""
    serve = params().serve
    for item in of_kind(objects, "ScaledObject"):
        spec = item["spec"]
        if spec.get("minReplicaCount", 0) < 1:
            yield f"{name_of(item)}: minReplicaCount must be 1 or more"
        if spec.get("fallback", {}).get("behavior") != "currentReplicasIfHigher":
            yield f"{name_of(item)}: no fallback with currentReplicasIfHigher"
        place = {"namespace": item["metadata"].get("namespace"), "service": spec["scaleTargetRef"]["name"]}
        for trigger in spec["triggers"]:
            if trigger["type"] != "prometheus":
                continue
            held = trigger["metadata"]
            if held.get("ignoreNullValues") != "false" or trigger.get("metricType") != "AverageValue":
                yield f'{name_of(item)}: needs ignoreNullValues "false" and metricType AverageValue'
            target = held.get("threshold", "")
            if not target.isdecimal() or not 0 < int(target) < serve.workers * serve.max_queue:
                yield f"{name_of(item)}: threshold {target!r} is none, or above what a pod refuses"
            for selector in selectors(promql_parser.parse(held["query"])):
                matched = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
                if not place.items() <= matched.items():
                    yield f"{name_of(item)}: its query does not ask for {place}"


def pools(objects: list[Object]) -> Iterator[str]:
    """A pod's node pool is there, with its class, and its taints are tolerated."""
    held = {
        pool["spec"]["template"]["metadata"]["labels"][POOL]: pool["spec"]["template"]["spec"]
        for pool in of_kind(objects, "NodePool")
    }
    for name, spec in held.items():
        if spec["nodeClassRef"]["name"] not in names(objects, "EC2NodeClass"):
            yield f"NodePool {name}: no EC2NodeClass {spec['nodeClassRef']['name']}"
    for item, pod in pods(objects):
        name = pod["spec"].get("nodeSelector", {}).get(POOL)
        if name is None:
            continue
        if name not in held:
            yield f"{name_of(item)}: no NodePool {name}"
            continue
        tolerated = {toleration.get("key") for toleration in pod["spec"].get("tolerations", [])}
        for taint in held[name].get("taints", []):
            if taint["key"] not in tolerated:
                yield f"{name_of(item)}: does not tolerate {taint['key']} of NodePool {name}"


REFERENCES = (services, routes, selected, mounted, scaled, keda, pools)
