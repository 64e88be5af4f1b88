import os
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.support.tiny_model import tiny_classifier, tiny_texts, tiny_tokenizer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.classifier import encode
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.model.fit import (
    FitSettings,
    _optimizers,
    bucketed_batches,
    deterministic,
    fit,
    tuning_score,
)

TEXTS = tiny_texts(96)
ROWS = encode(tiny_tokenizer(), TEXTS.texts, 24)
SETTINGS = FitSettings(
    epochs=8,
    batch_size=16,
    learning_rate=5e-3,
    embedding_learning_rate=5e-3,
    weight_decay=0.01,
    warmup_share=0.1,
    evaluations_per_epoch=2,
    patience=9,
    seed=3,
)


def model():
    return from_dense(tiny_classifier(vocabulary=tiny_tokenizer().get_vocab_size()))


def loss(network, indices, ids, mask):
    return F.cross_entropy(network(ids, mask), torch.from_numpy(TEXTS.labels)[indices])


def test_every_text_is_in_one_batch_of_each_epoch():
    batches = list(bucketed_batches(ROWS, 10, torch.Generator().manual_seed(0)))
    assert sorted(index for batch in batches for index in batch) == list(range(96))


MUON = replace(SETTINGS, matrix_learning_rate=5e-3)


@pytest.mark.parametrize("settings", [SETTINGS, MUON], ids=["adamw", "muon"])
def test_it_learns_and_is_left_at_its_best(settings):
    network, score = model(), tuning_score(ROWS, TEXTS.labels)
    curve = fit(network, ROWS, loss, score, settings, "train")
    assert max(point.macro_f1 for point in curve) > 0.9
    assert score(network)[1] == max(point.macro_f1 for point in curve)


def test_epochs_need_not_be_whole():
    network, score, seen = model(), tuning_score(ROWS, TEXTS.labels), []

    def watched(network, indices, ids, mask):
        seen.extend(indices)
        return loss(network, indices, ids, mask)

    curve = fit(network, ROWS, watched, score, FitSettings(**{**vars(SETTINGS), "epochs": 1.5}), "train")
    assert len(seen) == 96 + 48
    assert [point.step for point in curve] == [3, 6, 9]


def test_muon_has_the_matrices_of_the_layers_and_adamw_all_else():
    network = model()
    of_adamw, of_muon = (
        {id(one) for group in optimizer.param_groups for one in group["params"]}
        for optimizer in _optimizers(network, MUON, mixed=False)
    )
    assert not of_adamw & of_muon and of_adamw | of_muon == {id(one) for one in network.parameters()}
    matrices = {id(layer.weight) for layer in network.layers.modules() if isinstance(layer, torch.nn.Linear)}
    assert of_muon == matrices


def test_a_rate_of_0_freezes_the_word_embeddings_however_few_there_are():
    network = model()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    settings = replace(SETTINGS, embedding_learning_rate=0.0, epochs=1)
    fit(network, ROWS, loss, tuning_score(ROWS, TEXTS.labels), settings, "train")
    same = {name for name, tensor in network.state_dict().items() if torch.equal(tensor, before[name])}
    assert same == {"words.weight"}


def test_cublas_is_told_to_be_deterministic_unless_it_is_set(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    deterministic(3)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    deterministic(3)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("settings", [SETTINGS, MUON], ids=["adamw", "muon"])
def test_the_same_seed_gives_the_same_weights(settings):
    networks = [model(), model()]
    for network in networks:
        fit(network, ROWS, loss, tuning_score(ROWS, TEXTS.labels), settings, "train")
    first, second = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_loss_that_is_no_number_stops_with_the_step():
    def broken(network, indices, ids, mask):
        return loss(network, indices, ids, mask) * (float("nan") if 7 in indices else 1.0)

    # Each of the 96 texts is in one of the first epoch's six batches.
    with pytest.raises(TicketSentimentError, match=r"loss is nan at step [1-6] of 48.*train.learning_rate"):
        fit(model(), ROWS, broken, tuning_score(ROWS, TEXTS.labels), SETTINGS, "train")


def test_with_muon_such_a_loss_names_both_rates():
    def broken(network, indices, ids, mask):
        return loss(network, indices, ids, mask) * float("nan")

    with pytest.raises(TicketSentimentError, match=r"train.learning_rate .* or train.matrix_learning_rate"):
        fit(model(), ROWS, broken, tuning_score(ROWS, TEXTS.labels), MUON, "train")


def test_it_stops_early_when_nothing_gets_better():
    values = iter([0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    settings = FitSettings(**{**vars(SETTINGS), "patience": 2})
    curve = fit(model(), ROWS, loss, lambda _: (1.0, next(values)), settings, "train")
    assert [point.macro_f1 for point in curve] == [0.5, 0.4, 0.3]
