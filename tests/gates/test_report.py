import json
import re
import shutil
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from tests.support.evidence import NO_CHANGE, benchmark, edit_json
from tests.support.page import Page
from ticket_sentiment.files import sha256_file, write_json
from ticket_sentiment.gates import gate, report
from ticket_sentiment.gates.changes import EXCERPT_CHARS
from ticket_sentiment.gates.confidence_section import PREDICTIONS
from ticket_sentiment.gates.decision_section import DECISIONS, QUESTIONS, REASONS
from ticket_sentiment.gates.summary import WIDTH

HOSTILE = (
    '<img src="https://example.org/x.png" onerror="alert(1)"><script>alert("you")</script> ' + "long " * 100
)


@pytest.fixture
def made(params):
    """Run gate and report where we are; (page source, page, summary, gate.json)."""

    def make() -> tuple[str, Page, str, dict]:
        gate.main(params, datetime(2026, 11, 3, tzinfo=UTC))
        report.main(params)
        source = Path("reports/release.html").read_text(encoding="utf-8")
        summary = Path("reports/summary.txt").read_text(encoding="utf-8")
        return source, Page(source), summary, json.loads(Path("reports/gate.json").read_text())

    return make


@pytest.mark.parametrize("champion", [True, False])
def test_the_page_holds_the_decision_every_reason_and_all_parts(good_evidence, made, champion):
    good_evidence(champion)
    source, page, summary, result = made()
    assert DECISIONS["pass"] in page.text and DECISIONS["pass"] in summary
    for verdict in result["verdicts"]:
        assert QUESTIONS[verdict["gate"]] in page.text
        for reason in verdict["reasons"]:
            assert reason in page.text
    for part in (
        "Quality",
        "Mistakes",
        "Confidence",
        "What changed",
        "Behaviour",
        "Drift",
        "Cost",
        "Privacy",
        "Lineage",
    ):
        assert part in page.texts
    assert "How small can it be?" in page.texts and "edge bundle" in page.text.lower()
    assert ("Against the champion," in page.text) is champion
    assert ("first model" in summary) is not champion
    assert result["bundle_digest"] in page.text and result["gpu_bundle_digest"] in page.text
    assert len(source.encode()) < 2_000_000


def test_it_says_what_a_hotfix_learnt_and_is_left_out(good_evidence, made):
    root = good_evidence()
    write_json(root / "models/champion/learnt.json", {})
    learnt = {"rows": 100, "sha256": sha256_file(root / "models/champion/learnt.json"), "unknown": None}
    edit_json(root / "reports/evaluation/metrics.json", "learnt", learnt)
    _, page, summary, _ = made()
    told = "100 of 900 tickets are left out where the champion is compared: it is a hotfix"
    assert told in page.text and told in Path("reports/card.md").read_text().replace("\n", " ")
    assert "against the champion (without 100 that it learnt as a hotfix)" in summary


def test_a_handful_of_tickets_is_not_told_as_a_thousand(good_evidence, made):
    root = good_evidence()
    write_json(root / "models/champion/learnt.json", {})
    rows = len(pd.read_parquet(PREDICTIONS))
    known = {"rows": rows - 3, "sha256": sha256_file(root / "models/champion/learnt.json"), "unknown": None}
    edit_json(root / "reports/evaluation/metrics.json", "learnt", known)
    edit_json(root / "reports/evaluation/metrics.json", "differences.compressed_minus_champion", None)
    table = pd.read_parquet(PREDICTIONS)
    table.loc[3:, [name for name in table if name.startswith("champion_")]] = None
    table.to_parquet(PREDICTIONS)
    assert "in 1,000 tickets" not in made()[1].text


def test_the_page_stands_alone(good_evidence, made):
    good_evidence()
    source, page, _, _ = made()
    assert not any(name in attributes for _, attributes in page.tags for name in ("src", "href", "srcset"))
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}
    assert "url(" not in source and "@import" not in source


def test_the_page_can_be_read_without_seeing_it(good_evidence, made):
    good_evidence()
    _, page, _, _ = made()
    assert ("html", {"lang": "en"}) in page.tags
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1 and all(after - before <= 1 for before, after in pairwise(headings))


def test_hostile_ticket_text_is_escaped_and_cut(good_evidence, made):
    root = good_evidence()
    path = root / "data/prepared/holdout.parquet"
    holdout = pd.read_parquet(path)
    holdout["text"] = [f"{index} {HOSTILE}" for index in range(len(holdout))]
    holdout["ticket_id"] = holdout["ticket_id"] + "<b>"
    holdout.to_parquet(path, index=False)
    edit_json(root / "reports/evaluation/metrics.json", "holdout.sha256", sha256_file(path))
    predictions = root / "reports/evaluation/predictions.parquet"
    table = pd.read_parquet(predictions)
    table.assign(ticket_id=table["ticket_id"] + "<b>").to_parquet(predictions, index=False)
    source, page, _, _ = made()
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert "&lt;img src=" in source and "-00" in page.text
    quotes = [text for text in page.texts if "<img src=" in text]
    assert quotes and all(len(quote) <= EXCERPT_CHARS for quote in quotes)


def test_hostile_values_in_the_evidence_are_escaped(good_evidence, made):
    root = good_evidence()
    edit_json(root / "reports/validation/result.json", "failures", [{"sentence": HOSTILE}])
    edit_json(root / "reports/benchmark.json", "machine.cpu", HOSTILE)
    edit_json(root / "reports/evaluation/metrics.json", "slices", [SLICE | {"value": HOSTILE}])
    _, page, _, _ = made()
    assert not {"script", "img"} & {tag for tag, _ in page.tags}


SLICE = {
    "slice": "channel",
    "value": "x",
    "rows": 90,
    "right": {"value": 0.2, "low": 0.1, "high": 0.3},
    **NO_CHANGE,
}


@pytest.mark.parametrize(
    ("file", "key", "value", "decision", "next_step"),
    [
        ("evaluation/metrics.json", "models.compressed.macro_f1.value", 0.3, "fail", "make retrain again"),
        ("evaluation/metrics.json", "models.compressed.calibration_error", 0.2, "review", "alias champion"),
    ],
)
def test_review_and_fail_begin_with_their_reasons(good_evidence, made, file, key, value, decision, next_step):
    edit_json(good_evidence() / "reports" / file, key, value)
    _, page, summary, result = made()
    assert result["decision"] == decision
    assert (
        DECISIONS[decision] in page.text and next_step in page.text and next_step in " ".join(summary.split())
    )
    folds = page.text.index("What was asked")
    for place, reason in enumerate(result["reasons"]):
        assert (page.text.index(reason) < folds) is (place < REASONS)
        assert reason in " ".join(summary.split())


def test_a_missing_price_says_why(good_evidence, made):
    (good_evidence() / "reports/cost.json").unlink()
    assert "The cost report is missing: there is no reports/cost.json" in made()[1].text


def test_a_part_that_was_clearly_weaker_is_the_finding(good_evidence, made):
    root = good_evidence()
    edit_json(root / "reports/evaluation/metrics.json", "slices", [SLICE | {"value": "letters"}])
    text = made()[1].text
    assert "Weakest on letters: 20 % of the answers are right" in text
    assert "20 % (10 to 30), surely below" in text
    edit_json(root / "reports/evaluation/metrics.json", "slices", [])
    assert "Weakest on" not in made()[1].text


@pytest.mark.parametrize(
    "file",
    [
        "data/prepared/split.json",
        "data/prepared/holdout.parquet",
        "models/frontier/frontier.csv",
        "models/release/cpu/model.onnx",
        "models/release/edge/model.onnx",
        "reports/validation/result.json",
        "reports/evaluation/metrics.json",
        "reports/evaluation/predictions.parquet",
        "reports/evaluation/reliability.csv",
        "reports/compression.json",
        "reports/drift.json",
        "reports/benchmark.json",
        "reports/behaviour.json",
    ],
)
def test_the_page_is_made_whatever_is_missing_and_says_so(good_evidence, made, file):
    (good_evidence() / file).unlink()
    _, page, summary, result = made()
    for reason in result["reasons"]:
        assert reason in page.text
    assert DECISIONS[result["decision"]] in summary


def test_all_but_the_decision_is_folded(good_evidence, made):
    good_evidence()
    source, page, _, _ = made()
    folds = [attributes for tag, attributes in page.tags if "fold" in (attributes.get("class") or "").split()]
    assert len(folds) >= 12 and not any("open" in attributes for attributes in folds)
    first = Page(source.split('<div class="stack">')[0] + "</main></body></html>").text
    assert "What changes for customers, in 1,000 tickets" in first and "get another answer" in first


def test_without_excerpts_no_text_of_a_ticket_is_in_the_page(good_evidence, made, params):
    good_evidence()
    text = "I love the new dashboard"
    assert text in made()[1].text
    silent = params.model_copy(update={"report": params.report.model_copy(update={"excerpts": 0})})
    report.main(silent)
    page = Path("reports/release.html").read_text(encoding="utf-8")
    assert text not in page and "Examples are switched off" in page


def test_a_silent_drift_test_is_named(good_evidence, made):
    path = good_evidence() / "reports/drift.json"
    silent = {"method": None, "threshold": None, "value": None, "status": "ERROR", "drifted": True}
    for key, value in silent.items():
        edit_json(path, f"incoming.confidence.{key}", value)
    _, page, _, result = made()
    assert "No usable answer: the model's confidence" in page.text and result["decision"] == "fail"


def test_a_limit_of_no_change_at_all_can_be_shown(good_evidence, made):
    path = good_evidence() / "reports/drift.json"
    for key, value in {"threshold": 0.0, "value": 0.01, "status": "FAIL", "drifted": True}.items():
        edit_json(path, f"answers.changed_answers.{key}", value)
    assert "tickets that get another answer (0.010, limit 0.000)" in made()[1].text


def test_equal_evidence_gives_equal_bytes_and_only_the_page_holds_text(good_evidence, made):
    root = good_evidence()
    first = made()
    assert made()[0] == first[0] and made()[2] == first[2]
    text = "I love the new dashboard"
    assert text in first[0]
    for path in (root / "reports").rglob("*"):
        if path.is_file() and path.name != "release.html":
            assert text.encode() not in path.read_bytes(), path


def test_the_summary_is_short_and_holds_what_a_run_ends_with(good_evidence, made):
    good_evidence()
    summary = made()[2]
    lines = summary.splitlines()
    assert 10 <= len(lines) <= 18 and max(map(len, lines)) <= WIDTH
    for word in (
        "Quality",
        "dense",
        "Behaviour",
        "Shape",
        "4x8x768-e96, the cheapest within 1.0 points (tuning tickets: −0.4 points)",
        "Size",
        "Speed",
        "Cost",
        "a million tokens",
        "Drift",
        "reports/release.html",
        "Next",
    ):
        assert word in summary


def test_the_summary_says_what_was_left_out_for_its_customers(good_evidence, made):
    split = good_evidence() / "data/prepared/split.json"
    said = " ".join(made()[2].split())
    assert (
        "Split 3,600 tickets to learn from; 31 left out: their customers wrote later, too (prepare.customers)"
        in said
    )
    edit_json(split, "dropped.customer_in_later_split", 0)
    assert "Split" not in made()[2]


def test_the_summary_says_what_people_s_labels_changed(good_evidence, made):
    split = good_evidence() / "data/prepared/split.json"
    assert "Feedback" not in made()[2]
    joined = {"labels": 1240, "orphans": 3, "changed": 31, "added": 1100, "conflicts": 7}
    edit_json(split, "feedback", joined)
    said = " ".join(made()[2].split())
    assert (
        "Feedback 31 tickets corrected and 1,100 newly labelled by 1,240 labels of people, 3 labels of"
        in said
    )
    assert "tickets that are not collected, 7 tickets with contradicting labels" in said
    edit_json(split, "feedback", joined | {"orphans": 0, "conflicts": 0})
    assert "by 1,240 labels of people Report" in " ".join(made()[2].split())


def test_the_champion_itself_is_not_called_a_challenger(good_evidence, made):
    root = good_evidence()
    shutil.rmtree(root / "models/champion/bundle")
    shutil.copytree(root / "models/release/cpu", root / "models/champion/bundle")
    digest = sha256_file(root / "models/champion/bundle/bundle.json")
    write_json(root / "reports/benchmark.json", benchmark(digest, digest))
    for name in ("evaluation/metrics.json", "behaviour.json", "drift.json"):
        edit_json(root / "reports" / name, "champion_digest", digest)
    _, page, summary, result = made()
    assert result["decision"] == "pass"
    assert "present champion itself" in page.text and "champion already" in summary
