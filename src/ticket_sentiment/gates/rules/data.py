"""The gate `data`: the tickets are in order, and the holdout is later than what was learnt from."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import Split, Validation
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import months, number, shares
from ticket_sentiment.tickets.schema import NO_CHANNEL

HARDLY = 0.1  # of a channel's share before: less than that is a channel that has gone


def validated(validation: Validation, tickets_sha256: str) -> Iterator[Finding]:
    """The tickets passed, and they are those that lie here."""
    rules = [failure.sentence for failure in validation.failures]
    more = f" ({len(rules) - 1} more in reports/validation)" if len(rules) > 1 else ""
    broken = f"The tickets fail validation: {rules[0]}{more}" if rules else "The tickets fail validation."
    rows = sum(month.rows for month in validation.months.values())
    yield found(
        validation.success and not rules,
        "fail",
        f"All {rows:,} tickets of {months(validation.months)} passed validation.",
        broken,
    )
    if tickets_sha256 != validation.data_sha256:
        yield finding("fail", "The tickets have changed since they were validated.")


def gone_channels(validation: Validation, split: Split, floor: float) -> list[str]:
    """Channels with at least `floor` of the tickets that were learnt from, of which hardly one is held out.

    Months before those do not count: a channel that was renamed is a matter for a person until the training
    has forgotten its old name, not for years.
    """
    held, earlier = (
        [validation.months[month] for month in names if month in validation.months]
        for names in (split.months.holdout, (*split.months.train, *split.months.tune))
    )

    def mean(channel: str, group: list) -> float:
        rows = sum(facts.rows for facts in group)
        return sum(facts.rows * facts.channels.get(channel, 0.0) for facts in group) / max(rows, 1)

    # Tickets that came without a channel are not missed when a source begins to name them.
    names = sorted({name for facts in earlier for name in facts.channels} - {NO_CHANNEL})
    return [
        name
        for name in names
        if (before := mean(name, earlier)) >= floor and mean(name, held) < HARDLY * before
    ]


def suspicious(validation: Validation, split: Split, limits: Limits) -> Iterator[Finding]:
    """What no rule on rows sees: labels that seem wrong or too easy, a channel that has gone."""
    noise, most = validation.label_noise.share, limits.gate.max_label_noise
    if noise is None:
        yield finding(
            limits.missed("max_label_noise"), "There are too few labels to tell how many are wrong."
        )
    elif noise > most:
        doubted, limit = shares(noise, most)
        yield finding(
            limits.missed("max_label_noise"),
            f"{doubted} of the labels seem wrong (limit {limit}): "
            "look at the worst of them, which reports/validation names.",
        )
    used = {*split.months.train, *split.months.tune, *split.months.holdout}
    for month, facts in validation.months.items():
        if month in used and facts.signal is not None and facts.signal > limits.gate.max_signal:
            yield finding(
                limits.missed("max_signal"),
                f"In {month} a bag of words tells the labels with a macro-F1 of {number(facts.signal, 3)} "
                f"(limit {number(limits.gate.max_signal, 3)}): does the text hold its label?",
            )
    for channel in gone_channels(validation, split, limits.gate.min_channel_share):
        yield finding(
            limits.missed("min_channel_share"),
            f"Hardly a ticket of {months(split.months.holdout)} comes from the channel {channel}: "
            "was it left out of the export?",
        )


@gate("Are the tickets in order?", place=10)
def data(evidence: Evidence, limits: Limits) -> Looked:
    """The tickets passed validation, are those that lie here, and the holdout is later than the training."""
    validation, split, tickets = (
        need(evidence.validation),
        need(evidence.split),
        need(evidence.tickets_sha256),
    )

    def findings() -> Iterator[Finding]:
        yield from validated(validation, tickets)
        train, tune, holdout = split.months.train, split.months.tune, split.months.holdout
        if not (max(train) < min(tune) and max(tune) < min(holdout)):
            yield finding(
                "fail",
                "The months overlap: training must end before tuning, and tuning before the holdout.",
            )
        yield from suspicious(validation, split, limits)
        yield found(
            split.rows.holdout >= limits.gate.min_holdout_rows,
            limits.missed("min_holdout_rows"),
            f"{split.rows.holdout:,} tickets of {months(holdout)} were held out, "
            f"at least {limits.gate.min_holdout_rows:,} are needed for a decision without a person.",
        )

    return findings(), {
        "data_sha256": validation.data_sha256,
        "holdout_rows": split.rows.holdout,
        "label_noise": validation.label_noise.share,
    }
