"""What a decision about a rollout is made from: counts alone.

Late, doubled and out-of-order labels give the same counts as labels in order, and so the same decision; and a
decision can be worked out again from the event database at any later time. Every object refuses numbers that
cannot be: a broken count must never look like a good challenger.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar, get_args

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.rollout.assignment import ARMS, Arm

T = TypeVar("T")
_DIGEST = re.compile(r"[0-9a-f]{64}")
Metric = Literal["quality", "errors", "slow", "unlabelled"]
METRICS: tuple[Metric, ...] = get_args(Metric)  # fields of EpochEvidence and Overlap with sums over units


def refuse(key: str, expected: str) -> None:
    """Raise for a field of the evidence that cannot be."""
    raise TicketSentimentError(
        f"rollout evidence: {key}: expected {expected}; nothing was decided. "
        "Check what reads it from the event database"
    )


def _check_counts(counts: object) -> None:
    """Refuse a field that is no whole number from 0 (NaN, a float, a truth value, a negative number)."""
    for field in fields(counts):  # type: ignore[arg-type]
        value = getattr(counts, field.name)
        if type(value) is not int or value < 0:
            refuse(f"{type(counts).__name__}.{field.name}", "a whole number from 0")


@dataclass(frozen=True, slots=True)
class ByArm(Generic[T]):
    """The same thing of each arm."""

    champion: T
    challenger: T

    def __iter__(self) -> Iterator[T]:
        """In the order of ARMS."""
        return iter((self.champion, self.challenger))

    def of(self, arm: Arm) -> T:
        """The one of an arm."""
        return self.challenger if arm == "challenger" else self.champion


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """Tickets that both models scored, one of them unseen, by who was right.

    Only tickets of the random audit (`rollout.audit.audited`) whose label is mature count: agents correct
    what they see to be wrong, so their other labels favour the model that nobody saw. Over the whole rollout:
    the challenger's unseen scoring goes on while it ramps up.
    """

    both_right: int = 0
    only_champion: int = 0
    only_challenger: int = 0
    both_wrong: int = 0

    def __post_init__(self) -> None:
        _check_counts(self)

    @property
    def labels(self) -> int:
        """All of them."""
        return self.both_right + self.only_champion + self.only_challenger + self.both_wrong

    @property
    def discordant(self) -> int:
        """Tickets of which one model was right and the other wrong: only they tell the models apart."""
        return self.only_champion + self.only_challenger


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Requests and bad outcomes of one arm in one epoch, summed over units (customers).

    The squares keep what the units' spread is, so that many tickets of one customer are not taken for as many
    independent ones.

    Attributes:
        units: with at least one request.
        n: sum of a unit's requests.
        y: sum of a unit's bad outcomes (wrong, failed or slow answers), at most n.
        nn: sum of n * n of each unit.
        ny: sum of n * y of each unit.
        yy: sum of y * y of each unit.
    """

    units: int = 0
    n: int = 0
    y: int = 0
    nn: int = 0
    ny: int = 0
    yy: int = 0

    def __post_init__(self) -> None:
        _check_counts(self)
        if not (self.units <= self.n and self.y <= self.n and (self.units > 0 or self.n == 0)):
            refuse("UnitSums", "units <= n, y <= n, and no request without a unit")
        # Cauchy and Schwarz, and y <= n of each unit.
        if not (self.n <= self.nn and self.y <= self.yy <= self.ny <= self.nn):
            refuse("UnitSums", "n <= nn and y <= yy <= ny <= nn")
        if self.n**2 > self.units * self.nn or self.y**2 > self.units * self.yy:
            refuse("UnitSums", "sums of squares that some units could have")


@dataclass(frozen=True, slots=True)
class CrossSums:
    """Products, summed over the units that are in two cells (a cell is an arm in an epoch).

    Attributes:
        units: in both cells.
        nn: sum of a unit's requests in the earlier cell times those in the later one.
        ny: requests of the earlier, bad outcomes of the later.
        yn: bad outcomes of the earlier, requests of the later.
        yy: bad outcomes of both.
    """

    units: int = 0
    nn: int = 0
    ny: int = 0
    yn: int = 0
    yy: int = 0

    def __post_init__(self) -> None:
        _check_counts(self)
        if self.units > self.nn or max(self.ny, self.yn) > self.nn or self.yy > min(self.ny, self.yn):
            refuse("CrossSums", "units <= nn and yy <= ny, yn <= nn")


@dataclass(frozen=True, slots=True)
class FirstLabels:
    """Units by their first mature audited label in a ramp epoch: one observation a unit, whatever its size.

    A unit counts once in the whole ramp, in the epoch and arm of the ticket that its first label is of.
    """

    units: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        _check_counts(self)
        if self.right > self.units:
            refuse("FirstLabels.right", "at most its units")


@dataclass(frozen=True, slots=True)
class Coverage:
    """Tickets of the audit that one arm answered, old enough to have a label, and those that have one."""

    mature: int = 0
    labelled: int = 0

    def __post_init__(self) -> None:
        _check_counts(self)
        if self.labelled > self.mature:
            refuse("Coverage.labelled", "at most its mature tickets")

    @property
    def share(self) -> float | None:
        """Labelled of mature; None where none is mature."""
        return self.labelled / self.mature if self.mature else None


@dataclass(frozen=True, slots=True)
class Unseen:
    """Tickets that the challenger's model scored and nobody saw, and those that it failed on."""

    scored: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self)


@dataclass(frozen=True, slots=True)
class EpochEvidence:
    """One epoch of the ramp: a stretch in which the challenger's share did not change.

    Attributes:
        epoch: of the rollout state.
        share: of the customers whom the challenger answered, above 0 and below 1. The shadow step is no
            epoch here: nobody was assigned.
        began: with a time zone.
        exposures: units whose first exposure of the whole ramp (epochs with a share above 0) was in this
            epoch. A customer met at 5 % is not new at 25 %; one met only in shadow is.
        first_labels: see there.
        quality: wrong answers among mature, audited, labelled tickets that the arm answered.
        errors: failed answers among all requests.
        slow: answers over serve.objective_ms among all requests.
        unlabelled: tickets without a label among all audited tickets that are old enough to have one.
    """

    epoch: int
    share: float
    began: datetime
    exposures: ByArm[int]
    first_labels: ByArm[FirstLabels]
    quality: ByArm[UnitSums]
    errors: ByArm[UnitSums]
    slow: ByArm[UnitSums]
    unlabelled: ByArm[UnitSums]

    def __post_init__(self) -> None:
        where = f"epochs[epoch {self.epoch}]"
        if type(self.epoch) is not int or self.epoch < 1:
            refuse("epochs.epoch", "a whole number from 1")
        if not isinstance(self.share, float) or not 0 < self.share < 1:  # also refuses NaN
            refuse(f"{where}.share", "a share above 0 and below 1")
        if self.began.utcoffset() is None:
            refuse(f"{where}.began", "a time with a time zone")
        for arm, units in zip(ARMS, self.exposures, strict=True):
            if type(units) is not int or units < 0:
                refuse(f"{where}.exposures.{arm}", "a whole number from 0")


@dataclass(frozen=True, slots=True)
class Overlap:
    """Units that had requests in two epochs, which are therefore not independent of each other.

    A customer whose tickets are hard is so in both epochs; without this the ramp's epochs together would look
    surer than they are. One object for each pair of epochs and each pair of arms that has such units.
    """

    earlier: int
    later: int
    earlier_arm: Arm
    later_arm: Arm
    quality: CrossSums = CrossSums()
    errors: CrossSums = CrossSums()
    slow: CrossSums = CrossSums()
    unlabelled: CrossSums = CrossSums()

    def __post_init__(self) -> None:
        if not self.earlier < self.later:
            refuse("overlaps.earlier", "an epoch before overlaps.later")
        if self.earlier_arm not in ARMS or self.later_arm not in ARMS:
            refuse("overlaps.earlier_arm, later_arm", " or ".join(ARMS))


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that `policy.decide` looks at.

    Attributes:
        at: when it was read, with a time zone.
        epoch: of the rollout state in force when it was read. A decision is carried out only while that
            state is still in force (compare-and-swap).
        champion: digest of the bundle that answers by default.
        challenger: digest of the bundle under trial.
        hotfix: whether `rollout.hotfix` of params.yaml holds.
        rollout_since: when shadow began.
        step: index into `rollout.steps` of params.yaml; 0 is shadow.
        step_since: when this step began.
        paired: over the whole rollout.
        epochs: of the ramp so far, in order; empty in shadow.
        overlaps: all units that are in two of the epochs.
        coverage: of the tickets that each arm answered, over the whole rollout.
        missed_looks: looks in a row, this one included, at which something new of the champion had come and
            nothing of the challenger (neither an answer nor an unseen one); 0 when it was heard. Looks at
            which neither was heard are left out.
        silent: for how long neither was heard; None when one was since the last look.
        unseen: over the whole rollout.
    """

    at: datetime
    epoch: int
    champion: str
    challenger: str
    hotfix: bool
    rollout_since: datetime
    step: int
    step_since: datetime
    paired: PairedCounts
    epochs: tuple[EpochEvidence, ...]
    overlaps: tuple[Overlap, ...]
    coverage: ByArm[Coverage]
    missed_looks: int
    silent: timedelta | None = None
    unseen: Unseen = Unseen()

    def __post_init__(self) -> None:
        for key in ("at", "rollout_since", "step_since"):
            if getattr(self, key).utcoffset() is None:
                refuse(key, "a time with a time zone")
        for key, least in (("epoch", 1), ("step", 0), ("missed_looks", 0)):
            value = getattr(self, key)
            if type(value) is not int or value < least:
                refuse(key, f"a whole number from {least}")
        for key in ARMS:
            if not _DIGEST.fullmatch(getattr(self, key)):
                refuse(key, "a bundle's digest, 64 hex digits")
        numbers = [item.epoch for item in self.epochs]
        if numbers != sorted(set(numbers)):
            refuse("epochs", "each epoch once, in order")
        if numbers and numbers[-1] > self.epoch:
            refuse("epochs", f"none after the epoch it was read at ({self.epoch})")
        pairs = [(item.earlier, item.earlier_arm, item.later, item.later_arm) for item in self.overlaps]
        named = {epoch for pair in pairs for epoch in (pair[0], pair[2])}
        if len(set(pairs)) < len(pairs) or not named <= set(numbers):
            refuse("overlaps", "each pair of cells once, of epochs that are there")

    @property
    def fresh(self) -> bool:
        """Whether the challenger was heard since the last look."""
        return self.missed_looks == 0 and self.silent is None
