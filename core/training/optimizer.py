"""The optimizer: which parameters learn how fast, and which are decayed."""

import re

import torch
from torch import nn

from core.config import RunConfig
from core.models.base import SegmentationModel
from core.training.schedule import encoder_lr_scale_of


def build_optimizer(model: SegmentationModel, config: RunConfig, pretrained: bool) -> torch.optim.Optimizer:
    """The optimizer that is asked for, AdamW (Loshchilov, Hutter, https://arxiv.org/abs/1711.05101) unless another is.

    Norms, biases and embeddings aren't decayed.

    A ViT's layers may learn more slowly the further they are from the head, as in Bao et al.: BEiT,
    https://arxiv.org/abs/2106.08254, appendix H. Frozen parameters are left out.
    """
    training = config.training
    encoder_lr_scale = encoder_lr_scale_of(config, pretrained)
    blocks = len(getattr(model.encoder, "blocks", ())) if training.layer_decay < 1 else 0
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and not name.endswith(("pos_embed", "_token"))
        rate = encoder_lr_scale if name.startswith("encoder.") else 1.0
        rate *= training.layer_decay ** layers_above(name, blocks)
        groups.setdefault((rate, decays), []).append(parameter)
    rows = [
        {
            "params": parameters,
            "base_lr": training.learning_rate * rate,
            "weight_decay": training.weight_decay if decays else 0.0,
        }
        for (rate, decays), parameters in groups.items()
    ]
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    match training.optimizer:
        case "adamw":
            return torch.optim.AdamW(rows, lr=training.learning_rate, fused=fused)
        case "adam":
            return torch.optim.Adam(rows, lr=training.learning_rate, fused=fused)
        case "adamax":
            return torch.optim.Adamax(rows, lr=training.learning_rate)
        case "sgd":
            return torch.optim.SGD(rows, lr=training.learning_rate, momentum=training.momentum, fused=fused)


def layers_above(name: str, blocks: int) -> int:
    """How many layers of a ViT with so many blocks stand between a parameter and the head: 0 for what follows the last block."""
    if not name.startswith("encoder.") or not blocks:
        return 0
    block = re.match(r"encoder\.blocks\.(\d+)\.", name)
    if block:
        return blocks - 1 - int(block[1])
    return (
        0 if name.startswith(("encoder.norm", "encoder.fc_norm")) else blocks
    )  # patches, positions and tokens come first
