"""A small project with its MLflow store and its ledger, for tests of who serves what."""

from typing import Any

from tests.support.project import Project
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.promotion.aliases import NOBODY, read_aliases
from ticket_sentiment.promotion.reconcile import Report, reconcile
from ticket_sentiment.rollout.releases import is_whole


class Loop:
    """What tests do with the loop, and what they ask it."""

    def __init__(self, project: Project) -> None:
        self.project, self.params, self.root = project, project.params, project.root
        self.store = project.store
        self.url = f"sqlite:///{project.root}/var/events.db"
        self.ledger = Ledger(self.url)

    def close(self) -> None:
        self.ledger.close()

    def register(self, *seeds: int, decision: str = "pass") -> None:
        """A version for each seed, the next numbers."""
        for seed in seeds:
            self.project.result(seed=seed, decision=decision)
            self.project.register()

    def reconcile(self, **options: Any) -> Report:
        return reconcile(self.ledger, self.store, self.params, self.root, **options)

    def begin(self, *seeds: int) -> None:
        """Versions from 1 on, each reconciled: the first is the champion, the second is on trial."""
        for seed in seeds:
            self.register(seed)
            self.reconcile()

    def give(self, alias: str, version: int | None) -> None:
        """As a person in MLflow's page."""
        if version is None:
            self.store.client.delete_registered_model_alias(self.store.model, alias)
        else:
            self.store.client.set_registered_model_alias(self.store.model, alias, str(version))

    def tag(self, version: int, key: str, value: str | None = None) -> str | None:
        """A version's tag, set before where a value is given."""
        if value is not None:
            self.store.client.set_model_version_tag(self.store.model, str(version), key, value)
        return self.store.client.get_model_version(self.store.model, str(version)).tags.get(key)

    def make_hotfix(self, version: int, of: int) -> None:
        """Tags as of a hotfix that was made of another version."""
        self.tag(version, "release.kind", "hotfix")
        self.tag(version, "hotfix.champion.digest", self.digest(of))

    def digest(self, version: int) -> str:
        found = self.tag(version, "bundle.cpu.digest")
        assert found
        return found

    @property
    def entry(self) -> Entry:
        found = self.ledger.current()
        assert found and found.change
        return found

    @property
    def told(self) -> list[str]:
        """The history in words, the first entry first."""
        return [f"{e.change.action} by {e.change.actor}" for e in reversed(self.ledger.history()) if e.change]

    @property
    def serving(self) -> tuple[str, str | None, str | None]:
        """Versions of champion, challenger and previous champion by the ledger."""
        change = self.entry.change
        assert change
        return change.champion_version, change.challenger_version, change.previous_version

    def aliases(self) -> tuple[str, ...]:
        """Who holds champion, challenger and previous in MLflow."""
        return tuple(alias.holder for alias in read_aliases(self.store).values())

    def assert_agrees(self) -> None:
        """Aliases, what we noted of them and the folder of releases are what the ledger says."""
        wanted = tuple(version or NOBODY for version in self.serving)
        assert self.aliases() == wanted
        assert [alias.known for alias in read_aliases(self.store).values()] == [{v} for v in wanted]
        folder = self.root / self.params.serve.releases
        named = {self.digest(int(version)) for version in self.serving if version}
        assert {path.name for path in folder.iterdir()} == named
        assert all(is_whole(folder, name) for name in named)

    def events(self) -> EventStore:
        return EventStore(self.url, 1000, False)
