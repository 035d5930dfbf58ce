"""Names the layer in which the numbers of a training ran away, before the step that would spread them over all
weights.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from core.config import TrainingConfig
from core.errors import DivergedError
from core.hardware import Hardware
from core.training.evaluate import to_device
from core.training.losses import SummedLoss


def check_loss(step: int, loss: torch.Tensor | None) -> float | None:
    """Return the loss of a step as a number, before anything is saved: a checkpoint of weights that ran away is worth
    nothing.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    value = None if loss is None else loss.item()
    if value is not None and not np.isfinite(value):
        raise DivergedError(
            f"The loss became {value} at step {step}: the training diverged. Lower training.learning_rate (a third is a"
            " good try), or set training.grad_clip_norm to 1, and start again."
        )
    return value


class DivergenceWatch:
    """Looks at a gradient just before each optimizer step, and at every layer once it isn't finite.

    On a CPU that costs nothing. Elsewhere a look waits for the device, so only the steps that are logged are looked at,
    where the loss is waited for anyway. A step that fp16's scaler skips isn't one.

    Args:
        model: the network itself, without what wraps it.
        optimizer: of its parameters.
        loss: the run's.
        hardware: where it computes.
        training: `accumulate_grad_batches` is read.
        record: called with a row of the kind `diverged`.
        step: steps done before.
        every: one row is logged in so many steps.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: SummedLoss,
        hardware: Hardware,
        training: TrainingConfig,
        record: Callable[[dict[str, Any]], None],
        step: int,
        every: int,
    ) -> None:
        self._model, self._loss, self._hardware, self._parts = model, loss, hardware, training.accumulate_grad_batches
        self._record, self._step = record, step
        self._every = 1 if hardware.device.type == "cpu" else every
        self._batch: tuple[torch.Tensor, torch.Tensor] | None = None
        # A gradient that is no number reaches the first layer from wherever it began.
        self._first = next((value for value in model.parameters() if value.requires_grad), None)
        optimizer.register_step_pre_hook(self._check)

    def watch(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the same batches, images and targets, one a step."""
        for batch in batches:
            self._step += 1
            self._batch = batch
            yield batch

    def _check(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        # A fused optimizer is asked to step in any case, and itself leaves out what the scaler found too large.
        if bool(getattr(optimizer, "found_inf", None)):
            return
        gradient = None if self._first is None else self._first.grad
        if self._batch is None or gradient is None or self._step % self._every or bool(torch.isfinite(gradient).all()):
            return
        where = find_culprit(self._model, *self._batch, self._loss, self._hardware, self._parts)
        self._record({"kind": "diverged", "step": self._step, "where": where})
        raise DivergedError(
            f"The loss or its gradient became NaN or infinite at step {self._step}: the training diverged. {where}"
            " Lower training.learning_rate (a third is a good try), or set training.grad_clip_norm to 1, and start"
            " again."
        )


def find_culprit(
    model: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    loss: SummedLoss,
    hardware: Hardware,
    parts: int = 1,
) -> str:
    """Return a sentence about the first layer whose numbers aren't finite, found by doing a step's sums again, or ""
    where all are.

    Looked at in this order: weights, outputs in the order of the forward pass, the loss, gradients in the order of the
    backward.

    Args:
        model: the network.
        images: uint8 (B, 3, H, W).
        targets: uint8 (B, H, W), 255 ignored.
        loss: the run's.
        hardware: where it computes.
        parts: the batch goes through in so many, as in the step.
    """
    for name, parameter in model.named_parameters():
        if not _is_finite(parameter):
            return f"The weights '{name}' were no numbers any more."
    bad_outputs: list[str] = []
    bad_gradients: list[str] = []

    def check_output(title: str, output: object) -> None:
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            return
        if not _is_finite(output):
            bad_outputs.append(title)
        if output.requires_grad:
            output.register_hook(lambda gradient: None if _is_finite(gradient) else bad_gradients.append(title))

    def hook_of(title: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: check_output(title, output)

    hooks = [
        module.register_forward_hook(hook_of(f"{name} ({type(module).__name__})"))
        for name, module in model.named_modules()
        if not any(module.children())
    ]
    try:
        for part_images, part_targets in zip(images.chunk(parts), targets.chunk(parts), strict=True):
            part_targets = part_targets.to(hardware.device)
            if loss.weight_of(part_targets) == 0:
                continue
            with hardware.autocast():
                logits = model(to_device(part_images, hardware))
            value, weight = loss(logits, part_targets)
            if bad_outputs:
                return f"The first layer whose output was no number: {bad_outputs[0]}."
            if not _is_finite(value):
                return "Every layer's output was still a number, and the loss was not."
            # Not backward(): gradients aren't kept, and processes that train together would begin to exchange them.
            learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
            torch.autograd.grad(value / weight, learned, allow_unused=True)
            if bad_gradients:
                return f"The first layer, from the end, whose gradient was no number: {bad_gradients[0]}."
    finally:
        for hook in hooks:
            hook.remove()
    return ""


def _is_finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
