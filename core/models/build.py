"""Networks built by the table of families."""

import importlib

import torch

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
    if config.head_only:
        model.freeze_but(class_axes(model, config))
    elif config.freeze:
        model.freeze_encoder(config.freeze)
    return model


def class_axes(model: SegmentationModel, config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the axes along which the tensors of a network have one entry a class, by name: those that grow by one with
    a class more.
    """
    config = config.model_copy(update={"freeze": 0.0, "head_only": False})
    with torch.device("meta"):
        larger = build_model(config, model.num_classes + 1, model.mean.shape[1]).state_dict()
    return {
        name: tuple(axis for axis in range(tensor.ndim) if larger[name].shape[axis] == tensor.shape[axis] + 1)
        for name, tensor in model.state_dict().items()
        if larger[name].shape != tensor.shape
    }
