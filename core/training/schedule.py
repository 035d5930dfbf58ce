"""The learning rate as a pure function of the step: nothing to store, nothing to get out of step.

One cycle: Smith, Topin: Super-Convergence, https://arxiv.org/abs/1708.07120. Polynomial: Chen et al.: DeepLab,
https://arxiv.org/abs/1606.00915, section 4.1. Cosine: Loshchilov, Hutter: SGDR, https://arxiv.org/abs/1608.03983.
"""

import math

from core.config import RunConfig, TrainingConfig

WARM_UP = 0.25
START = 0.04
END = 1e-3
PRETRAINED_VIT = 0.01
"""Share of the rate at which a pretrained ViT learns. At a tenth it forgets what it knew: after 50 to 80 steps on real streets
the mean IoU was 0.10 with 0.1, 0.24 with 0.02 and 0.25 with 0.005."""


def encoder_lr_scale_of(config: RunConfig, pretrained: bool) -> float:
    """The share of the learning rate at which the encoder learns: what is asked for, or what suits the network."""
    return config.training.encoder_lr_scale or (PRETRAINED_VIT if config.model.family == "vit" and pretrained else 1.0)


def rate_share(training: TrainingConfig, step: int, steps_total: int, steps_per_epoch: float) -> float:
    """The share of the highest learning rate, in (0, 1], for a step (from 1)."""
    if training.schedule == "one-cycle":
        return one_cycle(step, steps_total)
    climbing = training.warmup_fraction * steps_total
    if step - 0.5 < climbing:
        return (step - 0.5) / climbing
    progress = (step - 0.5 - climbing) / (steps_total - climbing)
    match training.schedule:
        case "polynomial":
            return (1 - progress) ** training.power
        case "cosine":
            return _cosine(1.0, END, progress)
        case "step":
            return training.gamma ** ((step - 0.5) / steps_per_epoch // training.gamma_epochs)
    return 1.0


def one_cycle(step: int, steps_total: int) -> float:
    """The share of the highest learning rate, in (0, 1], for a step (from 1): a cosine up from `START`, then down to `END`."""
    progress = (step - 0.5) / steps_total
    if progress < WARM_UP:
        return _cosine(START, 1.0, progress / WARM_UP)
    return _cosine(1.0, END, (progress - WARM_UP) / (1 - WARM_UP))


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
