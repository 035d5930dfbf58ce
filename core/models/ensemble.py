"""Several networks as one: the mean of their probabilities.

Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles
(https://arxiv.org/abs/1612.01474).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from core.config import ModelConfig
from core.models.base import SegmentationModel
from core.models.build import build_model

MIN_PROBABILITY = 1e-12
"""The smallest whose logarithm is taken."""


class Ensemble(SegmentationModel):
    """Networks of the same classes that see the same picture, each with its own temperature and order of the classes.

    Shape:
        images float (B, C, H, W) in 0..1 -> the logarithm of the mean of the members' probabilities, float
        (B, K, H, W), whose softmax is that mean.
    """

    def __init__(self, members: Sequence[SegmentationModel]) -> None:
        bands = members[0].mean.shape[1]
        multiple = math.lcm(*(member.multiple for member in members))
        super().__init__(members[0].num_classes, [0.0] * bands, [1.0] * bands, multiple)
        self.members = nn.ModuleList(members)
        self.register_buffer("temperatures", torch.ones(len(members)))
        self.register_buffer("orders", torch.arange(self.num_classes).repeat(len(members), 1))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Ensembles were made before they had temperatures, and before they had orders.
        for name in ("temperatures", "orders"):
            state_dict.setdefault(f"{prefix}{name}", getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        probabilities = [
            (member(images).float() / temperature).softmax(dim=1).index_select(1, order)
            for member, temperature, order in zip(self.members, self.temperatures, self.orders, strict=True)
        ]
        return torch.stack(probabilities).mean(dim=0).clamp(min=MIN_PROBABILITY).log()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.segment(images)  # each member normalises and pads the picture by itself


def build(config: ModelConfig, num_classes: int, num_bands: int = 3) -> Ensemble:
    """Return the ensemble of a config's `architecture`, random weights. Raises LabError as `build_model` does."""
    return Ensemble([build_model(member, num_classes, num_bands) for member in config.members])
