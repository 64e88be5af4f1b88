from pathlib import Path

import pytest

from tests.support.evidence import corrected_tickets, edit_json
from ticket_sentiment.gates import gate, report


@pytest.fixture
def made(params, now):
    """`made()`: the page and the summary."""

    def make() -> tuple[str, str]:
        gate.main(params, now)
        report.main(params)
        return Path("reports/release.html").read_text(), Path("reports/summary.txt").read_text()

    return make


def test_page_and_summary_say_that_it_is_a_hotfix_and_what_became_of_the_corrections(
    good_hotfix, made, params
):
    page, summary = made()
    said = "36 of 36 corrected tickets that were wrong are right now"
    assert f"This is a hotfix of version 3: {said}; 38 of all 40 are, 4 were before" in page
    assert "Pass: the hotfix may be released" in page and "Pass: the hotfix may be released" in summary
    assert "Hotfix of version 3: " + said in " ".join(summary.split())
    assert "rollout of a hotfix" in " ".join(summary.split())
    for ticket in corrected_tickets()["ticket_id"]:
        assert f'<th scope="row">{ticket}</th>' in page
    assert page.count("the new model says") >= 2 * params.report.excerpts
    still_wrong = page.split("All corrected tickets")[1].split("</table>")[0]
    assert (still_wrong.count("✗"), still_wrong.count("✓")) == (2, 38)
    assert still_wrong.index("✗") < still_wrong.index("✓")


def test_a_retraining_has_no_such_section(good_evidence, made):
    good_evidence()
    page, summary = made()
    assert "hotfix" not in page.lower() and "hotfix" not in summary.lower()


def test_what_is_missing_is_said(good_hotfix, made):
    Path("reports/corrected.parquet").unlink()
    page, _ = made()
    assert "The corrected tickets or the answers to them are missing." in page
    Path("reports/hotfix.json").unlink()
    page, summary = made()
    assert "What the hotfix changed is not known" in page
    assert "Fail: the hotfix must not be released" in summary
    assert "run the hotfix again" in " ".join(summary.split())


def test_a_person_who_decides_is_told_so(good_hotfix, made):
    edit_json(Path("reports/hotfix.json"), "kept.broken", {"value": 0.025, "low": 0.018, "high": 0.033})
    page, summary = made()
    assert "Review: a person has to decide" in summary
    assert "2.5 % (1.8 to 3.3)" in page
