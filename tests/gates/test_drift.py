"""Drift: no alarm on equal tables, and the right column named for each kind of shift."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.tiny_bundle import WORDS, make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates import drift
from ticket_sentiment.gates.drift_features import (
    CATEGORICAL,
    NUMERIC,
    REQUIRED,
    bundle_columns,
    check,
    sample,
    ticket_columns,
    unknown_word_share,
)
from ticket_sentiment.gates.evidence_types import Drift as Evidence
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Drift

PARAMS = Drift(
    max_rows=600,
    numeric_method="wasserstein",
    numeric_threshold=0.2,
    categorical_method="jensenshannon",
    categorical_threshold=0.1,
    embedding_threshold=0.65,
    seed=7,
)
FILLER = ("today", "again", "support", "answered", "me", "with", "an", "update")  # not in the vocabulary
RUSSIAN = ("заказ", "не", "пришёл", "вовремя", "спасибо", "поддержка", "молчит", "опять")


def tickets(
    rows: int, seed: int, negative: float = 0.3, months: tuple[str, ...] = ("2026-09",)
) -> pd.DataFrame:
    """Synthetic tickets whose words follow their label, with some words outside the vocabulary."""
    random = np.random.default_rng(seed)
    labels = random.choice(LABELS, rows, p=[negative, 0.4, 0.6 - negative])
    texts = []
    for label in labels:
        words = [
            *random.choice(WORDS[label], 2),
            *random.choice(WORDS["neutral"], random.integers(3, 9)),
            *random.choice(FILLER, random.integers(1, 4)),
        ]
        random.shuffle(words)
        texts.append(" ".join(words))
    stamps = [pd.Timestamp(f"{months[index * len(months) // rows]}-03", tz="UTC") for index in range(rows)]
    return pd.DataFrame({"text": texts, "label": labels, "created_at": stamps})


def embed(texts: list[str]) -> np.ndarray:
    """A stand-in for the encoder: the mean over the words of a fixed random vector of each, [texts, 16]."""
    table = np.random.default_rng(0).normal(size=(512, 16)).astype(np.float32)
    return np.stack(
        [table[[zlib.crc32(word.encode()) % 512 for word in text.split()]].mean(0) for text in texts]
    )


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return Runtime(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "cpu"))


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return tickets(600, seed=1)


def features(table: pd.DataFrame, runtime: Runtime) -> pd.DataFrame:
    return pd.concat([ticket_columns(table), bundle_columns(table, runtime)], axis=1)


def statuses(reference: pd.DataFrame, current: pd.DataFrame, runtime: Runtime) -> dict[str, str]:
    tables = {"reference": reference, "unseen": reference, "current": current}
    result, _ = drift.judge(tables, runtime, embed, PARAMS)
    return {name: item["status"] for name, item in result["columns"].items()} | {
        "embedding": result["embedding"]["status"]
    }


def test_tables_of_the_same_kind_show_no_drift(reference, runtime):
    found = statuses(reference, tickets(500, seed=2), runtime)
    assert found == dict.fromkeys((*NUMERIC, *CATEGORICAL, "embedding"), "SUCCESS")


def test_shortened_texts_are_a_drift_in_length(reference, runtime):
    current = tickets(500, seed=2)
    found = statuses(reference, current.assign(text=current["text"].str[:40]), runtime)
    assert found["text_chars"] == found["text_tokens"] == "FAIL"
    assert found["label"] == "SUCCESS"


def test_twice_the_complaints_are_a_drift_in_the_label_mix_alone(reference, runtime):
    found = statuses(reference, tickets(500, seed=2, negative=0.58), runtime)
    assert found["label"] == found["predicted_label"] == "FAIL"
    assert found["text_chars"] == found["text_tokens"] == found["unknown_word_share"] == "SUCCESS"


def test_another_language_is_a_drift_in_vocabulary_confidence_and_embedding(reference, runtime):
    current = tickets(500, seed=2)
    random = np.random.default_rng(3)
    foreign = current.assign(text=[" ".join(random.choice(RUSSIAN, len(t.split()))) for t in current["text"]])
    found = statuses(reference, foreign, runtime)
    assert found["unknown_word_share"] == found["embedding"] == found["confidence"] == "FAIL"
    assert found["label"] == found["text_tokens"] == "SUCCESS"


def test_the_bundles_columns_are_judged_against_tickets_that_are_new_to_it(reference, runtime):
    """Confidence and vocabulary of the training months would make every new month a drift."""
    unseen, current = tickets(400, seed=4), tickets(500, seed=2)
    words = pd.Series(WORDS["positive"] + WORDS["negative"] + WORDS["neutral"])
    learnt = reference.assign(text=[" ".join(words.sample(8, random_state=i)) for i in range(len(reference))])
    result, _ = drift.judge(
        {"reference": learnt, "unseen": unseen, "current": current}, runtime, embed, PARAMS
    )
    by_column = {name: item["status"] for name, item in result["columns"].items()}
    assert by_column["unknown_word_share"] == by_column["confidence"] == "SUCCESS"
    assert statuses(learnt, current, runtime)["unknown_word_share"] == "FAIL"


def test_one_shifted_column_is_named_though_all_others_hold(reference, runtime):
    """Evidently's verdict on the whole table would pass here: one column of seven has moved."""
    ours = features(reference, runtime)
    other = features(tickets(500, seed=2), runtime)
    shifted = other.assign(confidence=other["confidence"] / 10)
    still = (
        np.random.default_rng(0).normal(size=(len(ours), 4)),
        np.random.default_rng(1).normal(size=(len(other), 4)),
    )
    found = drift.statuses(drift.compare(ours, shifted, *still, PARAMS))
    assert [name for name, item in found.items() if item["drifted"]] == ["confidence"]
    assert found["confidence"]["method"] == "wasserstein"
    assert found["confidence"]["threshold"] == 0.2


def test_the_verdict_does_not_turn_with_the_number_of_reference_rows(runtime):
    """Evidently's defaults change from p-values to distances above 1,000 rows; ours are named."""
    current = tickets(400, seed=2)
    small, large = (features(tickets(rows, seed=1), runtime) for rows in (400, 1200))
    now = features(current, runtime)
    for past in (small, large):
        vectors = (
            np.random.default_rng(0).normal(size=(len(past), 3)),
            np.random.default_rng(1).normal(size=(400, 3)),
        )
        found = drift.statuses(drift.compare(past, now, *vectors, PARAMS))
        assert found["confidence"]["method"] == "wasserstein"
        assert found["label"]["method"] == "jensenshannon"
        assert not any(item["drifted"] for item in found.values())


def test_a_test_that_is_missing_or_without_a_number_is_an_error_not_a_success():
    class Silent:
        def dict(self):
            test = {
                "status": "SUCCESS",
                "metric_config": {
                    "metric_id": "m",
                    "params": {"column": "label", "method": "jensenshannon", "threshold": 0.1},
                },
            }
            return {"metrics": [{"id": "m", "value": float("nan")}], "tests": [test]}

    found = drift.statuses(Silent())
    assert found["label"] == {
        "method": "jensenshannon", "threshold": 0.1, "value": None, "status": "ERROR", "drifted": True,
    }  # fmt: skip
    assert found["embedding"]["status"] == "ERROR"
    assert found["text_chars"]["drifted"] is True


def test_the_domain_classifier_knows_chance_from_difference():
    random = np.random.default_rng(0)
    same = drift.domain_auc(random.normal(size=(400, 8)), random.normal(size=(300, 8)), seed=7)
    apart = drift.domain_auc(random.normal(size=(400, 8)), random.normal(3, 1, size=(300, 8)), seed=7)
    assert same == pytest.approx(0.5, abs=0.06)
    assert apart > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="confidence"), "column confidence is missing"),
        (lambda table: table.iloc[:0], "current has 0 rows"),
        (lambda table: table.assign(confidence=np.nan), "column confidence has values that are not finite"),
        (lambda table: table.assign(label="angry"), "column label: expected negative, neutral, positive"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(reference, runtime, change, message):
    table = change(features(reference.head(60), runtime))
    with pytest.raises(TicketSentimentError, match=message):
        check(table, "current", np.zeros((len(table), 2)))


def test_embeddings_that_are_missing_or_not_finite_are_refused(reference, runtime):
    table = features(reference.head(60), runtime)
    for vectors in (np.zeros((59, 2)), np.full((60, 2), np.nan)):
        with pytest.raises(TicketSentimentError, match="embedding: expected one finite vector a row"):
            check(table, "current", vectors)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, reference):
    with pytest.raises(TicketSentimentError, match=r"train\.parquet is missing: run `dvc repro prepare`"):
        read_prepared(tmp_path / "train.parquet", REQUIRED)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TicketSentimentError, match=r"cut\.parquet is no readable Parquet"):
        read_prepared(tmp_path / "cut.parquet", REQUIRED)
    reference.drop(columns="label").to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(TicketSentimentError, match=r"bare\.parquet: column label is missing"):
        read_prepared(tmp_path / "bare.parquet", REQUIRED)


def test_words_outside_the_vocabulary_are_counted_as_words(runtime):
    tokenizer = runtime.tokenizer
    unknown = tokenizer.token_to_id("[UNK]")
    assert unknown_word_share(tokenizer.encode("great invoice zzz qqq"), unknown) == 0.5
    assert unknown_word_share(tokenizer.encode(""), unknown) == 0.0


def test_words_cut_into_pieces_count_as_outside_the_vocabulary():
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import BertPreTokenizer

    vocabulary = {"[UNK]": 0, "re": 1, "##fund": 2, "##ed": 3, "late": 4}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    assert unknown_word_share(tokenizer.encode("late refunded late xyz"), 0) == 0.5


def test_the_sample_is_seeded_and_keeps_the_order(reference):
    drawn = sample(reference.reset_index(names="row"), 100, seed=7)
    assert drawn["row"].is_monotonic_increasing
    assert len(drawn) == 100
    assert drawn.equals(sample(reference.reset_index(names="row"), 100, seed=7))
    assert not drawn.equals(sample(reference.reset_index(names="row"), 100, seed=8))


def test_the_page_and_the_result_are_the_same_in_two_runs_and_open_without_a_network(reference, runtime):
    current = tickets(500, seed=2)
    tables = {"reference": reference, "unseen": reference, "current": current}
    (first, page), (second, again) = (drift.judge(tables, runtime, embed, PARAMS) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    assert page == again
    outside = (
        r"""<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*["']?(?:https?:)?//|url\(["']?(?:https?:)?//"""
    )
    assert not re.search(outside, page)
    assert "Drift in the embedding" in page


def test_the_stage_writes_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The whole stage from files to files; only the encoder is a stand-in."""
    from types import SimpleNamespace

    monkeypatch.chdir(tmp_path)
    Path("data/prepared").mkdir(parents=True)
    tickets(300, seed=1, months=("2026-07", "2026-08")).to_parquet(drift.REFERENCE)
    tickets(100, seed=3, months=("2026-09",)).to_parquet(drift.UNSEEN)
    tickets(200, seed=2, months=("2026-10", "2026-11")).to_parquet(drift.CURRENT)
    make_tiny_bundle(drift.BUNDLE)
    monkeypatch.setattr(drift, "base_embedding", lambda base_model, max_length: embed)
    drift.main(SimpleNamespace(drift=PARAMS, train=SimpleNamespace(base_model="stand-in", max_length=32)))

    result = json.loads(drift.RESULT.read_text())
    assert set(result) == {"reference", "unseen", "current", "columns", "embedding", "evidently"}
    assert result["reference"]["months"] == ["2026-07", "2026-08"]
    assert result["reference"]["rows"] == 300
    assert result["unseen"]["months"] == ["2026-09"]
    assert result["current"]["month"] == "2026-11"  # the newest of the holdout's months, and no other
    assert result["current"]["rows"] == 100
    assert set(result["columns"]) == {*NUMERIC, *CATEGORICAL}
    assert result["columns"]["label"]["reference"].keys() == set(LABELS)
    assert drift.PAGE.stat().st_size > 100_000
    read = Evidence.model_validate_json(drift.RESULT.read_text())
    assert all(test.usable for test in (*read.columns.values(), read.embedding))
