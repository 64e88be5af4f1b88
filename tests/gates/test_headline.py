import json
from datetime import UTC, datetime

import pytest

from tests.support.evidence import write_evidence
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.headline import headline


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_evidence(tmp_path, champion=True)
    return tmp_path


def test_the_numbers_are_those_of_the_reports(workplace):
    numbers = headline(gather(datetime.now(UTC)), {"decision": "pass"})
    evaluation = json.loads((workplace / "reports/evaluation/metrics.json").read_text())
    benchmark = json.loads((workplace / "reports/benchmark.json").read_text())
    assert numbers["decision"] == "pass"
    assert numbers["macro_f1"] == evaluation["models"]["compressed"]["macro_f1"]["value"]
    change = evaluation["differences"]["compressed_minus_champion"]["macro_f1"]["value"]
    assert numbers["change_to_champion"] == change
    assert numbers["size_mb"] == benchmark["variants"]["cpu_bundle"]["bytes"] / 1e6
    drift = json.loads((workplace / "reports/drift.json").read_text())
    assert numbers["drifted_measures"] == sum(test["drifted"] for test in drift["incoming"].values())
    assert numbers["shape"] == "4x8x768-e96"
    assert len(numbers) < 16


def test_a_missing_report_leaves_its_numbers_out(workplace):
    (workplace / "reports/benchmark.json").unlink()
    numbers = headline(gather(datetime.now(UTC)), {"decision": "fail"})
    assert "size_mb" not in numbers
    assert "macro_f1" in numbers
