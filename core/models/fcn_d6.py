"""FCN-D6: a fully convolutional head that looks far, on an encoder's map at stride 16.

MMSegmentation's variant of FCN (https://github.com/open-mmlab/mmsegmentation, configs/fcn, "fcn_d6"), which takes the
place of skips by convolutions dilated as in Chen et al.: DeepLab, https://arxiv.org/abs/1606.00915, section 3.1.
"""

import torch
from torch import nn

from core.config import ModelConfig
from core.errors import LabError
from core.models.base import SegmentationModel
from core.models.encoders import build_pyramid, normalization_of

STRIDE = 16
DILATION = 6
MIN_WIDTH = 128


class FCND6(SegmentationModel):
    """Two 3x3 convolutions dilated by 6 on the encoder's last map, a third over their result beside that map, and a 1x1
    classifier.

    The encoder's last stage is dilated by 2 instead of strided, so that its map stays at stride 16. The head has a
    quarter of its channels, as on MMSegmentation's ResNets, without the auxiliary head that these are trained with.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(num_classes, *normalization_of(config.encoder_name), multiple=2 * STRIDE)
        try:
            self.encoder = build_pyramid(config.encoder_name, (STRIDE,), output_stride=STRIDE)
        except LabError as error:
            raise LabError(f"{error} Or switch model.dilated_head off.") from None
        channels = self.encoder.feature_info.channels()[-1]
        width = max(MIN_WIDTH, channels // 4)
        self.dilated = nn.Sequential(convolution(channels, width, DILATION), convolution(width, width, DILATION))
        self.joint = convolution(channels + width, width)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        (features,) = self.encoder(images)
        return self.classifier(self.joint(torch.cat([features, self.dilated(features)], dim=1)))


def convolution(channels: int, width: int, dilation: int = 1) -> nn.Sequential:
    """(B, channels, h, w) -> (B, width, h, w): a 3x3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
