"""The three families, by name. A fourth is one file with a class on the contract, and one line in `MODELS`."""

from collections.abc import Callable

from core.config import ModelConfig
from core.encoders import Family
from core.errors import LabError
from core.models.contract import SegmentationModel
from core.models.fcn import FCN8s
from core.models.unet import build_unet
from core.models.vit import ViT

MODELS: dict[Family, Callable[[ModelConfig, int], SegmentationModel]] = {
    "fcn": FCN8s,
    "unet": build_unet,
    "vit": ViT,
}


def build_model(config: ModelConfig, classes: int) -> SegmentationModel:
    """A network with random weights, on the CPU, in training mode.

    Args:
        config: family, encoder and options.
        classes: K, the number of classes.

    Raises:
        LabError: the family or its encoder doesn't exist or doesn't fit; the message names ones that do.
    """
    if config.family not in MODELS:
        raise LabError(f"There is no family '{config.family}'. Choose one of: {', '.join(MODELS)}.")
    return MODELS[config.family](config, classes)


__all__ = ["MODELS", "SegmentationModel", "build_model"]
