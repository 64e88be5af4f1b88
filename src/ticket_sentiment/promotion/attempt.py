"""One pass of `reconcile`: what people moved in MLflow goes to the ledger, and the rest follows."""

from collections.abc import Sequence
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.leases import Lease
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion import asked, moves
from ticket_sentiment.promotion.aliases import NOBODY, REFUSED, Alias, give, note, read_aliases, wanted
from ticket_sentiment.promotion.moves import By, Model, challenger_of, champion_of
from ticket_sentiment.promotion.releases import bring_releases
from ticket_sentiment.registry.lineage import NONE
from ticket_sentiment.registry.registry import AWAITING
from ticket_sentiment.registry.releases import put_release, remove_releases
from ticket_sentiment.registry.store import CHALLENGER, CHAMPION, Store, registered

DELETED = "RESOURCE_DOES_NOT_EXIST"  # MLflow's code


class Attempt:
    """One pass under the lease; every move is decided on `entry`, the latest that it read or made."""

    def __init__(self, ledger: Ledger, store: Store, params: Params, root: Path, lease: Lease) -> None:
        self._ledger, self._store, self._params, self._root = ledger, store, params, root
        self._lease = lease
        self._history: Sequence[Entry] = ()  # of the ledger, all of it, the latest first
        self.done: list[str] = []
        self.refused: list[str] = []
        self._kept_out: set[str] = set()  # versions that were refused
        self._left: set[str] = set()  # aliases that stay where a person put them although it has no effect

    @property
    def entry(self) -> Entry | None:
        """In force."""
        return self._history[0] if self._history else None

    def run(self) -> None:
        self._history = self._ledger.history()
        aliases = read_aliases(self._store)
        if self.entry is None or self.entry.change is None:
            self._first(aliases[CHAMPION])
        if self.entry is None or self.entry.change is None:
            return
        self._champion(self.entry, aliases[CHAMPION])
        self._challenger(self.entry, aliases[CHALLENGER])
        self._withdrawn(self.entry)
        versions = registered(self._store)
        self._asked(self.entry, versions)
        self._decided(self.entry)
        self._forgive(versions)
        self._follow(self.entry, aliases)
        self._releases()

    def _made(self, entry: Entry) -> None:
        assert entry.change is not None
        self._history = (entry, *self._history)
        self.done.append(f"Ledger: {entry.told}: {entry.change.reason}")

    def _first(self, alias: Alias) -> None:
        """The first entry: the registry's champion, or that of a state a program set (its trial ends)."""
        if self.entry is None:
            if alias.holder == NOBODY:
                self.done.append(f"No version has the alias `{CHAMPION}` yet: nothing to do.")
                return
            version, why = self._version(alias.holder), f"Version {alias.holder} is the registry's champion."
        else:
            version = asked.by_digest(self._store, self.entry.state.champion)
            why = f"Version {version.version} answers by a state that a program set."
        model = self._bring(version, CHAMPION)
        if model:
            actor = asked.actor_of(version) or moves.RECONCILE
            self._made(moves.adopt(self._ledger, self.entry, model, By(actor, why), self._lease))

    def _champion(self, entry: Entry, alias: Alias) -> None:
        """Of a person who moved the alias `champion`."""
        champion = champion_of(entry)
        if not alias.moved or (alias.holder == champion.version and self._is(champion)):
            return
        if self._gives_way(moves.champion_since(self._history), alias, champion.version):
            return
        if alias.holder == NOBODY:
            if self._is(champion):
                self.refused.append(
                    f"the alias `{CHAMPION}` was taken away, but somebody must answer: version "
                    f"{champion.version} has it again. To change that give it to another version."
                )
            return
        version = self._version(alias.holder)
        model = self._bring(version, CHAMPION)
        if model is None:
            return
        by = self._by(entry, alias, version)
        challenger = challenger_of(entry)
        if challenger and challenger.version == model.version:
            made = moves.promote(self._ledger, entry, by, self._lease)
        elif model.digest in {earlier.digest for earlier in moves.champions_before(self._history)}:
            made = moves.rollback(self._ledger, entry, by, model, self._lease)
        else:
            made = moves.adopt(self._ledger, entry, model, by, self._lease)
        self._made(made)

    def _challenger(self, entry: Entry, alias: Alias) -> None:
        """Of a person who moved the alias `challenger`, or took it away."""
        challenger = challenger_of(entry)
        current = challenger.version if challenger else NOBODY
        promoted = champion_of(entry).version
        if not alias.moved or self._gives_way(entry, alias, current):
            return
        if alias.holder == NOBODY:
            if challenger and current in alias.known:  # not of a rollout that began since
                by = By(moves.PERSON, f"The alias `{CHALLENGER}` was taken away from version {current}.")
                self._made(moves.stop(self._ledger, entry, by, self._lease))
            elif moves.by_flow(entry, "promote") and promoted in alias.known:  # before a look promoted it
                why = (
                    f"The alias `{CHALLENGER}` was taken away from version {promoted} before it was promoted."
                )
                by, to = By(moves.PERSON, why), moves.previous_of(entry)
                self._made(moves.rollback(self._ledger, entry, by, to, self._lease))
            return
        if alias.holder == current:
            return
        version = self._version(alias.holder)
        if asked.digest_of(version) == entry.state.champion:
            self._refuse(CHALLENGER, version, "its bundle is the champion's, it cannot challenge itself")
            return
        model = self._bring(version, CHALLENGER)
        if model:
            by = self._by(entry, alias, version)
            self._made(moves.start(self._ledger, entry, model, by, self._lease))

    def _gives_way(self, since: Entry, alias: Alias, current: str) -> bool:
        """Whether a person rolled back by command, and the aliases have not followed yet.

        Which of two people was the last nobody can tell then: going back is the safe one.
        """
        change = since.change
        hand = change and change.action == "rollback" and change.actor not in (moves.ROLLOUT, moves.PERSON)
        if not hand or not alias.known or current in alias.known:
            return False
        self.done.append(f"The alias `{alias.name}` on version {alias.holder} gives way to {since.told}.")
        return True

    def _by(self, entry: Entry, alias: Alias, version: ModelVersion) -> By:
        moved = f"The alias `{alias.name}` was moved to version {version.version} in MLflow."
        if not alias.known:  # found at the first reconciliation: who gave it nobody knows
            return By(asked.actor_of(version) or moves.RECONCILE, moved)
        held = {CHAMPION: champion_of(entry), CHALLENGER: challenger_of(entry)}[alias.name]
        if (held.version if held else NOBODY) not in alias.known:
            moved += f" It goes before the {entry.told}."
        if entry.on and alias.name == CHALLENGER:
            moved += " It takes the place of the rollout that was on."
        return By(moves.PERSON, moved)

    def _withdrawn(self, entry: Entry) -> None:
        """End a rollout that a flow began when the gate has changed its mind."""
        challenger, flow = challenger_of(entry), asked.begun_by(self._history)
        if challenger is None or flow not in asked.FLOWS:
            return
        version = self._found(challenger.version)
        decision = version.tags.get("gate.decision") if version else None
        if decision == "pass":
            return
        why = f"The gate now says {decision} to version {challenger.version}."
        if version is None:  # deleted before it had its alias, by whose loss it is seen else
            why = f"Version {challenger.version} was deleted in MLflow."
        self._made(moves.stop(self._ledger, entry, By(flow, why), self._lease))

    def _asked(self, entry: Entry, versions: Sequence[ModelVersion]) -> None:
        """Begin the rollout of the newest version that asks for one, if it may go before what is on.

        One that cannot be brought is passed over: it must not keep back what comes after it.
        """
        for version in asked.asking(versions, self._history):
            if asked.digest_of(version) == entry.state.champion:
                continue
            if asked.corrects_another(version, entry.state.champion):
                why = f"it corrects another champion than version {champion_of(entry).version}: run it again"
                self._refuse(CHALLENGER, version, why, held=False)
                continue
            if self._begin(entry, version):
                return

    def _begin(self, entry: Entry, version: ModelVersion) -> bool:
        """Whether it is its turn: it begins, or waits for what is on trial."""
        hotfix = asked.is_hotfix(version)
        on_trial = challenger_of(entry)
        if on_trial and not asked.may_start(self._history, hotfix):
            self.done.append(f"Version {version.version} waits: version {on_trial.version} is on trial.")
            return True
        model = self._bring(version, CHALLENGER, held=False)
        if model:
            why = f"Version {version.version} passed the gate{' as a hotfix' if hotfix else ''}."
            if on_trial:
                why += (
                    f" It takes the place of version {on_trial.version}, whose rollout is over by that: give "
                    f"it the alias `{CHALLENGER}` when it is to be tried again."
                )
            by = By(asked.actor_of(version) or moves.RECONCILE, why)
            self._made(moves.start(self._ledger, entry, model, by, self._lease))
        return model is not None

    def _decided(self, entry: Entry) -> None:
        """Who serves or is tried waits for no person any more."""
        for model in filter(None, (champion_of(entry), challenger_of(entry))):
            version = self._found(model.version)
            if version and version.tags.get(AWAITING, NONE) != NONE:
                self._store.client.set_model_version_tag(self._store.model, model.version, AWAITING, NONE)

    def _follow(self, entry: Entry, aliases: dict[str, Alias]) -> None:
        """Give the aliases to whom the ledger names; of one that is left where it has no effect note it."""
        for name, version in wanted(entry).items():
            if name in self._left:
                if aliases[name].known != {version}:
                    note(self._store, name, version, self._lease)
                continue
            try:
                given = give(self._store, aliases[name], version, self._lease)
            except MlflowException as error:
                if error.error_code != DELETED:
                    raise
                self.refused.append(
                    f"the alias `{name}` belongs to version {version}, which MLflow does not have"
                )
                continue
            if not given:
                self.done.append(
                    f"The alias `{name}` is being moved by somebody: left to the next reconcile."
                )
            elif aliases[name].holder != version:
                to = "nobody" if version == NOBODY else f"version {version}"
                self.done.append(f"MLflow: the alias `{name}` belongs to {to}.")

    def _releases(self) -> None:
        """Bring what the ledger names for running services, and remove what it does not.

        While something cannot be brought nothing is removed: services still answer with what they have.
        """
        entry = self._ledger.current()
        assert entry is not None
        missing = bring_releases(self._store, self._params, entry, self._root)
        self.refused += missing
        if missing:
            return
        now = self._ledger.current()  # bringing may take minutes, and a person may have gone back meanwhile
        assert now is not None
        keep = {model.digest for model in (*moves.named(entry), *moves.named(now))}
        gone = remove_releases(self._params, keep, self._root)
        self.done += [f"Releases: {name[:12]} removed, nobody names it." for name in gone]

    def _forgive(self, versions: Sequence[ModelVersion]) -> None:
        """A refusal is over where nobody gives that version the alias any more, and no flow asks for it."""
        for version in versions:
            if REFUSED in version.tags and str(version.version) not in self._kept_out:
                self._store.client.delete_model_version_tag(self._store.model, version.version, REFUSED)

    def _is(self, model: Model) -> bool:
        """Whether MLflow has a version, with the bundle that the ledger means."""
        version = self._found(model.version)
        return version is not None and asked.digest_of(version) == model.digest

    def _version(self, number: str) -> ModelVersion:
        return self._store.client.get_model_version(self._store.model, number)

    def _found(self, number: str) -> ModelVersion | None:
        """A version, or None if it was deleted."""
        try:
            return self._version(number)
        except MlflowException as error:
            if error.error_code != DELETED:
                raise
            return None

    def _bring(self, version: ModelVersion, alias: str, held: bool = True) -> Model | None:
        """A version, its release verified and in the folder; None when it is refused, which the version says.

        Args:
            version: of the registry.
            alias: that it has or is to get.
            held: whether a person gave it that alias.
        """
        try:
            digest = put_release(self._store, self._params, version.version, self._root)
        except (TicketSentimentError, OSError) as error:
            self._refuse(alias, version, str(error), held)
            return None
        return Model(str(version.version), digest, asked.is_hotfix(version))

    def _refuse(self, alias: str, version: ModelVersion, why: str, held: bool = True) -> None:
        text = f"version {version.version} as `{alias}`: {why}"
        self.refused.append(text)
        self._kept_out.add(str(version.version))
        if held:
            self._left.add(alias)
        if version.tags.get(REFUSED) != text:
            self._store.client.set_model_version_tag(self._store.model, version.version, REFUSED, text)
