import pytest
import torch
from torch import nn

from ticket_sentiment.model.muon import STEPS, Muon, orthogonalised

SHAPES = [(24, 24), (40, 16), (16, 40)]


def stepped(optimizer, matrix, gradients):
    for gradient in gradients:
        matrix.grad = gradient.clone()
        optimizer.step()
    return matrix.detach()


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bfloat16_it_is_the_one_of_torch(shape):
    generator = torch.Generator().manual_seed(1)
    start, *gradients = (torch.randn(shape, generator=generator) for _ in range(5))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    muon = Muon([ours], 1e-3, 0.01, torch.bfloat16)
    reference = torch.optim.Muon(
        [theirs], lr=1e-3, weight_decay=0.01, ns_steps=STEPS, adjust_lr_fn="match_rms_adamw"
    )
    assert torch.equal(stepped(muon, ours, gradients), stepped(reference, theirs, gradients))


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_come_near_to_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalised(matrix, torch.float32)
    assert found.dtype == torch.float32
    values = torch.linalg.svdvals(found)
    assert values.max() < 1.3
    assert (values > 0.5).float().mean() > 0.8
    alike = torch.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0)
    assert alike > 0.95


def test_a_matrix_is_not_changed_by_looking_at_it():
    matrix = torch.randn((8, 8), generator=torch.Generator().manual_seed(3))
    before = matrix.clone()
    orthogonalised(matrix, torch.float32)
    assert torch.equal(matrix, before)


def test_where_nothing_multiplies_in_bfloat16_it_does_not_either():
    """There it would take longer than all the rest of a step."""
    matrix = nn.Parameter(torch.randn((32, 32), generator=torch.Generator().manual_seed(4)))
    seen = set()

    class Watched(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                seen.add(result.dtype)
            return result

    with Watched():
        stepped(Muon([matrix], 1e-3, 0.01, torch.float32), matrix, [torch.ones((32, 32))])
    assert torch.bfloat16 not in seen and torch.float32 in seen
