"""What the champion's live answers are compared with: its own answers to its own holdout.

Stage `drift` makes them, the registration keeps them with the run, and here they are found by the release
that answers, so that a rollback or a promotion changes the reference with the model. They are those of its
CPU bundle; on a GPU the same model computes with other numbers and answers nearly the same.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pandas as pd
from mlflow.artifacts import download_artifacts

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, replacing, write_json
from ticket_sentiment.gates.drift import PROFILE
from ticket_sentiment.gates.drift_features import check
from ticket_sentiment.gates.drift_live import CHANNEL, LIVE_COLUMNS, PROFILE_SCHEMA
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.params import Params
from ticket_sentiment.registry.store import connect, reason, refusal, registered, release_digests

FOLDER = Path("var/monitor/reference")
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "FileNotFoundError")  # by `reason`, of an artifact that is not there


class NoReference(TicketSentimentError):
    """The champion was registered without a reference; all else that is missing is away, or broken."""


def reference_of(params: Params, digest: str, root: Path = Path()) -> pd.DataFrame:
    """The reference of a bundle: PROFILE_SCHEMA, one row a ticket of its holdout.

    It is fetched once and then lies in FOLDER. One of a release before channels were recorded has none.

    Raises:
        NoReference: it was registered without one.
        Unavailable: MLflow, or the store of its artifacts, does not answer.
        TicketSentimentError: no version has this bundle, or the reference is about another.
    """
    kept = root / FOLDER / f"{digest}.parquet"
    if not kept.is_file():
        _fetch(params, digest, kept, root)
    try:
        table = read_prepared(kept, [name for name in PROFILE_SCHEMA.names if name != CHANNEL])
        if set(table["bundle_digest"]) != {digest}:
            raise TicketSentimentError(f"the reference of bundle {digest[:12]} is about another one: retrain")
        check(table, "the champion's reference", (*LIVE_COLUMNS, "label"))
    except TicketSentimentError:
        with contextlib.suppress(OSError):  # it may be only this copy: the next look fetches it again
            kept.unlink()
        raise
    return table


def digests_of(params: Params, digest: str, root: Path = Path()) -> frozenset[str]:
    """Digests of a release's bundles (registry.store.release_digests).

    While MLflow does not answer they are those that it named last, or that of the CPU bundle alone.
    """
    kept = root / FOLDER / f"{digest}.json"
    try:
        found = release_digests(connect(params, root), digest)
    except TicketSentimentError:
        return frozenset(read_json(kept)) if kept.is_file() else frozenset({digest})
    with contextlib.suppress(OSError):  # a disk that is full must not keep the monitor from its alarms
        write_json(kept, sorted(found))
    return found


def _fetch(params: Params, digest: str, target: Path, root: Path) -> None:
    store = connect(params, root)
    try:
        versions = [item for item in registered(store) if item.tags.get("bundle.cpu.digest") == digest]
    except Exception as error:  # MLflow's, or its database's
        raise refusal(
            error, f"MLflow does not answer ({reason(error)}): the next look asks again for the reference"
        ) from None
    if not versions:
        raise TicketSentimentError(f"no registered version has the bundle {digest[:12]}")
    run, version = versions[-1].tags.get("gate.run"), versions[-1].version
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            found = download_artifacts(
                run_id=run, artifact_path=PROFILE.as_posix(), dst_path=folder, tracking_uri=store.uri
            )
            with replacing(target) as temporary:
                shutil.copyfile(found, temporary)
    except Exception as error:  # MLflow's, the disk's, or any of a cloud's client: no credentials
        raise _no_reference(error, version) from None


def _no_reference(error: Exception, version: str) -> TicketSentimentError:
    if reason(error) in ABSENT:
        return NoReference(
            f"version {version} was registered without a reference: the next retraining makes one"
        )
    return refusal(
        error,
        f"the reference of version {version} cannot be had from MLflow's artifacts ({reason(error)}): see "
        "that their store answers and that this machine has its credentials; the next look asks again. Where "
        "it was registered without one, the next retraining makes one",
    )
