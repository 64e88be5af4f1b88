"""Damages of what was collected: `validate` and `prepare` run on it."""

import numpy as np
import pandas as pd

from benchmarks.mutations.catalogue import mutation
from benchmarks.mutations.workplace import Workplace
from ticket_sentiment.gates import drift
from ticket_sentiment.labels import LABELS

SEED = 7


def newest(tickets: pd.DataFrame) -> pd.Series:
    """Which rows are of the newest month."""
    return tickets["month"] == tickets["month"].max()


def shuffled(tickets: pd.DataFrame, share: float) -> pd.DataFrame:
    """The labels of a share of the rows, dealt out anew among them."""
    draw = np.random.default_rng(SEED)
    rows = np.flatnonzero(draw.random(len(tickets)) < share)
    labels = tickets["label"].to_numpy(copy=True)
    labels[rows] = labels[draw.permutation(rows)]
    return tickets.assign(label=labels)


def _shuffle(share: float) -> None:
    @mutation(
        "data", f"{share:.0%} of the labels shuffled", "dealt out anew among these rows, in every month"
    )
    def shuffle(place: Workplace) -> None:
        place.change_tickets(lambda tickets: shuffled(tickets, share))


for _share in (0.1, 0.3, 1.0):
    _shuffle(_share)


@mutation("data", "labels slipped by a row", "each label stands in the row below its ticket")
def slip(place: Workplace) -> None:
    place.change_tickets(lambda tickets: tickets.assign(label=np.roll(tickets["label"], 1)))


@mutation("data", "classes swapped in the newest month", "negative and positive change places")
def swap_newest(place: Workplace) -> None:
    other = {"negative": "positive", "positive": "negative"}

    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        swapped = tickets["label"].replace(other)
        return tickets.assign(label=tickets["label"].where(~newest(tickets), swapped))

    place.change_tickets(change)


@mutation("data", "a class missing", "no neutral ticket in the newest month")
def missing_class(place: Workplace) -> None:
    place.change_tickets(lambda tickets: tickets[~(newest(tickets) & (tickets["label"] == "neutral"))])


@mutation("data", "negative share doubled", "positive and neutral tickets of the newest month left out")
def negative_doubled(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        others = newest(tickets) & (tickets["label"] != "negative")
        keep = np.random.default_rng(SEED).random(len(tickets)) < 0.2
        return tickets[~others | keep]

    place.change_tickets(change)


@mutation("data", "texts duplicated", "a third of the newest month exported twice under new ids")
def duplicated(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        again = tickets[newest(tickets)].sample(frac=0.34, random_state=SEED)
        return pd.concat([tickets, again.assign(ticket_id=again["ticket_id"] + "-again")], ignore_index=True)

    place.change_tickets(change)


@mutation("data", "one text, two labels", "3 % of the newest month again with another label")
def contradicted(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        again = tickets[newest(tickets)].sample(frac=0.03, random_state=SEED)
        label = again["label"].map(dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True)))
        again = again.assign(ticket_id=again["ticket_id"] + "-again", label=label)
        return pd.concat([tickets, again], ignore_index=True)

    place.change_tickets(change)


@mutation("data", "an old month served as new", "the newest month holds the tickets of the first, dated anew")
def old_month(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        month = tickets["month"].max()
        old = tickets[tickets["month"] == tickets["month"].min()]
        moved = pd.Timestamp(f"{month}-01", tz="UTC") + (old["created_at"] - old["created_at"].min()) * 0.9
        served = old.assign(month=month, created_at=moved.astype("datetime64[us, UTC]"))
        served = served.assign(ticket_id="new-" + served["ticket_id"])
        return pd.concat([tickets[~newest(tickets)], served], ignore_index=True)

    place.change_tickets(change)


@mutation("data", "tickets in two months", "fifty tickets of the month before are in the newest again")
def two_months(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        month = tickets["month"].max()
        before = tickets[~newest(tickets)]
        again = before[before["month"] == before["month"].max()].head(50)
        when = pd.Timestamp(f"{month}-02", tz="UTC").as_unit("us")
        return pd.concat([tickets, again.assign(month=month, created_at=when)], ignore_index=True)

    place.change_tickets(change)


@mutation("data", "a channel dropped", "no ticket of one channel in the newest month")
def dropped_channel(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        channel = sorted(tickets["channel"].unique())[0]
        return tickets[~(newest(tickets) & (tickets["channel"] == channel))]

    place.change_tickets(change)


@mutation("data", "the text tells its label", "the helpdesk's tag is exported at the end of each text")
def tagged(place: Workplace) -> None:
    place.change_tickets(
        lambda tickets: tickets.assign(text=tickets["text"] + " tag " + tickets["label"].fillna(""))
    )


@mutation("data", "personal data not masked", "an address in twenty texts of the newest month")
def unmasked(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        rows = tickets.index[newest(tickets)][:20]
        texts = tickets["text"].copy()
        texts[rows] = texts[rows] + " write to jane.doe@example.com"
        return tickets.assign(text=texts)

    place.change_tickets(change)


@mutation("data", "another language", "half of the newest month in German")
def another_language(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        german = "Der Router verliert jeden Abend die Verbindung, und niemand antwortet mir, Fall Nummer "
        rows = newest(tickets) & (np.arange(len(tickets)) % 2 == 0)
        numbered = pd.Series([f"{german}{row}" for row in range(len(tickets))], index=tickets.index)
        return tickets.assign(text=tickets["text"].where(~rows, numbered))

    place.change_tickets(change)


@mutation("data", "empty texts", "the text of thirty tickets of the newest month is lost")
def empty(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        rows = tickets.index[newest(tickets)][:30]
        return tickets.assign(text=tickets["text"].where(~tickets.index.isin(rows), ""))

    place.change_tickets(change)


@mutation("data", "dates of another month", "ten tickets of the newest month are dated two months later")
def wrong_dates(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        rows = tickets.index.isin(tickets.index[newest(tickets)][:10])
        later = tickets["created_at"] + pd.Timedelta(days=62)
        return tickets.assign(created_at=tickets["created_at"].where(~rows, later))

    place.change_tickets(change)


@mutation("data", "hardly any labels", "98 % of the labels of the newest month are lost")
def few_labels(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        lost = newest(tickets) & (np.random.default_rng(SEED).random(len(tickets)) < 0.98)
        return tickets.assign(label=tickets["label"].mask(lost, None))

    place.change_tickets(change)


@mutation("data", "an export that broke off", "a hundred tickets of the newest month arrived")
def broke_off(place: Workplace) -> None:
    place.change_tickets(
        lambda tickets: pd.concat([tickets[~newest(tickets)], tickets[newest(tickets)].head(100)])
    )


@mutation("data", "a holdout that is too small", "260 tickets of the newest month have a label")
def small_holdout(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        late = tickets.index[newest(tickets)][260:]
        return tickets.drop(index=late)

    place.change_tickets(change)


@mutation(
    "drift",
    "a holdout of one channel alone",
    "only film reviews of the newest month are labelled",
    demo_only=True,
)
def one_channel_labelled(place: Workplace) -> None:
    def change(tickets: pd.DataFrame) -> pd.DataFrame:
        others = newest(tickets) & (tickets["channel"] != "film_reviews")
        return tickets.assign(label=tickets["label"].mask(others, None))

    place.change_tickets(change)
    drift.main(place.params)
    place.made_anew.add("drift")
