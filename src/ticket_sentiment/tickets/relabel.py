"""People's labels joined to their tickets: whose counts, and what it changes.

The result depends on what was said and not on the order in which it arrived, so that labels that come late,
twice or from another month's file give the same tickets.
"""

from dataclasses import asdict, dataclass

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Prepare
from ticket_sentiment.tickets.privacy import clean


@dataclass(frozen=True)
class Relabelled:
    """What the join did, in labels from feedback and in tickets.

    Attributes:
        labels: all that were collected, but for those of months that are not read.
        orphans: of them, whose ticket is not among the collected ones.
        too_early: of them, given before their ticket was written.
        confirmed: tickets whose label stayed what it was, now said by another source.
        changed: tickets that have another label than in their export.
        added: tickets that had none.
        kept: tickets whose export goes before their feedback (`prepare.label_sources`).
        conflicts: tickets about which not all said the same, their export among them.
    """

    labels: int
    orphans: int
    too_early: int
    confirmed: int
    changed: int
    added: int
    kept: int
    conflicts: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def agreeing(tickets: pd.DataFrame, keys: "pd.Series[str]") -> pd.DataFrame:
    """The tickets whose text has no two labels; `keys` (one a ticket) says which texts are equal."""
    return tickets[tickets.groupby(keys)["label"].transform("nunique") <= 1]


def relabel(tickets: pd.DataFrame, feedback: pd.DataFrame, rules: Prepare) -> tuple[pd.DataFrame, Relabelled]:
    """Give each ticket the label that counts, and `label_source` who gave it.

    The first source of `rules.label_sources` that said something about a ticket decides; the label of the
    export takes part as the source that stands beside it. Of one source the latest label by `at` counts, ties
    as in the event store: the greater source, then the greater event id. Labels given before the ticket was
    written are of another ticket or another clock, and do not count.

    Args:
        tickets: schema.COLUMNS.
        feedback: columns of schema.FEEDBACK_SCHEMA.
        rules: `label_sources` and `unknown_sources` are read.

    Returns:
        The tickets, in the order they had; and what changed.

    Raises:
        TicketSentimentError: a source is not in the list and the rules refuse that.
    """
    _require_known(feedback["source"], rules)
    about = feedback.merge(
        tickets[["ticket_id", "created_at", "label", "label_source"]].rename(
            columns={"label": "old", "label_source": "old_source"}
        ),
        on="ticket_id",
    )
    timely = about[about["at"] >= about["created_at"]]
    order = {source: rank for rank, source in enumerate(rules.label_sources)}
    said = timely.assign(rank=_ranks(timely["source"], order)).sort_values(
        ["ticket_id", "rank", "at", "source", "event_id", "label"],
        ascending=[True, True, False, False, False, False],
    )
    best = said.drop_duplicates("ticket_id", keep="first")
    labelled = best["old"].notna()
    # Within one source the export is the oldest word: it came with the ticket.
    wins = ~labelled | (best["rank"] <= _ranks(best["old_source"], order))
    differs = best["old"] != best["label"]
    disputed = said.groupby("ticket_id")["label"].nunique().gt(1)
    against = (said["old"].notna() & (said["old"] != said["label"])).groupby(said["ticket_id"]).any()
    counts = Relabelled(
        labels=len(feedback),
        orphans=len(feedback) - len(about),
        too_early=len(about) - len(timely),
        confirmed=int((wins & labelled & ~differs).sum()),
        changed=int((wins & labelled & differs).sum()),
        added=int((~labelled).sum()),
        kept=int((~wins).sum()),
        conflicts=int((disputed | against).sum()),
    )
    winners = best[wins].set_index("ticket_id")
    result = tickets.copy()
    for column, new in (("label", winners["label"]), ("label_source", winners["source"])):
        found = tickets["ticket_id"].map(new)
        result[column] = found.where(found.notna(), tickets[column]).astype(tickets[column].dtype)
    return result, counts


def _ranks(sources: pd.Series, order: dict[str, int]) -> pd.Series:
    return sources.map(order).fillna(len(order)).astype(int)


def _require_known(sources: pd.Series, rules: Prepare) -> None:
    unknown = sorted(set(sources) - set(rules.label_sources))
    if unknown and rules.unknown_sources == "refuse":
        raise TicketSentimentError(
            f"data/feedback: source {clean(unknown[0])[:40]!r} is not in prepare.label_sources "
            f"({len(unknown)} such sources): add it where its labels should rank, or set "
            "prepare.unknown_sources to last"
        )
