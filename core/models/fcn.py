"""FCN-8s: a classification network turned into a segmenting one, with skips from strides 16 and 8.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation, https://arxiv.org/abs/1411.4038, section 4.2.
"""

import torch
from torch import nn

from core.config import ModelConfig
from core.models.contract import SegmentationModel
from core.models.encoders import build_pyramid, normalization_of


class FCN8s(SegmentationModel):
    """Scores at strides 32, 16 and 8 by 1x1 convolutions, summed from coarse to fine.

    The two upsamplings between them are learned and begin as bilinear interpolation; the last one, by 8, is fixed to it,
    as in the paper. The new score layers begin at zero (section 4.2), so a finer one only adds what it has learned.
    """

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__(classes, *normalization_of(config.encoder_name), multiple=32)
        self.encoder = build_pyramid(config.encoder_name, strides=(8, 16, 32))
        self.scores = nn.ModuleList(
            nn.Conv2d(channels, classes, 1) for channels in self.encoder.feature_info.channels()
        )
        for score in self.scores:
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
        self.upsample_32_to_16 = bilinear_upsampling(classes)
        self.upsample_16_to_8 = bilinear_upsampling(classes)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        at_8, at_16, at_32 = (
            score(features) for score, features in zip(self.scores, self.encoder(images), strict=True)
        )
        fused = self.upsample_32_to_16(at_32) + at_16
        return self.upsample_16_to_8(fused) + at_8  # (B, K, h/8, w/8)


def bilinear_upsampling(channels: int) -> nn.ConvTranspose2d:
    """A learned upsampling by two, (B, C, h, w) -> (B, C, 2h, 2w), that starts as bilinear interpolation of each channel."""
    layer = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1, bias=False)
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = ramp[:, None] * ramp[None, :]
    return layer
