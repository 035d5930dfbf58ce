"""A plain Vision Transformer and three heads that turn its tokens into a segmentation.

Dosovitskiy et al.: An Image is Worth 16x16 Words, https://arxiv.org/abs/2010.11929, section 3.1. The heads are those of
Strudel et al.: Segmenter, https://arxiv.org/abs/2105.05633 (linear, section 3.2; mask transformer, section 3.2) and of
Zheng et al.: SETR, https://arxiv.org/abs/2012.15840 (progressive upsampling, section 3.3).
"""

from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import nn

from core.config import ModelConfig
from core.models.base import SegmentationModel
from core.models.encoders import build_plain_vit, last_tokens, normalization_of
from core.models.families import HEADS

PUP_WIDTH = 256
MASK_LAYERS = 2


class ViT(SegmentationModel):
    """Patch tokens -> head -> logits. Position embeddings are interpolated to any size.

    Class and register tokens stay behind.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        encoder = build_plain_vit(config.encoder_name, config.drop_path, config.patch_size)
        super().__init__(
            num_classes, *normalization_of(config.encoder_name), multiple=encoder.patch_embed.patch_size[0]
        )
        encoder.set_grad_checkpointing(config.grad_checkpointing)
        self.encoder = encoder
        module, _, head = HEADS[config.head].partition(":")
        self.blocks = min(config.head_blocks, len(encoder.blocks))
        self.head = getattr(import_module(module), head)(self.blocks, encoder.embed_dim, num_classes)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        tokens = last_tokens(self.encoder, images, self.blocks)  # (B, N, blocks * C)
        return self.head(tokens, (images.shape[-2] // self.multiple, images.shape[-1] // self.multiple))


class LinearHead(nn.Linear):
    """Every patch is classified by itself. Tokens (B, h*w, blocks * C), grid (h, w) -> logits (B, K, h, w)."""

    def __init__(self, blocks: int, channels: int, num_classes: int) -> None:
        super().__init__(blocks * channels, num_classes)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        return super().forward(tokens).transpose(1, 2).unflatten(2, grid)


class PupHead(nn.Module):
    """SETR's progressive upsampling: four times a 3x3 convolution and bilinear upsampling by two, then a classifier.

    Tokens (B, h*w, blocks * C), grid (h, w) -> logits (B, K, 16h, 16w).
    """

    def __init__(self, blocks: int, channels: int, num_classes: int) -> None:
        super().__init__()
        channels *= blocks
        self.norm = nn.LayerNorm(channels)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, PUP_WIDTH, 3, padding=1, bias=False),
                nn.BatchNorm2d(PUP_WIDTH),
                nn.ReLU(inplace=True),
                nn.Upsample(scale_factor=2, mode="bilinear"),
            )
            for inputs in (channels, PUP_WIDTH, PUP_WIDTH, PUP_WIDTH)
        )
        self.classifier = nn.Conv2d(PUP_WIDTH, num_classes, 1)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        features = self.norm(tokens).transpose(1, 2).unflatten(2, grid)
        for stage in self.stages[:-1]:
            features = stage(features)
        # A 1x1 convolution and an upsampling may change places: the classifier sees a quarter of the pixels.
        *convolution, upsample = self.stages[-1]
        for layer in convolution:
            features = layer(features)
        return upsample(self.classifier(features))


class MaskHead(nn.Module):
    """Segmenter's mask transformer: one embedding per class goes through two blocks together with the patches, and a
    class's mask is the scalar product of its embedding with every patch.

    Tokens (B, h*w, blocks * C), grid (h, w) -> logits (B, K, h, w).
    """

    def __init__(self, blocks: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.project = nn.Linear(blocks * channels, channels)
        self.class_embeddings = nn.Parameter(torch.empty(1, num_classes, channels))
        nn.init.trunc_normal_(self.class_embeddings, std=0.02)
        self.blocks = nn.Sequential(
            *(Block(channels, num_heads=channels // 64, qkv_bias=True) for _ in range(MASK_LAYERS))
        )
        for block in self.blocks:
            nn.init.zeros_(block.attn.qkv.bias)
        self.norm = nn.LayerNorm(channels)
        self.project_patches = nn.Linear(channels, channels, bias=False)
        self.project_classes = nn.Linear(channels, channels, bias=False)
        for layer in (self.project_patches, self.project_classes):
            nn.init.normal_(layer.weight, std=channels**-0.5)
        self.mask_norm = nn.LayerNorm(num_classes)

    def no_weight_decay(self) -> set[str]:
        """Return what is no weight of a layer, as timm's transformers do."""
        return {"class_embeddings"}

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *rest: Any) -> None:
        """Do without the biases of queries, keys and values where the weights are of a time when the lab had none."""
        for index, block in enumerate(self.blocks):
            if f"{prefix}blocks.{index}.attn.qkv.bias" not in state_dict:
                block.attn.qkv.register_parameter("bias", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        tokens = self.project(tokens)
        together = torch.cat([tokens, self.class_embeddings.expand(tokens.shape[0], -1, -1).to(tokens.dtype)], dim=1)
        together = self.norm(self.blocks(together))
        patches = F.normalize(self.project_patches(together[:, : -self.num_classes]), dim=-1)
        class_tokens = F.normalize(self.project_classes(together[:, -self.num_classes :]), dim=-1)
        masks = self.mask_norm(patches @ class_tokens.transpose(1, 2))  # (B, N, K)
        return masks.transpose(1, 2).unflatten(2, grid)


build = ViT
