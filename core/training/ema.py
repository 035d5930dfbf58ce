"""A moving mean of the weights, which often scores better than the weights themselves.

Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992; Izmailov et al.:
https://arxiv.org/abs/1803.05407.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class ModelEma:
    """`mean = decay * mean + (1 - decay) * weights` after every step.

    While young it forgets its random beginning faster.

    Batch statistics are averaged like weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: value.clone() for name, value in _floats(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.tensors.values()), list(_floats(model).values()), 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model has the mean weights inside this context, and its own again afterwards."""
        own = {name: value.clone() for name, value in _floats(model).items()}
        _fill(model, self.tensors)
        try:
            yield
        finally:
            _fill(model, own)


def _floats(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


@torch.no_grad()
def _fill(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    for name, value in _floats(model).items():
        value.copy_(tensors[name])
