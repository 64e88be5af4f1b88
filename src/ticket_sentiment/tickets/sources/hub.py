"""Tickets from a data set of the Hugging Face hub, or a local folder of one."""

from ticket_sentiment.errors import TicketSentimentError, Unavailable, is_away, reason
from ticket_sentiment.params import HubSource
from ticket_sentiment.tickets.sources.raw import RawTable


def read_hub(source: HubSource) -> RawTable:
    """One split of a data set, at the revision that params.yaml names.

    Class numbers are turned into their names where the data set has them.

    Raises:
        Unavailable: the hub does not answer.
        TicketSentimentError: the package `datasets` is not installed, or the data set, revision or
            split cannot be loaded.
    """
    try:
        import datasets
    except ModuleNotFoundError:
        raise TicketSentimentError(
            "tickets.source.kind hub needs the package datasets: `pip install 'ticket-sentiment[hub]'`"
        ) from None
    name = f"{source.dataset} ({source.split})"
    try:
        loaded = datasets.load_dataset(source.dataset, revision=source.revision, split=source.split)
    except Exception as error:  # the loaders of many formats and a network: anything can come out
        # Not its text: a cell that cannot be cast is quoted there.
        came_of = f" of {reason(error.__cause__)}" if error.__cause__ else ""
        kind = Unavailable if is_away(error) else TicketSentimentError
        raise kind(
            f"data set {name} cannot be loaded ({reason(error)}{came_of}): "
            "check tickets.source.dataset, revision and split, and the network"
        ) from None
    if not len(loaded):
        raise TicketSentimentError(f"data set {name} is empty: check tickets.source.split")
    columns = {column: list(loaded[column]) for column in loaded.column_names}
    for column, feature in loaded.features.items():
        if isinstance(feature, datasets.ClassLabel):
            # The hub writes -1 for an unknown class.
            columns[column] = [
                None if value is None or value < 0 else feature.int2str(value) for value in columns[column]
            ]
    return RawTable(name, columns, range(1, len(loaded) + 1))
