"""ticket-sentiment releases: what the ledger names, brought to where services run."""

from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion.aliases import answering
from ticket_sentiment.promotion.moves import named
from ticket_sentiment.registry.releases import put_release
from ticket_sentiment.registry.store import Store, connect
from ticket_sentiment.rollout.releases import is_whole
from ticket_sentiment.signing.keys import public_keys


def bring_releases(store: Store, params: Params, entry: Entry, root: Path = Path()) -> list[str]:
    """Put the releases that an entry names into `serve.releases`, unless services would take what is there.

    Returns:
        A sentence for each that could not be brought.
    """
    failed = []
    for model in named(entry):
        try:
            keys = public_keys(params.serve, root) if params.serve.require_signature else None
            if is_whole(root / params.serve.releases, model.digest, keys):
                continue
            with answering("its bundles are not known"):
                put_release(store, params, model.version, root, model.digest)
        except TicketSentimentError as error:
            failed.append(f"the release of version {model.version} cannot be brought: {error}")
    return failed


def main(params: Params, root: Path = Path()) -> None:
    """Bring them, and say so.

    Raises:
        EventStoreUnavailable: the event database does not answer.
        TicketSentimentError: the ledger names none yet, or one could not be brought.
    """
    ledger = Ledger.open(params.events)
    try:
        entry = ledger.current()
    finally:
        ledger.close()
    if entry is None:
        raise TicketSentimentError(
            "the ledger names no release yet: `make retrain` registers a first version and adopts it"
        )
    failed = bring_releases(connect(params, root), params, entry, root)
    if failed:
        raise TicketSentimentError("; ".join(failed))
    for model in named(entry):
        print(f"{params.serve.releases}/{model.digest}: version {model.version}")
