"""U-Net: a path down, a path up, and a bridge at every level.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation,
https://arxiv.org/abs/1505.04597, figure 1. Two things differ, as in nearly every later U-Net: convolutions are padded, so
that the output has the input's size, and each is followed by batch normalisation, without which a short training from
scratch gets nowhere.
"""

import torch
import torch.nn.functional as F
from torch import nn

from core.config import ModelConfig
from core.models.contract import SegmentationModel
from core.models.encoders import build_pyramid, normalization_of

PYRAMID_STRIDES = (2, 4, 8, 16, 32)
DECODER_WIDTHS = (256, 128, 64, 32)


class UNet(SegmentationModel):
    """The path up over a timm encoder's feature pyramid; its output stands at half the input's resolution."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__(classes, *normalization_of(config.encoder_name), multiple=PYRAMID_STRIDES[-1])
        self.encoder = build_pyramid(config.encoder_name, PYRAMID_STRIDES)
        *skips, channels = self.encoder.feature_info.channels()
        self.ups = nn.ModuleList()
        for skip, width in zip(reversed(skips), DECODER_WIDTHS, strict=True):
            self.ups.append(Up(channels, skip, width, learned=False))
            channels = width
        self.classifier = nn.Conv2d(channels, classes, 1)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        *skips, features = self.encoder(images)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            features = up(features, skip)
        return self.classifier(features)  # (B, K, h/2, w/2)


class PlainUNet(SegmentationModel):
    """The network of the paper's figure 1: four levels, two 3x3 convolutions each, 2x2 max pooling, from `width` channels on."""

    levels = 4

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__(classes, mean=(0.5,) * 3, std=(0.25,) * 3, multiple=2**self.levels)
        self.encoder = None
        widths = [config.width * 2**level for level in range(self.levels + 1)]
        self.downs = nn.ModuleList(two_convolutions(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.ups = nn.ModuleList(
            Up(deep, skip, skip, learned=True) for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.classifier = nn.Conv2d(widths[0], classes, 1)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        skips = []
        features = images
        for down in self.downs:
            features = down(F.max_pool2d(features, 2) if skips else features)
            skips.append(features)
        skips.pop()
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            features = up(features, skip)
        return self.classifier(features)  # (B, K, h, w)


class Up(nn.Module):
    """One level up: upsampling by two, the skip beside it, two 3x3 convolutions.

    `learned` takes the paper's 2x2 transposed convolution. Without it pixels are repeated, which has nothing to learn anew
    over a pretrained encoder and got further in short trainings.

    Shape:
        features (B, deep, h, w), skip (B, skip, 2h, 2w) -> (B, width, 2h, 2w).
    """

    def __init__(self, deep: int, skip: int, width: int, learned: bool) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(deep, width, 2, stride=2) if learned else nn.Upsample(scale_factor=2)
        self.convolutions = two_convolutions((width if learned else deep) + skip, width)

    def forward(self, features: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.convolutions(torch.cat([self.upsample(features), skip], dim=1))


def two_convolutions(channels: int, width: int) -> nn.Sequential:
    """(B, channels, h, w) -> (B, width, h, w): twice a 3x3 convolution, batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def build_unet(config: ModelConfig, classes: int) -> SegmentationModel:
    """The U-Net of 2015 for the encoder 'plain', else the one over a timm encoder."""
    return PlainUNet(config, classes) if config.encoder_name == "plain" else UNet(config, classes)
