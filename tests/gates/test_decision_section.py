import pytest

from ticket_sentiment.gates.decision_section import decision_section, strongest
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.gate import judge
from ticket_sentiment.gates.verdict import Verdict


def verdict(gate: str, decision: str, *reasons: str) -> Verdict:
    return Verdict(gate=gate, decision=decision, reasons=reasons)


@pytest.fixture
def evidence(good_evidence, now):
    """`evidence(champion)`: complete, with or without a champion."""

    def of(champion: bool = True):
        good_evidence(champion)
        return gather(now)

    return of


def test_a_gate_s_second_reason_comes_after_every_gate_s_first(evidence):
    verdicts = [
        verdict("quality", "fail", "macro-F1", "recall"),
        verdict("benchmark", "fail", "slow"),
        verdict("champion", "fail", "worse"),
        verdict("drift", "review", "moved"),
    ]
    reasons = [reason for _, reason in strongest(verdicts, "fail", evidence())]
    assert reasons == ["worse", "macro-F1", "slow", "recall"]


def test_wrong_tickets_weigh_more_than_what_was_measured_on_them(evidence):
    verdicts = [verdict("champion", "fail", "worse"), verdict("data", "fail", "shifted columns")]
    assert strongest(verdicts, "fail", evidence())[0] == ("Are the tickets in order?", "shifted columns")


def test_one_missing_report_is_said_once(evidence):
    verdicts = [verdict(gate, "fail", "The evaluation is missing.") for gate in ("quality", "baseline")]
    assert len(strongest(verdicts, "fail", evidence())) == 1


@pytest.mark.parametrize("champion", [True, False])
def test_what_compares_nothing_is_no_reason_for_a_release(evidence, limits, champion):
    found = evidence(champion)
    section = decision_section(found, judge(found, limits))
    asked = [question for question, _ in section["reasons"]]
    assert section["decision"] == "pass" and len(asked) == 3
    assert ("Is it as good as the present model?" in asked) is champion
    assert "Are the tickets in order?" not in asked
