"""What stored months must be before others come beside them: masked by today's rules, not the demo's."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.privacy import MASK, clean
from ticket_sentiment.tickets.schema import DEMO_LABELS

_BESIDES = re.compile(rf"{MASK.pattern}|[\W\d_]+")


@dataclass(frozen=True)
class Remasked:
    """Stored months that today's masking rules change.

    Attributes:
        months: by name, as they are to be.
        tickets: how many of them changed.
    """

    months: Mapping[str, pd.DataFrame]
    tickets: int


def remask(months: Mapping[str, pd.DataFrame], masked: Set[str] = frozenset()) -> Remasked:
    """Mask stored texts by today's rules, which may be stricter than those they were stored by.

    So a new release needs no source that still holds the old months. A text of which nothing is left goes, as
    in a collection.

    Args:
        months: as they are stored.
        masked: texts that have just been masked; the same ones need no second look.
    """
    changed, tickets = {}, 0
    for month, frame in months.items():
        texts = [text if text in masked or pd.isna(text) else clean(text) for text in frame["text"]]
        differing = sum(new is not old and new != old for new, old in zip(texts, frame["text"], strict=True))
        if differing:
            anew = frame.assign(text=texts)
            changed[month] = anew[anew["text"] != ""].reset_index(drop=True)
            tickets += differing
    return Remasked(changed, tickets)


def as_the_source(months: Mapping[str, pd.DataFrame], source: Mapping[str, pd.DataFrame]) -> Remasked:
    """Stored texts that older rules masked otherwise than today's mask them, as the source's are masked now.

    What an older mask covers is gone, so that masking once more does not give the same: "fax [PHONE]" of what
    today is "fax 12 [PHONE]". Only where nothing but masks, digits and punctuation differs.
    """
    changed, tickets = {}, 0
    for month in sorted(months.keys() & source.keys()):
        frame, now = months[month], dict(zip(source[month]["ticket_id"], source[month]["text"], strict=True))
        pairs = [(old, now.get(id_, old)) for id_, old in zip(frame["ticket_id"], frame["text"], strict=True)]
        texts = [new if old != new and _masked_otherwise(old, new) else old for old, new in pairs]
        if texts != [old for old, _ in pairs]:
            changed[month] = frame.assign(text=texts)
            tickets += sum(text is not old for text, (old, _) in zip(texts, pairs, strict=True))
    return Remasked(changed, tickets)


def _masked_otherwise(old: str, new: str) -> bool:
    if not isinstance(old, str) or not MASK.search(old):
        return False
    return _BESIDES.sub("", old) == _BESIDES.sub("", new)


def is_demo(month: pd.DataFrame) -> bool:
    """Whether tickets of a month are the demo's; `label_source` is read."""
    return bool((month["label_source"] == DEMO_LABELS).any())


def require_unmixed(stored: Mapping[str, bool], new: Mapping[str, pd.DataFrame]) -> None:
    """Refuse to put the demo's tickets beside a team's own: a model would learn from both.

    Args:
        stored: months that stay and are not empty, and whether each is the demo's.
        new: months of the source.

    Raises:
        TicketSentimentError: naming the stored months and the remedy.
    """
    demo = any(map(is_demo, new.values()))
    others = [month for month, theirs in stored.items() if theirs != demo]
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
