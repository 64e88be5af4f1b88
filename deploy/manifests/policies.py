"""What every pod must have, whatever the schema lets pass. Each policy yields what offends it."""

import re
from collections.abc import Iterator
from functools import cache

from deploy.manifests.render import ROOT, Object, containers, labels_match, name_of, of_kind, params, pods
from ticket_sentiment.autoscaling.surroundings import mebibytes
from ticket_sentiment.serving.settings import EXIT_SECONDS, METRICS_HOST
from ticket_sentiment.tickets.privacy import PSEUDONYM_KEY

BY_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
BY_TAG = re.compile(r"[^@\s]+:(?!latest$)[\w.-]+")
SECRET_NAME = re.compile(r"KEY|TOKEN|PASSWORD|SECRET", re.IGNORECASE)
BENTOML = "BENTOML_CONFIG"  # a file that says where traces go, which BentoML reads
GIT_KEY = re.compile(r"GIT_CONFIG_KEY_\d+")  # the name of a setting
PASSWORD_IN_URL = re.compile(r"://[^/\s]*@")
UNAVAILABLE = (
    "25%"  # docs/autoscaling.md: so that half of the pods get off their spot nodes within the notice
)
PROBES = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}


@cache
def user() -> int:
    """Whom the image was made for."""
    found = re.search(r"^USER (\d+):\d+$", (ROOT / "deploy/Containerfile").read_text(), re.MULTILINE)
    assert found, "deploy/Containerfile names no user by number"
    return int(found[1])


def probes(objects: list[Object]) -> Iterator[str]:
    """Each container of a Deployment is asked whether it is ready and whether it lives."""
    for item in of_kind(objects, "Deployment"):
        for container in containers(item["spec"]["template"]):
            ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
            for probe, path in PROBES.items():
                asked = container.get(probe, {}).get("httpGet")
                if asked is None:
                    yield f"{name_of(item)}: no {probe}"
                elif (
                    asked.get("path") != path
                    or ports.get(asked["port"], asked["port"]) != params().serve.port
                ):
                    yield f"{name_of(item)}: {probe} must ask {path} on port {params().serve.port}"


def ports(objects: list[Object]) -> Iterator[str]:
    """A container of the service has its ports by name, with the numbers of params.yaml."""
    wanted = {"http": params().serve.port, "metrics": params().serve.metrics.port}
    for item in of_kind(objects, "Deployment"):
        for container in containers(item["spec"]["template"]):
            held = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
            if held != wanted:
                yield f"{name_of(item)}: ports {held}, but params.yaml has {wanted}"


def environment(objects: list[Object]) -> Iterator[str]:
    """A container of the service gets no variable that the service does not read."""
    held = params()
    known = {
        METRICS_HOST, held.events.url_env, held.cache.redis_url_env, held.serve.remote.url_env,
        held.serve.remote.key_env, *held.serve.api_keys.environment, held.serve.public_keys_env,
        PSEUDONYM_KEY, BENTOML,
    }  # fmt: skip
    for item in of_kind(objects, "Deployment"):
        for container in containers(item["spec"]["template"]):
            names = {variable["name"] for variable in container.get("env", [])}
            for name in sorted(names - known):
                yield f"{name_of(item)}: the service reads no variable {name}"
            if METRICS_HOST not in names:
                yield f"{name_of(item)}: without {METRICS_HOST} Prometheus does not reach the metrics"


def resources(objects: list[Object]) -> Iterator[str]:
    """Processor and memory are asked for, and memory is had in full: hoping for more gets pods killed."""
    for item, pod in pods(objects):
        for container in containers(pod):
            held = container.get("resources", {})
            requests, limits = held.get("requests", {}), held.get("limits", {})
            if not {"cpu", "memory"} <= requests.keys():
                yield f"{name_of(item)}: no request for cpu and memory"
            elif limits.get("memory") != requests["memory"]:
                yield f"{name_of(item)}: the limit of memory is not its request"


def disks(objects: list[Object]) -> Iterator[str]:
    """What volumes may hold fits into the limit of the node's disk, beyond which the whole pod is evicted."""
    for item, pod in pods(objects):
        volumes = [volume["emptyDir"] for volume in pod["spec"].get("volumes", []) if volume.get("emptyDir")]
        held = sum(mebibytes(volume["sizeLimit"]) for volume in volumes)
        limits = [container.get("resources", {}).get("limits", {}) for container in containers(pod)]
        limit = sum(mebibytes(one["ephemeral-storage"]) for one in limits if "ephemeral-storage" in one)
        if held > limit:
            yield f"{name_of(item)}: volumes may hold {held:g} MiB, the limit of the disk is {limit:g} MiB"


def security(objects: list[Object]) -> Iterator[str]:
    """The image's user, no privilege, nothing written but where a volume is, no token of the API server."""
    for item, pod in pods(objects):
        spec = pod["spec"]
        whole = spec.get("securityContext", {})
        if whole.get("runAsNonRoot") is not True or whole.get("runAsUser") != user():
            yield f"{name_of(item)}: must run as user {user()}, and as not root"
        if whole.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name_of(item)}: no seccompProfile RuntimeDefault"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name_of(item)}: a token of the API server is mounted"
        for container in containers(pod):
            held = container.get("securityContext", {})
            if held.get("readOnlyRootFilesystem") is not True:
                yield f"{name_of(item)}: the root file system can be written"
            if held.get("allowPrivilegeEscalation") is not False:
                yield f"{name_of(item)}: privileges can be raised"
            if held.get("capabilities", {}).get("drop") != ["ALL"]:
                yield f"{name_of(item)}: capabilities are kept"
            writable = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            if "/tmp" not in writable:
                yield f"{name_of(item)}: no volume on /tmp, which must be writable"


def images(objects: list[Object]) -> Iterator[str]:
    """By digest; one that is loaded into the node, and never pulled, by a tag other than latest."""
    for item, pod in pods(objects):
        for container in containers(pod):
            loaded = container.get("imagePullPolicy") == "Never"
            if not (BY_TAG if loaded else BY_DIGEST).fullmatch(container.get("image", "")):
                yield f"{name_of(item)}: image {container.get('image')} is not named by its digest"


def disruption(objects: list[Object]) -> Iterator[str]:
    """Each Deployment has a PodDisruptionBudget that lets nodes drain, some pods after the others."""
    budgets = of_kind(objects, "PodDisruptionBudget")
    for item in of_kind(objects, "Deployment"):
        labels = item["spec"]["template"]["metadata"]["labels"]
        held = [b["spec"] for b in budgets if labels_match(b["spec"].get("selector", {}), labels)]
        if [spec.get("maxUnavailable") for spec in held] != [UNAVAILABLE]:
            yield f"{name_of(item)}: must have one PodDisruptionBudget, with maxUnavailable {UNAVAILABLE}"


def spread(objects: list[Object]) -> Iterator[str]:
    """Pods of a Deployment are spread over zones and nodes."""
    for item in of_kind(objects, "Deployment"):
        pod = item["spec"]["template"]
        labels = pod["metadata"]["labels"]
        keys = {
            constraint["topologyKey"]
            for constraint in pod["spec"].get("topologySpreadConstraints", [])
            if labels_match(constraint.get("labelSelector", {}), labels)
        }
        if not {"topology.kubernetes.io/zone", "kubernetes.io/hostname"} <= keys:
            yield f"{name_of(item)}: not spread over zones and nodes"


def network(objects: list[Object]) -> Iterator[str]:
    """All traffic is denied, and each app has a policy of its own that says what it is allowed."""
    policies = [item["spec"] for item in of_kind(objects, "NetworkPolicy")]
    both = ["Ingress", "Egress"]
    denied = {"podSelector": {}, "policyTypes": both}
    if any(True for _ in pods(objects)) and denied not in policies:
        yield "no NetworkPolicy that denies all"
    for item, pod in pods(objects):
        labels = pod["metadata"]["labels"]
        own = [s for s in policies if s["podSelector"] and s.get("policyTypes") == both]
        if not any(labels_match(spec["podSelector"], labels) for spec in own):
            yield f"{name_of(item)}: no NetworkPolicy of its own"


def secrets(objects: list[Object]) -> Iterator[str]:
    """Only by reference; public keys and names of git's settings are none, whatever their name has in it."""

    def holds(name: str, value: str) -> bool:
        harmless = name == params().serve.public_keys_env or GIT_KEY.fullmatch(name)
        named = SECRET_NAME.search(name) and not harmless
        return bool(named or PASSWORD_IN_URL.search(value))

    for item in of_kind(objects, "Secret"):
        yield f"{name_of(item)}: a Secret is made outside of the repository"
    for item in of_kind(objects, "ConfigMap"):
        for name, value in item.get("data", {}).items():
            if holds(name, value):
                yield f"{name_of(item)}: {name} holds a secret"
    for item, pod in pods(objects):
        for container in containers(pod):
            for variable in container.get("env", []):
                value = variable.get("value")
                if value and holds(variable["name"], value):
                    yield f"{name_of(item)}: {variable['name']} holds a secret"


def drain(objects: list[Object]) -> Iterator[str]:
    """A pod that stops has time: for proxies to learn it, for the longest request, for the last records."""
    serve = params().serve
    for item in of_kind(objects, "Deployment"):
        spec = item["spec"]["template"]["spec"]
        for container in spec["containers"]:
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            needed = pause + serve.drain_seconds + serve.max_timeout_ms / 1000 + EXIT_SECONDS
            if pause < 5:
                yield f"{name_of(item)}: no preStop sleep of 5 s or more"
            if not needed <= spec.get("terminationGracePeriodSeconds", 30) <= 120:
                yield f"{name_of(item)}: stops within {needed:.0f} s, and a spot node's notice is 120 s"


POLICIES = (
    probes, ports, environment, resources, disks, security, images, disruption, spread, network, secrets,
    drain,
)  # fmt: skip
