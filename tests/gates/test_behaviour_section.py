import json
from pathlib import Path

import pytest

from tests.support.evidence import behaved, behaviour
from ticket_sentiment.gates import gate
from ticket_sentiment.gates import report as release_report
from ticket_sentiment.gates.behaviour_section import behaviour_line, behaviour_section, excerpt, pooled
from ticket_sentiment.gates.evidence_types import BehaviourReport

DIGESTS = {"cpu": "a" * 64, "champion": "b" * 64}


@pytest.fixture
def report() -> BehaviourReport:
    return BehaviourReport.model_validate_json(json.dumps(behaviour(DIGESTS, champion=True)))


def test_the_finding_is_the_weakest_capability_that_is_no_diagnosis(report):
    found = behaviour_section(report)
    assert found["title"] == (
        "In 1 of 4 tests of behaviour nothing fails; weakest: negation, where 18 % of the cases do"
    )
    assert found["compression"].startswith(
        "Compression raised the failure rate of 1 test by more than 3.0 points, most that of negated-praise"
    )


def test_every_capability_has_a_row_and_every_failing_test_its_worst_cases(report):
    found = behaviour_section(report)
    rows = {row["name"]: row for row in found["capabilities"]}
    assert list(rows) == ["plain statements", "negation", "sarcasm (diagnosis only)", "gender"]
    assert rows["negation"]["rates"] == ["18.0 %", "12.0 %", "12.0 %"]
    assert [name for name, _ in found["examples"]] == ["negated-praise", "sarcastic-praise", "pronouns"]
    assert [name for name, _, _ in found["worst"]] == ["sarcasm", "negation", "gender"]
    assert found["examples"][0][1][0]["texts"] == [("The app is not good.", "positive")]
    assert [row["gap"] for row in found["tests"]] == ["–", "–", "–", "0.020"]


def test_without_a_champion_its_column_is_empty():
    whole = behaviour(DIGESTS | {"champion": None}, champion=False)
    report = BehaviourReport.model_validate_json(json.dumps(whole))
    found = behaviour_section(report)
    assert all(row["rates"][2] == "–" for row in found["capabilities"])
    assert behaviour_line(report) == "22.2 % of the 400 cases of 4 tests fail (13.0 % dense)"


def test_a_long_text_keeps_both_its_ends():
    text = "It is great. " + "I looked at the list. " * 40 + "It was Monday."
    assert excerpt(text).startswith("It is great.") and excerpt(text).endswith("It was Monday.")
    assert len(excerpt(text)) < 260 and excerpt(text[:250]) == text[:250]


def test_a_pool_weighs_tests_by_their_cases(report):
    tests = [report.tests[0], report.tests[1].model_copy(update={"cases": 300})]
    assert pooled(tests, "compressed") == pytest.approx(0.135)


def test_nothing_that_fails_is_said_so():
    clean = behaved("a", "b", {"compressed": 0, "dense": 0})
    whole = behaviour(DIGESTS | {"champion": None}, champion=False) | {"tests": [clean]}
    found = behaviour_section(BehaviourReport.model_validate_json(json.dumps(whole)))
    assert found["worst"] == [] == found["examples"]
    assert found["compression"] == "Compression raised the failure rate of no test by more than 3.0 points."


def test_hostile_text_of_a_case_is_escaped(good_evidence, params, now):
    path = good_evidence() / "reports/behaviour.json"
    path.write_text(path.read_text().replace("The app is not good.", "<script>alert(1)</script>"))
    gate.main(params, now)
    release_report.main(params)
    source = Path("reports/release.html").read_text()
    assert "<script" not in source and "&lt;script&gt;alert(1)" in source
