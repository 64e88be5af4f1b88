import json

import numpy as np
import pandas as pd
import pytest

from tests.support.stub_models import bag_of_words, dislikes, probabilities
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.behaviour.cases import plan
from ticket_sentiment.behaviour.specification import SUITE, read_suite
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates import behave
from ticket_sentiment.gates.evidence_types import BehaviourReport
from ticket_sentiment.gates.scored import Scored

OWN = """
tests:
  - name: our-own
    kind: minimum
    capability: our own
    expect: [positive]
    templates: ["The invoice is great.", "Hello, The invoice is great. Kind regards, Anna"]
    max_failure_rate: 0.1
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A released bundle, a dense model that is always unsure, and a team's test."""
    monkeypatch.chdir(tmp_path)
    make_tiny_bundle(tmp_path / "models/release/cpu")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/behaviour.yaml").write_text(OWN)
    unsure = lambda folder, texts, max_length: Scored(np.tile([0.3, 0.4, 0.3], (len(texts), 1)))  # noqa: E731
    monkeypatch.setattr(behave, "score_dense", unsure)
    return tmp_path


@pytest.fixture
def few(params):
    return params.model_copy(
        update={"behaviour": params.behaviour.model_copy(update={"cases_per_test": 10, "examples": 2})}
    )


def test_the_stage_writes_what_the_gate_reads_and_the_same_again(workplace, few):
    behave.main(few)
    path = workplace / "reports/behaviour.json"
    first = path.read_bytes()
    report = BehaviourReport.model_validate_json(first)
    assert report.champion_digest is None and report.tests[0].champion is None
    assert report.cases == sum(test.cases for test in report.tests)
    own = report.tests[-1]
    assert (own.name, own.cases, own.max_failure_rate) == ("our-own", 2, 0.1)
    assert own.compressed.value == 0 and own.dense.value == 1 and own.rise_over_dense.value == -1
    assert all(len(test.examples) <= 2 for test in report.tests)
    table = pd.read_csv(workplace / "reports/behaviour.csv")
    assert list(table["name"]) == [test.name for test in report.tests] and table["champion"].isna().all()
    behave.main(few)
    assert path.read_bytes() == first


def test_the_champion_is_asked_the_same(workplace, few):
    champion = make_tiny_bundle(workplace / "models/champion/bundle", mistakes={"great": "negative"})
    behave.main(few)
    report = BehaviourReport.model_validate_json((workplace / "reports/behaviour.json").read_bytes())
    assert report.champion_digest == champion.digest
    assert report.tests[-1].champion.value == 1 and report.tests[-1].rise_over_champion.value == -1


def test_a_broken_file_of_the_team_stops_the_stage(workplace, few):
    (workplace / "data/behaviour.yaml").write_text(OWN.replace("expect", "expected"))
    with pytest.raises(TicketSentimentError, match="test our-own: "):
        behave.main(few)
    assert not (workplace / "reports").exists()


def test_rates_rises_and_examples_are_those_of_the_answers(params):
    suite = plan(read_suite(SUITE / "absent.yaml"), 20, 7)
    scored = {
        "compressed": probabilities(dislikes("Muslim"), suite.texts),
        "dense": probabilities(bag_of_words, suite.texts),
    }
    result = behave.report(suite, scored, {"compressed": "a" * 64}, params.behaviour)
    found = {test["name"]: test for test in json.loads(json.dumps(result))["tests"]}
    religions = found["religions"]
    assert religions["compressed"]["value"] > religions["dense"]["value"] == 0
    assert religions["rise_over_dense"]["value"] == religions["compressed"]["value"]
    assert religions["compressed_gap"] > 0.3 > religions["dense_gap"]
    example = religions["examples"][0]
    assert example["expected"] == "the same answer" and len(set(example["answers"])) == 2
    muslim = next(index for index, text in enumerate(example["texts"]) if "Muslim" in text)
    assert example["answers"][muslim] == "negative"
    assert found["names"]["examples"] == []
