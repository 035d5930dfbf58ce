"""An ONNX file: the traced program in ONNX's operators, with what is needed to use it without the lab in its metadata.

ONNX: https://onnx.ai/onnx/repo-docs/IR.html (metadata_props, symbolic dimensions)
"""

import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import LabError, causes
from core.export.program import Logits
from core.text import format_bytes

LARGEST = 2 * 1024**3
"""Bytes that an ONNX file can have without a second file beside it."""


def write_onnx(program: torch.export.ExportedProgram, any_size: bool, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a traced program as one file; its input is called images, its output logits.

    Args:
        program: of one picture.
        any_size: height and width are free.
        path: of the file.
        metadata: written into the file.

    Raises:
        LabError: ONNX has no operator for something in the network, which is named; or the file would be too large.
    """
    import onnx_ir as ir

    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it says what it can't fold, line by line
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    if size > LARGEST:
        raise LabError(
            f"The network has {format_bytes(size)} of weights, but an ONNX file ends at 2 GB. Take torch.export."
        )
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # onnxscript's own deprecations
            written = torch.onnx.export(
                program, input_names=["images"], output_names=["logits"], dynamo=True, verbose=False
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise LabError(refusal(error)) from error
    model = written.model
    if any_size:
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.shape = ir.Shape([1, value.shape[1], "height", "width"])
    model.metadata_props.update(metadata)
    model.producer_name = "segmentation lab"
    written.save(path, external_data=False)


def write(program: Any, any_size: bool, path: Path, metadata: dict[str, str], threads: int) -> Logits:
    """Write a traced network as an ONNX file and open it. Raises LabError where ONNX can't hold it."""
    write_onnx(program, any_size, path, metadata)
    return open_onnx(path, threads)


def refusal(error: BaseException) -> str:
    """Return the sentence for a network that ONNX can't hold, with the operator that is missing, where the exporter
    names one.
    """
    text = "\n".join(map(str, causes(error)))
    result = re.search(r"OpOverload\(op='([\w.:]+)'|target=torch\.ops\.([\w.]+)", text)
    what = f"the operator {result[1] or result[2]}" if result else str(error).splitlines()[0][:300]
    return f"ONNX can't hold this network, because of {what}. Take torch.export, which knows every operator of PyTorch."


def open_onnx(path: Path, threads: int) -> Logits:
    """Return an ONNX file in onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def logits(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.asarray(session.run(["logits"], {"images": images.numpy()})[0]))

    return logits
