"""Versions that ask for a rollout, and which of them gets it."""

from collections.abc import Sequence
from dataclasses import replace

from mlflow.entities.model_registry import ModelVersion

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.promotion.moves import Model, challenger_of, champion_of
from ticket_sentiment.registry.lineage import NONE
from ticket_sentiment.registry.registry import ASKED_BY, HOTFIX, MONTHLY, STATE
from ticket_sentiment.registry.store import Store, registered

KIND = "release.kind"
CORRECTS = "hotfix.champion.digest"  # tag of a hotfix: the champion that it was made of
FLOWS = (MONTHLY, HOTFIX)


def is_hotfix(version: ModelVersion) -> bool:
    """Whether a version is a hotfix: its rollout has shorter steps, and goes before any other."""
    return version.tags.get(KIND) == "hotfix"


def actor_of(version: ModelVersion) -> str | None:
    """Which flow asks for its rollout; None when none does."""
    if version.tags.get(ASKED_BY, NONE) == NONE:
        return None
    return HOTFIX if is_hotfix(version) else version.tags[ASKED_BY]


def digest_of(version: ModelVersion) -> str | None:
    """Of its CPU bundle, by which rollout states name it; None when it was not registered by this project."""
    return version.tags.get("bundle.cpu.digest")


def by_digest(store: Store, digest: str) -> ModelVersion:
    """The version that a rollout state names.

    Raises:
        TicketSentimentError: there is none.
    """
    found = [item for item in registered(store) if digest_of(item) == digest]
    if not found:
        raise TicketSentimentError(
            f"a program set bundle {digest[:12]} as champion, which no version of {store.model} has: "
            "register it, or set a bundle that is registered"
        )
    return found[-1]


def asking(versions: Sequence[ModelVersion], history: Sequence[Entry]) -> list[ModelVersion]:
    """The versions that ask for a rollout and are newer than what the ledger has named, in the order they go.

    So each gets one, and one that waited while a newer one was tried is passed over: it knows less. A hotfix
    goes before a monthly version, but none that waits is passed over for it: a hotfix knows no new months.

    Args:
        versions: of MLflow, all of them.
        history: of the ledger, all of it.
    """
    tried = _named(versions, history)
    latest = max((int(model.version) for model in tried), default=0)
    latest_monthly = max((int(model.version) for model in tried if not model.hotfix), default=0)
    found = [
        item
        for item in versions
        if int(item.version) > (latest if is_hotfix(item) else latest_monthly)
        and actor_of(item)
        and item.tags.get(STATE) == "complete"
        and item.tags.get("gate.decision") == "pass"
    ]
    return sorted(found, key=lambda item: (is_hotfix(item), int(item.version)), reverse=True)


def _named(versions: Sequence[ModelVersion], history: Sequence[Entry]) -> set[Model]:
    """Champions and challengers of the ledger, as far as MLflow counts its versions on from theirs.

    A registry that was lost counts from 1 again: what the ledger knows of those numbers is of other bundles.
    A version that was deleted counts, unless its number was given again.
    """
    hotfixes = {(str(item.version), digest_of(item)) for item in versions if is_hotfix(item)}
    known = {str(item.version): digest_of(item) for item in versions}
    found = {
        replace(model, hotfix=model.hotfix or (model.version, model.digest) in hotfixes)
        for entry in history
        if entry.change
        for model in (champion_of(entry), challenger_of(entry))
        if model and model.version.isdecimal()
    }
    if not any(known.get(model.version) == model.digest for model in found):
        return set()
    anew = [int(model.version) for model in found if known.get(model.version, model.digest) != model.digest]
    return {model for model in found if not anew or int(model.version) < min(anew)}


def corrects_another(version: ModelVersion, champion: str) -> bool:
    """Whether it is a hotfix of another bundle than the champion's, whose gain it might take back."""
    return is_hotfix(version) and version.tags.get(CORRECTS) != champion


def begun_by(history: Sequence[Entry]) -> str | None:
    """Who began the rollout that is on; None where none is.

    Args:
        history: of the ledger, all of it, the latest entry first.
    """
    on = history[0].change.rollout if history and history[0].change else None
    begun = next((entry.change for entry in history if entry.state.epoch == on), None)
    return begun.actor if begun else None


def may_start(history: Sequence[Entry], hotfix: bool) -> bool:
    """Whether a new challenger goes before what is on.

    A hotfix does before anything. A monthly one goes before another monthly one that nobody has met yet (in
    shadow); one that answers customers is not taken away from them before it is decided, nor is a hotfix, nor
    what a person tries.
    """
    if hotfix or not history[0].on:
        return True
    change = history[0].change
    return change is not None and change.step == 0 and begun_by(history) == MONTHLY
