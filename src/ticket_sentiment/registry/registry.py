"""Registering a result with MLflow, from the files of the stages, so that it can be killed and run again.

A result is named by its content. Its run carries that name as a tag and counts only when it is FINISHED; a
version is found by the digests of its bundles and counts only when its tag `registration` says `complete`.
Whatever an interrupted call left is either thrown away (the run) or carried on with (the version).
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import RunStatus, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_json
from ticket_sentiment.gates import card_front
from ticket_sentiment.params import Params
from ticket_sentiment.registry import evidence, lineage
from ticket_sentiment.registry.learnt import learnt_by
from ticket_sentiment.registry.result import Result, read_result
from ticket_sentiment.registry.signing import sign_bundles
from ticket_sentiment.registry.store import (
    CHALLENGER,
    CHAMPION,
    DEVICES,
    EDGE,
    Store,
    adopted,
    all_versions,
    asking,
    by_alias,
    champion_version,
    connect,
    digest_at,
    place_bundle,
)
from ticket_sentiment.signing.keys import SigningKey, signing_key
from ticket_sentiment.tickets.learnt import LEARNT

BATCH = 100  # MLflow takes at most 100 params and 1,000 metrics in one call
MAX_DESCRIPTION = 5000  # characters that MLflow keeps
IN_DESCRIPTION = ("Intended use", "Limits")  # parts of the model card
STATE = "registration"
AWAITING = "awaiting"  # tag: `person` while a version in review waits for one
ASKED_BY = "rollout.asked_by"  # tag of a version that passed the gate: who asks for its rollout
MONTHLY = "monthly flow"  # and HOTFIX: by them the ledger says whose rollout it is
HOTFIX = "hotfix flow"


@dataclass(frozen=True)
class Registration:
    """What `register` found or made."""

    version: int | None  # None when the gate said fail
    run_id: str
    alias: str | None
    decision: str
    created: bool  # whether this call made the version
    uncommitted: bool = False  # whether code that no commit holds made it

    def lines(self) -> list[str]:
        """What became of the result, for a person."""
        if self.version is None:
            return ["registered: no version, because the gate said fail (a run in MLflow shows everything)"]
        # Each version gets one rollout: of a known one it may be over.
        asked = "asks for its rollout" if self.created else "passed: waits for its rollout, or has had it"
        asks = asked if self.decision == "pass" else "no alias"
        held = f"alias {self.alias}" if self.alias else asks
        news = "new" if self.created else "known before, nothing new registered"
        lines = [f"registered: version {self.version}, {held} ({news})"]
        if self.decision == "review" and not self.alias:
            lines.append(
                "waits for a person: read the report, then give the version an alias in MLflow (`make ui`)"
            )
        if self.uncommitted:
            tag = lineage.snapshot_tag(self.version)
            lines.append(
                f"its code is not all committed, so that git tag {tag} cannot make it again: see "
                "`git status`, commit, and retrain"
            )
        return lines


def _experiment(store: Store) -> str:
    found = store.client.get_experiment_by_name(store.experiment)
    return found.experiment_id if found else store.client.create_experiment(store.experiment, store.artifacts)


def _present_bundles(root: Path, result: Result) -> dict[str, Path]:
    paths = {device: root / "models/release" / device for device in (*DEVICES, EDGE)}
    return {
        device: path
        for device, path in paths.items()
        if digest_at(path) == result.tags.get(f"bundle.{device}.digest", "")
    }


def _ensure_run(store: Store, params: Params, root: Path, result: Result) -> str:
    """The finished run of this result; one that was left half-way is thrown away and made anew."""
    client, experiment = store.client, _experiment(store)
    query = f"tags.result_key = '{result.key}'"
    for run in client.search_runs([experiment], query, run_view_type=ViewType.ACTIVE_ONLY):
        if run.info.status == RunStatus.to_string(RunStatus.FINISHED):
            return run.info.run_id
        client.delete_run(run.info.run_id)
    months = result.tags["data.holdout.months"]
    kind = result.tags.get("release.kind", "")
    name = " ".join(filter(None, [months.split(" ")[-1], kind, result.decision, result.key[:8]]))
    run_id = client.create_run(experiment, tags=result.tags, run_name=name).info.run_id
    values, metrics = evidence.run_params(params), evidence.run_metrics(root)
    for start in range(0, max(len(values), len(metrics)), BATCH):
        client.log_batch(run_id, params=values[start : start + BATCH], metrics=metrics[start : start + BATCH])
    with tempfile.TemporaryDirectory() as folder:
        evidence.stage_artifacts(root, Path(folder), _present_bundles(root, result))
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id)
    return run_id


def _description(result: Result, made_in: Path) -> str:
    """Markdown for the version's page in MLflow: the decision, and what the model card begins with."""
    lines = [f"Gate: **{result.decision}**."]
    lines += [f"- {reason}" for reason in result.gate.get("reasons", [])]
    if result.decision == "review":
        lines.append(
            "\nThis version waits for a person. Read `reports/release.html` among the artifacts of its run. "
            f"To put it into service move the alias `{CHAMPION}` to it; to try it first, `{CHALLENGER}`."
        )
    tags = result.tags
    if tags.get("release.kind") == "hotfix":
        lines.append(
            f"\nA hotfix of version {tags['hotfix.champion.version']}, made of "
            f"{tags['hotfix.corrections.rows']} corrected tickets."
        )
    lines.append(f"\nTrained on {tags['data.train.months']}, judged on {tags['data.holdout.months']}.")
    if result.decision != "fail":
        for title in IN_DESCRIPTION:
            lines.append(f"\n## {title}\n\n{card_front.read_part(made_in / card_front.MARKDOWN, title)}")
        lines.append("\nThe whole model card is `reports/card.html` among the artifacts of its run.")
    return "\n".join(lines)[:MAX_DESCRIPTION]


def _find_version(store: Store, digests: dict[str, str]) -> ModelVersion | None:
    expected = {f"bundle.{device}.digest": digest for device, digest in digests.items()}
    matching = [item for item in all_versions(store) if expected.items() <= item.tags.items()]
    return matching[-1] if len(digests) == len(DEVICES) and matching else None


def _create_version(store: Store, run_id: str, result: Result, made_in: Path) -> ModelVersion:
    try:
        store.client.create_registered_model(
            store.model, description="Sentiment of customer tickets, pruned and quantized."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Version and tags are one transaction, so no version is ever without the digests it is found by.
    return store.client.create_model_version(
        store.model,
        f"runs:/{run_id}/bundles",
        run_id=run_id,
        tags={**_version_tags(run_id, result), STATE: "pending"},
        description=_description(result, made_in),
    )


def _version_tags(run_id: str, result: Result) -> dict[str, str]:
    asks = HOTFIX if result.tags.get("release.kind") == "hotfix" else MONTHLY
    return {
        **result.tags,
        "gate.run": run_id,
        AWAITING: "person" if result.decision == "review" else lineage.NONE,
        ASKED_BY: asks if result.decision == "pass" else lineage.NONE,
    }


def _set_alias(store: Store, version: str, decision: str) -> None:
    """The first `pass` is the champion; a later one asks by its tag, and promotion/ gives the aliases.

    Also where nobody holds `champion` for a while: once the ledger has had one, the alias is its own to give.
    """
    if decision == "pass" and by_alias(store, CHAMPION) is None and adopted(store) is None:
        store.client.set_registered_model_alias(store.model, CHAMPION, version)


def _settle(
    store: Store,
    root: Path,
    made_in: Path,
    version: ModelVersion,
    run_id: str,
    result: Result,
    signer: SigningKey | None,
) -> None:
    """Bring tags, snapshot and alias of a version to what the result says. Each step may be repeated."""
    client, name, number = store.client, store.model, version.version
    wanted = _version_tags(run_id, result)
    changed = {key: value for key, value in wanted.items() if version.tags.get(key) != value}
    if changed:
        client.set_model_version_tag(name, number, STATE, "pending")
        # Before the tags: as long as one of them differs, this is done again.
        client.update_model_version(name, number, description=_description(result, made_in))
    for key, value in changed.items():
        client.set_model_version_tag(name, number, key, value)
    patterns = lineage.SNAPSHOT_PATHS if made_in == root else lineage.HOTFIX_PATHS
    files = lineage.snapshot_files(made_in, patterns)
    commit = lineage.snapshot(root, files, lineage.snapshot_tag(number), made_in)
    client.set_model_version_tag(name, number, "git.snapshot", commit or lineage.NONE)
    if signer:
        sign_bundles(store, version, result.digests, signer)
    _set_alias(store, number, result.decision)
    client.set_model_version_tag(name, number, STATE, "complete")


def _alias_of(store: Store, version: int | str) -> str | None:
    held = store.client.get_model_version(store.model, str(version)).aliases
    return next((alias for alias in (CHAMPION, CHALLENGER) if alias in held), None)


@asking("the result is not known to be registered")
def register(params: Params, root: Path = Path(), made_in: Path | None = None) -> Registration:
    """Log the present result as an MLflow run and, unless the gate said fail, as a model version.

    Idempotent by content: a second call with the same result changes nothing, not even an alias that a
    person has moved since. A call after an interrupted one ends in the same state as an undisturbed one.

    - fail: a run to look at, no version. (A version of these bundles from an earlier, better verdict stays,
      but asks no more; a rollout of it ends with the next reconcile. The champion is never taken away.)
    - review: a version without alias, tag `awaiting` = `person`.
    - pass: a version that asks for its rollout (tag `rollout.asked_by`), which the next reconcile begins; or
      with the alias `champion` when nobody holds that yet.

    A version is signed as it is registered, where there is a key.

    Args:
        params: of params.yaml.
        root: the repository.
        made_in: where the stages ran, if not there: the folder of a hotfix.

    Raises:
        TicketSentimentError: there is no reports/gate.json, it or the model card is about other bundles, or
            what should be the signing key is none.
    """
    made_in = made_in or root
    result, store = read_result(root, made_in), connect(params, root)
    signer = signing_key(params.registry, root)
    run_id = _ensure_run(store, params, made_in, result)
    version, created = _find_version(store, result.digests), False
    if version is None:
        if result.decision == "fail":
            return Registration(None, run_id, None, "fail", False)
        version, created = _create_version(store, run_id, result, made_in), True
    settled = version.tags.get(STATE) == "complete" and version.tags.get("gate.decision") == result.decision
    if not settled:
        _settle(store, root, made_in, version, run_id, result, signer)
    number = int(version.version)
    dirty = result.tags.get("git.dirty") == "true"
    return Registration(number, run_id, _alias_of(store, number), result.decision, created, dirty)


@asking("the champion is not here to be compared with")
def export_champion(
    params: Params, root: Path = Path(), destination: Path = Path("models/champion/bundle")
) -> str | None:
    """Put the champion's CPU bundle where `evaluate` scores it again on the new holdout.

    Beside it comes learnt.json where the champion is a hotfix: the tickets that it is not compared on.

    To be called after `quantize` and before `evaluate`: when the candidate in models/release itself is the
    champion (nothing has changed since it was promoted), the folder stays as it is. It holds what that
    candidate was judged against, and must not become the candidate's own copy.

    Returns:
        The champion's digest, or None when there is no champion; then the folder is not there.

    Raises:
        TicketSentimentError: the champion's bundle cannot be fetched or does not verify; or the ledger has a
            champion and nobody the alias.
    """
    store, target = connect(params, root), root / destination
    champion = champion_version(store)
    if champion and by_alias(store, CHAMPION) is None:
        raise TicketSentimentError(
            f"nobody has the alias `{CHAMPION}`, but the ledger's champion is version {champion.version}: "
            "run the reconcile flow, which gives it back, then this again"
        )
    present, learnt = digest_at(target), target.parent / LEARNT
    digest = champion.tags.get("bundle.cpu.digest") if champion else None
    if champion and digest != present and digest == digest_at(root / "models/release/cpu"):
        return digest
    about = learnt_by(store, champion, learnt) if champion else None
    if about:  # before the bundle, as a list about another bundle is one that nobody trusts
        write_json(learnt, about)
    if champion is None and present is not None:
        shutil.rmtree(target)
    elif champion and digest != present:
        place_bundle(store, champion, "cpu", target)
    if not about:
        learnt.unlink(missing_ok=True)
    return digest


def tag_bentos(params: Params, version: int | str, bentos: dict[str, str], root: Path = Path()) -> None:
    """Write the Bento tags of a version, by device, to the version: `bento.cpu`, `bento.gpu`."""
    store = connect(params, root)
    for device, tag in bentos.items():
        store.client.set_model_version_tag(store.model, str(version), f"bento.{device}", tag)


def _macro_f1(store: Store, version: ModelVersion) -> str:
    metrics = store.client.get_run(version.run_id).data.metrics if version.run_id else {}
    prefix = "evaluation/models.compressed.macro_f1"
    if f"{prefix}.value" not in metrics:
        return "-"
    value, low, high = (metrics.get(f"{prefix}.{key}", float("nan")) for key in ("value", "low", "high"))
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def status(params: Params, root: Path = Path()) -> str:
    """A text table of all versions, newest first."""
    store = connect(params, root)
    rows = [("version", "alias", "decision", "trained on", "macro-F1", "bentos")]
    for version in reversed(all_versions(store)):
        months = version.tags.get("data.train.months", "-").split(" ")
        bentos = [version.tags[key] for key in ("bento.cpu", "bento.gpu") if key in version.tags]
        rows.append(
            (
                str(version.version),
                ", ".join(version.aliases) or "-",
                version.tags.get("gate.decision", "-"),
                months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}",
                _macro_f1(store, version),
                " ".join(bentos) or "-",
            )
        )
    if len(rows) == 1:
        return f"{store.model}: no version yet. `make retrain` makes one."
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines)
