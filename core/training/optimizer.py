"""The optimizer: which parameters learn how fast, and which are decayed."""

import re

import torch
from torch import nn

from core.config import RunConfig
from core.models.base import SegmentationModel
from core.training.schedule import encoder_lr_scale
from core.training.tables import OPTIMIZERS, RULES

SWIN_BIASES = ("logit_scale", "cpb_mlp", "relative_position_bias_table")
"""In the names of what timm's Swin transformers spare from decay; the modules that say so are lost in pyramids."""


def build_optimizer(
    model: SegmentationModel, config: RunConfig, pretrained: bool, rules: int = RULES
) -> torch.optim.Optimizer:
    """Build the optimizer of a run; each group carries its highest rate as `base_lr`.

    Biases, norms, what `model.no_weight_decay()` names and Swin's terms of attention aren't decayed. Frozen parameters
    are left out, unless they learn later. A ViT's layers may learn more slowly the further they are from the head, as
    in Bao et al.: BEiT, https://arxiv.org/abs/2106.08254, appendix H.

    Args:
        model: the network, on the device.
        config: of the run.
        pretrained: the encoder starts from pretrained weights.
        rules: those that the run began by, see `core.training.plan.Plan`.
    """
    training = config.training
    encoder_scale = encoder_lr_scale(config, pretrained, rules)
    blocks = len(getattr(model.encoder, "blocks", ())) if training.layer_decay < 1 else 0
    spared = model.no_weight_decay()
    if rules > 1:
        spared |= {name for name, _ in model.named_parameters() if any(part in name for part in SWIN_BIASES)}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad and not training.unfreeze:
            continue
        decays = parameter.ndim > 1 and name not in spared
        scale = encoder_scale if name.startswith("encoder.") else 1.0
        scale *= training.layer_decay ** _layers_above(name, blocks, rules)
        groups.setdefault((scale, decays), []).append(parameter)
    rows = [
        {
            "params": parameters,
            "base_lr": training.learning_rate * scale,
            "weight_decay": training.weight_decay if decays else 0.0,
        }
        for (scale, decays), parameters in groups.items()
    ]
    entry = OPTIMIZERS[training.optimizer]
    optimizer_class = entry.load()
    options = {name: getattr(training, name) for name in entry.options}
    device = next(model.parameters()).device.type
    if device in ("cpu", "cuda") and "fused" in optimizer_class.__init__.__annotations__:
        options["fused"] = True
    return optimizer_class(rows, lr=training.learning_rate, **options)


def _layers_above(name: str, blocks: int, rules: int) -> int:
    """Return how many layers stand above a parameter of a ViT, the head included: 0 for what follows the last block."""
    if not name.startswith("encoder.") or not blocks or name.startswith(("encoder.norm", "encoder.fc_norm")):
        return 0
    block = re.match(r"encoder\.blocks\.(\d+)\.", name)
    above = blocks - 1 - int(block[1]) if block else blocks  # patches, positions and tokens come first
    return above if rules == 1 else above + 1
