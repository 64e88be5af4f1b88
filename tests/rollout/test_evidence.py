from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rollout.evidence import BEGAN, SETTINGS, epoch, evidence, single
from tests.support.sums import sums_of_units
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.rollout.evidence import (
    ByArm,
    Coverage,
    CrossSums,
    FirstLabels,
    Overlap,
    PairedCounts,
    UnitSums,
)
from ticket_sentiment.rollout.policy import decide

NAN = float("nan")
OVERLAP = Overlap(2, 3, "champion", "champion", errors=CrossSums(1, 4, 0, 0, 0))

IMPOSSIBLE = {
    "PairedCounts.only_champion": lambda: PairedCounts(only_champion=-1),
    "PairedCounts.both_wrong": lambda: PairedCounts(both_wrong=NAN),
    "PairedCounts.both_right": lambda: PairedCounts(both_right=3.0),
    "PairedCounts.only_challenger": lambda: PairedCounts(only_challenger=True),
    "UnitSums.yy": lambda: UnitSums(1, 1, 1, 1, 1, -1),
    "UnitSums.n:": lambda: UnitSums(1, None, 1, 1, 1, 1),
    "UnitSums: expected units <= n": lambda: UnitSums(3, 2, 0, 4, 0, 0),
    "UnitSums: expected units <= n, y <= n": lambda: UnitSums(2, 2, 3, 2, 3, 5),
    "no request without a unit": lambda: UnitSums(0, 2, 0, 4, 0, 0),
    "UnitSums: expected n <= nn": lambda: UnitSums(2, 6, 0, 5, 0, 0),
    "y <= yy <= ny": lambda: UnitSums(2, 4, 2, 8, 1, 2),
    "sums of squares that some units could have": lambda: UnitSums(2, 6, 0, 17, 0, 0),
    "CrossSums.nn": lambda: CrossSums(nn=NAN),
    "CrossSums: expected units <= nn": lambda: CrossSums(3, 2, 0, 0, 0),
    "yy <= ny, yn <= nn": lambda: CrossSums(1, 4, 1, 2, 2),
    "FirstLabels.right": lambda: FirstLabels(3, 4),
    "Coverage.labelled": lambda: Coverage(3, 4),
    "Coverage.mature": lambda: Coverage(NAN, 0),
    "epochs.epoch": lambda: epoch(0, 0.5, BEGAN),
    "share: expected a share above 0": lambda: replace(epoch(2, 0.5, BEGAN), share=NAN),
    "share above 0 and below 1": lambda: replace(epoch(2, 0.5, BEGAN), share=1.0),
    "began": lambda: epoch(2, 0.5, datetime(2026, 11, 2)),
    "exposures.challenger": lambda: epoch(2, 0.5, BEGAN, exposures=ByArm(10, -1)),
    "exposures.champion": lambda: epoch(2, 0.5, BEGAN, exposures=ByArm(NAN, 10)),
    "overlaps.earlier:": lambda: replace(OVERLAP, later=2),
    "overlaps.earlier_arm": lambda: replace(OVERLAP, later_arm="control"),
    "evidence: at": lambda: evidence(at=datetime(2026, 11, 9)),
    "evidence: rollout_since": lambda: evidence(rollout_since=datetime(2026, 11, 9)),
    "evidence: epoch:": lambda: evidence(epoch=0),
    "evidence: step:": lambda: replace(evidence(), step=-1),
    "missed_looks": lambda: evidence(missed_looks=NAN),
    "challenger: expected a bundle": lambda: evidence(challenger="latest"),
    "each epoch once, in order": lambda: evidence(2, epochs=evidence(2).epochs[::-1]),
    "none after the epoch": lambda: evidence(2, epoch=2),
    "overlaps: expected each pair of cells once": lambda: evidence(2, overlaps=(OVERLAP, OVERLAP)),
    "of epochs that are there": lambda: evidence(1, overlaps=(OVERLAP,)),
}


@pytest.mark.parametrize("named", IMPOSSIBLE)
def test_what_cannot_be_is_refused_and_named(named):
    with pytest.raises(TicketSentimentError, match="rollout evidence: ") as caught:
        IMPOSSIBLE[named]()
    assert named in str(caught.value)
    assert "nothing was decided" in str(caught.value)


def test_nothing_at_all_is_possible_and_waits():
    nothing = evidence(paired=PairedCounts(), coverage=ByArm(Coverage(), Coverage()))
    assert decide(nothing, SETTINGS).action == "wait"
    empty = UnitSums()
    began = epoch(
        2, 0.05, BEGAN, exposures=ByArm(0, 0), first_labels=ByArm(FirstLabels(), FirstLabels()),
        quality=ByArm(empty, empty), errors=ByArm(empty, empty), slow=ByArm(empty, empty),
        unlabelled=ByArm(empty, empty),
    )  # fmt: skip
    assert decide(evidence(1, epochs=(began,)), SETTINGS).action == "wait"


rows = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(1, 3),
        st.sampled_from(["champion", "challenger"]),
        st.integers(0, 4),
    ).flatmap(lambda row: st.tuples(*map(st.just, row), st.integers(0, row[3]))),
    max_size=30,
)


@settings(deadline=None)
@given(rows, st.randoms())
def test_sums_are_those_of_a_plain_count_in_any_order(found, random):
    cells, pairs = sums_of_units(found)
    shuffled = list(found)
    random.shuffle(shuffled)
    assert sums_of_units(shuffled) == (cells, pairs)

    def count(unit, cell):
        mine = [(n, y) for name, number, arm, n, y in found if (name, (number, arm)) == (unit, cell)]
        return sum(n for n, _ in mine), sum(y for _, y in mine)

    everything = [(number, arm) for number in (1, 2, 3) for arm in ("champion", "challenger")]
    for cell in everything:
        counts = [count(unit, cell) for unit in "abcdef"]
        assert cells.get(cell, UnitSums()) == UnitSums(
            sum(n > 0 for n, _ in counts), sum(n for n, _ in counts), sum(y for _, y in counts),
            sum(n * n for n, _ in counts), sum(n * y for n, y in counts), sum(y * y for _, y in counts),
        )  # fmt: skip
        for other in everything:
            both = [(*count(unit, cell), *count(unit, other)) for unit in "abcdef"]
            expected = CrossSums(
                sum(n > 0 and m > 0 for n, _, m, _ in both), sum(n * m for n, _, m, _ in both),
                sum(n * z for n, _, _, z in both), sum(y * m for _, y, m, _ in both),
                sum(y * z for _, y, _, z in both),
            )  # fmt: skip
            if cell[0] < other[0]:
                assert pairs.get((cell, other), CrossSums()) == expected
            else:
                assert (cell, other) not in pairs


def test_shares_of_nothing_are_not_known():
    assert Coverage().share is None
    assert Coverage(4, 3).share == 0.75
    assert ByArm(1, 2).of("challenger") == 2
    assert single(4, 1).yy == 1
