"""Probabilities that are as high as they should be: one number by which all logits are divided.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 4.2: the temperature that makes the labels of
validation pixels most probable. It changes no label of a single answer, and is fitted to a sample of the pixels of
every evaluation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from core.evaluation.metrics.calibration import LEVELS, calibration_of
from core.runs.fitted_temperature import MAX, MIN, FittedTemperature, Reliability

PIXELS = 128
"""Of a frame that the temperature is fitted to: neighbours say the same."""
ROUNDS = 25


@dataclass(frozen=True)
class LogitSample:
    """Logits float32 (N, K) of labelled pixels, their classes int64 (N,), and the number of each one's frame, (N,)."""

    logits: torch.Tensor
    targets: torch.Tensor
    frames: torch.Tensor


def sample_logits(logits: torch.Tensor, targets: torch.Tensor, frames: list[int]) -> LogitSample:
    """Return the logits of some labelled pixels, the same ones every time.

    Args:
        logits: float (B, K, H, W).
        targets: uint8 (B, H, W), 0..K-1; larger numbers are left out.
        frames: numbers of the B frames.
    """
    num_classes = logits.shape[1]
    parts = []
    for plane, target, frame in zip(logits, targets, frames, strict=True):
        labelled = (target < num_classes).nonzero()
        count = PIXELS if len(labelled) else 0
        generator = torch.Generator().manual_seed(frame)
        rows, columns = labelled[torch.randint(max(1, len(labelled)), (count,), generator=generator)].unbind(1)
        values = plane[:, rows.to(plane.device), columns.to(plane.device)].T.float().cpu()
        parts.append((values, target[rows, columns].long(), torch.full((count,), frame)))
    return LogitSample(*(torch.cat(column) for column in zip(*parts, strict=True)))


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the temperature 0.1..10 that makes targets int64 (N,) most probable under logits float (N, K); 1 without
    any.
    """
    if not len(targets):
        return 1.0
    inverse = torch.zeros((), requires_grad=True)
    search = torch.optim.LBFGS([inverse], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = F.cross_entropy(logits * inverse.exp(), targets)
        value.backward()
        return value

    search.step(loss)
    fitted = (-inverse.detach()).exp()
    return float(fitted.clamp(MIN, MAX)) if fitted.isfinite() else 1.0


@torch.enable_grad()
def fit_to_samples(samples: Sequence[LogitSample]) -> FittedTemperature:
    """Return the temperature of some pixels, and what it changes.

    The first half of the frames is judged with the temperature of the second and the other way round: by nothing that
    was fitted to it, or to its neighbours.
    """
    logits, targets, frames = (
        torch.cat([getattr(sample, name) for sample in samples]) for name in ("logits", "targets", "frames")
    )
    # Whichever process brought which frame: a sum of floats depends on its order in the last digit.
    order = frames.argsort(stable=True)
    logits, targets, is_late = logits[order], targets[order], frames[order] > (frames.max() if len(frames) else 0) / 2
    before, after = np.zeros((LEVELS, 2), np.int64), np.zeros((LEVELS, 2), np.int64)
    for judged, fitted in ((is_late, ~is_late), (~is_late, is_late)):
        before += _counts(logits[judged], targets[judged])
        after += _counts(logits[judged] / fit_temperature(logits[fitted], targets[fitted]), targets[judged])
    diagrams = [Reliability.model_validate(calibration_of(counts).to_json()) for counts in (before, after)]
    return FittedTemperature(temperature=fit_temperature(logits, targets), before=diagrams[0], after=diagrams[1])


def _counts(logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """int64 (256, 2): how many pixels have which confidence, wrong ones and right ones."""
    confidence, labels = logits.softmax(dim=1).max(dim=1)
    codes = (confidence.nan_to_num() * (LEVELS - 1) + 0.5).long() * 2 + (labels == targets)
    return torch.bincount(codes, minlength=2 * LEVELS).reshape(LEVELS, 2).numpy()
