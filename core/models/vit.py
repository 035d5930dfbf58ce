"""A plain Vision Transformer with a linear head: every patch is classified, the map is scaled up.

Dosovitskiy et al.: An Image is Worth 16x16 Words, https://arxiv.org/abs/2010.11929, section 3.1; the linear head is that of
Strudel et al.: Segmenter, https://arxiv.org/abs/2105.05633, section 3.2.
"""

import torch
from torch import nn

from core.config import ModelConfig
from core.models.contract import SegmentationModel
from core.models.encoders import build_plain_vit, normalization_of


class ViT(SegmentationModel):
    """Patch tokens -> one linear layer -> logits at the patch stride. Position embeddings are interpolated to any size."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        encoder = build_plain_vit(config.encoder_name)
        patch_height, patch_width = encoder.patch_embed.patch_size
        assert patch_height == patch_width, "timm's plain ViTs have square patches"
        super().__init__(classes, *normalization_of(config.encoder_name), multiple=patch_height)
        self.encoder = encoder
        self.head = nn.Linear(encoder.embed_dim, classes)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = images.shape
        tokens = self.encoder.forward_features(images)[:, self.encoder.num_prefix_tokens :]  # (B, N, C)
        logits = self.head(tokens).transpose(1, 2)  # (B, K, N)
        return logits.reshape(batch, self.classes, height // self.multiple, width // self.multiple)
