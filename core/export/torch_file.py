"""torch.export's own file: the traced program, for PyTorch without the lab's code."""

import io
from pathlib import Path
from typing import Any

import torch


def write(program: Any, _any_size: bool, path: Path, metadata: dict[str, str], _threads: int) -> Any:
    """Write a traced network as a .pt2 file and return the program as a module."""
    file = io.BytesIO()  # on a full disk torch's own writer would end the process
    torch.export.save(program, file, extra_files=metadata)
    path.write_bytes(file.getbuffer())
    return program.module()
