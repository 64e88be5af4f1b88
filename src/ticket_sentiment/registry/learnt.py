"""What a champion learnt as a hotfix, from MLflow to the file beside its bundle: see gates/left_out.py."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.files import read_json, sha256_file
from ticket_sentiment.registry.lineage import NONE
from ticket_sentiment.registry.store import Store, reason, refusal
from ticket_sentiment.tickets.learnt import LEARNT, read_learnt

ARTIFACT = f"lineage/{LEARNT}"
TAG = "hotfix.learnt.sha256"  # of a version, so that another list in the place of its own is none


def learnt_by(store: Store, version: ModelVersion, held: Path) -> dict[str, Any] | None:
    """The content of models/champion/learnt.json.

    A list that cannot be had is said in it, under `unknown`: the gate then asks a person.

    Args:
        store: the MLflow store.
        version: the champion.
        held: where the file lies, or will; what it says of this version already is not fetched again.

    Returns:
        None where the version is no hotfix.

    Raises:
        Unavailable: MLflow does not answer.
    """
    if version.tags.get("release.kind") != "hotfix":
        return None
    about = {"bundle_digest": version.tags.get("bundle.cpu.digest")}
    try:
        if (known := _held(held)).items() >= about.items() and "unknown" not in known:
            return known
        return about | _fetch(store, version)
    except Unavailable:
        raise
    except TicketSentimentError as error:
        return about | {"unknown": str(error)}


def _held(path: Path) -> dict[str, Any]:
    try:
        return read_learnt(path).as_json() | {"bundle_digest": read_json(path).get("bundle_digest")}
    except TicketSentimentError:
        return {}


def _fetch(store: Store, version: ModelVersion) -> dict[str, Any]:
    expected = version.tags.get(TAG, NONE)
    if expected == NONE:
        raise TicketSentimentError(f"version {version.version} was registered before such lists were kept")
    remedy = f"restore {ARTIFACT} of run {version.run_id} in MLflow's artifacts and run `make retrain` again"
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(store.client.download_artifacts(str(version.run_id), ARTIFACT, folder))
        except Exception as error:  # MLflow's, the disk's, or any of a cloud's client
            raise refusal(
                error, f"the list of version {version.version} cannot be had ({reason(error)}): {remedy}"
            ) from None
        if sha256_file(path) != expected:
            raise TicketSentimentError(
                f"the list of version {version.version} is not the one that was registered: {remedy}"
            )
        return read_learnt(path).as_json()
