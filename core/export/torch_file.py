"""torch.export's own file: the traced program, for PyTorch without the lab's code."""

from pathlib import Path
from typing import Any

import torch


def write(program: Any, _any_size: bool, path: Path, metadata: dict[str, str], _threads: int) -> Any:
    """Write a traced network as a .pt2 file and return the program as a module."""
    torch.export.save(program, path, extra_files=metadata)
    return program.module()
