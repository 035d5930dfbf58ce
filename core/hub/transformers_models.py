"""Reference networks: a repository of `transformers` that was trained for Cityscapes, as a run that is looked at beside
one's own.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from core.config import read_config
from core.errors import LabError
from core.files import parse_json
from core.hub.published import Published
from core.hub.unpacking import unfilled_model
from core.labels import CITYSCAPES_19
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.models.families import TRANSFORMERS
from core.models.transformers_models import class_indices, reference_classes, shape_of

SIZE = {"height": 1024, "width": 2048}
"""Published networks for Cityscapes learned from crops of the frames' own size, and things must come in the sizes that
they learned.
"""
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SLACK = 1.1


def read_transformers_config(values: dict[str, Any], preprocessor: dict[str, Any], repo: str, root: str) -> Published:
    """Return what the config.json of a repository of transformers says, as the config of a run.

    Args:
        values: the object in it.
        preprocessor: the object in preprocessor_config.json; may be empty.
        repo: for the sentences.
        root: the folder of Cityscapes on this machine.

    Raises:
        LabError: it isn't a network that can be brought.
    """
    try:
        network = shape_of(values)
        class_indices(network.get("id2label", {}))
        mean, std = (
            _three(preprocessor.get(name), usual) for name, usual in (("image_mean", MEAN), ("image_std", STD))
        )
        if min(std) < 1e-3:
            raise ValueError("its image_std is 0")
    except LabError as error:
        raise LabError(f"{repo} can't be taken. {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LabError(f"The config.json of {repo} doesn't make sense: {str(error)[:200]}.") from None
    config = read_config(
        {
            "dataset": {"name": "cityscapes", "root": root} | SIZE,
            "model": {
                "family": TRANSFORMERS,
                "encoder": network["model_type"],
                "architecture": json.dumps({"network": network, "mean": mean, "std": std}),
            },
            "training": {
                "precision": "fp32",
                "crop_height": SIZE["height"],
                "crop_width": SIZE["height"],
                "test_scale": 1.0,
            },
        }
    )
    return Published(config, CITYSCAPES_19, 0, -1.0, {})


def convert_weights(source: Path, target: Path, published: Published, repo: str) -> SegmentationModel:
    """Write a repository's weights as those of the lab's network: every tensor there, every number finite, and a small
    picture labelled.

    Returns:
        The network.

    Raises:
        LabError: they are of another network, or broken.
    """
    model = unfilled_model(published.config, len(CITYSCAPES_19.class_names), repo)
    size = sum(tensor.nbytes for tensor in model.network.state_dict().values())
    # Weights in half precision take half the room; a network that is far larger than its file isn't its own.
    if size > 2 * SLACK * source.stat().st_size + 2**20:
        raise LabError(f"The weights of {repo} are of another network: a smaller one. Nothing was taken.")
    _, network_class = reference_classes(published.config.model.encoder)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        (Path(folder) / "model.safetensors").symlink_to(source)
        try:
            network, report = network_class.from_pretrained(
                folder,
                config=model.network.config,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # they are reported, and then refused
                dtype=torch.float32,
                output_loading_info=True,
            )
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise LabError(
                f"The weights of {repo} can't be read as those of this network ({_first_line(error)}). Nothing was"
                " taken."
            ) from None
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise LabError(
            f"The weights of {repo} are of another network: {len(missing)} tensors are missing or of another shape,"
            f" first '{missing[0][:80]}'. Nothing was taken."
        )
    tensors = {f"network.{name}": tensor.clone() for name, tensor in network.state_dict().items()}
    broken = next((name for name, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()), None)
    if broken:
        raise LabError(
            f"The weights of {repo} are broken: {broken} holds values that are no numbers. Nothing was taken; ask its"
            " owner."
        )
    metadata = parse_json(published.config.model.architecture)
    tensors |= {name: torch.tensor(metadata[name]).view(1, -1, 1, 1) for name in ("mean", "std")}
    model = _tried(published, tensors, repo)
    save_file(tensors, target)
    return model


@torch.no_grad()
def _tried(published: Published, tensors: dict[str, torch.Tensor], repo: str) -> SegmentationModel:
    """Return the network with its weights, once it has labelled a small picture: a setting may fit the weights and yet
    make no sense.
    """
    model = build_model(published.config.model, len(CITYSCAPES_19.class_names))
    try:
        model.load_state_dict(tensors)
        logits = model.eval()(torch.zeros(1, 3, 64, 96))
        if not torch.isfinite(logits).all():
            raise ValueError("its answer is no number")
    except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        raise LabError(f"{repo} can't label a picture ({_first_line(error)}). Nothing was taken.") from None
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100]


def _three(values: Any, usual: list[float]) -> list[float]:
    if values is None:
        return usual
    parsed = [float(value) for value in values]
    if len(parsed) != 3 or not all(0 <= entry <= 1 for entry in parsed):
        raise ValueError("its image_mean or image_std is none")
    return parsed
