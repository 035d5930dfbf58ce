"""The families of networks, a line each, known without torch: title, code, default encoder, options, paper.

A family of your own is one file with a `build(config, num_classes)` that returns a `SegmentationModel`, and one line
here.
"""

from dataclasses import dataclass
from typing import Literal

from core.models.explanations import FCN, UNET, VIT, Explanation

PaddingMode = Literal["reflect", "replicate"]
"""What is added below and to the right of a picture whose sides aren't multiples of a network's stride: the picture
mirrored, or its last row and column again and again.

Until version 0.2 all took the second. Measured by `benchmarks/padding.py` on 30 Cityscapes frames at 480 x 360,
621 x 188 and 418 x 314, with networks trained for some minutes: mirrored, the FCN gains 1.0, 0.3 and 0.7 points of mean
IoU (its last 24 rows at 480 x 360 are right in 88 instead of 58 % of the pixels, its last columns at 418 x 314 in 73
instead of 63 %), the U-Net 0.0, 0.2 and 1.1. The ViT is the same within 0.15 and stays as it was. Zeros are worse than
either: they cost the ViT 4 to 6 points of its last columns.
"""


@dataclass(frozen=True)
class Measured:
    """How good a family's default network was on the lab's own bench: two shared CPU cores, one seed. Streets as in
    docs/learning.md, Cityscapes as in the README's table.

    Attributes:
        dataset: `dataset.name` of the data it learned from.
        minutes: the whole run took.
        miou: on the validation frames, 0..1.
    """

    dataset: str
    minutes: float
    miou: float


@dataclass(frozen=True)
class FamilyEntry:
    """A family of networks.

    Attributes:
        title: its name for people.
        module: where its `build(config, num_classes)` is.
        default_encoder: the timm encoder it takes when none is named: the fastest good one measured on two CPU cores.
        options: the fields of `ModelConfig` that it reads, besides family, encoder, weights, freeze and head_only.
        variant: title of one network of it, with options in braces; empty where all have the family's.
        padding_mode: how pictures are extended to a multiple of its stride, see `PaddingMode`.
        help: a line for the form.
        explanation: how it works, with the paper.
        measured: what it came to in how many minutes.
    """

    title: str
    module: str
    default_encoder: str
    options: tuple[str, ...] = ()
    variant: str = ""
    padding_mode: PaddingMode = "reflect"
    help: str = ""
    explanation: Explanation | None = None
    measured: tuple[Measured, ...] = ()


FAMILIES: dict[str, FamilyEntry] = {
    "fcn": FamilyEntry(
        "FCN",
        "core.models.fcn",
        "tf_efficientnet_lite0",
        ("dilated_head", "stride", "fc_width", "dropout"),
        variant="FCN-{stride}s",
        help=(
            "A classifier made to score every region, with finer scores added from two earlier layers. Fast; thin"
            " things blur."
        ),
        explanation=Explanation(
            "A fully connected layer is a convolution whose kernel covers its whole input. Seen so, a classifier takes"
            " images of any size and gives a coarse map of scores instead of one answer; finer maps from earlier layers"
            " are added to sharpen it.",
            FCN,
            "sections 3.1 and 4",
        ),
        measured=(Measured("streets", 1.3, 0.566), Measured("cityscapes", 5, 0.429)),
    ),
    "unet": FamilyEntry(
        "U-Net",
        "core.models.unet",
        "tf_efficientnet_lite0",
        ("upsample", "norm", "dropout", "score_levels", "width", "depth", "padding"),
        help="A path down and a path up, joined at every level. Follows outlines best; costs more per frame.",
        explanation=Explanation(
            "A path down gathers context while the map shrinks; a path up, nearly its mirror image, brings the map back"
            " to size. At every level the map from the way down is laid beside the one on the way up, so that outlines"
            " are not lost.",
            UNET,
            "section 2",
        ),
        measured=(Measured("streets", 1.4, 0.501), Measured("cityscapes", 5, 0.416)),
    ),
    "vit": FamilyEntry(
        "ViT",
        "core.models.vit",
        "vit_small_patch14_dinov2",
        ("head", "head_blocks", "patch_size", "drop_path", "grad_checkpointing"),
        variant="ViT {head}",
        padding_mode="replicate",
        help="Patches that look at each other everywhere. Needs pretrained weights to shine; sees at patch size.",
        explanation=Explanation(
            "The image is cut into patches, each becomes one vector, and every block lets every patch look at every"
            " other. The map keeps one size throughout. Little about images is built in, so it is pretrained on many of"
            " them.",
            VIT,
            "section 3.1",
        ),
        measured=(Measured("streets", 2.1, 0.456), Measured("cityscapes", 5, 0.390)),
    ),
}

TRANSFORMERS = "transformers"
"""The family of networks that others trained and published.

They can be looked at, not trained: they stand in no form.
"""
TRANSFORMERS_TITLES = {"segformer": "SegFormer", "mask2former": "Mask2Former"}
"""Which of them there are, by what `transformers` calls them; it stands where another family names its encoder."""

ENSEMBLE = "ensemble"
"""The family of several networks as one, whose probabilities are averaged: put together of runs."""
NOT_TRAINED = {TRANSFORMERS: "core.models.transformers_models", ENSEMBLE: "core.models.ensemble"}
"""The families that stand in no form, and where their `build(config, num_classes, num_bands)` is: they can be looked at
and scored, not trained. `architecture` says what one is built from.
"""

Family = Literal[*FAMILIES, *NOT_TRAINED]

HEADS: dict[str, str] = {
    "linear": "core.models.vit:LinearHead",
    "pup": "core.models.vit:PupHead",
    "mask": "core.models.vit:MaskHead",
}
"""The heads of a ViT by name: `head(blocks, channels, num_classes)` is a module of tokens (B, h*w, blocks * channels)
and grid (h, w) to logits.
"""

PLAIN = "plain"
"""The encoder name of a network without one: the U-Net of 2015."""

PLAIN_OPTIONS = ("width", "depth", "padding")
VGG_OPTIONS = ("fc_width",)
ENCODER_OPTIONS = ("score_levels",)
SKIP_OPTIONS = ("stride", "fc_width", "dropout")
"""Options of the FCN with skips, which FCN-D6 has none of."""
"""Options that need a certain encoder, or any; FCN's dropout is that of VGG's fc6 and fc7."""


def padding_mode_of(family: str) -> PaddingMode:
    """Return how a family's pictures are padded; those of networks from the Hub as they were first shown here."""
    return "replicate" if family in NOT_TRAINED else FAMILIES[family].padding_mode


def options_of(family: str, encoder: str, dilated_head: bool = False) -> tuple[str, ...]:
    """Return the fields of `ModelConfig` that shape a network, besides family, encoder and weights."""
    if family in NOT_TRAINED:
        return ("architecture",)
    options = FAMILIES[family].options
    if encoder == PLAIN:
        options = tuple(option for option in options if option not in ENCODER_OPTIONS)
    else:
        options = (*(option for option in options if option not in PLAIN_OPTIONS), "freeze")
    options = (*options, "head_only")
    if not encoder.startswith("vgg"):
        options = tuple(option for option in options if option not in VGG_OPTIONS)
        if family == "fcn":
            options = tuple(option for option in options if option != "dropout")
    else:  # its poolings can't be dilated
        options = tuple(option for option in options if option != "dilated_head")
    if "dilated_head" in options and dilated_head:
        options = tuple(option for option in options if option not in SKIP_OPTIONS)
    return options
