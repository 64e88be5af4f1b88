import json
import shutil
from datetime import UTC, datetime

import pytest
import yaml

from tests.support.evidence import NO_CHANGE, edit_json
from tests.support.page import Page
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates import gate, report
from ticket_sentiment.gates.card import PAGE
from ticket_sentiment.gates.card_front import MARKDOWN, read_front, read_part
from ticket_sentiment.gates.licence import NOT_STATED, base_licence
from ticket_sentiment.model.bundle import load_bundle

HOSTILE = '<script>alert("x")</script> | **bold** `code`'
PARTS = (
    "Intended use", "Limits", "Data", "Metrics", "Parts of the tickets", "Behaviour", "Confidence",
    "Cost and energy", "Licence and lineage",
)  # fmt: skip


@pytest.fixture
def made(params):
    """`made()`: the card's page and its Markdown, of the evidence where we are."""

    def make(changed=params) -> tuple[Page, str]:
        gate.main(changed, datetime(2026, 11, 3, tzinfo=UTC))
        report.main(changed)
        return Page(PAGE.read_text(encoding="utf-8")), MARKDOWN.read_text(encoding="utf-8")

    return make


@pytest.mark.parametrize("champion", [True, False])
def test_both_forms_say_the_same_in_all_parts(good_evidence, made, champion):
    good_evidence(champion)
    page, text = made()
    for title in PARTS:
        assert title in page.texts and read_part(MARKDOWN, title)
    for said in ("Champion then", "Present champion"):
        assert (said in page.text) is champion and (said in text) is champion
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) > 50
    for row in rows:
        for cell in row.strip("| ").split(" | "):
            assert cell.replace("\\", "") in page.text


def test_programs_learn_which_bundles_it_is_about(good_evidence, made):
    root = good_evidence()
    made()
    front = read_front(MARKDOWN)
    found = {
        device: load_bundle(root / "models/release" / device).digest for device in ("cpu", "gpu", "edge")
    }
    assert front["bundles"] == found and front["decision"] == "pass"
    assert (front["license"], front["pipeline_tag"]) == ("apache-2.0", "text-classification")


def test_limits_name_what_was_measured(good_evidence, made):
    root = good_evidence()
    scores = {"rows": 90, "right": {"value": 0.2, "low": 0.1, "high": 0.3}}
    weak = {"slice": "channel", "value": "letters", **scores, **NO_CHANGE}
    edit_json(root / "reports/evaluation/metrics.json", "slices", [weak])
    made()
    limits = read_part(MARKDOWN, "Limits")
    assert "letters (20 %)" in limits and "sarcasm (70 %), negation (18 %)" in limits
    assert "first 96 tokens" in limits and "gender" not in limits


def test_a_capability_of_two_kinds_is_as_weak_as_each(good_evidence, made):
    """A team's own test of robustness that never fails hides nothing of the plain ones."""
    root = good_evidence()
    path = root / "reports/behaviour.json"
    (test,) = (one for one in json.loads(path.read_text())["tests"] if one["capability"] == "negation")
    own = {**test, "name": "own", "kind": "robustness", "compressed": {"value": 0.0, "low": 0.0, "high": 0.1}}
    edit_json(path, "tests", [*json.loads(path.read_text())["tests"], own])
    made()
    assert "negation (18 %)" in read_part(MARKDOWN, "Limits")


def test_without_a_price_the_energy_is_still_told(good_evidence, made):
    (good_evidence() / "reports/cost.json").unlink()
    made()
    said = read_part(MARKDOWN, "Cost and energy")
    assert " Wh |" in said and "The cost report is missing" in said


def test_it_does_not_say_that_customers_are_apart_where_they_are_shared(good_evidence, made):
    root = good_evidence()
    assert "Customers and texts of the holdout are not" in made()[1]
    edit_json(root / "data/prepared/split.json", "customers", "shared")
    assert "too good for customers who are new" in made()[1]
    assert "Customers and texts of the holdout are not" not in read_part(MARKDOWN, "Data")


@pytest.mark.parametrize(
    "file",
    ["evaluation/metrics.json", "evaluation/predictions.parquet", "benchmark.json", "behaviour.json"],
)
def test_a_card_is_made_whatever_is_missing_and_says_so(good_evidence, made, file):
    (good_evidence() / "reports" / file).unlink()
    page, text = made()
    assert "ot known" in page.text and "ot known" in text
    assert set(PARTS) <= set(page.texts)


def test_without_bundles_it_is_about_none(good_evidence, made):
    shutil.rmtree(good_evidence() / "models/release")
    made()
    assert read_front(MARKDOWN)["bundles"] == {} and read_front(MARKDOWN)["decision"] == "fail"


def test_equal_evidence_gives_equal_bytes(good_evidence, made):
    good_evidence()
    made()
    first = PAGE.read_bytes(), MARKDOWN.read_bytes()
    made()
    assert (PAGE.read_bytes(), MARKDOWN.read_bytes()) == first


def test_what_params_say_is_shown_and_escaped_in_both(good_evidence, made, params):
    good_evidence()
    said = params.report.model_copy(update={"intended_use": HOSTILE, "owner": "support-ml@example.org"})
    page, text = made(params.model_copy(update={"report": said}))
    assert "Responsible: support-ml@example.org" in page.text
    assert "script" not in {tag for tag, _ in page.tags} and HOSTILE in page.text
    assert "\\<script\\>" in text and "\\*\\*bold" in text


def test_the_estimate_of_energy_is_the_formula_s(good_evidence, made, params):
    root = good_evidence()
    edit_json(root / "reports/benchmark.json", "variants.cpu_bundle.batch1.texts_per_second", 1000.0)
    edit_json(root / "reports/benchmark.json", "variants.cpu_bundle.peak_memory_mb", 1000.0)
    powers = {"watts_per_core": 10.0, "watts_per_gb": 0.8, "pue": 1.5}
    page, _ = made(params.model_copy(update={"report": params.report.model_copy(update=powers)}))
    assert "4.5 Wh" in page.text  # 10^6 tickets / 1,000 a second / 3,600 s × (10 + 0.8) W × 1.5
    assert "10.0 W a core" in page.text and "Lannelongue" in page.text


@pytest.mark.parametrize(
    ("front", "licence"),
    [("---\nlicense: mit\n---\n# x", "mit"), ("# no front matter", None), ("---\nlanguage: en\n---\n", None)],
)
def test_the_licence_is_that_of_the_base_weights_own_card(tmp_path, front, licence):
    (tmp_path / "README.md").write_text(front)
    assert base_licence(str(tmp_path)) == (licence or NOT_STATED)
    assert base_licence("someone/model") == NOT_STATED
    assert base_licence("package:nothing_of_this_name") == NOT_STATED


@pytest.mark.parametrize(
    "content", ["", "# a page", "---\n- 1\n---\n", "---\nbundles: 1\n---\n", "---\n{\n---\n"]
)
def test_what_is_no_card_is_refused(tmp_path, content):
    path = tmp_path / "card.md"
    with pytest.raises(TicketSentimentError, match="is missing"):
        read_front(path)
    path.write_text(content)
    with pytest.raises(TicketSentimentError, match="is no model card"):
        read_front(path)


def test_the_front_matter_is_one_that_tools_read(good_evidence, made):
    good_evidence()
    _, text = made()
    fence, front, body = text.split("---\n", 2)
    assert fence == "" and yaml.safe_load(front)["labels"] and body.lstrip().startswith("# ")
    assert "\n| --- | --- |" in body
