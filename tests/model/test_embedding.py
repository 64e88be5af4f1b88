import pytest
import torch

from ticket_sentiment.model.embedding import CODES, product_quantize


def weights(tokens=600, hidden=16):
    return torch.randn(tokens, hidden, generator=torch.Generator().manual_seed(0))


def error(weight, counts, parts):
    embedding = product_quantize(weight, counts, parts, seed=7)
    with torch.no_grad():
        return ((embedding(torch.arange(len(weight))) - weight).square().sum() / weight.square().sum()).item()


def test_as_many_tokens_as_codes_are_kept_exactly():
    weight = weights(tokens=CODES)
    assert error(weight, torch.zeros(CODES), parts=4) < 1e-6


def test_more_bytes_a_token_cost_less_of_it():
    weight = weights()
    errors = [error(weight, torch.zeros(len(weight)), parts) for parts in (2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.75  # eight units a byte: a bit each
    assert errors[2] < 0.05  # two units a byte: four bits each


def test_common_tokens_are_kept_better_than_rare_ones():
    weight = weights()
    counts = torch.zeros(len(weight))
    counts[:200] = 10_000
    embedding = product_quantize(weight, counts, parts=4, seed=7)
    with torch.no_grad():
        lost = (embedding(torch.arange(len(weight))) - weight).square().mean(1)
    assert lost[:200].mean() < 0.25 * lost[200:].mean()


def test_the_same_seed_gives_the_same_codes():
    first, second = (product_quantize(weights(), torch.ones(600), 4, seed=7) for _ in range(2))
    assert torch.equal(first.codes, second.codes)
    assert torch.equal(first.vectors, second.vectors)


@pytest.mark.parametrize("shape", [(1,), (2, 3)])
def test_it_takes_the_place_of_an_embedding(shape):
    embedding = product_quantize(weights(), torch.ones(600), 4, seed=7)
    ids = torch.randint(0, 600, shape)
    assert embedding(ids).shape == (*shape, 16)
    assert (embedding.num_embeddings, embedding.embedding_dim) == (600, 16)
    embedding(ids).sum().backward()
    assert embedding.vectors.grad is not None
