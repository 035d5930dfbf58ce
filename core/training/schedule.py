"""The learning rate as a pure function of the step: nothing to store, nothing to get out of step.

One cycle: Smith, Topin: Super-Convergence, https://arxiv.org/abs/1708.07120. Polynomial: Chen et al.: DeepLab,
https://arxiv.org/abs/1606.00915, section 4.1. Cosine: Loshchilov, Hutter: SGDR, https://arxiv.org/abs/1608.03983.
"""

import math

from core.config import RunConfig, TrainingConfig
from core.models.encoder_table import ENCODER_KINDS, kind_of
from core.training.tables import RULES, SCHEDULES

RISE = 0.25
START = 0.04
END = 1e-3


def encoder_lr_scale(config: RunConfig, pretrained: bool, rules: int = RULES) -> float:
    """Return the share of the learning rate at which the encoder learns: what is asked for, or what suits its kind.

    `rules` as in `core.training.plan.Plan`: the first ones asked for the family, and slowed down no other than the ViT.
    """
    kind = kind_of(config.model.encoder_name)
    if config.training.encoder_lr_scale or not pretrained or (rules == 1 and config.model.family != "vit"):
        return config.training.encoder_lr_scale or 1.0
    return ENCODER_KINDS[kind].lr_scale


def lr_scale(training: TrainingConfig, progress: float, epochs: float) -> float:
    """Return the share of the highest learning rate, in (0, 1], for a step.

    Args:
        training: of the run.
        progress: where in the schedule the step is done, 0..1, see `core.training.plan.Plan.progress`.
        epochs: passes over the training frames up to then.
    """
    entry = SCHEDULES[training.schedule]
    rise = training.warmup_fraction if "warmup_fraction" in entry.options else 0.0
    if progress < rise:
        return progress / rise
    return entry.load()(training, (progress - rise) / (1 - rise), epochs)


def one_cycle(_training: TrainingConfig, progress: float, _epochs: float) -> float:
    """Return a cosine up from `START`, then down to `END`."""
    if progress < RISE:
        return _cosine(START, 1.0, progress / RISE)
    return _cosine(1.0, END, (progress - RISE) / (1 - RISE))


def polynomial(training: TrainingConfig, progress: float, _epochs: float) -> float:
    """Return a power of what is left."""
    return (1 - progress) ** training.power


def cosine(_training: TrainingConfig, progress: float, _epochs: float) -> float:
    """Return a cosine down to `END`."""
    return _cosine(1.0, END, progress)


def staircase(training: TrainingConfig, _progress: float, epochs: float) -> float:
    """Return `gamma` to the number of drops so far."""
    return training.gamma ** (epochs // training.gamma_epochs)


def constant(_training: TrainingConfig, _progress: float, _epochs: float) -> float:
    """Return 1."""
    return 1.0


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
