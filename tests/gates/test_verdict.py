import pytest
from pydantic import ValidationError

from ticket_sentiment.gates.verdict import Finding, Verdict, combine, decide, worst


def finding(decision: str) -> Finding:
    return Finding(decision=decision, sentence=f"A sentence that says {decision}.")


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [(["pass"], "pass"), (["pass", "review"], "review"), (["review", "fail", "pass"], "fail"), ([], "fail")],
)
def test_the_worst_decides_and_nothing_looked_at_fails(decisions, expected):
    assert worst(decisions) == expected
    assert decide("gate", [finding(one) for one in decisions], {}).decision == expected


def test_only_the_sentences_that_decided_are_reasons():
    verdict = decide("gate", [finding("pass"), finding("fail"), finding("review")], {"x": 1})
    assert verdict.reasons == ("A sentence that says fail.",)
    assert verdict.evidence == {"x": 1}


def test_combining_keeps_each_reason_of_the_deciding_gates_once():
    same = Verdict(gate="a", decision="fail", reasons=("one", "two"))
    decision, reasons = combine(
        [same, decide("b", [finding("review")], {}), same.model_copy(update={"gate": "c"})]
    )
    assert (decision, reasons) == ("fail", ["one", "two"])
    assert combine([]) == ("fail", [])


def test_a_verdict_cannot_be_changed_or_invented():
    verdict = decide("gate", [finding("review")], {})
    with pytest.raises(ValidationError):
        verdict.decision = "pass"
    with pytest.raises(ValidationError):
        Verdict(gate="gate", decision="maybe", reasons=("why",))
    with pytest.raises(ValidationError):
        Verdict(gate="gate", decision="pass", reasons=())
