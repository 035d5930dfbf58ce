"""`python -m core predict` and `submission`: what a trained run makes of pictures, and of the benchmark's frames."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.commands.options import say
from core.commands.progress_bar import ProgressBar
from core.errors import LabError
from core.inference.pseudo_label_job import MIN_CONFIDENCE, SHARE
from core.inference.tta import PredictOptions
from core.paths import runs_folder
from core.runs.store import find_run
from core.text import format_bytes, plural


def add_predictions(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to a parser's."""
    command = commands.add_parser("predict", parents=[common], help="label pictures and videos at their own size")
    command.add_argument("run", help="id of a run, or a part of it")
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument(
        "images",
        type=Path,
        nargs="+",
        help=(
            "pictures, or folders of them; of each, NAME_labels.png (numbers, which look black) and NAME_colors.png are"
            " written, as .tif of a GeoTIFF or of more than 100 million pixels; of a video NAME_colors.mp4"
        ),
    )
    command.add_argument("--out", type=Path, default=Path("predictions"), help="default: predictions/")
    command.add_argument("--recursive", action="store_true", help="look into the folders of a folder too")
    command.add_argument(
        "--ids",
        choices=["train", "dataset", "cityscapes"],
        default="train",
        help=(
            "numbers of NAME_labels.png: as the network counts its classes, as the class table has them, or Cityscapes'"
            " label ids"
        ),
    )
    command.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], help="show each picture at these multiples of its usual size"
    )
    command.add_argument("--flip", action="store_true", help="show the mirrored picture too")
    command.add_argument("--window", action="store_true", help="show windows of the training crops' size")
    command.add_argument(
        "--pixel-scale",
        type=float,
        default=0.0,
        help=(
            "show pictures in overlapping tiles, so many pixels for each of their own; without it only those of more"
            " than 100 million pixels, at the scale of the training frames"
        ),
    )
    command.add_argument(
        "--smooth", type=float, default=0.0, help="of a video, the share of a mask that comes from earlier frames: 0.7"
    )
    command.add_argument("--confidence", action="store_true", help="write NAME_confidence as well")
    command.add_argument("--overlay", action="store_true", help="write NAME_overlay as well")
    command.add_argument("--skip-existing", action="store_true", help="go on where an earlier call ended")
    command.set_defaults(command=predict)

    command = commands.add_parser(
        "pseudo-labels", parents=[common], help="a data set to learn from, of photographs that have no masks"
    )
    command.add_argument("run", help="id of the run that labels them, or a part of it")
    command.add_argument("images", type=Path, nargs="+", help="photographs, or folders of them")
    command.add_argument("--out", type=Path, required=True, help="folder to write; it isn't there yet")
    command.add_argument("--recursive", action="store_true", help="look into the folders of a folder too")
    command.add_argument(
        "--confidence", type=float, default=MIN_CONFIDENCE, help="from which a pixel is labelled; default %(default)s"
    )
    command.add_argument(
        "--share",
        type=float,
        default=SHARE,
        help="of each class's pixels, the surest, that are labelled even below that; default %(default)s",
    )
    command.set_defaults(command=pseudo_labels)

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
    """Write the label map and the coloured mask of each picture."""
    from core.inference.predict_files import PredictionFiles, find_images, lost_coordinates, predict_files
    from core.inference.predictor import Predictor

    run = find_run(options.run, runs_folder())
    if run.config is None:
        raise LabError(run.problem)
    shown = PredictOptions(options.window, options.flip, tuple(options.scales))
    files = PredictionFiles(
        options.ids,
        options.confidence,
        options.overlay,
        options.skip_existing,
        options.pixel_scale,
        options.smooth,
    )
    images = find_images(options.images, options.recursive)
    note = lost_coordinates(images)
    if note:
        say(options, note)
    predictor = Predictor(run.path, which=options.checkpoint)
    written: list[str] = []
    skipped = 0
    with ProgressBar(options, unit="step") as progress:
        for paths in predict_files(predictor, images, options.out, files, shown, progress):
            skipped += not paths
            written += map(str, paths)
            for path in paths:
                progress.say(str(path))
    if skipped:
        say(options, f"{plural(skipped, 'picture')} had been labelled before.")
    class_file = str(options.out / "classes.json")
    return {"run": run.id, "written": written, "skipped": skipped, "classes": class_file, "note": note}


def pseudo_labels(options: argparse.Namespace) -> dict[str, Any]:
    """Write photographs and what a run is sure of in them as a data set."""
    from core.inference.predict_files import find_images
    from core.inference.predictor import Predictor
    from core.inference.pseudo_labels import write_pseudo_labels

    run = find_run(options.run, runs_folder())
    images = find_images(options.images, options.recursive)
    predictor = Predictor(run.path)
    with ProgressBar(options, unit="step") as progress:
        result = write_pseudo_labels(predictor, images, options.out, options.confidence, options.share, progress)
    say(
        options,
        f"{options.out}: {plural(result.frames, 'photograph')}, {result.labelled:.0%} of the pixels labelled. Join it"
        " with the frames that have masks: on the page Data, or by a datasets.json.",
    )
    return {"run": run.id, "out": str(options.out)} | asdict(result)


def submission(options: argparse.Namespace) -> dict[str, Any]:
    """Predict a split's frames at full size and write the archive; one that the server would refuse is not kept."""
    from core.evaluation.make_submission import make_submission

    run = find_run(options.run, runs_folder())
    shown = PredictOptions(options.sliding_window, options.flip)
    with ProgressBar(options) as progress:
        path, made = make_submission(run, options.split, options.out, shown, options.checkpoint, progress)
    say(options, f"{path}: {made.frames} frames, {format_bytes(made.size)}, checked ({made.description})")
    return {"run": run.id, "path": str(path), "split": made.split, "frames": made.frames, "bytes": made.size}
