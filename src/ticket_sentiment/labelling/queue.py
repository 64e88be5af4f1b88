"""`ticket-sentiment label-queue`: the tickets that are worth a person's label, in a file to fill in."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.evidence import rollout_began
from ticket_sentiment.feedback.database import event_url, reading_events
from ticket_sentiment.labelling import candidates as found
from ticket_sentiment.labelling.choose import REASONS, choose, shuffled
from ticket_sentiment.labelling.formats import Row, require_format, write_queue
from ticket_sentiment.labelling.novelty import novelty
from ticket_sentiment.params import Labelling, Params
from ticket_sentiment.rollout.audit import audited
from ticket_sentiment.tickets.corrections import key_of
from ticket_sentiment.tickets.privacy import clean

LEARNT = Path("data/prepared/train.parquet")
Texts = dict[str, tuple[str, str | None]]  # text and channel by ticket id


@dataclass(frozen=True)
class Queue:
    """A queue, and what was left out of it.

    Attributes:
        rows: in the order of the file.
        labelled: tickets left out because their label is known; of the audit, the audit's.
        without_text: tickets left out because their text is nowhere here.
        repeated: tickets left out because another one has their text; none of the audit.
        rewritten: tickets left out because they were answered with several texts.
        waiting: audited tickets for which the queue has no place.
        compared: whether the tickets were compared with those learnt from.
    """

    rows: list[Row]
    labelled: int
    without_text: int
    repeated: int
    rewritten: int
    waiting: int
    compared: bool

    def lines(self, path: Path) -> list[str]:
        """For the terminal: no text, no id."""
        counts = {why: sum(row.why == why for row in self.rows) for why in REASONS}
        parts = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
        lines = [f"{path}: {len(self.rows)} tickets ({parts})"]
        if self.labelled or self.without_text:
            lines.append(
                f"left out: {self.labelled} labelled already, {self.without_text} without text here "
                "(collect their month, or set events.store_text)"
            )
        if self.repeated:
            lines.append(f"left out: {self.repeated} with the text of another, as a text is learnt once")
        if self.rewritten:
            lines.append(
                f"left out: {self.rewritten} that were answered with several texts under one "
                "id, as a label is of one of them; give each message an id of its own where they are many"
            )
        if self.waiting:
            lines.append(
                f"{self.waiting} more audited tickets wait: raise --count or labelling.quotas.audit, or "
                "lower rollout.audit_share, until none does"
            )
        if not self.compared:
            lines.append(f"not compared with what was learnt from: too few tickets, or no {LEARNT}")
        return lines


def make_queue(
    params: Params,
    *,
    count: int | None = None,
    since_days: int | None = None,
    root: Path = Path(),
    now: datetime | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Queue:
    """Choose the tickets; equal database, files and `now` give an equal queue.

    Args:
        params: `labelling`, `events`, `hotfix` and the audit of `rollout` are read.
        count: of the queue, instead of `labelling.count`.
        since_days: how far to look back, instead of `labelling.since_days`.
        root: the repository.
        now: the present time.
        environ: where the URL of the database may be.

    Raises:
        TicketSentimentError: there is no event database, or no ticket that can be labelled.
        EventStoreUnavailable: the database does not answer.
    """
    settings, salt, share = params.labelling, params.rollout.audit_salt, params.rollout.audit_share
    days = since_days or settings.since_days
    since = (now or datetime.now(UTC)) - timedelta(days=days)
    sources = found.Sources(params.hotfix.source, params.rollout.audit_source)
    with reading_events(event_url(params.events, environ)) as connection:
        answered = found.answered_since(connection, since, sources)
        known = found.collected_labels(root, sources)
        drawn = answered["ticket_id"].map(lambda id_: audited(id_, salt, share)).astype(bool)
        labelled, judged = (
            answered[what] | answered["ticket_id"].map(known[what].to_dict()).eq(True)
            for what in ("labelled", "judged")
        )
        # People speak up where an answer was wrong: of the audit's tickets each is asked for.
        labelled = judged.where(drawn, labelled)
        here = answered["stored"] | answered["ticket_id"].isin(known.index)
        wanted = ~labelled & here
        open_ = answered[wanted]
        texts = found.kept_texts(connection, list(open_["ticket_id"]), root)
        again = found.rewritten(connection, list(open_["ticket_id"]))
        open_ = open_[~open_["ticket_id"].isin(again)]
        repeated = _repeated(open_[~drawn[open_.index]], texts)
        open_ = open_.drop(repeated).reset_index(drop=True)
        asked = set(answered.loc[wanted, "ticket_id"])
        doubted = found.doubted(connection, root)
        # Of the audit's tickets none is asked for because of its label, or the audit is no random draw.
        suspects = [
            id_
            for id_ in doubted
            if id_ in known.index and id_ not in asked and not audited(id_, salt, share)
        ]
        if open_.empty and not suspects:
            raise TicketSentimentError(
                f"no ticket to label: of {len(answered)} tickets answered in the last {days} days "
                f"{int(labelled.sum())} have a label and {int((~labelled & ~here).sum())} no text here, "
                f"and {len(again)} were answered with several texts under one id; collect their month, set "
                "events.store_text, give each message an id of its own, or look further back with --since"
            )
        scores = _novelty(open_["ticket_id"], texts, settings, root)
        began = rollout_began(connection)
        open_["counts"] = (open_["at"] >= began) if began else False
        open_["novelty"] = np.nan if scores is None else open_["ticket_id"].map(scores)
        chosen = choose(open_, suspects, count or settings.count, settings, salt, share)
        texts |= found.kept_texts(connection, [id_ for id_ in chosen["ticket_id"] if id_ not in texts], root)
    return Queue(
        rows=list(_rows(chosen, texts)),
        labelled=int(labelled.sum()),
        without_text=int((~labelled & ~here).sum()),
        repeated=len(repeated),
        rewritten=len(again),
        waiting=int((drawn & wanted & ~answered["ticket_id"].isin(again)).sum())
        - int((chosen["why"] == "audit").sum()),
        compared=scores is not None,
    )


def _repeated(others: pd.DataFrame, texts: Texts) -> pd.Index:
    """Which of some tickets have the text of another one that teaches more; of that one label is learnt.

    Equal texts have equal answers, so that one that many customers send would be all of the queue.
    """
    ranked = others.sort_values(["disagree", "margin"], ascending=[False, True], kind="stable")
    keys = ranked["ticket_id"].map(lambda id_: key_of(clean(texts[id_][0])))
    return ranked.index[keys.duplicated()]


def _novelty(ids: pd.Series, texts: Texts, settings: Labelling, root: Path) -> dict[str, float] | None:
    """Of a draw of the tickets, how unlike the learnt ones each is; None where that cannot be said."""
    path = root / LEARNT
    if not path.is_file():
        return None
    learnt = pq.read_table(path, columns=["ticket_id", "text", "channel"]).to_pandas()
    few = _draw(learnt["ticket_id"], settings)
    learnt = learnt[learnt["ticket_id"].isin(few)]
    some = set(_draw(ids, settings))
    texts = {id_: text for id_, text in texts.items() if id_ in some}
    scores = novelty(
        [text for text, _ in texts.values()],
        [channel for _, channel in texts.values()],
        learnt["text"].tolist(),
        learnt["channel"].tolist(),
    )
    return None if scores is None else dict(zip(texts, scores.tolist(), strict=True))


def _draw(ids: pd.Series, settings: Labelling) -> list[str]:
    """At most `drift_rows` of them, drawn with the seed, in the order of the ids."""
    order = pd.Series(shuffled(ids, settings.seed), index=ids.to_numpy(), dtype="uint64")
    return sorted(order.nsmallest(settings.drift_rows).index)


def _rows(chosen: pd.DataFrame, texts: Texts) -> Iterator[Row]:
    columns = ("ticket_id", "why", "probability", "at")
    for id_, why, probability, at in zip(*(chosen[name].tolist() for name in columns), strict=True):
        text, channel = texts[id_]
        drawn_with = None if math.isnan(probability) else probability
        answered_at = None if pd.isna(at) else at.to_pydatetime()
        yield Row(id_, clean(text), channel, why, drawn_with, answered_at)


def main(params: Params, out: Path, count: int | None = None, since_days: int | None = None) -> None:
    """Write the queue and say what is in it.

    Raises:
        TicketSentimentError: as `make_queue`, or the file is there already.
    """
    require_format(out)
    if out.exists():
        raise TicketSentimentError(
            f"{out} is there already, and people's labels may be in it: `ticket-sentiment label-import` it "
            "and remove it, or choose another name"
        )
    queue = make_queue(params, count=count, since_days=since_days)
    write_queue(out, queue.rows)
    print("\n".join(queue.lines(out)))
