"""Encoders from timm, and weights from a safetensors file into them.

timm: https://github.com/huggingface/pytorch-image-models (Wightman, 2019)
"""

import difflib
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed
from timm.models import get_pretrained_cfg
from torch import nn

from core.errors import LabError

Normalization = tuple[tuple[float, ...], tuple[float, ...]]

PREFIXES = ("", "features.", "encoder.", "model.")
"""What a file's names may lack before they are the encoder's: torchvision's `vgg16().features` begins at 0."""


def build_pyramid(name: str, strides: tuple[int, ...]) -> nn.Module:
    """A convolutional encoder, random weights, that returns one feature map for each of `strides`, in that order.

    Raises:
        LabError: timm has no such encoder, or it gives no feature map at one of these strides.
    """
    _check_known(name)
    try:
        every = timm.create_model(name, pretrained=False, features_only=True).feature_info.reduction()
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        raise LabError(
            f"The encoder '{name}' gives no pyramid of feature maps. Take one that does, for example resnet18."
        ) from None
    if not set(strides) <= set(every):
        raise LabError(
            f"The encoder '{name}' has feature maps at strides {sorted(set(every))}, but this network needs {list(strides)}. "
            "Take another, for example resnet18."
        )
    # Where a stride occurs twice, the later feature map is the richer one.
    indices = tuple(len(every) - 1 - every[::-1].index(stride) for stride in strides)
    return timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)


def build_plain_vit(name: str) -> nn.Module:
    """A plain Vision Transformer, random weights, without a head, for any size that is a multiple of its patch.

    Raises:
        LabError: timm has no such encoder, or it isn't a plain ViT.
    """
    _check_known(name)
    try:
        encoder = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)
    except (RuntimeError, TypeError):
        encoder = None
    if not isinstance(encoder, timm.models.vision_transformer.VisionTransformer):
        raise LabError(f"'{name}' is not a plain Vision Transformer. Take one, for example vit_small_patch14_dinov2.")
    return encoder


def normalization_of(name: str) -> Normalization:
    """Mean and std that an encoder was pretrained with. Raises LabError when timm has no such encoder."""
    _check_known(name)
    config = get_pretrained_cfg(name)
    return (config.mean, config.std) if config else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def hub_repo_of(name: str) -> str | None:
    """The Hub repository of timm's default pretrained weights of an encoder, if there are any."""
    config = get_pretrained_cfg(name) if timm.is_model(name) else None
    return config.hf_hub_id if config else None


def load_encoder(encoder: nn.Module, path: Path) -> list[str]:
    """Fills an encoder from a safetensors file; every tensor of the encoder must be there, in its shape.

    Position embeddings of another grid are interpolated.

    Returns:
        Names that are in the file but not in the encoder, such as a classifier's.

    Raises:
        LabError: the file can't be read or doesn't fit; the message names the first tensors that are missing.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise LabError(f"'{path.name}' can't be read as a safetensors file ({error}). Download it again.") from None
    wanted = {
        _flat(name): tensor for name, tensor in encoder.state_dict().items() if not name.endswith("num_batches_tracked")
    }
    given = _best_naming(tensors, set(wanted))
    missing = sorted(set(wanted) - set(given))
    if missing:
        raise LabError(
            f"'{path.name}' doesn't fit the encoder: {len(missing)} of its {len(wanted)} tensors are missing, first {missing[0]}. "
            "Choose the file that belongs to this encoder."
        )
    with torch.no_grad():
        for name, target in wanted.items():
            source = given[name][1].float()
            if name.endswith("pos_embed") and source.shape != target.shape:
                source = _resize_positions(encoder, source)
            if source.shape != target.shape:
                raise LabError(
                    f"'{path.name}' doesn't fit the encoder: {name} is {tuple(source.shape)}, but must be {tuple(target.shape)}."
                )
            target.copy_(source)
    return sorted(
        name for flat, (name, _) in given.items() if flat not in wanted and not name.endswith("num_batches_tracked")
    )


def _best_naming(tensors: dict[str, torch.Tensor], wanted: set[str]) -> dict[str, tuple[str, torch.Tensor]]:
    namings = [{_flat(prefix + name): (name, tensor) for name, tensor in tensors.items()} for prefix in PREFIXES]
    return max(namings, key=lambda naming: len(wanted & set(naming)))


def _flat(name: str) -> str:
    # timm's feature wrappers rename features.0.weight to features_0.weight for some networks.
    return name.replace(".", "_")


def _resize_positions(encoder: nn.Module, positions: torch.Tensor) -> torch.Tensor:
    prefix = 0 if encoder.no_embed_class else encoder.num_prefix_tokens
    return resample_abs_pos_embed(positions, list(encoder.patch_embed.grid_size), num_prefix_tokens=prefix)


def _check_known(name: str) -> None:
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f" Close ones: {', '.join(close)}." if close else " See timm.list_models()."
        raise LabError(f"timm knows no encoder '{name}'.{hint}")
