import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from tests.support.evidence import simulated, tickets
from tests.support.tiny_bundle import make_tiny_bundle, tiny_tokenizer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file, write_json
from ticket_sentiment.gates import evaluate, left_out
from ticket_sentiment.gates.baselines import label_ids
from ticket_sentiment.gates.changes import changes
from ticket_sentiment.gates.evaluate import judge_models, known_customers, read_table
from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.scored import Scored, calibrated
from ticket_sentiment.gates.slice_scores import judge_slices, simultaneous
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Evaluate
from ticket_sentiment.tickets.learnt import Learnt
from ticket_sentiment.tickets.schema import write_tickets

SKILL = {"majority": 0.0, "tfidf": 1.0, "dense": 2.2, "compressed": 2.1}


SLICES = Evaluate(bootstrap_samples=200, seed=7, min_slice_rows=50)


def judged(champion: bool) -> tuple[dict, dict[str, Scored], pd.DataFrame]:
    holdout = tickets(500, "2026-10", 0)
    scored = simulated(holdout, SKILL | ({"champion": 2.0} if champion else {}), 0)
    actual = label_ids(holdout["label"])
    return judge_models(scored, actual, np.arange(500), 200, 7, 0.45), scored, holdout


@pytest.mark.parametrize("champion", [True, False])
def test_every_model_has_its_scores_and_every_pair_its_difference(champion):
    result, scored, holdout = judged(champion)
    for name, model in scored.items():
        predicted = [LABELS[index] for index in model.predicted]
        scores = result["models"][name]
        assert scores["macro_f1"]["value"] == pytest.approx(
            f1_score(holdout["label"], predicted, average="macro")
        )
        assert scores["macro_f1"]["low"] < scores["macro_f1"]["value"] < scores["macro_f1"]["high"]
        assert np.array(scores["confusion"]).sum() == 500
    gain = result["differences"]["compressed_minus_tfidf"]["macro_f1"]
    assert gain["value"] == pytest.approx(
        result["models"]["compressed"]["macro_f1"]["value"] - result["models"]["tfidf"]["macro_f1"]["value"]
    )
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert (result["models"]["champion"] is not None) is champion
    assert (result["differences"]["compressed_minus_champion"] is not None) is champion


def test_temperature_changes_the_calibration_and_no_answer():
    result, scored, _ = judged(False)
    scores = result["models"]["dense"]
    assert scores["calibration_error"] < scores["calibration_error_uncalibrated"]
    assert (scored["dense"].uncalibrated.argmax(axis=1) == scored["dense"].predicted).all()


def test_equal_models_differ_by_nothing():
    holdout = tickets(300, "2026-10", 0)
    one = simulated(holdout, {"dense": 2.0}, 0)["dense"]
    models = dict.fromkeys(("majority", "tfidf", "dense", "compressed", "champion"), one)
    result = judge_models(models, label_ids(holdout["label"]), np.arange(300), 200, 7, 0.45)
    for difference in result["differences"].values():
        hidden = 1 - 0.025 ** (1 / 300)  # of 300 customers none differs, of the others so many may
        assert difference["macro_f1"] == pytest.approx({"value": 0, "low": -hidden, "high": hidden})


def test_slices_hold_their_own_rows():
    _, scored, holdout = judged(False)
    predicted = {"compressed": scored["dense"].predicted, "dense": scored["dense"].predicted}
    found = judge_slices(holdout, predicted, np.arange(500), SLICES)
    channels = [one for one in found if one["slice"] == "channel"]
    assert sum(one["rows"] for one in channels) == 500
    rows = (holdout["channel"] == channels[0]["value"]).to_numpy()
    predicted = [LABELS[index] for index in scored["dense"].predicted[rows]]
    right = channels[0]["right"]
    assert right["value"] == pytest.approx(accuracy_score(holdout["label"][rows], predicted))
    assert right["low"] < right["value"] < right["high"]
    change = channels[0]["right_minus_dense"]
    assert change["value"] == 0 and -0.1 < change["low"] == -change["high"] < 0
    assert channels[0]["right_minus_champion"] is None


def test_a_part_that_broke_is_found_and_equal_models_hardly_ever_differ_in_any():
    generator = np.random.default_rng(0)
    masks = [np.arange(2000) % 20 == part for part in range(20)]
    clusters = np.arange(2000) // 2
    false_alarms = 0
    for seed in range(60):
        noise = generator.choice([-1, 0, 1], p=[0.08, 0.84, 0.08], size=2000).astype(float)
        found = simultaneous(noise, masks, clusters, 200, seed)
        false_alarms += any(one.high < 0 or one.low > 0 for one in found)
    assert false_alarms <= 8  # 3 are expected; without the correction it would be about 38
    broken = noise.copy()
    broken[masks[3]] = generator.choice([-1, 0], p=[0.4, 0.6], size=int(masks[3].sum()))
    found = simultaneous(broken, masks, clusters, 200, 0)
    assert found[3].high < 0 and found[3].value < -0.2
    alike = simultaneous(noise * 0, masks, clusters, 200, 0)[0]
    assert alike.value == 0 and -0.1 < alike.low == -alike.high < -0.05  # 100 rows, each another customer's
    assert simultaneous(noise, [], clusters, 200, 0) == []


def test_a_part_of_one_customer_is_not_surely_worse():
    change = np.where(np.arange(400) % 5 == 0, -1.0, 0.0)
    clusters = np.concatenate([np.arange(300), np.full(100, 300)])
    whole, alone = simultaneous(change, [np.ones(400, bool), np.arange(400) >= 300], clusters, 200, 0)
    assert whole.high < 0
    assert alone.value == -0.2 and alone.high == 1.0


def test_a_part_of_two_customers_who_lost_alike_is_not_surely_worse():
    change = np.where(np.arange(450) % 25 < 2, -1.0, 0.0)  # two of each customer's 25 tickets
    clusters = np.arange(450) // 25
    part = np.arange(450) >= 400
    (found,) = simultaneous(change, [part], clusters, 200, 0)
    assert found.value == -0.08 and found.low < -0.8 and found.high > 0.8


def test_known_customers_are_those_of_the_months_before(tmp_path):
    for month, seed in (("2026-09", 1), ("2026-10", 2)):
        table = tickets(20, month, seed).assign(customer_id=[f"{month}-{row}" for row in range(20)])
        write_tickets(tmp_path / f"{month}.parquet", table)
    holdout = table.assign(customer_id=["2026-09-3", "2026-10-1", None, *["x"] * 17])
    assert known_customers(holdout, tmp_path).tolist()[:3] == [True, False, None]


def test_answers_that_are_no_numbers_are_refused():
    with pytest.raises(TicketSentimentError, match="not finite"):
        calibrated(Path("models/dense"), np.array([[np.nan, 0, 0]]), 1.0)


def make_dense(folder: Path) -> None:
    """A random encoder with two tiny layers, as stage `train` would leave it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        num_labels=len(LABELS),
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "training.json", {"temperature": 1.5})


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, rows, seed in (("train", 300, 1), ("holdout", 200, 2)):
        path = tmp_path / f"data/prepared/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = tickets(rows, "2026-10" if name == "holdout" else "2026-01", seed)
        table.loc[::7, "customer_id"] = None
        table.to_parquet(path, index=False)
    make_dense(tmp_path / "models/dense")
    make_tiny_bundle(tmp_path / "models/release/cpu")
    (tmp_path / "models/champion").mkdir()
    (tmp_path / "models/champion/README.md").write_text("None yet.")
    return tmp_path


def run(params) -> dict:
    evaluate.main(params)
    return json.loads(Path("reports/evaluation/metrics.json").read_text())


def test_the_stage_scores_real_models_and_writes_no_text(workplace, params):
    first = run(params)
    Evaluation.model_validate_json(Path("reports/evaluation/metrics.json").read_bytes())
    assert first["champion_digest"] is None and first["models"]["champion"] is None
    assert first["holdout"] == {
        "sha256": sha256_file(Path("data/prepared/holdout.parquet")),
        "rows": 200,
        "months": ["2026-10"],
    }
    assert (
        first["models"]["compressed"]["macro_f1"]["value"] > first["models"]["majority"]["macro_f1"]["value"]
    )
    files = {path.name: path.read_bytes() for path in Path("reports/evaluation").iterdir()}
    assert set(files) == {
        "metrics.json", "predictions.parquet", "confusion.csv", "reliability.csv", "coverage.csv",
    }  # fmt: skip
    assert files["confusion.csv"].startswith(b"actual,predicted\n")
    assert files["reliability.csv"].startswith(b"model,confidence,accuracy,rows\n")
    predictions = pd.read_parquet("reports/evaluation/predictions.parquet")
    assert [column for column in predictions if "_" not in column] == ["label"]
    assert {"ticket_id", "dense_negative", "compressed_label", "tfidf_label"} <= set(predictions)
    assert "text" not in predictions and b"dashboard" not in b"".join(files.values())

    champion = make_tiny_bundle(workplace / "models/champion/bundle", seed=1)
    second = run(params)
    assert second["champion_digest"] == champion.digest and second["bundle_digest"] != champion.digest
    assert "champion_label" in pd.read_parquet("reports/evaluation/predictions.parquet")
    assert second["models"]["dense"] == first["models"]["dense"]
    written = {path.name: path.read_bytes() for path in Path("reports/evaluation").iterdir()}
    run(params)
    assert {path.name: path.read_bytes() for path in Path("reports/evaluation").iterdir()} == written


def unfair_to_the_candidate(workplace, rows: int) -> tuple[str, pd.DataFrame]:
    """A champion that is like the candidate, but answers the holdout's first rows by heart: digest, rows."""
    holdout = pd.read_parquet("data/prepared/holdout.parquet")
    texts = [f"{text} {row}" for row, text in enumerate(holdout["text"])]
    holdout = holdout.assign(text=texts)
    holdout.to_parquet("data/prepared/holdout.parquet", index=False)
    champion = make_tiny_bundle(workplace / "models/champion/bundle", seed=1)
    return champion.digest, holdout.head(rows)


def by_heart(monkeypatch, rows: int, labels: pd.Series) -> None:
    """Let the champion answer as the candidate, but right on the first rows, where that is wrong."""
    whole = evaluate.score_all

    def score_all(train, holdout, max_length):
        scored, digests = whole(train, holdout, max_length)
        actual = label_ids(labels)[:rows]
        champion, ours = (scored["compressed"].probabilities.copy() for _ in range(2))
        champion[:rows], ours[:rows] = np.eye(3)[actual], np.eye(3)[(actual + 1) % 3]
        return scored | {"champion": Scored(champion, champion), "compressed": Scored(ours, ours)}, digests

    monkeypatch.setattr(evaluate, "score_all", score_all)


def test_what_the_champion_learnt_as_a_hotfix_is_not_compared_with_it(workplace, params, monkeypatch):
    digest, learnt = unfair_to_the_candidate(workplace, 60)
    by_heart(monkeypatch, 60, pd.read_parquet("data/prepared/holdout.parquet")["label"])
    unfair = run(params)
    assert unfair["learnt"] is None
    assert unfair["differences"]["compressed_minus_champion"]["macro_f1"]["high"] < -0.05

    known = learnt.assign(ticket_id=[*learnt["ticket_id"][:30], *"x" * 30])  # the others by their text
    known.loc[:29, "text"] = "Another one"
    write_json(left_out.FILE, Learnt.of(known).as_json() | {"bundle_digest": digest})
    fair = run(params)
    assert (fair["learnt"]["rows"], fair["learnt"]["unknown"]) == (60, None)
    assert fair["differences"]["compressed_minus_champion"]["macro_f1"]["value"] == 0
    assert np.array(fair["models"]["champion"]["confusion"]).sum() == 140
    for name in ("compressed", "dense"):  # the learnt tickets say as much as ever of all others
        assert fair["models"][name] == unfair["models"][name]
    compared = [part for part in fair["slices"] if part["right_minus_champion"]]
    assert compared and all(part["right_minus_champion"]["value"] == 0 for part in compared)
    assert all(part["rows_beside_champion"] < part["rows"] for part in compared)
    assert any(part["right_minus_champion"]["value"] < 0 for part in unfair["slices"])
    evaluation = Evaluation.model_validate_json(Path("reports/evaluation/metrics.json").read_bytes())
    assert "60 of 200 tickets are left out where the champion is compared" in evaluation.left_out()
    holdout = pd.read_parquet("data/prepared/holdout.parquet")
    found = changes(pd.read_parquet("reports/evaluation/predictions.parquet"), holdout, 3)
    assert (found.rows, found.moved) == (140, 0)
    reliability = pd.read_csv("reports/evaluation/reliability.csv").groupby("model")["rows"].sum()
    assert reliability["champion"] == 140 and reliability["compressed"] == 200


def test_too_few_tickets_that_it_has_not_learnt_are_no_comparison(workplace, params):
    digest, learnt = unfair_to_the_candidate(workplace, 200)
    write_json(left_out.FILE, Learnt.of(learnt).as_json() | {"bundle_digest": digest})
    found = run(params)
    assert found["learnt"]["rows"] == 200 and found["models"]["champion"] is None
    assert found["differences"]["compressed_minus_champion"] is None
    Evaluation.model_validate_json(Path("reports/evaluation/metrics.json").read_bytes())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{half", "is not JSON"),
        ('{"bundle_digest": "HERE"}', "expected lists of digests"),
        ('{"bundle_digest": "other", "contents": [], "tickets": []}', "is about another bundle"),
        ('{"bundle_digest": "HERE", "unknown": "it is too old"}', "it is too old"),
    ],
)
def test_a_list_that_cannot_be_used_is_said_and_leaves_out_nothing(workplace, params, content, why):
    digest, _ = unfair_to_the_candidate(workplace, 0)
    left_out.FILE.write_text(content.replace("HERE", digest))
    found = run(params)
    assert found["learnt"]["rows"] == 0 and why in found["learnt"]["unknown"]
    assert found["differences"]["compressed_minus_champion"] is not None


def test_a_damaged_champion_or_temperature_stops_the_stage(workplace, params):
    (workplace / "models/champion/bundle").mkdir()
    (workplace / "models/champion/bundle/bundle.json").write_text("{}")
    with pytest.raises(TicketSentimentError, match=r"models/champion"):
        run(params)
    write_json(workplace / "models/dense/training.json", {"temperature": None})
    with pytest.raises(TicketSentimentError, match="temperature"):
        run(params)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.drop(columns="label"), "column label"),
        (lambda table: table.head(0), "at least one row"),
        (lambda table: table.assign(label="angry"), "column label"),
        (lambda table: table.assign(label=None), "column label"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused(tmp_path, change, named):
    path = tmp_path / "holdout.parquet"
    change(tickets(20, "2026-10", 0)).to_parquet(path)
    with pytest.raises(TicketSentimentError, match=named):
        read_table(path)


def test_a_missing_or_truncated_table_is_refused(tmp_path):
    path = tmp_path / "holdout.parquet"
    with pytest.raises(TicketSentimentError, match="is missing"):
        read_table(path)
    tickets(20, "2026-10", 0).to_parquet(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TicketSentimentError, match="no readable Parquet"):
        read_table(path)
