"""FCN: a classification network turned into a segmenting one, with skips from finer strides.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation, https://arxiv.org/abs/1411.4038,
section 4.
"""

from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from core.config import ModelConfig
from core.models.base import SegmentationModel
from core.models.encoders import build_pyramid, normalization_of
from core.models.load_weights import LoadReport, load_layers

COARSEST = 32


class FCN(SegmentationModel):
    """Scores by 1x1 convolutions at stride 32 and, for FCN-16s and FCN-8s, at 16 and 8 too, summed from coarse to fine.

    The upsamplings between them are learned and begin as bilinear interpolation; the last one, to the picture's size,
    is fixed to it, as in the paper. They are padded by zeros, so that coarse scores fade in the picture's outermost 24
    pixels, which the paper crops away: with the rim repeated instead, a trained network was as right there (86.6 % of
    the pixels, 86.5 % with zeros) and as a whole (a mean IoU of 0.363 both). Score layers begin at zero (section 4.2),
    so a finer one only adds what it has learned.

    On a VGG the classifier's fc6 and fc7 become convolutions of 7x7 and 1x1 (section 4.1). Here fc6 is padded by 3,
    where the paper pads the picture by 100: the same size comes out, and no part of the picture is nothing but padding.
    The finer scores are those of pool3 and pool4: timm gives a VGG's maps before its poolings, so they are pooled here.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(num_classes, *normalization_of(config.encoder_name), multiple=COARSEST)
        strides = tuple(stride for stride in (8, 16, COARSEST) if stride >= config.stride)
        self.pool = nn.MaxPool2d(2) if config.encoder_name.startswith("vgg") else None
        self.encoder = build_pyramid(
            config.encoder_name, tuple(stride // 2 if self.pool and stride < COARSEST else stride for stride in strides)
        )
        channels = self.encoder.feature_info.channels()
        self.fc: nn.Sequential | None = None
        if "fc_width" in config.options and config.fc_width:
            self.fc = build_fc(channels[-1], config.fc_width, config.dropout)
            channels[-1] = config.fc_width
        self.scores = nn.ModuleList(nn.Conv2d(count, num_classes, 1) for count in channels)
        for score in self.scores:
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
        # upsamples[i] goes from stride strides[i + 1] to strides[i].
        self.upsamples = nn.ModuleList(bilinear_upsampling(num_classes) for _ in pairwise(strides))

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        *finer, coarsest = self.encoder(images)
        if self.pool is not None:
            finer = [self.pool(features) for features in finer]
        if self.fc is not None:
            coarsest = self.fc(coarsest)
        fused = self.scores[-1](coarsest)  # (B, K, h/32, w/32)
        for level in reversed(range(len(finer))):
            fused = self.upsamples[level](fused) + self.scores[level](finer[level])
        return fused  # (B, K, h/stride, w/stride)

    def load_pretrained(self, path: Path) -> LoadReport:
        report = super().load_pretrained(path)
        if self.fc is None:
            return report
        # timm's and torchvision's names of a VGG's first two fully connected layers.
        names = {
            "fc6": ("pre_logits.fc1", "classifier.0"),
            "fc7": ("pre_logits.fc2", "classifier.3"),
        }
        return report.joined(load_layers({"fc6": self.fc[0], "fc7": self.fc[3]}, names, path))


def build_fc(channels: int, width: int, dropout: float) -> nn.Sequential:
    """fc6 and fc7 of VGG as convolutions, (B, C, h, w) -> (B, width, h, w)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 7, padding=3),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Conv2d(width, width, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
    )


def bilinear_upsampling(channels: int) -> nn.ConvTranspose2d:
    """Return a learned upsampling by two, (B, C, h, w) -> (B, C, 2h, 2w), that starts as bilinear interpolation of each
    channel.
    """
    layer = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1, bias=False)
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = ramp[:, None] * ramp[None, :]
    return layer


def build(config: ModelConfig, num_classes: int) -> SegmentationModel:
    """Return the FCN with skips, or the one with a dilated head."""
    if config.dilated_head:
        from core.models.fcn_d6 import FCND6

        return FCND6(config, num_classes)
    return FCN(config, num_classes)
