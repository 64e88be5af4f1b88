"""Versions that ask for a rollout, and which of them gets it."""

from collections.abc import Sequence

from mlflow.entities.model_registry import ModelVersion

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.promotion.moves import HOTFIX
from ticket_sentiment.registry.lineage import NONE
from ticket_sentiment.registry.registry import ASKED_BY, MONTHLY, STATE
from ticket_sentiment.registry.store import Store

KIND = "release.kind"
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
    found = [item for item in _versions(store) if digest_of(item) == digest]
    if not found:
        raise TicketSentimentError(
            f"a program set bundle {digest[:12]} as champion, which no version of {store.model} has: "
            "register it, or set a bundle that is registered"
        )
    return found[-1]


def newest(store: Store, history: Sequence[Entry]) -> ModelVersion | None:
    """The newest version that asks for a rollout and is newer than all that the ledger has ever named.

    So each gets one, and one that waited while a newer one was tried is passed over: it knows less.

    Args:
        store: of MLflow.
        history: of the ledger, all of it.
    """
    named = [
        version
        for entry in history
        if entry.change
        for version in (entry.change.champion_version, entry.change.challenger_version)
        if version and version.isdecimal()
    ]
    latest = max(map(int, named), default=0)
    asking = [
        item
        for item in _versions(store)
        if int(item.version) > latest
        and actor_of(item)
        and item.tags.get(STATE) == "complete"
        and item.tags.get("gate.decision") == "pass"
    ]
    return asking[-1] if asking else None


def may_start(entry: Entry, hotfix: bool) -> bool:
    """Whether a new challenger goes before what is on.

    A hotfix does before anything. A monthly one goes before another monthly one that nobody has met yet (in
    shadow); one that answers customers is not taken away from them before it is decided, nor is a hotfix.
    """
    if hotfix or not entry.on:
        return True
    return entry.change is not None and entry.change.step == 0 and not entry.change.hotfix


def _versions(store: Store) -> list[ModelVersion]:
    """All versions with their tags, oldest first."""
    found = store.client.search_model_versions(f"name = '{store.model}'")
    return sorted(found, key=lambda item: int(item.version))
