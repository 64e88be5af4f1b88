"""Drift: no alarm on equal tables, and the right measure named for each kind of change."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.drift import CHANGES
from tests.support.tiny_bundle import WORDS, make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates import drift
from ticket_sentiment.gates.drift_evidently import CHANGED, Side, compare, statuses
from ticket_sentiment.gates.drift_features import (
    BUNDLE_COLUMNS,
    CATEGORICAL,
    NUMERIC,
    REQUIRED,
    TICKET_COLUMNS,
    TableRuntime,
    bundle_columns,
    check,
    check_vectors,
    languages,
    sample,
    ticket_columns,
    unknown_word_share,
)
from ticket_sentiment.gates.drift_limits import Limit, domain_auc
from ticket_sentiment.gates.drift_live import LIVE, LIVE_COLUMNS, live_of, read_answers
from ticket_sentiment.gates.evidence_types import Drift as Evidence
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Drift, Prepare
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.schema import FEEDBACK_TABLE, NO_CHANNEL, write_month, write_tickets

PARAMS = Drift(
    max_rows=600,
    embedding_rows=600,
    min_live_rows=60,
    numeric_method="wasserstein",
    numeric_floor=0.2,
    categorical_method="jensenshannon",
    categorical_floor=0.1,
    embedding_floor=0.6,
    max_over_floor=2.0,
    resamples=20,
    quantile=0.95,
    max_changed_answers=0.2,
    seed=7,
)
PREPARE = Prepare(
    holdout_months=1,
    tune_months=1,
    train_months=6,
    max_unlabelled=1000,
    label_sources=["agent", "import"],
    unknown_sources="last",
    customers="apart",
)
MEASURES = {*NUMERIC, *CATEGORICAL, "embedding"}
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
    stamps = [
        pd.Timestamp(f"{months[index * len(months) // rows]}-{1 + index % 28:02d}", tz="UTC")
        for index in range(rows)
    ]
    channels = random.choice(["email", "chat", "editorials"], rows, p=[0.5, 0.35, 0.15])
    return pd.DataFrame({"text": texts, "label": labels, "channel": channels, "created_at": stamps})


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
    return pd.concat([ticket_columns(table, "en"), bundle_columns(table, runtime)], axis=1)


def moved(
    reference: pd.DataFrame, current: pd.DataFrame, runtime: Runtime, unseen: pd.DataFrame | None = None
) -> set[str]:
    tables = {"reference": reference, "unseen": reference if unseen is None else unseen, "current": current}
    found, _ = drift.incoming(tables, runtime, embed, PARAMS, "en")
    assert set(found) == MEASURES
    assert all(item["status"] in ("SUCCESS", "FAIL") for item in found.values())
    return {name for name, item in found.items() if item["drifted"]}


@pytest.mark.parametrize("seed", range(2, 4))
def test_tables_of_the_same_kind_show_no_drift(reference, runtime, seed):
    assert moved(reference, tickets(500, seed=seed), runtime) == set()


WANTED = {
    "editorials": {"channel"},
    "negative": {"label", "predicted_label"},
    "truncated": {"text_chars", "text_tokens"},
    "german": {"language", "unknown_word_share"},
    "capitals": {"capital_share"},
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_change_of_the_benchmark_moves_what_it_changes(reference, runtime, change):
    """The short form of `python -m benchmarks.drift`, on made-up tickets and a stand-in for the encoder."""
    changed = change(tickets(500, seed=2), np.random.default_rng(3)).reset_index(drop=True)
    assert moved(reference, changed, runtime) >= WANTED[change.__name__]


def test_the_bundles_columns_are_judged_against_tickets_that_are_new_to_it(reference, runtime):
    """Confidence and vocabulary of the training months would make every new month a drift."""
    unseen, current = tickets(400, seed=4), tickets(500, seed=2)
    words = pd.Series(WORDS["positive"] + WORDS["negative"] + WORDS["neutral"])
    learnt = reference.assign(text=[" ".join(words.sample(8, random_state=i)) for i in range(len(reference))])
    assert not moved(learnt, current, runtime, unseen) & set(BUNDLE_COLUMNS)
    assert "unknown_word_share" in moved(learnt, current, runtime)


def test_one_shifted_column_is_named_though_all_others_hold(reference, runtime):
    """Evidently's verdict on the whole table would pass here: one column of many has moved."""
    ours = features(reference, runtime)
    other = features(tickets(500, seed=2), runtime)
    shifted = other.assign(confidence=other["confidence"] / 10)
    limits = {name: Limit(0.2, 0.05, 0.2) for name in (*TICKET_COLUMNS, *BUNDLE_COLUMNS)}
    found, _ = compare(Side("reference", ours), Side("current", shifted), limits, PARAMS)
    assert [name for name, item in found.items() if item["drifted"]] == ["confidence"]
    assert found["confidence"]["method"] == "wasserstein"
    assert found["label"]["method"] == "jensenshannon"
    assert found["confidence"]["threshold"] == 0.2
    assert found["confidence"]["learnt"] == 0.05


def live_answers(table: pd.DataFrame, runtime: Runtime) -> pd.DataFrame:
    return drift.profile(table, runtime).to_pandas()


def test_a_holdout_that_is_unlike_live_traffic_is_seen(reference, runtime, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digest, held = runtime.bundle.digest, tickets(400, seed=2)
    (tmp_path / "data/tickets").mkdir(parents=True)
    own = held.assign(ticket_id=[str(row) for row in range(400)], customer_id=None, label_source="import")
    write_tickets(tmp_path / "data/tickets/2026-09.parquet", own)
    LIVE.parent.mkdir(parents=True)
    for live, wanted in (
        (tickets(300, seed=5), set()),
        (tickets(300, seed=5, negative=0.6), {"predicted_label"}),
        (tickets(300, seed=5).assign(channel="email"), {"channel"}),
    ):
        live_answers(live, runtime).to_parquet(LIVE)
        found = live_of("2026-09", digest, 60, REQUIRED, PREPARE)
        assert (found.kind, len(found.table)) == ("predictions", 300)
        measures, _ = drift.holdout(held, found, runtime, embed, PARAMS, "en")
        assert set(measures) == {*LIVE_COLUMNS, "channel"}
        assert {name for name, item in measures.items() if item["drifted"]} >= wanted
        assert bool(wanted) == any(item["drifted"] for item in measures.values())
    some = live_answers(tickets(300, seed=5), runtime)
    for said, expected in (
        (280, {*LIVE_COLUMNS, "channel"}),
        (250, set(LIVE_COLUMNS)),
        (0, set(LIVE_COLUMNS)),
    ):
        some.assign(channel=some["channel"].where(some.index < said)).to_parquet(LIVE)
        measures, _ = drift.holdout(
            held, live_of("2026-09", digest, 60, REQUIRED, PREPARE), runtime, embed, PARAMS, "en"
        )
        assert set(measures) == expected, "of a few callers' channels nothing follows"
        assert not any(item["drifted"] for item in measures.values())
    some.to_parquet(LIVE)
    few = held["channel"].where(held.index % 20 > 0, NO_CHANNEL)
    live = live_of("2026-09", digest, 60, REQUIRED, PREPARE)
    measures, _ = drift.holdout(held.assign(channel=few), live, runtime, embed, PARAMS, "en")
    assert not measures["channel"]["drifted"], "one in twenty without a channel is no other mix"
    measures, _ = drift.holdout(held.assign(channel=NO_CHANNEL), live, runtime, embed, PARAMS, "en")
    assert set(measures) == set(LIVE_COLUMNS), "an export without channels is no change of them"
    assert len(read_answers(LIVE, "0" * 64, "2026-09")) == 0  # of another model
    assert len(read_answers(LIVE, digest, "2026-08")) == 0  # of another month
    assert live_of("2026-09", None, 60, REQUIRED, PREPARE).kind == "none"  # nobody is in service


def test_a_biased_choice_of_what_is_labelled_is_seen(runtime, tmp_path, monkeypatch):
    """Only short tickets were labelled: the holdout is not what came in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/tickets").mkdir(parents=True)
    all_of_them = tickets(600, seed=2)
    short = all_of_them["text"].str.len() < all_of_them["text"].str.len().median()
    own = all_of_them.assign(
        ticket_id=[str(row) for row in range(600)],
        customer_id=None,
        label_source="import",
        label=all_of_them["label"].where(short, None),
    )
    write_tickets(tmp_path / "data/tickets/2026-09.parquet", own)
    found = live_of("2026-09", None, 60, REQUIRED, PREPARE)
    assert found.kind == "unlabelled"
    assert 0.3 < found.labelled_share < 0.7
    measures, _ = drift.holdout(all_of_them[short], found, runtime, embed, PARAMS, "en")
    assert measures["text_chars"]["drifted"]
    assert "label" not in measures


def test_what_people_labelled_later_is_no_traffic_to_compare_it_with(tmp_path, monkeypatch):
    """An export without labels, and agents labelled 400 of its 600 tickets: the others are what came in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/tickets").mkdir(parents=True)
    (tmp_path / "data/feedback").mkdir()
    month = tickets(600, seed=2)
    ids = [str(row) for row in range(600)]
    own = month.assign(ticket_id=ids, customer_id=None, label_source=None, label=None)
    write_tickets(tmp_path / "data/tickets/2026-09.parquet", own)
    said = pd.DataFrame(
        {
            "event_id": ids[:400],
            "ticket_id": ids[:400],
            "label": month["label"][:400],
            "source": "agent",
            "at": month["created_at"][:400] + pd.Timedelta(days=1),
            "received_at": month["created_at"][:400] + pd.Timedelta(days=1),
            "served_arm": None,
            "served_digest": None,
            "served_label": None,
        }
    )
    write_month(tmp_path / "data/feedback/2026-09.parquet", said, FEEDBACK_TABLE)
    found = live_of("2026-09", None, 60, REQUIRED, PREPARE)
    labelled = {dedup_key(canonical(text)) for text in month["text"][:400]}
    assert found.kind == "unlabelled"
    assert len(found.table) > 150
    assert not labelled & {dedup_key(text) for text in found.table["text"]}
    assert found.labelled_share == pytest.approx(len(labelled) / len(found.tickets))


def test_a_candidate_that_answers_otherwise_is_seen(runtime, tmp_path):
    month = tickets(400, seed=2)
    same, _ = drift.answers(month, runtime, runtime, PARAMS)
    assert not any(item["drifted"] for item in same.values())
    assert same[CHANGED]["value"] == 0.0
    other = Runtime(make_tiny_bundle(tmp_path / "other", seed=9))
    shifted = month.assign(text=month["text"].str.replace("great", "awful"))

    class Otherwise:
        """The same model on texts that say something else."""

        def probabilities(self, texts):
            return np.roll(runtime.probabilities(texts), 1, axis=1)

    found, page = drift.answers(shifted, Otherwise(), runtime, PARAMS)
    assert found[CHANGED] == {
        "method": "share", "threshold": 0.2, "learnt": None, "floor": 0.2, "value": 1.0,
        "status": "FAIL", "drifted": True,
    }  # fmt: skip
    assert found["predicted_label"]["drifted"]
    assert "Changed answers" in page
    assert other.bundle.digest != runtime.bundle.digest


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

    limit = Limit(0.1, 0.02, 0.1)
    found = statuses(Silent(), {"label": limit, "embedding": limit, "text_chars": limit})
    assert found["label"] == {
        "method": "jensenshannon", "threshold": 0.1, "learnt": 0.02, "floor": 0.1,
        "value": None, "status": "ERROR", "drifted": True,
    }  # fmt: skip
    assert found["embedding"]["status"] == "ERROR"
    assert found["text_chars"]["drifted"] is True


def test_the_domain_classifier_knows_chance_from_difference():
    random = np.random.default_rng(0)
    same = domain_auc(random.normal(size=(400, 8)), random.normal(size=(300, 8)), seed=7)
    apart = domain_auc(random.normal(size=(400, 8)), random.normal(3, 1, size=(300, 8)), seed=7)
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
        check(table, "current", (*TICKET_COLUMNS, *BUNDLE_COLUMNS))


def test_embeddings_that_are_missing_or_not_finite_are_refused():
    for vectors in (None, np.zeros((20, 2)), np.zeros((61, 2)), np.full((60, 2), np.nan)):
        with pytest.raises(TicketSentimentError, match="embedding: expected finite vectors of 30 to 60 rows"):
            check_vectors(vectors, 60, "current")


def test_a_text_is_told_from_another_language_only_where_it_is_long_enough():
    texts = [
        "I have waited for two weeks now and nobody answers my calls.",
        "Meine Bestellung ist seit zwei Wochen unterwegs und niemand antwortet mir.",
        "Vielen Dank!",
        "Danke. [EMAIL] [PHONE] [NAME] [EMAIL] [PHONE] [NAME]",
    ]
    assert languages(texts, "en") == ["expected", "other", "too short", "too short"]


def test_a_text_of_several_tables_is_asked_once_and_answered_alike(runtime, monkeypatch):
    asked: list[str] = []
    encode = runtime.encode
    table = TableRuntime(runtime.bundle)
    monkeypatch.setattr(table, "encode", lambda text: asked.append(text) or encode(text))
    texts = ["thanks", "refund my card", "thanks"]
    for some in (texts, texts[:2], [*texts, "late again"]):
        assert table.probabilities(some).tobytes() == runtime.probabilities(some).tobytes()
    assert sorted(asked) == ["late again", "refund my card", "thanks"]


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
    (first, page), (second, again) = (drift.incoming(tables, runtime, embed, PARAMS, "en") for _ in range(2))
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
    Path("data/tickets").mkdir(parents=True)
    tickets(300, seed=1, months=("2026-07", "2026-08")).to_parquet(drift.REFERENCE)
    tickets(100, seed=3, months=("2026-09",)).to_parquet(drift.UNSEEN)
    held = tickets(200, seed=2, months=("2026-10", "2026-11"))
    held.to_parquet(drift.CURRENT)
    newest = held[held["created_at"].dt.month == 11]
    own = newest.assign(ticket_id=newest.index.astype(str), customer_id=None, label_source="import")
    write_tickets(Path("data/tickets/2026-11.parquet"), own)
    make_tiny_bundle(drift.BUNDLE)
    make_tiny_bundle(drift.CHAMPION, seed=1)
    monkeypatch.setattr(drift, "base_embedding", lambda base_model, max_length: embed)
    params = SimpleNamespace(
        drift=PARAMS,
        prepare=PREPARE,
        train=SimpleNamespace(base_model="stand-in", max_length=32),
        validate_=SimpleNamespace(language="en"),
    )
    drift.main(params)

    result = json.loads(drift.RESULT.read_text())
    assert result["reference"]["months"] == ["2026-07", "2026-08"]
    assert result["reference"]["rows"] == 300
    assert result["unseen"]["months"] == ["2026-09"]
    assert result["current"]["month"] == "2026-11"  # the newest of the holdout's months, and no other
    assert result["live"] == {"kind": "none", "rows": 0, "labelled_share": 1.0}
    assert set(result["incoming"]) == MEASURES
    assert result["incoming"]["label"]["reference"].keys() == set(LABELS)
    assert result["holdout"] is None
    assert drift.PAGES["incoming"].stat().st_size > 100_000
    assert "nothing to compare" in drift.PAGES["holdout"].read_text()
    reference = pd.read_parquet(drift.PROFILE)
    assert set(reference) == {"created_at", "bundle_digest", "label", "channel", *LIVE_COLUMNS}  # and no text
    assert len(reference) == len(newest)
    digests = [load_bundle(path).digest for path in (drift.BUNDLE, drift.CHAMPION)]
    assert [result["bundle_digest"], result["champion_digest"]] == digests
    read = Evidence.model_validate_json(drift.RESULT.read_text())
    assert all(test.usable for test in (*read.incoming.values(), *read.answers.values()))

    LIVE.parent.mkdir(parents=True)
    champion = Runtime(load_bundle(drift.CHAMPION))
    live_answers(tickets(100, seed=6, months=("2026-11",)), champion).to_parquet(LIVE)
    drift.main(params)
    read = Evidence.model_validate_json(drift.RESULT.read_text())
    assert (read.live.kind, read.live.rows) == ("predictions", 100)
    assert set(read.holdout) == {*LIVE_COLUMNS, "channel"}
