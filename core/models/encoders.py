"""Encoders from timm: pyramids of feature maps, and plain Vision Transformers.

timm: https://github.com/huggingface/pytorch-image-models (Wightman, 2019)

It is imported where it is needed: that takes as long as torch itself, and the plain U-Net does without.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from core.errors import LabError
from core.models.encoder_table import ENCODERS
from core.models.families import PLAIN

if TYPE_CHECKING:
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

Normalization = tuple[tuple[float, ...], tuple[float, ...]]

UNFIT = (RuntimeError, AttributeError, TypeError, NotImplementedError, AssertionError, ValueError, IndexError)
"""What timm's networks raise when they are asked for a pyramid, or a size, that they don't have."""


def build_pyramid(name: str, strides: tuple[int, ...] | None = None, output_stride: int = 32) -> nn.Module:
    """Return an encoder, random weights, that returns one feature map (B, C, h, w) for each of `strides`, in that
    order.

    Args:
        name: timm's.
        strides: of the maps; None takes every stride from 2 on that the encoder has.
        output_stride: of the last map; where it is less than the encoder's own, the last stages are dilated instead.

    Raises:
        LabError: timm has no such encoder, or it gives no feature map at one of these strides.
    """
    import timm

    _check_known(name)
    # Transformers with windows refuse other sizes than their own unless told not to.
    options: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
    if output_stride != 32:
        options["output_stride"] = output_stride
    try:
        every = timm.create_model(name, pretrained=False, features_only=True, **options).feature_info.reduction()
    except UNFIT:
        every = []
    if len(set(every)) < 3:
        raise LabError(f"The encoder '{name}' gives no pyramid of feature maps. {_ones_that_do(name, strides)}")
    if strides is None:
        strides = tuple(stride for stride in sorted(set(every)) if stride > 1)
    if not set(strides) <= set(every):
        raise LabError(
            f"The encoder '{name}' has feature maps at strides {sorted(set(every))}, but this network needs"
            f" {list(strides)}. {_ones_that_do(name, strides)}"
        )
    # Where a stride occurs twice, the later feature map is the richer one.
    indices = tuple(len(every) - 1 - every[::-1].index(stride) for stride in strides)
    try:
        encoder = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices, **options)
        if getattr(encoder, "output_fmt", "NCHW") == "NHWC":
            encoder.register_forward_hook(_channels_second)
        fits = _takes_any_size(encoder, strides)
    except UNFIT:
        fits = False
    if not fits:
        raise LabError(
            f"The encoder '{name}' has no feature maps that fit a picture of any size. {_ones_that_do(name, strides)}"
        )
    return encoder


def build_plain_vit(name: str, drop_path: float = 0.0, patch_size: int = 0) -> VisionTransformer | Eva:
    """Return a plain Vision Transformer, random weights, without a head, for any size that is a multiple of its patch.

    Eva is timm's name for a plain ViT with rotary position embeddings, which DINOv3 is.

    Args:
        name: in timm.
        drop_path: share of residual branches dropped in the last block, fewer in earlier ones, 0..1.
        patch_size: side of a patch in pixels; 0 takes the encoder's own.

    Raises:
        LabError: timm has no such encoder, or it isn't a plain ViT with square patches.
    """
    import timm
    from timm.layers import PatchEmbed
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    _check_known(name)
    try:
        encoder = timm.create_model(
            name,
            pretrained=False,
            num_classes=0,
            dynamic_img_size=True,
            drop_path_rate=drop_path,
            **({"patch_size": patch_size} if patch_size else {}),
        )
    except (RuntimeError, TypeError):
        encoder = None
    # A hybrid's patches are of a convolutional network's map, not of the picture.
    if not isinstance(encoder, VisionTransformer | Eva) or type(encoder.patch_embed) is not PatchEmbed:
        raise LabError(f"'{name}' is not a plain Vision Transformer. Take one: {_near(name, 'vit')}.")
    height, width = encoder.patch_embed.patch_size
    if height != width:
        raise LabError(
            f"'{name}' has patches of {width} x {height} pixels, but they must be square here. Take another:"
            f" {_near(name, 'vit')}."
        )
    encoder.has_resampled_patches = bool(patch_size)
    encoder.attn_pool = None  # makes one token of all for a classifier; here nothing would teach it
    return encoder


def last_tokens(encoder: VisionTransformer | Eva, images: torch.Tensor, blocks: int = 1) -> torch.Tensor:
    """Return images (B, 3, h, w) to the normalised patch tokens of the last blocks, (B, N, blocks * C), row by row.

    Class and register tokens stay behind.

    Encoders that average their patches for the classifier have their last normalisation behind that, in `fc_norm`.
    """
    if blocks == 1:
        return encoder.fc_norm(encoder.forward_features(images)[:, encoder.num_prefix_tokens :])
    maps = encoder.forward_intermediates(images, indices=blocks, output_fmt="NLC", intermediates_only=True)
    normalised = encoder.fc_norm(encoder.norm(torch.cat(maps)))  # at once: as if they were more pictures
    return torch.cat(normalised.chunk(blocks), dim=-1)


def is_plain_vit(name: str) -> bool:
    """Return True for timm's plain Vision Transformers. Raises LabError when timm has no such encoder."""
    from timm.models import is_model_in_modules

    _check_known(name)
    return is_model_in_modules(name, {"vision_transformer", "eva", "deit"})


def normalization_of(name: str) -> Normalization:
    """Return mean and std that an encoder was pretrained with. Raises LabError when timm has no such encoder."""
    from timm.models import get_pretrained_cfg

    _check_known(name)
    config = get_pretrained_cfg(name)
    return (config.mean, config.std) if config else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def hub_repo_of(name: str) -> str | None:
    """Return the Hub repository of timm's default pretrained weights of an encoder, if there are any."""
    if name == PLAIN:
        return None
    import timm

    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return config.hf_hub_id if config else None


@torch.no_grad()
def _takes_any_size(encoder: nn.Module, strides: tuple[int, ...]) -> bool:
    """Tried: some raise at another size than their own, others have maps that aren't the picture's size over the
    stride.
    """
    height, width = 3 * max(strides), 5 * max(strides)
    maps = encoder.eval()(torch.zeros(1, 3, height, width))
    encoder.train()
    return [features.shape[-2:] for features in maps] == [(height // stride, width // stride) for stride in strides]


def _channels_second(_encoder: nn.Module, _inputs: object, maps: list[torch.Tensor]) -> list[torch.Tensor]:
    return [features.permute(0, 3, 1, 2) for features in maps]


def _check_known(name: str) -> None:
    import timm

    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f" Close ones: {', '.join(close)}." if close else " The form lists some; timm.list_models() lists all."
        raise LabError(f"timm knows no encoder '{name}'.{hint}")


def _near(name: str, family: str) -> str:
    """Return names of encoders that the lab offers for a family, the most alike first."""
    offered = [encoder.name for encoder in ENCODERS if family in encoder.families and encoder.hub_repo]
    return ", ".join(difflib.get_close_matches(name, offered, n=3, cutoff=0.0))


def _ones_that_do(name: str, strides: tuple[int, ...] | None) -> str:
    return f"Take one that has, for example {_near(name, 'fcn' if strides else 'unet')}."
