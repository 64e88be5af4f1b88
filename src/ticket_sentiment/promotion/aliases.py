"""MLflow's aliases, and which of them we gave: that tells a person's move from ours.

A tag of the registered model for each alias (`ledger.champion`) names the version that we gave the alias to;
while we are about to move it, both the old one and the new one. An alias on another version was moved by a
person. As the tag is written before the alias and cleared after, a kill anywhere between leaves the two in a
state that says whose move it was.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.leases import Lease
from ticket_sentiment.promotion.moves import challenger_of, champion_of, previous_of
from ticket_sentiment.registry.store import CHALLENGER, CHAMPION, Store, base_tag, reason

PREVIOUS = "previous"
ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)
REFUSED = "alias.refused"  # tag of a version: why the alias that a person gave it has no effect
NOBODY = "none"


class MlflowUnavailable(Unavailable):
    """MLflow does not answer, or refuses; the ledger is not touched by that."""


@contextlib.contextmanager
def answering(consequence: str) -> Iterator[None]:
    """Makes of MLflow's failures one error.

    Args:
        consequence: what is not done or not known then.

    Raises:
        MlflowUnavailable: MLflow does not answer, or refuses.
        TicketSentimentError: a file here cannot be read or written.
    """
    try:
        yield
    except (MlflowException, OSError) as error:
        if isinstance(error, OSError) and error.filename:  # a file of ours, and no connection
            raise TicketSentimentError(
                f"{error.filename}: {error.strerror}: {consequence}; see that the folder is there, has "
                "room and may be written, the next reconcile goes on"
            ) from None
        raise MlflowUnavailable(
            f"MLflow does not do what it was asked ({reason(error)}): {consequence}; see that its server or "
            "database (registry.tracking_uri) is there, the next reconcile goes on"
        ) from None


@dataclass(frozen=True)
class Alias:
    """Who holds an alias.

    Attributes:
        name: of ALIASES.
        holder: a version, or NOBODY.
        known: versions (or NOBODY) that we gave it to; empty when we never did.
    """

    name: str
    holder: str
    known: frozenset[str]

    @property
    def moved(self) -> bool:
        """Whether somebody else moved it. One that nobody ever held was not taken away."""
        return self.holder not in (self.known or {NOBODY})


def wanted(entry: Entry) -> dict[str, str]:
    """Who shall hold each of ALIASES (NOBODY where nobody shall) by the ledger."""
    challenger, previous = challenger_of(entry), previous_of(entry)
    return {
        CHAMPION: champion_of(entry).version,
        CHALLENGER: challenger.version if challenger else NOBODY,
        PREVIOUS: previous.version if previous else NOBODY,
    }


def read_aliases(store: Store) -> dict[str, Alias]:
    """All of ALIASES by name, read in one call; nobody holds any where the model is not there yet.

    Raises:
        MlflowException: MLflow does not answer.
    """
    try:
        model = store.client.get_registered_model(store.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {name: Alias(name, NOBODY, frozenset()) for name in ALIASES}
    return {
        name: Alias(
            name,
            str(model.aliases.get(name, NOBODY)),
            frozenset(model.tags.get(base_tag(name), "").split()),
        )
        for name in ALIASES
    }


def give(store: Store, alias: Alias, version: str, lease: Lease) -> bool:
    """Give an alias to a version (NOBODY takes it away), unless a person moves it at this moment.

    Args:
        store: of MLflow.
        alias: as it was read.
        version: who shall have it.
        lease: without which nothing is written.

    Returns:
        False when it is not as it was read; then it is left alone.

    Raises:
        LeaseLost: another has the lease.
        MlflowException: MLflow does not answer, or there is no such version.
    """
    client, tag = store.client, base_tag(alias.name)
    if alias.holder != version:
        lease.renew()
        client.set_registered_model_tag(store.model, tag, f"{alias.holder} {version}")
        # Aliases have no compare-and-swap: what a person does between this line and the next is lost.
        if read_aliases(store)[alias.name].holder != alias.holder:
            return False
        lease.renew()
        if version == NOBODY:
            client.delete_registered_model_alias(store.model, alias.name)
        else:
            client.set_registered_model_alias(store.model, alias.name, version)
    if alias.holder != version or alias.known != {version}:
        note(store, alias.name, version, lease)
    return True


def note(store: Store, name: str, version: str, lease: Lease) -> None:
    """Write down whom the ledger gives an alias: by that others know the champion (`registry.store.adopted`).

    Args:
        store: of MLflow.
        name: of ALIASES.
        version: of the ledger, or NOBODY.
        lease: without which nothing is written.

    Raises:
        LeaseLost: another has the lease.
        MlflowException: MLflow does not answer.
    """
    lease.renew()
    store.client.set_registered_model_tag(store.model, base_tag(name), version)
