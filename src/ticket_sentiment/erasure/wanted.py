"""Who is erased, as each store knows them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.rollout.assignment import unit
from ticket_sentiment.tickets.privacy import known_customer, pseudonym


def spelled(names: Iterable[str]) -> frozenset[str]:
    """The customers' ids that a person named; with blanks around also without: exports lose them.

    Raises:
        TicketSentimentError: one is what exports write where they do not know who.
    """
    found = frozenset(form for name in names if name.strip() for form in (name, name.strip()))
    nobody = sorted(name for name in found if known_customer(name) is None)
    if nobody:
        raise TicketSentimentError(
            f"--customer {nobody[0]!r} is a word for no customer: name one, or tickets by --ticket"
        )
    return found


@dataclass(frozen=True)
class Wanted:
    """Customers and tickets that are to be erased.

    Attributes:
        customers: pseudonyms.
        named: ids of tickets that a person named: they go, whoever's they are.
        tickets: ids of the customers' tickets and of those named. What another customer wrote under the same
            id, as of a second help desk that counts from 1, too, stays unless it is named.
        units: pseudonyms of what exposures and failures are of: customers, and tickets without one.
    """

    customers: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    tickets: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str], tickets: Iterable[str]) -> "Wanted":
        """Those of `spelled` names and of tickets by their ids."""
        names, ids = frozenset(names), frozenset(filter(None, map(str.strip, tickets)))
        units = frozenset(pseudonym(one) for name in names if (one := unit(name, None)))
        return cls(frozenset(map(pseudonym, names)), ids, frozenset(), units).knowing(ids)

    @classmethod
    def from_json(cls, stored: dict[str, list[str]]) -> "Wanted":
        """What `as_json` gave."""
        return cls(**{name: frozenset(values) for name, values in stored.items()})

    def as_json(self) -> dict[str, Any]:
        """For `files.write_json`."""
        return {name: sorted(values) for name, values in asdict(self).items()}

    def __bool__(self) -> bool:
        return bool(self.customers or self.tickets)

    def __or__(self, other: "Wanted") -> "Wanted":
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Wanted(*(ours | theirs for ours, theirs in pairs))

    def knowing(self, tickets: Iterable[str]) -> "Wanted":
        """The same with more ids of the customers' tickets."""
        ids = frozenset(tickets)
        units = frozenset(pseudonym(one) for id_ in ids if (one := unit(None, id_)))
        return Wanted(self.customers, self.named, self.tickets | ids, self.units | units)

    def rows(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Which rows of a table with `ticket_id`, and `customer_id` where it has one, are theirs."""
        theirs = table["ticket_id"].isin(self.tickets)
        if "customer_id" not in table:
            return theirs
        whose = table["customer_id"]
        return whose.isin(self.customers) | table["ticket_id"].isin(self.named) | theirs & whose.isna()

    def others(self, table: pd.DataFrame) -> int:
        """How many rows of a table with `customer_id` have an id of their tickets, and another customer."""
        return int((table["ticket_id"].isin(self.tickets) & ~self.rows(table)).sum())
