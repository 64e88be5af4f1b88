import pytest
import torch

from tests.support.tiny_model import tiny_classifier, tiny_texts, tiny_tokenizer
from ticket_sentiment.model.classifier import encode, pad
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.model.structure import (
    Importance,
    lowest_and_last,
    measure_importance,
    prune_structure,
    shorten_positions,
)

TEXTS = tiny_texts(48)
ROWS = encode(tiny_tokenizer(), TEXTS.texts, 24)
IDS, MASK = pad(ROWS[:8])


def model():
    return from_dense(tiny_classifier(vocabulary=tiny_tokenizer().get_vocab_size()))


def flat(importance: float) -> Importance:
    return Importance(torch.full((3, 4), importance), torch.full((3, 64), importance))


@pytest.mark.parametrize(
    ("keep", "expected"), [(1, [5]), (2, [0, 5]), (4, [0, 1, 2, 5]), (6, list(range(6))), (9, list(range(6)))]
)
def test_the_lowest_layers_are_kept_with_the_last_one(keep, expected):
    assert lowest_and_last(6, keep) == expected


def test_keeping_everything_changes_nothing():
    whole = model()
    pruned = prune_structure(whole, flat(1.0), [0, 1, 2], heads=4, ffn=64)
    with torch.no_grad():
        torch.testing.assert_close(pruned(IDS, MASK), whole(IDS, MASK))


def test_asking_for_more_than_there_is_keeps_what_there_is():
    pruned = prune_structure(model(), flat(1.0), [0, 2], heads=99, ffn=999)
    assert (pruned.config.heads, pruned.config.ffn) == ((4, 4), (64, 64))


def test_heads_and_neurons_without_effect_are_the_ones_cut():
    whole = model()
    dead_heads, dead_neurons = [0, 3], list(range(0, 64, 2))
    width = whole.config.head_size
    for layer in whole.layers:
        for head in dead_heads:
            layer.output.weight.data[:, head * width : (head + 1) * width] = 0
        layer.down.weight.data[:, dead_neurons] = 0
    importance = measure_importance(whole, ROWS, TEXTS.labels.tolist())
    pruned = prune_structure(whole, importance, [0, 1, 2], heads=2, ffn=32)
    with torch.no_grad():
        torch.testing.assert_close(pruned(IDS, MASK), whole(IDS, MASK), atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in pruned.parameters()) < 0.8 * sum(p.numel() for p in whole.parameters())


def test_measuring_leaves_the_model_as_it_was():
    whole = model()
    with torch.no_grad():
        before = whole(IDS, MASK)
    measure_importance(whole, ROWS, TEXTS.labels.tolist())
    with torch.no_grad():
        assert torch.equal(whole(IDS, MASK), before)
    assert all(layer.head_gate is None and layer.ffn_gate is None for layer in whole.layers)


def test_only_the_positions_a_ticket_can_reach_are_kept():
    positions = torch.nn.Embedding(48, 4)
    assert torch.equal(shorten_positions(positions, 24).weight, positions.weight[:24])
    assert shorten_positions(positions, 512).num_embeddings == 48
