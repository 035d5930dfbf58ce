"""Networks that others trained for Cityscapes and published for `transformers`: looked at beside one's own, never
trained here.

SegFormer: Xie et al., 2021, https://arxiv.org/abs/2105.15203. Mask2Former: Cheng et al., 2022,
https://arxiv.org/abs/2112.01527. `transformers` is an optional extra. A config of theirs may name code and files to be
fetched, so it isn't taken as it is: only the settings that shape a network are, each of a plain type.
"""

from typing import Any

import torch
from torch import nn

from core.config import ModelConfig
from core.errors import LabError
from core.extras import install_hint
from core.files import parse_json
from core.labels import CITYSCAPES_19
from core.models.base import SegmentationModel
from core.models.families import TRANSFORMERS_TITLES

NO_SHAPE = (
    "architectures",
    "attn_implementation",
    "auto_map",
    "backbone",
    "backbone_kwargs",
    "dtype",
    "experts_implementation",
    "quantization_config",
    "torch_dtype",
    "transformers_version",
    "use_pretrained_backbone",
    "use_timm_backbone",
)
"""Settings that don't shape a network, or could fetch something.

Those that begin with an underscore are none either.
"""
MAX_INT, MAX_LIST, MAX_LAYERS, MAX_STEP = 100_000, 1000, 100, 64
STEPS = ("strides", "patch_size", "patch_sizes", "sr_ratios", "mlp_ratio", "mlp_ratios", "window_size")


class Reference(SegmentationModel):
    """A published network behind the lab's contract: its labels become the 19 classes of the benchmark, by their
    names.
    """

    def __init__(self, architecture: dict[str, Any], num_classes: int) -> None:
        network = build_network(shape_of(architecture["network"]))
        indices = class_indices(network.config.id2label)
        if num_classes != len(indices):
            raise LabError(f"A reference network tells {len(indices)} classes apart, but {num_classes} are wanted.")
        super().__init__(num_classes, architecture["mean"], architecture["std"], multiple=32)
        self.network = network
        self.register_buffer("class_indices", torch.tensor(indices, device="cpu"), persistent=False)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (B, 3, h, w) to logits (B, 19, h/4, w/4)."""
        result = self.network(pixel_values=images)
        logits = result.logits if hasattr(result, "logits") else _of_masks(result)
        return logits[:, self.class_indices]


def build(config: ModelConfig, num_classes: int, num_bands: int = 3) -> Reference:
    """Return the network of a config's `architecture`, random weights.

    Raises LabError when it doesn't make sense, when images have other bands than three, or transformers is missing.
    """
    if num_bands != 3:
        raise LabError(f"A network of others sees three colours, and these images have {num_bands} bands.")
    try:
        return Reference(parse_json(config.architecture), num_classes)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ZeroDivisionError, IndexError) as error:
        raise LabError(f"The architecture of this reference network doesn't make sense ({str(error)[:120]}).") from None


def build_network(values: dict[str, Any]) -> nn.Module:
    """Return a network of transformers from settings that `shape_of` has looked at, random weights."""
    config_class, network_class = reference_classes(str(values.get("model_type")))
    try:
        return network_class(config_class(**values))
    except ImportError:
        raise LabError(
            f"{TRANSFORMERS_TITLES[values['model_type']]} needs a package that isn't installed."
            f" {install_hint('transformers', 'scipy')}"
        ) from None


def reference_classes(kind: str) -> tuple[type[Any], type[Any]]:
    """Return the classes of transformers for a `model_type`: of the config and of the network. Raises LabError."""
    if kind not in TRANSFORMERS_TITLES:
        raise LabError(
            f"A '{kind[:40]}' is none of the networks that can be brought: {', '.join(TRANSFORMERS_TITLES.values())}."
        )
    try:
        import transformers
    except ImportError:
        raise LabError(
            f"{TRANSFORMERS_TITLES[kind]} needs the package transformers, which isn't installed."
            f" {install_hint('transformers', 'scipy')}"
        ) from None
    if kind == "segformer":
        return transformers.SegformerConfig, transformers.SegformerForSemanticSegmentation
    return transformers.Mask2FormerConfig, transformers.Mask2FormerForUniversalSegmentation


def shape_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a stranger's config that shape the network, each looked at.

    Raises:
        LabError: there is no such network here.
        ValueError: a setting is of another type than such a setting is, or out of all bounds.
    """
    config_class, _ = reference_classes(str(values.get("model_type")))
    known = _known_values(values, config_class())
    if "backbone_config" in config_class().to_dict():
        from transformers import SwinConfig

        backbone = values.get("backbone_config")
        if not isinstance(backbone, dict) or backbone.get("model_type") != "swin":
            raise ValueError("its backbone is no Swin Transformer")
        known["backbone_config"] = _known_values(backbone, SwinConfig()) | {"model_type": "swin"}
    return known | {"model_type": values["model_type"]}


def class_indices(id2label: dict[Any, str]) -> list[int]:
    """For each of the 19 classes the number that a network gives it, by its name.

    Raises LabError when one is missing.
    """
    ids = {_plain(label): int(index) for index, label in id2label.items()}
    missing = [name for name in CITYSCAPES_19.class_names if _plain(name) not in ids]
    if missing:
        raise LabError(
            f"This network doesn't tell the 19 classes of Cityscapes apart: it has no '{missing[0]}'. Take one that was"
            " trained for it."
        )
    return [ids[_plain(name)] for name in CITYSCAPES_19.class_names]


def _plain(label: str) -> str:
    return str(label).strip().lower().replace("_", " ").replace("-", " ")


def _of_masks(output: Any) -> torch.Tensor:
    """Return logits (B, K, h, w) of a network that predicts masks, each with its class: the paper's sum over masks, as
    a logarithm.
    """
    kinds = output.class_queries_logits.float().softmax(dim=-1)[..., :-1]  # (B, Q, K), without "no object"
    masks = output.masks_queries_logits.float().sigmoid()  # (B, Q, h, w)
    return torch.einsum("bqk,bqhw->bkhw", kinds, masks).clamp(min=1e-6).log()


def _known_values(values: dict[str, Any], usual: Any) -> dict[str, Any]:
    known = {name for name in usual.to_dict() if not name.startswith("_")} | {"id2label"}
    values_used = {
        name: value for name, value in values.items() if name in known and name not in (*NO_SHAPE, "backbone_config")
    }
    values_used.pop("label2id", None)
    for name, value in values_used.items():
        _check(name, value)
    return values_used


def _check(name: str, value: Any) -> None:
    """Raise ValueError for what no setting of a network is."""
    match value:
        case None | bool() | float():
            return
        case int():
            is_deep = name == "depths" or name.endswith(("layers", "blocks"))
            low, high = (1, MAX_STEP) if name in STEPS else (-1, MAX_LAYERS if is_deep else MAX_INT)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}"[:80])
        case str() if len(value) <= 100:
            return
        case list() if len(value) <= MAX_LIST:
            for part in value:
                _check(name, part)
        case dict() if name == "id2label" and len(value) <= MAX_LIST:
            for index, label in value.items():
                _check(name, int(index))
                _check(name, str(label))
        case _:
            raise ValueError(f"{name} is no setting")
