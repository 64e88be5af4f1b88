"""From a registered version to the two Bentos, and to the process that serves one of them."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import bentoml
from mlflow.exceptions import MlflowException

import ticket_sentiment
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import exclusive, sha256_tree, write_json, write_text
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.params import Params
from ticket_sentiment.registry.lineage import NONE
from ticket_sentiment.registry.registry import tag_bentos
from ticket_sentiment.registry.store import (
    CHALLENGER,
    DEVICES,
    asking,
    by_alias,
    connect,
    download_bundle,
    download_card,
    require_champion,
    signature_tag,
)
from ticket_sentiment.signing.signature import signature_path

BENTOFILE = "bentofile.yaml"
BUILD_LOCK = Path("var/build.lock")
BUILD_WAIT_S = 1200.0  # for another who builds
REBUILT = ".rebuilt-"  # how a folder begins in which a Bento is built that takes the place of another
# All that the service imports, and no more: what is not here cannot find its way into the image.
SERVING_FILES = (
    "__init__.py",
    "errors.py",
    "files.py",
    "labels.py",
    "yaml_files.py",
    "params/*.py",
    "cache/*.py",
    "events/*.py",
    "model/__init__.py",
    "model/bundle.py",
    "model/providers.py",
    "model/runtime.py",
    "model/wordpiece.py",
    "rollout/__init__.py",
    "rollout/assignment.py",
    "rollout/releases.py",
    "rollout/state.py",
    "tickets/__init__.py",
    "tickets/canonical.py",
    "tickets/markup.py",
    "tickets/privacy.py",
    "tickets/shape.py",
    "serving/*.py",
    "serving/*.txt",
    "signing/*.py",
)


@dataclass(frozen=True)
class Release:
    """A registered version's bundle for one device."""

    version: str
    bundle: Bundle
    cpu_digest: str | None = None  # of the same version's CPU bundle, where this is another
    signature: str | None = None
    card: Path | None = None  # its model card, where it has one

    @property
    def release(self) -> str:
        """How a rollout state names it on every device."""
        return self.cpu_digest or self.bundle.digest

    @property
    def name(self) -> str:
        """E.g. `v3-0a1b2c3d4e5f`."""
        return f"v{self.version}-{self.bundle.digest[:12]}"


def stage_context(
    folder: Path, params: Params, champion: Release, root: Path, challenger: Release | None = None
) -> None:
    """Lay out a build context.

    It holds the package's serving part, bundle/, challenger/ where there is one, the signatures of both where
    they are signed, their model cards, serving.json and bentofile.yaml.
    """
    package = Path(ticket_sentiment.__file__).parent
    for pattern in SERVING_FILES:
        for source in sorted(package.glob(pattern)):
            target = folder / "ticket_sentiment" / source.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for name, role, held in (("bundle", "champion", champion), ("challenger", "challenger", challenger)):
        if held is None:
            continue
        shutil.copytree(held.bundle.path, folder / name)
        if held.signature:
            write_text(signature_path(folder / name), held.signature)
        if held.card:
            (folder / "cards").mkdir(exist_ok=True)
            shutil.copyfile(held.card, folder / "cards" / f"{role}.md")
    settings = {
        "model_version": champion.version,
        "release": champion.release,
        "challenger_version": challenger.version if challenger else None,
        "challenger_release": challenger.release if challenger else None,
        **params.model_dump(mode="json", include={"serve", "events", "cache"}),
        "cloudwatch": params.objectives.cloudwatch.model_dump(mode="json"),
    }
    write_json(folder / "serving.json", settings)
    shutil.copyfile(root / BENTOFILE, folder / BENTOFILE)


def bento_tag(params: Params, champion: Release, device: str, challenger: Release | None = None) -> str:
    """E.g. `ticket-sentiment:v3-0a1b2c3d4e5f-cpu`; a challenger's name follows the champion's."""
    names = [champion.name, *([challenger.name] if challenger else [])]
    return f"{params.build.bento}:{'-'.join(names)}-{device}"


def find_bento(tag: str) -> bentoml.Bento | None:
    """The Bento in BentoML's store; None when it is not there."""
    try:
        return bentoml.get(tag)
    except bentoml.exceptions.NotFound:
        return None


def is_current(bento: bentoml.Bento, context_sha256: str) -> bool:
    """Whether a Bento was built from this context, and its bundles are still whole."""
    try:
        load_bundle(Path(bento.path_of("src/bundle")))
        if (challenger := Path(bento.path_of("src/challenger"))).exists():
            load_bundle(challenger)
    except TicketSentimentError:
        return False
    return bento.info.labels.get("context_sha256") == context_sha256


def _rebuild(there: Path, context: Path, tag: str, device: str, workers: int, labels: dict[str, str]) -> None:
    """Build a Bento beside BentoML's store, and put it where the one of the same tag lies.

    A service that was started from that one finds its code whenever it starts a worker anew, and goes on
    where the build fails.
    """
    home = there.parents[2]  # of <BENTOML_HOME>/bentos/<name>/<version>
    for left in home.glob(f"{REBUILT}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=REBUILT, dir=home) as folder:
        _run_build(context, tag, device, workers, labels, folder)
        there.rename(Path(folder) / "before")
        (Path(folder) / there.relative_to(home)).rename(there)


def _run_build(
    context: Path, tag: str, device: str, workers: int, labels: dict[str, str], home: str | None = None
) -> None:
    name, _, version = tag.partition(":")
    options = [
        "--name",
        name,
        "--version",
        version,
        "--arg",
        f"device={device}",
        "--arg",
        f"workers={workers}",
    ]
    options += [f"--label={key}={value}" for key, value in labels.items()]
    # In a process of its own: BentoML imports the service, and this process has imported the package already.
    result = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", *options, str(context)],
        capture_output=True,
        text=True,
        cwd=context,
        env={**os.environ, "BENTOML_HOME": home} if home else None,
    )
    if result.returncode != 0:
        lines = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
        raise TicketSentimentError(f"bentoml build of {tag} failed: {lines[-1].strip()}")


def build_service(
    params: Params,
    champion: Release,
    device: str,
    commit: str = NONE,
    root: Path = Path(),
    challenger: Release | None = None,
) -> str:
    """Build the Bento of a bundle for a device, unless the store has it with the same content.

    Args:
        params: of params.yaml.
        champion: a version and its verified bundle.
        device: cpu or gpu; the GPU Bento builds on a machine without one.
        commit: of git, for a label.
        root: the repository, which holds bentofile.yaml.
        challenger: a second version that the same service holds; the rollout state decides what it answers.

    Returns:
        The Bento's tag.

    Raises:
        TicketSentimentError: BentoML could not build it; the message carries its last line.
    """
    tag = bento_tag(params, champion, device, challenger)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder).resolve()
        stage_context(context, params, champion, root, challenger)
        labels = {
            "model_version": champion.version,
            "bundle_digest": champion.bundle.digest,
            "git_commit": commit,
            "context_sha256": sha256_tree(context),
        }
        with exclusive(root / BUILD_LOCK, "a build of services", BUILD_WAIT_S):  # the minute's reconcile
            found = find_bento(tag)
            if found and is_current(found, labels["context_sha256"]):
                return tag
            if found:  # the same models, but other code or settings, or damaged
                _rebuild(Path(found.path), context, tag, device, params.serve.workers, labels)
            else:
                _run_build(context, tag, device, params.serve.workers, labels)
    return tag


@asking("the services are not built")
def build_services(
    params: Params, version: str | int, root: Path = Path(), challenger: str | int | None = None
) -> dict[str, str]:
    """Build the CPU and the GPU Bento of a registered version.

    Without a challenger beside it, their tags are written to the version.

    Returns:
        Tags by device. Bentos lie in BentoML's store, which BENTOML_HOME names.

    Raises:
        TicketSentimentError: there is no such version, its bundles cannot be fetched, or a build failed.
    """
    store = connect(params, root)
    versions = [store.client.get_model_version(store.model, str(version))]
    if challenger is not None:
        versions.append(store.client.get_model_version(store.model, str(challenger)))
    registered = versions[0]
    tags = {}
    for device in DEVICES:
        with tempfile.TemporaryDirectory() as folder:
            releases = []
            for held in versions:
                place = Path(folder) / str(held.version)
                place.mkdir()
                bundle = download_bundle(store, held, device, place)
                tag = held.tags.get
                signature, card = tag(signature_tag(device)), download_card(store, held, place)
                releases.append(Release(str(held.version), bundle, tag("bundle.cpu.digest"), signature, card))
            commit = registered.tags.get("git.commit", NONE)
            second = releases[1] if len(releases) > 1 else None
            tags[device] = build_service(params, releases[0], device, commit, root, second)
    if challenger is None and any(
        registered.tags.get(f"bento.{device}") != tag for device, tag in tags.items()
    ):
        tag_bentos(params, version, tags, root)
    return tags


def build_champion(params: Params, root: Path = Path()) -> dict[str, str]:
    """Build the Bentos of the champion, beside it the challenger if there is one.

    A Bento is built when BentoML's store lost it, or when the service's code or `serve`, `events` or `cache`
    of params.yaml have changed since.

    Returns:
        Tags by device.

    Raises:
        TicketSentimentError: there is no champion, or a build failed.
    """
    store = connect(params, root)
    champion = require_champion(store)
    challenger = by_alias(store, CHALLENGER)
    beside = challenger.version if challenger and challenger.version != champion.version else None
    return build_services(params, champion.version, root, beside)


@asking("whether the services are built is not known")
def is_built(params: Params, version: str | int, root: Path = Path()) -> bool:
    """Whether BentoML's store has the Bentos that were built of a version, or MLflow lacks the version.

    Raises:
        TicketSentimentError: MLflow does not answer, or refuses.
    """
    store = connect(params, root)
    try:
        tags = store.client.get_model_version(store.model, str(version)).tags
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return True  # nothing can be built of it
    bentos = [tags.get(f"bento.{device}") for device in DEVICES]
    return all(bento is not None and find_bento(bento) is not None for bento in bentos)


def serve_command(params: Params, root: Path = Path()) -> list[str]:
    """The command that serves what `build_champion` builds, on the CPU.

    Raises:
        TicketSentimentError: there is no champion, or a build failed.
    """
    tag = build_champion(params, root)["cpu"]
    address = ["--host", params.serve.host, "--port", str(params.serve.port)]
    return [sys.executable, "-m", "bentoml", "serve", tag, *address]


def serve(params: Params, root: Path = Path()) -> None:
    """Become the process that serves the champion."""
    command = serve_command(params, root)
    os.execv(command[0], command)
