"""`python -m core`: the lab without a browser, for a server or a script. The same core, the same run folders."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.commands.data import add_data
from core.commands.options import say
from core.commands.runs import add_runs
from core.commands.sweeps import add_sweep
from core.config import read_config
from core.errors import LabError
from core.places import runs_folder
from core.runs import find_run

USER_ERROR = 42


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0, or 42 when the user can mend what went wrong."""
    options = _parser().parse_args(arguments)
    try:
        result = options.command(options)
    except (LabError, OSError) as error:
        # A file that can't be read or written is the user's to mend as well.
        named = isinstance(error, OSError) and error.filename
        sentence = f"'{error.filename}' can't be used: {error.strerror}." if named else str(error)
        if options.json:
            print(json.dumps({"error": sentence}))
        else:
            print(sentence, file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(result))
    if result.get("healthy") is False:
        return USER_ERROR
    return 1 if result.get("state") in ("failed", "lost") else 0


def score(options: argparse.Namespace) -> dict[str, Any]:
    """Scores a run's checkpoint on the validation frames of its data set, or of another folder of the Cityscapes layout."""
    from core.data.dataset import open_dataset
    from core.hardware import choose_hardware
    from core.inference.predictor import Predictor
    from core.scoring.confusion import ConfusionMatrix

    run = find_run(options.run, runs_folder())
    if run.config is None:
        raise LabError(run.problem)
    predictor = Predictor(run.path, choose_hardware(run.config.training), options.checkpoint)
    values = run.config.dataset.model_dump()
    if options.root:
        values |= {"name": "cityscapes", "root": options.root}
    dataset = open_dataset(read_config({"dataset": values}).dataset)
    confusion = ConfusionMatrix(len(dataset.space.classes))
    for frame in tqdm(dataset.val, unit="frame", disable=options.json or None):
        confusion.update(dataset.target(frame), predictor.predict(dataset.image(frame)).labels)
    iou = {
        name: None if value != value else float(value)
        for name, value in zip(dataset.space.classes, confusion.iou(), strict=True)
    }
    result = {
        "run": run.id,
        "checkpoint": options.checkpoint,
        "step": predictor.checkpoint.step,
        "frames": len(dataset.val),
        "size": list(dataset.size),
        "miou": confusion.miou(),
        "pixel_accuracy": confusion.pixel_accuracy(),
        "iou": iou,
    }
    if not options.json:
        for name, value in iou.items():
            print(f"{name:15} {'absent' if value is None else f'{value:7.1%}'}")
        print(f"mean IoU {result['miou']:.1%}, pixel accuracy {result['pixel_accuracy']:.1%}")
        print(f"on {result['frames']} frames at {dataset.size[1]} x {dataset.size[0]} pixels")
    return result


def predict(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the label map (train ids) and the coloured mask of each image."""
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
        for suffix, picture in (("labels", labels), ("colors", palette[labels])):
            path = options.out / f"{image.stem}_{suffix}.png"
            Image.fromarray(picture).save(path)
            written.append(str(path))
            say(options, str(path))
    return {"run": run.id, "written": written}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description="The segmentation lab without a browser.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_data(commands, common)
    add_runs(commands, common)
    add_sweep(commands.add_parser("sweep", parents=[common], help="study settings: start, list, show, stop sweeps"))

    for name, function, text in (
        ("score", score, "score a run on validation frames"),
        ("predict", predict, "label images"),
    ):
        command = commands.add_parser(name, parents=[common], help=text)
        command.add_argument("run", help="id of a run, or a part of it")
        command.add_argument("--checkpoint", choices=["best", "last"], default="best")
        command.set_defaults(command=function)
        if name == "score":
            command.add_argument("--root", help="score on another data set in the Cityscapes layout")
        else:
            command.add_argument("images", type=Path, nargs="+")
            command.add_argument("--out", type=Path, default=Path("predictions"), help="default: predictions/")

    return parser


if __name__ == "__main__":
    sys.exit(main())
