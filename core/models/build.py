"""Networks built by the table of families."""

import importlib

from core.config import ModelConfig
from core.errors import LabError
from core.models.base import SegmentationModel
from core.models.families import FAMILIES, NOT_TRAINED, padding_mode_of


def build_model(config: ModelConfig, num_classes: int, num_bands: int = 3) -> SegmentationModel:
    """Return a network with random weights, on the CPU, in training mode.

    Args:
        config: family, encoder and options.
        num_classes: K, the number of classes.
        num_bands: C, the channels of an image.

    Raises:
        LabError: the family or its encoder doesn't exist or doesn't fit; the message names ones that do.
    """
    if config.family not in (*FAMILIES, *NOT_TRAINED):
        raise LabError(f"There is no family '{config.family}'. Choose one of: {', '.join(FAMILIES)}.")
    if config.family in NOT_TRAINED:
        model = importlib.import_module(NOT_TRAINED[config.family]).build(config, num_classes, num_bands)
        model.padding_mode = padding_mode_of(config.family)
        return model
    model = importlib.import_module(FAMILIES[config.family].module).build(config, num_classes)
    model.padding_mode = padding_mode_of(config.family)
    if num_bands != 3:
        model.take_bands(num_bands)
    if config.freeze:
        model.freeze_encoder(config.freeze)
    return model
