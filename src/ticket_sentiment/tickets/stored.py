"""What stored months must be before others come beside them: masked by today's rules, not the demo's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.schema import DEMO_LABELS


@dataclass(frozen=True)
class Remasked:
    """Stored months that today's masking rules change.

    Attributes:
        months: by name, as they are to be.
        tickets: how many of them changed.
    """

    months: Mapping[str, pd.DataFrame]
    tickets: int


def remask(months: Mapping[str, pd.DataFrame], masked: Collection[str] = ()) -> Remasked:
    """Mask stored texts by today's rules, which may be stricter than those they were stored by.

    So a new release needs no source that still holds the old months. A text of which nothing is left goes, as
    in a collection.

    Args:
        months: as they are stored.
        masked: texts that have just been masked; the same ones need no second look.
    """
    known, changed, tickets = set(masked), {}, 0
    for month, frame in months.items():
        texts = [text if text in known or pd.isna(text) else clean(text) for text in frame["text"]]
        differing = sum(new is not old and new != old for new, old in zip(texts, frame["text"], strict=True))
        if differing:
            anew = frame.assign(text=texts)
            changed[month] = anew[anew["text"] != ""].reset_index(drop=True)
            tickets += differing
    return Remasked(changed, tickets)


def is_demo(month: pd.DataFrame) -> bool:
    """Whether tickets of a month are the demo's."""
    return bool((month["label_source"] == DEMO_LABELS).any())


def require_unmixed(stored: Mapping[str, pd.DataFrame], new: Mapping[str, pd.DataFrame]) -> None:
    """Refuse to put the demo's tickets beside a team's own: a model would learn from both.

    Args:
        stored: months that stay.
        new: months of the source.

    Raises:
        TicketSentimentError: naming the stored months and the remedy.
    """
    demo = any(map(is_demo, new.values()))
    others = [month for month, frame in stored.items() if len(frame) and is_demo(frame) != demo]
    if not others or not new:
        return
    names = f"{len(others)} months ({min(others)} to {max(others)})"
    if demo:
        dropping = " ".join(f"--drop {month}" for month in sorted(others))
        raise TicketSentimentError(
            f"data/tickets holds {names} that are no demo, and tickets.source.kind is demo: set "
            f"tickets.source in params.yaml to your own, or remove those months with "
            f"`ticket-sentiment collect {dropping}`"
        )
    raise TicketSentimentError(
        f"data/tickets holds {names} of the demo, which a model would learn beside your own tickets: remove "
        "them with `ticket-sentiment collect --drop demo` and run again"
    )
