"""From a run's checkpoint to a file that was checked: rebuild, trace, write, compare, and only then put it in its
place.
"""

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from core.config import PixelFormat
from core.data.bands import resize
from core.data.dataset import label_space_of, open_dataset
from core.data.sources import SOURCES
from core.errors import LabError, writing
from core.export.check import ENOUGH, compare, frames_of
from core.export.files import EXPORTS, ExportCheck, Format, check_exportable
from core.export.program import trace
from core.models.build import build_model
from core.processes import available_cores
from core.progress import ProgressCallback
from core.runs.store import Run
from core.training.checkpoint import Checkpoint, load_weights, read_checkpoint


def export_run(run: Run, format: Format, out: Path, progress: ProgressCallback) -> ExportCheck:
    """Write the best checkpoint of a run as a file of another kind, checked on ten frames of its data.

    The file appears complete and checked, or not at all; nothing else is left beside it.

    Args:
        run: to export.
        format: `onnx` or `torch` (.pt2).
        out: the file.
        progress: called often.

    Raises:
        LabError: there is no checkpoint or its data are gone, the network can't be exported, or the file doesn't answer
            as it does.
    """
    check_exportable(run, format)
    progress("Opening the data", 0, 0)
    checkpoint = read_checkpoint(run.path, "best")
    dataset = open_dataset(checkpoint.config.dataset)
    size = checkpoint.config.shown_size
    images = [resize(image, size) for image in frames_of(dataset)]
    progress("Building the network", 0, 0)
    threads = available_cores()
    torch.set_num_threads(threads)
    model = build_model(
        checkpoint.config.model, len(checkpoint.class_names), checkpoint.config.dataset.pixels.num_bands
    )
    load_weights(model, checkpoint)
    model.eval()
    progress("Tracing the network, which may take minutes", 0, 0)
    program, any_size = trace(model, size)
    metadata = {
        name: json.dumps(value) if not isinstance(value, str) else value
        for name, value in describe_use(run.id, checkpoint, any_size).items()
    }
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        path = folder / out.name
        progress("Writing the file", 0, 0)
        with writing(out.parent):
            module, _, writer = EXPORTS[format].writer.partition(":")
            logits = getattr(import_module(module), writer)(program, any_size, path, metadata, threads)
        total = len(images) + any_size
        result = compare(model, logits, images, any_size, lambda done: progress("Comparing", done, total))
        if result.agreement < ENOUGH:
            raise LabError(
                f"The exported network names the same class on only {result.agreement:.2%} of the pixels of"
                f" {result.frames} frames, and {ENOUGH:.1%} are asked for, so it is not handed out. Take the other"
                " format, and tell us about this network."
            )
        check = ExportCheck(
            step=checkpoint.step,
            any_size=any_size,
            size=size,
            threads=threads,
            size_bytes=path.stat().st_size,
            **asdict(result),
        )
        with writing(out.parent):
            os.replace(path, out)
        return check
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _channels(pixels: PixelFormat) -> str:
    """Return what the channels of an exported network's input are."""
    return f"bands {' '.join(map(str, pixels.bands))} of a file" if pixels.bands else "RGB"


def describe_use(run_id: str, checkpoint: Checkpoint, any_size: bool) -> dict[str, Any]:
    """Return an exported file's metadata: the run, the label table, and how an image becomes its input."""
    dataset, (height, width) = checkpoint.config.dataset, checkpoint.config.shown_size
    space = label_space_of(dataset, SOURCES[dataset.name].root(dataset.root))
    ids: list[list[int]] = [[] for _ in checkpoint.class_names]
    if space.class_names == checkpoint.class_names and not space.by_color:
        for label_id, index in enumerate(space.from_ids):
            if index < len(ids):
                ids[index].append(label_id)
    rows = zip(checkpoint.class_names, checkpoint.colors, ids, strict=True)
    return {
        "run": run_id,
        "step": str(checkpoint.step),
        "network": checkpoint.config.model.title,
        "labels": [
            {"class": index, "name": name, "color": list(color), "ids": own}
            for index, (name, color, own) in enumerate(rows)
        ],
        "preprocessing": {
            "input": (
                f"images, float32 (1, {dataset.pixels.num_bands}, height, width), {_channels(dataset.pixels)}, 0..1:"
                " bytes divided by 255; the network normalises them itself"
            ),
            "height": "any" if any_size else height,
            "width": "any" if any_size else width,
            "trained_at": {"height": height, "width": width},
            "scaling": "show pictures at about as many pixels as trained_at has, their shape kept",
            "output": "logits, float32 (1, classes, height, width); the class of a pixel is where they are largest",
        },
    }
