from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ticket_sentiment.files import read_json
from ticket_sentiment.gates.comparison import broken_share, corrected_counts, main
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.evidence_types import Hotfix
from ticket_sentiment.gates.rules.hotfix import require_same


def test_the_share_is_of_those_that_were_right(params):
    before = np.array([True] * 80 + [False] * 20)
    now = before.copy()
    now[:4] = False
    now[80:90] = True
    found = broken_share(before, now, np.arange(100), params.evaluate)
    assert found["value"] == pytest.approx(4 / 80)
    assert 0 <= found["low"] < 4 / 80 < found["high"] < 0.15


def test_tickets_of_one_customer_are_drawn_together(params):
    before, now = np.ones(100, bool), np.ones(100, bool)
    now[:10] = False
    alone = broken_share(before, now, np.arange(100), params.evaluate)
    together = broken_share(before, now, np.arange(100) // 10, params.evaluate)
    assert together["high"] - together["low"] > alone["high"] - alone["low"]


def test_where_nothing_was_right_nothing_is_known(params):
    found = broken_share(np.zeros(9, bool), np.ones(9, bool), np.arange(9), params.evaluate)
    assert found == {"value": None, "low": None, "high": None}


def test_what_was_wrong_is_counted_apart_from_what_was_right():
    answers = pd.DataFrame(
        {
            "label": "negative",
            "champion_label": ["negative", "positive", "negative", "neutral", "neutral"],
            "compressed_label": ["positive", "negative", "negative", "neutral", "negative"],
        }
    )
    expected = {"rows": 5, "right_before": 2, "right_now": 3, "wrong_before": 3, "mended": 2, "spoilt": 1}
    assert corrected_counts(answers) == expected


def test_the_stage_counts_what_the_bundles_answer(good_hotfix, params, now):
    Path("reports/hotfix.json").unlink()
    Path("reports/corrected.parquet").unlink()
    main(params)
    report = Hotfix.model_validate_json(Path("reports/hotfix.json").read_bytes())
    answers = pd.read_parquet("reports/corrected.parquet")
    assert list(answers["ticket_id"]) == list(pd.read_parquet("data/prepared/corrected.parquet")["ticket_id"])
    assert "text" not in answers.columns
    right = (answers["compressed_label"] == answers["label"]).sum()
    assert (report.corrected.rows, report.corrected.right_now) == (40, right)
    was = answers["champion_label"] == answers["label"]
    now_right = answers["compressed_label"] == answers["label"]
    assert report.corrected.wrong_before == (~was).sum()
    assert report.corrected.mended == (~was & now_right).sum()
    predictions = pd.read_parquet("reports/evaluation/predictions.parquet")
    assert report.kept.right_before == (predictions["champion_label"] == predictions["label"]).sum()
    assert require_same(gather(now)) == report
    assert read_json(Path("reports/hotfix.json"))["champion"]["version"] == "3"
