"""U-Net: a path down, a path up, and a bridge at every level.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation,
https://arxiv.org/abs/1505.04597. `PlainUNet` is its figure 1; `UNet` takes its path up over the feature pyramid of an
encoder.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from core.config import ModelConfig
from core.models.base import SegmentationModel, mirror
from core.models.encoders import build_plain_vit, build_pyramid, is_plain_vit, last_tokens, normalization_of
from core.models.families import PLAIN

DECODER_WIDTHS = (256, 128, 64, 32)
"""Of the path up over an encoder, from its deepest level on."""


class PlainUNet(SegmentationModel):
    """The network of the paper's figure 1: `depth` levels, two 3x3 convolutions each, 2x2 max pooling, from `width`
    channels on.

    With `padding` valid every convolution takes a rim of one pixel away, and the picture is mirrored beyond its rim so
    far that logits come out for all of it (the overlap-tile strategy, section 2, figure 2). The paper has no
    normalisation; here the default is batch normalisation, without which a short training from scratch gets nowhere.
    """

    def __init__(self, config: ModelConfig, num_classes: int, channels: int = 3) -> None:
        super().__init__(num_classes, mean=(0.5,) * channels, std=(0.25,) * channels, multiple=2**config.depth)
        learned = config.upsample in ("auto", "transposed")
        padding = 0 if config.padding == "valid" else 1
        self.margin, self.surplus = valid_margins(config.depth) if config.padding == "valid" else (0, 0)
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        self.downs = nn.ModuleList(
            two_convolutions(a, b, config.norm, padding) for a, b in zip([channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        # "At the end of the contracting path" (section 3.1): its two deepest levels.
        self.dropout = nn.Dropout(config.dropout)
        self.ups = nn.ModuleList(
            Up(deep, skip, skip, "transposed" if learned else config.upsample, config.norm, padding)
            for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.classifier = nn.Conv2d(widths[0], num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # section 3: a Gaussian of standard deviation sqrt(2 / N)
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias) if module.bias is not None else None

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        if self.margin:
            images = mirror(images, (self.margin,) * 2, (self.margin,) * 2)
        skips = []
        features = images
        for level, down in enumerate(self.downs):
            features = down(self.pool(features) if skips else features)
            if level >= len(self.downs) - 2:
                features = self.dropout(features)
            skips.append(features)
        skips.pop()
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            features = up(features, skip)
        logits = self.classifier(features)  # (B, K, h, w), and `surplus` more each way when valid
        return F.pad(logits, (-self.surplus,) * 4) if self.surplus else logits


class UNet(SegmentationModel):
    """The path up over a timm encoder's feature pyramid; its output stands at the encoder's finest stride from 2 on.

    Each map of the encoder is normalised before it is joined: their scales differ, by three within a
    pretrained EfficientNet-Lite0, and are far above the path up's, which the louder ones would drown at first.

    A plain Vision Transformer has maps at one stride only. Its last one becomes a pyramid of four as in Li et al.:
    Exploring Plain Vision Transformer Backbones for Object Detection, https://arxiv.org/abs/2203.16527, section 3.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        name = config.encoder_name
        if is_plain_vit(name):
            encoder = build_plain_vit(name)
            patch = encoder.patch_embed.patch_size[0]
            pyramid, channels, multiple = SimplePyramid(encoder.embed_dim), [encoder.embed_dim] * 4, 2 * patch
        else:
            encoder = build_pyramid(name)
            pyramid, channels, multiple = None, encoder.feature_info.channels(), encoder.feature_info.reduction()[-1]
        super().__init__(num_classes, *normalization_of(name), multiple=multiple)
        self.encoder = encoder
        self.pyramid = pyramid
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)
        *skips, deepest = channels
        widths = [deepest]
        upsample = "nearest" if config.upsample == "auto" else config.upsample
        self.dropout = nn.Dropout(config.dropout)
        self.ups = nn.ModuleList()
        for skip, width in zip(reversed(skips), DECODER_WIDTHS, strict=False):
            self.ups.append(Up(widths[-1], skip, width, upsample, config.norm))
            widths.append(width)
        scored = widths[-1:] if config.score_levels == "finest" else widths
        self.scores = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in scored)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.encoder(images) if self.pyramid is None else self.pyramid(patch_map(self.encoder, images))
        *skips, deepest = [norm(features) for norm, features in zip(self.norms, maps, strict=True)]
        levels = [self.dropout(deepest)]
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            levels.append(up(levels[-1], skip))
        logits = None
        for score, features in zip(self.scores, levels[-len(self.scores) :], strict=True):
            finer = score(features)
            logits = finer if logits is None else finer + F.interpolate(logits, scale_factor=2, mode="bilinear")
        return logits


class Up(nn.Module):
    """One level up: upsampling by two, the skip beside it, two 3x3 convolutions.

    `upsample` transposed is the paper's 2x2 transposed convolution, which halves the channels. The others have nothing
    to learn; over a pretrained encoder nearest got further in short trainings. A skip that is larger, as with valid
    convolutions, is cropped to its middle.

    Shape:
        features (B, deep, h, w), skip (B, skip, >= 2h, >= 2w) -> (B, width, 2h, 2w), less 4 each way without padding.
    """

    def __init__(self, deep: int, skip: int, width: int, upsample: str, norm: str, padding: int = 1) -> None:
        super().__init__()
        learned = upsample == "transposed"
        self.upsample = (
            nn.ConvTranspose2d(deep, width, 2, stride=2) if learned else nn.Upsample(scale_factor=2, mode=upsample)
        )
        self.convolutions = two_convolutions((width if learned else deep) + skip, width, norm, padding)

    def forward(self, features: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        features = self.upsample(features)
        rim = (skip.shape[-2] - features.shape[-2]) // 2
        if rim:
            skip = F.pad(skip, (-rim,) * 4)
        return self.convolutions(torch.cat([features, skip], dim=1))


class SimplePyramid(nn.Module):
    """The last map of a plain ViT at four times, twice, once and half its resolution, (B, C, h, w) each, finest
    first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.by_4 = nn.Sequential(
            nn.ConvTranspose2d(channels, channels, 2, stride=2),
            nn.BatchNorm2d(channels),
            nn.GELU(),
            nn.ConvTranspose2d(channels, channels, 2, stride=2),
        )
        self.by_2 = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.by_half = nn.MaxPool2d(2)

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        return [self.by_4(features), self.by_2(features), features, self.by_half(features)]


def patch_map(encoder: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the patch tokens of a plain ViT as a map: images (B, 3, h, w) -> (B, C, h/patch, w/patch)."""
    patch = encoder.patch_embed.patch_size[0]
    height, width = images.shape[-2] // patch, images.shape[-1] // patch
    return last_tokens(encoder, images).transpose(1, 2).unflatten(2, (height, width))


def two_convolutions(channels: int, width: int, norm: str, padding: int = 1) -> nn.Sequential:
    """(B, channels, h, w) -> (B, width, h, w), less 4 each way without padding: twice a 3x3 convolution, norm and
    ReLU.
    """
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers.append(nn.Conv2d(inputs, width, 3, padding=padding, bias=norm == "none"))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(width))
        elif norm == "group":
            # Two channels a group at least: the bottom of a small picture is one pixel, and one number has no spread.
            layers.append(nn.GroupNorm(math.gcd(min(32, width // 2), width), width))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def valid_margins(depth: int) -> tuple[int, int]:
    """Return what valid convolutions need: pixels to add on every side of a picture, and logits to cut off every side
    of the result.

    A bottom of t pixels comes from 2^d t + 4 (2^d - 1) pixels and ends in 2^d (t - 8) + 4 logits, as figure 1's 572 and
    388 with d = 4, t = 32. For a picture whose sides are multiples of 2^d, the next such result is taken.
    """
    scale = 2**depth
    surplus = 4 % scale
    return (12 * scale - 8 + surplus) // 2, surplus // 2


def build(config: ModelConfig, num_classes: int) -> SegmentationModel:
    """Return the U-Net of 2015 for the encoder 'plain', else the one over a timm encoder."""
    return PlainUNet(config, num_classes) if config.encoder_name == PLAIN else UNet(config, num_classes)
