import pytest
import torch
from torch.nn import functional as F

from tests.support.tiny_model import tiny_classifier, tiny_texts, tiny_tokenizer
from ticket_sentiment.model.classifier import encode, pad
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.model.replicas import Replicas

TEXTS = tiny_texts(40)
ROWS = encode(tiny_tokenizer(), TEXTS.texts, 24)
LABELS = torch.from_numpy(TEXTS.labels)


@pytest.fixture(autouse=True)
def _cores():
    """As on a machine with three cores, whatever this one has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def network(dropout: float = 0.0):
    made = from_dense(tiny_classifier(vocabulary=tiny_tokenizer().get_vocab_size()))
    made.dropout = dropout
    return made


def loss(model, indices):
    return F.cross_entropy(model(*pad([ROWS[i] for i in indices])), LABELS[indices])


def gradients(model):
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("rows", [1, 2, 3, 32, 40])
def test_the_gradients_are_those_of_the_whole_batch(rows):
    whole, parts = network(), network()
    expected = loss(whole.train(), list(range(rows)))
    expected.backward()
    with Replicas(parts, 1) as replicas:
        found = replicas.backward(loss, list(range(rows)))
        again = replicas.backward(loss, list(range(rows)))
    assert found == again == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(gradients(parts), gradients(whole), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_step_of_the_model_is_a_step_of_every_part():
    model = network()
    with Replicas(model, 1) as replicas:
        first = replicas.backward(loss, list(range(30)))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
        assert replicas.backward(loss, list(range(30))) < first


def test_what_drops_out_is_drawn_for_each_part_and_again_with_the_same_seed():
    losses = []
    for seed in (1, 1, 2):
        with Replicas(network(0.3), seed) as replicas:
            losses.append([replicas.backward(loss, list(range(30))) for _ in range(3)])
    assert losses[0] == losses[1] != losses[2]
    assert len(set(losses[0])) == 3


def test_afterwards_torch_has_its_cores_and_the_model_its_generator():
    model = network(0.3)
    with pytest.raises(ZeroDivisionError), Replicas(model, 1) as replicas:
        replicas.backward(lambda one, part: 1 / 0, list(range(30)))
    assert torch.get_num_threads() == 3
    assert model.generator is None


def test_with_one_core_there_is_one_part():
    torch.set_num_threads(1)
    model = network()
    with Replicas(model, 1) as replicas:
        assert replicas.backward(loss, list(range(30))) == pytest.approx(loss(model, list(range(30))).item())
