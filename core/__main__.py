"""`python -m core`: the lab without a browser, for a server or a script. The same core, the same run folders."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from core.commands.data import add_data
from core.commands.options import say
from core.commands.runs import add_runs
from core.commands.sweeps import add_sweep
from core.config import read_config
from core.data.frames import Frame
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
    import torch

    from core.data.dataset import open_dataset, read_target
    from core.data.decoding import read_image
    from core.hardware import choose_hardware
    from core.inference.options import PredictOptions
    from core.inference.predictor import Predictor
    from core.models import build_model
    from core.models.describe import output_stride
    from core.scoring.ceilings import ceilings
    from core.scoring.instances import read_instances
    from core.scoring.protocol import FULL_SIZE, protocol_of
    from core.scoring.scorer import Scorer

    run = find_run(options.run, runs_folder())
    if run.config is None:
        raise LabError(run.problem)
    hardware = choose_hardware(run.config.training)
    predictor = Predictor(run.path, hardware, options.checkpoint)
    values = run.config.dataset.model_dump()
    if options.root:
        values |= {"name": "cityscapes", "root": options.root}
    dataset = open_dataset(read_config({"dataset": values}).dataset)
    size = dataset.size if options.size == "training" else None

    def truth(frame: Frame) -> np.ndarray:
        return dataset.target(frame) if size or frame.labels is None else read_target(frame.labels, dataset.space)

    first = truth(dataset.val[0]).shape
    protocol = protocol_of(dataset.space)
    scorer = Scorer(protocol, options.boundary, first[0] * first[1] / (FULL_SIZE[0] * FULL_SIZE[1]))
    shown = PredictOptions(sliding_window=options.sliding_window)
    for frame in tqdm(dataset.val, unit="frame", disable=options.json or None):
        target = truth(frame)
        answer = predictor.predict(read_image(frame.image, target.shape), shown)
        instances = read_instances(frame.labels, target.shape) if protocol.has_instances else None
        scorer.update(frame.id, target, answer.labels, answer.confidence, instances, frame.city)
    scores = scorer.scores()
    model = build_model(run.config.model, len(dataset.space.classes)).eval()
    seen = predictor.training_size
    stride = output_stride(hardware.prepare(model), torch.zeros(1, 3, *seen, device=hardware.device), hardware)
    # A network sees a larger picture scaled down: one of its cells covers more of that.
    cell = max(1, round(stride * (first[0] * first[1] / (seen[0] * seen[1])) ** 0.5))
    ceiling = ceilings(map(truth, dataset.val), protocol, (cell,), "bilinear")[cell].miou
    result = scores.to_json() | {
        "run": run.id,
        "checkpoint": options.checkpoint,
        "step": predictor.checkpoint.step,
        "size": list(first),
        "scored_at": options.size,
        "sliding_window": options.sliding_window,
        "ceiling": {"pixels_per_cell": cell, "miou": None if ceiling != ceiling else ceiling},
    }
    if not options.json:
        _print_scores(result)
    return result


def _print_scores(result: dict[str, Any]) -> None:
    for name, value in result["iou"].items():
        print(f"{name:15} {_percent(value)}")
    if len(result["groups"]) > 1:
        print()
        for name, row in result["groups"].items():
            print(f"{name:15} {_percent(row['miou'])}  {row['frames']} frames")
        print()
    print(f"mean IoU {_percent(result['miou'])}, pixel accuracy {_percent(result['pixel_accuracy'])}")
    print(
        f"on {result['frames']} frames at {result['size'][1]} x {result['size'][0]} pixels ({result['scored_at']} size)"
    )
    if result["miiou"] is not None:
        print(f"mean iIoU {_percent(result['miiou'])}")
    if result["mean_boundary_f1"] is not None:
        print(f"mean boundary F1 {_percent(result['mean_boundary_f1'])}")
    print(f"calibration error {_percent(result['calibration']['ece'])}")
    cell = result["ceiling"]["pixels_per_cell"]
    print(f"the truth itself, seen in cells of {cell} pixels, would have {_percent(result['ceiling']['miou'])}")


def _percent(value: float | None) -> str:
    return " absent" if value is None else f"{value:.1%}"


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
            command.add_argument(
                "--size",
                choices=["training", "full"],
                default="training",
                help="score there; full is the files' own size",
            )
            command.add_argument(
                "--sliding-window", action="store_true", help="show windows of the training crops' size"
            )
            command.add_argument("--boundary", action="store_true", help="score boundaries too, which takes longer")
        else:
            command.add_argument("images", type=Path, nargs="+")
            command.add_argument("--out", type=Path, default=Path("predictions"), help="default: predictions/")

    return parser


if __name__ == "__main__":
    sys.exit(main())
