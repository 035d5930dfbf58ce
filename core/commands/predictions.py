"""`python -m core predict` and `submission`: what a trained run makes of pictures, and of the benchmark's frames."""

import argparse
from pathlib import Path
from typing import Any

from core.commands.options import say
from core.commands.progress_bar import ProgressBar
from core.errors import LabError
from core.inference.tta import PredictOptions
from core.paths import runs_folder
from core.runs.store import find_run
from core.text import format_bytes


def add_predictions(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to a parser's."""
    command = commands.add_parser("predict", parents=[common], help="label pictures")
    command.add_argument("run", help="id of a run, or a part of it")
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument(
        "images",
        type=Path,
        nargs="+",
        help="pictures; of each, NAME_labels.png (class numbers, which looks black) and NAME_colors.png are written",
    )
    command.add_argument("--out", type=Path, default=Path("predictions"), help="default: predictions/")
    command.set_defaults(command=predict)

    command = commands.add_parser(
        "submission", parents=[common], help="the archive for the Cityscapes benchmark server, checked"
    )
    command.add_argument("run", help="id of a run, or a part of it")
    command.add_argument("--split", choices=["test", "val"], default="test")
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument("--sliding-window", action="store_true", help="show windows of the training crops' size")
    command.add_argument("--flip", action="store_true", help="show the mirrored picture too")
    command.add_argument("--out", type=Path, help="the ZIP to write; default: in the run's folder")
    command.set_defaults(command=submission)


def predict(options: argparse.Namespace) -> dict[str, Any]:
    """Write the label map (train ids) and the coloured mask of each image."""
    from PIL import Image

    from core.inference.predictor import Predictor
    from core.inference.uploads import decode_upload
    from core.labels import palette_of

    run = find_run(options.run, runs_folder())
    if run.config is None:
        raise LabError(run.problem)
    predictor = Predictor(run.path, which=options.checkpoint)
    palette = palette_of(predictor.checkpoint.colors)
    options.out.mkdir(parents=True, exist_ok=True)
    written = []
    for image in options.images:
        if not image.is_file():
            raise LabError(f"There is no image '{image}'. Check the path.")
        labels = predictor.predict(decode_upload(image.read_bytes())).labels
        for suffix, values in (("labels", labels), ("colors", palette[labels])):
            path = options.out / f"{image.stem}_{suffix}.png"
            Image.fromarray(values).save(path)
            written.append(str(path))
            say(options, str(path))
    return {"run": run.id, "written": written}


def submission(options: argparse.Namespace) -> dict[str, Any]:
    """Predict a split's frames at full size and write the archive; one that the server would refuse is not kept."""
    from core.evaluation.make_submission import make_submission

    run = find_run(options.run, runs_folder())
    shown = PredictOptions(options.sliding_window, options.flip)
    with ProgressBar(options) as progress:
        path, made = make_submission(run, options.split, options.out, shown, options.checkpoint, progress)
    say(options, f"{path}: {made.frames} frames, {format_bytes(made.size)}, checked ({made.description})")
    return {"run": run.id, "path": str(path), "split": made.split, "frames": made.frames, "bytes": made.size}
