"""A batch in parts, one for each core: copies of a model that share its weights.

An encoder this small leaves a second core idle when both work on the same matrices; with half of the batch
each they are busy. The copies hold no weights of their own, so that nothing is sent between them: each thread
does the forward and the backward pass of its part, and the gradients are added up (synchronous data
parallelism, as of Goyal et al. 2017, "Accurate, Large Minibatch SGD"). A loss that averages over some rows
of a batch only, as of those with a label, takes it over those of its part.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import torch
from torch import Tensor, nn

MOST = 4  # parts; with more cores each part has several, as a few rows would be too little for one


class Replicas:
    """Runs the passes of one batch after the other; use it as a context manager.

    On a GPU, and where torch may use one core, there is one part: the model itself.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        """Make the copies.

        Args:
            model: on its device; gets the gradients.
            seed: of what each part drops out: with the one generator of torch, threads would draw by chance.
        """
        self._cores = torch.get_num_threads()
        parts = min(self._cores, MOST) if next(model.parameters()).device.type == "cpu" else 1
        self._cores_each = self._cores // parts
        self._models = [model, *(_sharing(model) for _ in range(parts - 1))]
        self._threads: ThreadPoolExecutor | None = None
        if parts > 1:
            for number, one in enumerate(self._models):
                one.generator = torch.Generator().manual_seed(seed + number)
            self._threads = ThreadPoolExecutor(parts, "part", torch.set_num_threads, (self._cores_each,))

    def __enter__(self) -> "Replicas":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads:
            self._threads.shutdown()
            self._models[0].generator = None
        self.all_cores()

    def all_cores(self) -> None:
        """Until the next batch: what runs in between, as an optimizer's step, may have every core."""
        torch.set_num_threads(self._cores)

    def backward(self, loss: Callable[[nn.Module, list[int]], Tensor], indices: Sequence[int]) -> float:
        """Leave the gradients of a batch in the model; those before are gone.

        Args:
            loss: of a copy on some rows; the mean over these.
            indices: the rows of the batch.

        Returns:
            The loss of the batch.
        """
        size = -(-len(indices) // len(self._models))
        parts = [list(indices[start : start + size]) for start in range(0, len(indices), size)]

        def one(model: nn.Module, part: list[int]) -> float:
            model.train()
            model.zero_grad(set_to_none=True)
            value = loss(model, part) * (len(part) / len(indices))
            value.backward()
            return value.item()

        if self._threads is None:
            return one(self._models[0], parts[0])
        torch.set_num_threads(self._cores_each)  # MKL's number is one for all threads
        losses = list(self._threads.map(one, self._models, parts))
        first = [parameter for parameter in self._models[0].parameters() if parameter.grad is not None]
        for model in self._models[1 : len(parts)]:
            other = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            torch._foreach_add_([parameter.grad for parameter in first], other)
        return sum(losses)


def _sharing(model: nn.Module) -> nn.Module:
    """A copy whose weights are the model's own."""
    made = copy.deepcopy(model)
    for ours, theirs in zip(made.parameters(), model.parameters(), strict=True):
        ours.data = theirs.data
    return made
