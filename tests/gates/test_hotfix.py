import json
import math
from pathlib import Path

import pytest

from tests.support.evidence import edit_json
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.gate import judge

REPORT = "reports/hotfix.json"


@pytest.fixture
def decided(changed_limits, now):
    """The verdict of the gate, and the decision on the whole."""

    def of(**changed):
        result = judge(gather(now), changed_limits(**changed))
        verdict = next((one for one in result["verdicts"] if one["gate"] == "hotfix"), None)
        return verdict, result["decision"]

    return of


def test_a_retraining_is_not_asked_for_corrections(good_evidence, decided):
    good_evidence()
    assert decided() == (None, "pass")


def test_a_hotfix_that_does_what_it_is_for_passes(good_hotfix, decided):
    verdict, decision = decided()
    assert (verdict["decision"], decision) == ("pass", "pass")
    first, second, third, *_ = verdict["reasons"]
    assert "Of 36 corrected tickets that the champion answers wrong, 36 are right now (100.0 %)" in first
    assert "38 of 40 corrected tickets are right now (95.0 %, 4 were before)" in second
    assert "1.1 % (0.5 to 1.9) are wrong now" in third


def counts(wrong_before: int, mended: int, spoilt: int) -> dict[str, int]:
    """Of 40 corrected tickets."""
    right = 40 - wrong_before
    return {
        "rows": 40, "right_before": right, "right_now": right - spoilt + mended, "wrong_before": wrong_before,
        "mended": mended, "spoilt": spoilt,
    }  # fmt: skip


CASES = [
    ("corrected", counts(36, 34, 3), "fail", "35 of 40"),
    ("corrected", counts(4, 2, 0), "fail", "champion answers wrong, 2 are right now (50.0 %)"),
    (
        "corrected",
        counts(1, 1, 1),
        "fail",
        "39 of 40 corrected tickets are right now (97.5 %, 39 were before)",
    ),
    (
        "corrected",
        counts(2, 2, 3),
        "fail",
        "37 of 40 corrected tickets are right now (92.5 %, 38 were before)",
    ),
    (
        "corrected",
        counts(0, 0, 0),
        "fail",
        "all of the 40 corrected tickets right already: nothing to correct",
    ),
    ("kept.broken", {"value": 0.025, "low": 0.018, "high": 0.033}, "review", "cannot be ruled out"),
    ("kept.broken", {"value": 0.045, "low": 0.034, "high": 0.057}, "fail", "surely more than the 3.0 %"),
    ("kept.right_before", 200, "review", "counted on 200 tickets"),
]


@pytest.mark.parametrize(("key", "value", "decision", "words"), CASES)
def test_what_is_not_good_enough_is_not_released(good_hotfix, decided, key, value, decision, words):
    edit_json(Path(REPORT), key, value)
    verdict, whole = decided()
    assert verdict["decision"] == whole == decision
    assert words in " ".join(verdict["reasons"])


def test_the_limits_are_those_of_params(good_hotfix, decided):
    assert decided(min_corrected=0.96)[0]["decision"] == "fail"
    assert decided(max_broken=0.018)[0]["decision"] == "review"
    assert decided(max_broken=0.004)[0]["decision"] == "fail"


ABOUT_OTHERS = [
    ("bundle_digest", "0" * 64),
    ("champion.digest", "0" * 64),
    ("prepared_sha256", "0" * 64),
    ("holdout_sha256", "0" * 64),
]


@pytest.mark.parametrize(("key", "value"), ABOUT_OTHERS)
def test_a_comparison_about_something_else_fails(good_hotfix, decided, key, value):
    edit_json(Path(REPORT), key, value)
    verdict, whole = decided()
    assert verdict["decision"] == whole == "fail"
    assert "about other models or tickets" in verdict["reasons"][0]


UNUSABLE = [
    ("corrected.rows", 0),
    ("corrected.right_now", None),
    ("corrected.right_now", 39),
    ("corrected.mended", 37),
    ("corrected", counts(1, 2, 1)),
    ("kept.broken", None),
    ("kept.broken", {"value": math.nan, "low": 0.0, "high": 0.0}),
    ("champion", None),
]


@pytest.mark.parametrize(("key", "value"), UNUSABLE)
def test_a_comparison_that_cannot_be_used_fails(good_hotfix, decided, key, value):
    edit_json(Path(REPORT), key, value)
    verdict, whole = decided()
    assert verdict["decision"] == whole == "fail"
    assert "cannot be used" in verdict["reasons"][0]


def test_where_a_hotfix_is_made_a_missing_comparison_fails(good_hotfix, decided):
    Path(REPORT).unlink()
    verdict, whole = decided()
    assert verdict["decision"] == whole == "fail"
    assert "is missing" in verdict["reasons"][0]


def test_a_comparison_without_its_mark_is_still_judged(good_hotfix, decided):
    Path("champion/version.json").unlink()
    assert decided()[0]["decision"] == "pass"


def test_without_a_champion_it_fails(good_hotfix, decided):
    import shutil

    shutil.rmtree("models/champion/bundle")
    verdict, whole = decided()
    assert verdict["decision"] == whole == "fail"
    assert "there is none" in verdict["reasons"][0]
    assert json.dumps(verdict)
