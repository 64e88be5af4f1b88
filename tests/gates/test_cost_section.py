"""The report's part about cost: the answer first, and nothing about another model."""

import json
from datetime import UTC, datetime

from tests.support.evidence import cost, edit_json
from ticket_sentiment.gates.cost_section import cost_lines, cost_section
from ticket_sentiment.gates.evidence import COST, Missing, gather
from ticket_sentiment.gates.evidence_types import Cost


def test_the_section_holds_the_answer_and_a_row_for_each_model():
    shown = cost_section(Cost.model_validate_json(json.dumps(cost("a" * 64))))
    assert shown["title"].startswith("2,000 tickets a day cost $150 a month")
    assert [row[0] for row in shown["rows"]] == ["New model", "Dense, ONNX Runtime", "Dense, PyTorch"]
    assert shown["rows"][0][1:] == (
        "$0.0019",
        "$0.0016",
        "$0.043",
    )  # 0.000043 * 1,000 / 23.1, / 27.4, * 1,000
    assert shown["lines"][0] == "Otherwise it would be $73 as spot."


def test_a_model_that_misses_the_objective_has_no_price():
    raw = cost("a" * 64)
    raw["variants"]["dense_torch_fp32"] = dict.fromkeys(raw["variants"]["dense_torch_fp32"])
    report = Cost.model_validate_json(json.dumps(raw))
    assert cost_section(report)["rows"][2][1:] == ("–", "–", "–")
    assert cost_lines(report) == [
        "2,000 tickets a day cost $150 a month on 2 c7i.large, on demand",
        "$0.0019 a million tokens on machines that are always busy, – with the dense model",
    ]


def test_the_cost_of_another_bundle_is_not_shown(good_evidence):
    good_evidence()
    now = datetime.now(UTC)
    assert isinstance(gather(now).cost, Cost)
    edit_json(COST, "bundle_digest", "f" * 64)
    found = gather(now).cost
    assert isinstance(found, Missing) and "The cost report is about another bundle" in found.sentence
