"""Evidence of a rollout that could go on, for tests to change one thing of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.params import params_of_tests
from ticket_sentiment.params import Rollout
from ticket_sentiment.rollout.evidence import (
    ByArm,
    Coverage,
    EpochEvidence,
    Evidence,
    FirstLabels,
    PairedCounts,
    UnitSums,
)

SETTINGS: Rollout = params_of_tests().rollout
BEGAN = datetime(2026, 11, 2, 8, tzinfo=UTC)
GOOD_PAIRS = PairedCounts(both_right=2400, only_champion=100, only_challenger=190, both_wrong=310)
LAST = len(SETTINGS.steps) - 1


def single(n: int, y: int) -> UnitSums:
    """Units with one request each."""
    return UnitSums(units=n, n=n, y=y, nn=n, ny=y, yy=y)


def epoch(number: int, share: float, began: datetime, **changes: Any) -> EpochEvidence:
    """An epoch in which both arms do equally well."""
    champion = round(8000 * (1 - share))
    challenger = 8000 - champion
    good = EpochEvidence(
        epoch=number,
        share=share,
        began=began,
        exposures=ByArm(champion, challenger),
        first_labels=ByArm(
            FirstLabels(champion // 10, champion // 12), FirstLabels(challenger // 10, challenger // 12)
        ),
        quality=ByArm(single(champion // 10, champion // 60), single(challenger // 10, challenger // 60)),
        errors=ByArm(single(champion, champion // 200), single(challenger, challenger // 200)),
        slow=ByArm(single(champion, champion // 100), single(challenger, challenger // 100)),
        unlabelled=ByArm(single(champion // 8, champion // 40), single(challenger // 8, challenger // 40)),
    )
    return replace(good, **changes)


def evidence(step: int = 0, **changes: Any) -> Evidence:
    """Of a step that has all it needs to go on."""
    starts = [BEGAN + timedelta(days=4 * index) for index in range(step + 1)]
    epochs = tuple(
        epoch(index + 1, SETTINGS.steps[index].share, starts[index]) for index in range(1, step + 1)
    )
    good = Evidence(
        at=starts[-1] + timedelta(days=4),
        epoch=step + 1,
        champion="a" * 64,
        challenger="b" * 64,
        hotfix=False,
        rollout_since=BEGAN,
        step=step,
        step_since=starts[-1],
        paired=GOOD_PAIRS,
        epochs=epochs,
        overlaps=(),
        coverage=ByArm(Coverage(3000, 2500), Coverage(1000, 830) if step else Coverage()),
        missed_looks=0,
    )
    return replace(good, **changes)


def last_epoch(found: Evidence, **changes: Any) -> Evidence:
    """With the newest epoch changed."""
    return replace(found, epochs=(*found.epochs[:-1], replace(found.epochs[-1], **changes)))
