import json

import pytest

from tests.support.evidence import behaved
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.rules.behaviour import behaviour

REPORT = "reports/behaviour.json"


@pytest.fixture
def verdict(changed_limits, now):
    def of(**changed):
        return behaviour(gather(now), changed_limits(**changed))

    return of


def put(root, *tests) -> None:
    """Replace the tests of the report."""
    report = json.loads((root / REPORT).read_text())
    (root / REPORT).write_text(json.dumps(report | {"tests": list(tests)}))


def failures(compressed, dense, champion):
    return {"compressed": compressed, "dense": dense, "champion": champion}


def test_a_rise_beyond_the_margin_waits_for_a_person(good_evidence, verdict):
    root = good_evidence()
    put(root, behaved("negated-praise", "negation", failures(40, 40, 10)))
    assert verdict(max_behaviour_rise=0.31).decision == "pass"
    found = verdict(max_behaviour_rise=0.29)
    assert found.decision == "review"
    assert "fails 40 % of the cases of negated-praise (negation), +30.0 points" in found.reasons[0]
    assert "against the champion; +29.0 points are accepted." in found.reasons[0]


def test_a_rise_by_compression_counts_where_a_limit_is_set(good_evidence, verdict):
    root = good_evidence()
    put(root, behaved("negated-praise", "negation", failures(40, 10, 40)))
    assert verdict(max_behaviour_rise_by_compression=None).decision == "pass"
    found = verdict(max_behaviour_rise_by_compression=0.03)
    assert found.decision == "review" and "against the dense model" in found.reasons[0]
    assert found.evidence["largest_rise_by_compression"]["test"] == "negated-praise"


def test_one_case_by_chance_and_a_mere_diagnosis_do_not_decide(good_evidence, verdict):
    root = good_evidence()
    put(
        root,
        behaved("negated-praise", "negation", failures(12, 10, 10)),
        behaved("sarcastic-praise", "sarcasm", failures(99, 1, 1), diagnosis=True, max_failure_rate=0.1),
    )
    assert verdict(max_behaviour_rise=0.01).decision == "pass"


def test_a_team_s_own_floor_decides(good_evidence, verdict):
    root = good_evidence()
    put(root, behaved("our-own", "our own", failures(11, 11, 11), max_failure_rate=0.1))
    found = verdict()
    assert found.decision == "review" and "the test allows 10 %" in found.reasons[0]
    put(root, behaved("our-own", "our own", failures(10, 10, 10), max_failure_rate=0.1))
    assert verdict().decision == "pass"


def test_a_champion_that_was_not_asked_is_missing_evidence(good_evidence, verdict):
    root = good_evidence()
    put(root, behaved("negated-praise", "negation", {"compressed": 1, "dense": 1}))
    found = verdict()
    assert found.decision == "fail" and "dvc repro behaviour" in found.reasons[0]


def test_without_a_champion_nothing_is_compared(good_evidence, verdict):
    good_evidence(champion=False)
    found = verdict()
    assert found.decision == "pass" and "no champion to compare with yet" in found.reasons[0]
