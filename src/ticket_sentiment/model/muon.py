"""Muon, an optimizer for the matrices of an encoder's layers.

A step goes along the orthogonal matrix that is nearest to the momentum, so that a matrix learns in all its
directions and not in a few strong ones (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural
networks"); it is as large as AdamW's (Liu et al. 2025, "Muon is Scalable for LLM Training"). What it gave is
in docs/compression.md.

`torch.optim.Muon` is the same, but multiplies in bfloat16 everywhere: on a processor without such products
one step would take longer than the forward and backward pass.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan et al.: steep at 0, singular values end about 1
STEPS = 3  # with the usual five a student is no better, and learns a seventh longer
SMALLEST = 1e-7  # norm that is divided by
SIZE = 0.2  # of AdamW's usual step, root mean square


def orthogonalised(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """The orthogonal factor of a matrix, about: Newton-Schulz iteration of the fifth order.

    Args:
        matrix: [rows, columns].
        dtype: that is multiplied in; the result has it, too.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.size(0) > matrix.size(1)
    flat = matrix.to(dtype, copy=True)
    flat = flat.T if tall else flat
    flat.div_(flat.norm().clamp(min=SMALLEST))
    for _ in range(STEPS):
        gram = flat @ flat.T
        flat = torch.addmm(flat, torch.addmm(gram, gram, gram, beta=b, alpha=c), flat, beta=a)
    return flat.T if tall else flat


class Muon(torch.optim.Optimizer):
    """Momentum in Nesterov's form, orthogonalised; decoupled weight decay.

    Args:
        matrices: all of two dimensions.
        lr: as of AdamW.
        weight_decay: as of AdamW.
        dtype: of the products.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step of every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix.grad)
                momentum = state["momentum"]
                momentum.lerp_(matrix.grad, 1 - MOMENTUM)
                update = orthogonalised(matrix.grad.lerp(momentum, MOMENTUM), self._dtype)
                size = SIZE * math.sqrt(max(matrix.shape))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * size)
