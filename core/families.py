"""The families of networks, known without torch: what they are called, where their code is, and which options they read.

A fourth family is one file with a `build(config, classes)` that returns a `SegmentationModel`, and one line in `FAMILIES`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FamilyEntry:
    """A line of the table.

    Attributes:
        title: what a person calls it.
        module: where its `build(config, classes)` is.
        default_encoder: the timm encoder it takes when none is named: the fastest good one measured on two CPU cores.
        options: the fields of `ModelConfig` that it reads, besides family, encoder, weights and freeze.
    """

    title: str
    module: str
    default_encoder: str
    options: tuple[str, ...] = ()


FAMILIES: dict[str, FamilyEntry] = {
    "fcn": FamilyEntry("FCN", "core.models.fcn", "tf_efficientnet_lite0", ("stride", "fc_width", "dropout")),
    "unet": FamilyEntry(
        "U-Net",
        "core.models.unet",
        "tf_efficientnet_lite0",
        ("upsample", "norm", "dropout", "score_levels", "width", "depth", "padding"),
    ),
    "vit": FamilyEntry(
        "ViT", "core.models.vit", "vit_small_patch14_dinov2", ("head", "drop_path", "grad_checkpointing")
    ),
}

REFERENCE = "reference"
"""The family of networks that others trained and published. They can be looked at, not trained: they stand in no form."""
REFERENCE_TITLES = {"segformer": "SegFormer", "mask2former": "Mask2Former"}
"""Which of them there are, by what `transformers` calls them; it stands where another family names its encoder."""

Family = Literal[*FAMILIES, REFERENCE]  # type: ignore[valid-type]

PLAIN = "plain"
"""The encoder name of a network without one: the U-Net of 2015."""

PLAIN_OPTIONS = ("width", "depth", "padding")
VGG_OPTIONS = ("fc_width",)
ENCODER_OPTIONS = ("score_levels",)
"""Options that need a certain encoder, or any; FCN's dropout is that of VGG's fc6 and fc7."""


def options_of(family: str, encoder: str) -> tuple[str, ...]:
    """The fields of `ModelConfig` that shape this network, besides family, encoder and weights."""
    if family == REFERENCE:
        return ("architecture",)
    options = FAMILIES[family].options
    if encoder == PLAIN:
        options = tuple(option for option in options if option not in ENCODER_OPTIONS)
    else:
        options = (*(option for option in options if option not in PLAIN_OPTIONS), "freeze")
    if not encoder.startswith("vgg"):
        options = tuple(option for option in options if option not in VGG_OPTIONS)
        if family == "fcn":
            options = tuple(option for option in options if option != "dropout")
    return options
