"""Weights of strangers against the network that they claim to be of: every name, shape and number, before any is
used.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from core.errors import LabError
from core.models.base import SegmentationModel


def check_weights(path: Path, model: SegmentationModel, repo: str) -> None:
    """Compare a file with a network's tensors: the same names, shapes and types, and every number finite.

    The header is compared first, so that nothing larger than the network itself is read.

    Args:
        path: of a safetensors file.
        model: may be on the device `meta`, where it takes no memory.
        repo: for the sentences.

    Raises:
        LabError: the file can't be read, or isn't this network's; the sentence names the first tensor that is wrong.
    """
    expected = model.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            _compare_names(names, set(expected), repo)
            for name, tensor in expected.items():
                part = file.get_slice(name)
                shape, kind = tuple(part.get_shape()), part.get_dtype()
                if shape != tuple(tensor.shape) or kind != _KINDS.get(tensor.dtype):
                    raise LabError(
                        f"The weights of {repo} are of another network: {name} is {kind} {shape}, but must be "
                        f"{_KINDS.get(tensor.dtype)} {tuple(tensor.shape)}. Nothing was taken."
                    )
            for name, tensor in expected.items():
                if tensor.is_floating_point() and not torch.isfinite(file.get_tensor(name)).all():
                    raise LabError(
                        f"The weights of {repo} are broken: {name} holds values that are no numbers. Nothing was taken;"
                        " ask its owner."
                    )
    except (SafetensorError, OSError, ValueError) as error:
        raise LabError(
            f"The weights of {repo} can't be read as safetensors ({str(error)[:100]}). Nothing was taken."
        ) from None


_KINDS = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.bool: "BOOL",
}
"""What safetensors calls torch's types."""


def _compare_names(names: set[str], expected: set[str], repo: str) -> None:
    missing, unexpected = sorted(expected - names), sorted(names - expected)
    if missing or unexpected:
        what = (
            f"{len(missing)} of its {len(expected)} tensors are missing"
            if missing
            else f"{len(unexpected)} are too many"
        )
        raise LabError(
            f"The weights of {repo} are of another network: {what}, first '{(missing or unexpected)[0][:80]}'. Nothing"
            " was taken."
        )
