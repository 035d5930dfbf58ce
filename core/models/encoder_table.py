"""The encoders that the form offers, known without torch. Any other timm encoder can be named as well.

`hub_repo` is where timm's own pretrained weights lie on the Hugging Face Hub.
"""

import re
from dataclasses import dataclass

from core.models.families import FAMILIES, Family


@dataclass(frozen=True)
class Encoder:
    """A timm encoder. `parameters` counts millions; `hub_repo` is None for a network without pretrained weights."""

    name: str
    title: str
    families: tuple[Family, ...]
    parameters: float
    hub_repo: str | None


@dataclass(frozen=True)
class EncoderKind:
    """What an encoder is built of.

    Attributes:
        title: a pretrained one within a sentence, "a pretrained ViT".
        names: a regular expression that its names in timm begin with.
        lr_scale: share of the learning rate at which it learns once it is pretrained.
        frozen_share: of the layers of a pretrained one, how many stay as they are in trainings of some minutes.
        half_size_share: of a training of some minutes, for how long it is shown crops at half their size.
    """

    title: str
    names: str
    lr_scale: float = 1.0
    frozen_share: float = 0.0
    half_size_share: float = 0.0


ENCODER_KINDS: dict[str, EncoderKind] = {
    "vit": EncoderKind(
        "ViT", r"(test_)?(vit\d*|deit3?|eva\d*|beit(v2|3)?|flexivit|aimv2)(_|$)", 0.01, half_size_share=0.5
    ),
    "swin": EncoderKind(
        "Swin and other transformers with stages",
        r"swin|maxx?vit|coatnet|pvt|mvit|davit|gcvit|focalnet|twins|hiera|tiny_vit|vitamin|caformer",
        0.03,
    ),
    "convnext": EncoderKind("ConvNeXt", r"(test_)?convnext", 0.05),
    "cnn": EncoderKind("convolutional network", "", frozen_share=0.33),
}
"""The kinds of encoders; the first whose names fit.

At a tenth of the rate a pretrained ViT forgets what it knew: after 50 to 80 steps on real streets the mean IoU was 0.10
with 0.1, 0.24 with 0.02 and 0.25 with 0.005. The others are not measured here: at the default rate of 2e-3 they learn
at 6e-5, as Swin (Liu et al., https://arxiv.org/abs/2103.14030, appendix A2.3), and at 1e-4, as ConvNeXt (Liu et al.,
https://arxiv.org/abs/2201.03545, appendix A.3), both in UPerNet by AdamW.

What the shares of short trainings are worth stands in docs/learning.md.
"""


def kind_of(name: str) -> str:
    """Return the kind of an encoder, a key of `ENCODER_KINDS`, by its name in timm."""
    return next(key for key, kind in ENCODER_KINDS.items() if re.match(kind.names, name))


ENCODERS: tuple[Encoder, ...] = (
    Encoder("tf_efficientnet_lite0", "EfficientNet-Lite0", ("fcn", "unet"), 3.0, "timm/tf_efficientnet_lite0.in1k"),
    Encoder("resnet18", "ResNet-18", ("fcn", "unet"), 11.2, "timm/resnet18.a1_in1k"),
    Encoder("resnet50", "ResNet-50", ("fcn", "unet"), 23.5, "timm/resnet50.a1_in1k"),
    Encoder(
        "mobilenetv4_conv_medium", "MobileNetV4-M", ("fcn", "unet"), 7.2, "timm/mobilenetv4_conv_medium.e500_r256_in1k"
    ),
    Encoder("repvit_m0_9", "RepViT-M0.9", ("fcn", "unet"), 4.7, "timm/repvit_m0_9.dist_300e_in1k"),
    Encoder("vgg16", "VGG16", ("fcn", "unet"), 14.7, "timm/vgg16.tv_in1k"),
    Encoder("convnext_tiny", "ConvNeXt-T", ("fcn", "unet"), 27.8, "timm/convnext_tiny.in12k_ft_in1k"),
    Encoder("swinv2_tiny_window8_256", "Swin V2-T", ("unet",), 27.6, "timm/swinv2_tiny_window8_256.ms_in1k"),
    Encoder("plain", "plain, the network of 2015", ("unet",), 7.8, None),
    Encoder("vit_small_patch14_dinov2", "ViT-S/14 (DINOv2)", ("vit",), 22.1, "timm/vit_small_patch14_dinov2.lvd142m"),
    Encoder("vit_small_patch16_dinov3", "ViT-S/16 (DINOv3)", ("vit",), 21.6, "timm/vit_small_patch16_dinov3.lvd1689m"),
    Encoder("vit_tiny_patch16_224", "ViT-Ti/16", ("vit",), 5.5, "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    Encoder("vit_small_patch16_224", "ViT-S/16", ("vit",), 21.7, "timm/vit_small_patch16_224.augreg_in21k_ft_in1k"),
)

ENCODER_BY_NAME: dict[str, Encoder] = {encoder.name: encoder for encoder in ENCODERS}


def encoder_title(name: str) -> str:
    """Return how a person calls an encoder; timm's name where the table has none."""
    return ENCODER_BY_NAME[name].title if name in ENCODER_BY_NAME else name


def encoders_of(family: Family) -> list[Encoder]:
    """Return the encoders offered for a family: its default first, then in the order of the table."""
    default = FAMILIES[family].default_encoder
    offered = [encoder for encoder in ENCODERS if family in encoder.families or encoder.name == default]
    return sorted(offered, key=lambda encoder: encoder.name != default)
