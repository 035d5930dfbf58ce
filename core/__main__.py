"""`python -m core`: the lab without a browser, for a server or a script. The same core, the same run folders."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from core import runner
from core.config import PRESETS, RunConfig, read_config, with_preset
from core.errors import LabError
from core.places import runs_folder, streets_folder
from core.runs import Run, evaluations, find_run, list_runs, read_run

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
    return 1 if result.get("state") in ("failed", "lost") else 0


def streets(options: argparse.Namespace) -> dict[str, Any]:
    """Draws the generated street scenes."""
    from core.data.streets import write_streets

    root = options.out or streets_folder()
    began = time.monotonic()
    with tqdm(total=options.train + options.val, unit="frame", disable=options.json) as bar:
        write_streets(
            root,
            options.train,
            options.val,
            (options.height, options.width),
            options.seed,
            progress=lambda done, _count: bar.update(done - bar.n),
        )
    seconds = time.monotonic() - began
    _say(options, f"{options.train} + {options.val} street scenes in {root}, {seconds:.1f} s.")
    return {"root": str(root), "train": options.train, "val": options.val, "seconds": round(seconds, 2)}


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Makes a run, starts it, and follows it to its end unless told to detach. Ctrl-C stops the run with a checkpoint."""
    values = _read_values(options.config) if options.config else {}
    for part in RunConfig.model_fields:
        given = {
            key.split(".")[1]: value
            for key, value in vars(options).items()
            if key.startswith(f"{part}.") and value is not None
        }
        values[part] = values.get(part, {}) | given
    config = read_config(with_preset(values, options.preset) if options.preset else values)
    path = runner.launch(config, runs_folder())
    _say(options, f"Run {path.name}: {config.model.title}. It goes on without this terminal.")
    if options.detach:
        return {"run": path.name, "state": "queued"}
    return _follow(path, options)


def runs(options: argparse.Namespace) -> dict[str, Any]:
    """Lists the runs, or stops, resumes or follows one."""
    if options.action == "list":
        found = [_facts(run) for run in list_runs(runs_folder())]
        if not options.json:
            print(
                "\n".join(_line(facts) for facts in found)
                or "No run yet. Start one: python -m core train --preset taste"
            )
        return {"runs": found}
    if not options.run:
        raise LabError(
            f"Name the run to {options.action}: python -m core runs {options.action} RUN. Any part of its id that no other has will do."
        )
    run = find_run(options.run, runs_folder())
    if options.action == "stop":
        runner.stop(run.path)
        _say(options, f"Run {run.id} will write a checkpoint and stop.")
    elif options.action == "resume":
        runner.resume(run.path)
        _say(options, f"Run {run.id} is queued again.")
    elif options.action == "follow":
        return _follow(run.path, options)
    return _facts(read_run(run.path))


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
    for frame in tqdm(dataset.val, unit="frame", disable=options.json):
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

    from core.hardware import choose_hardware
    from core.inference.predictor import Predictor
    from core.inference.uploads import decode_upload
    from core.labels import palette_of

    run = find_run(options.run, runs_folder())
    if run.config is None:
        raise LabError(run.problem)
    predictor = Predictor(run.path, choose_hardware(run.config.training), options.checkpoint)
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
            _say(options, str(path))
    return {"run": run.id, "written": written}


def _read_values(path: Path) -> dict[str, Any]:
    """The plain values of a config.json, part by part; the fields are checked later, together with the options."""
    try:
        values = json.loads(path.read_bytes())
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(part, dict) for part in values.values()):
        raise LabError(f"'{path}' is not the config of a run. Name the config.json of one.")
    return values


def _follow(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Shows a run's progress until it ends. Ctrl-C asks it to stop, and waits for its checkpoint."""
    with tqdm(unit="step", dynamic_ncols=True, disable=options.json) as bar:
        scored = 0
        while True:
            try:
                run = read_run(path)
                bar.total, bar.n = run.status.steps_total, run.status.step
                bar.set_description(run.status.phase or run.state)
                for row in evaluations(path)[scored:]:
                    scored += 1
                    if not options.json:
                        bar.write(
                            f"step {row['step']}: not scored, for no pixel of the validation labels belongs to a class"
                            if row["miou"] is None
                            else f"step {row['step']}: mean IoU {row['miou']:.1%}, pixel accuracy {row['pixel_accuracy']:.1%}"
                        )
                if not run.is_active:
                    break
                time.sleep(0.5)
            except KeyboardInterrupt:
                if not options.json:
                    bar.write("Stopping after this step, with a checkpoint.")
                runner.stop(path)
    facts = _facts(read_run(path))
    _say(options, _line(facts))
    return facts


def _facts(run: Run) -> dict[str, Any]:
    scores = evaluations(run.path)
    best = max(scores, key=lambda row: row["miou"] or 0, default=None)
    status = run.status
    return {
        "run": run.id,
        "title": run.title,
        "state": run.state,
        "step": status.step,
        "steps_total": status.steps_total,
        "best_miou": best and best["miou"],
        "minutes": round(((status.ended or status.updated) - status.started) / 60, 2) if status.started else None,
        "error": status.error or run.problem,
    }


def _line(facts: dict[str, Any]) -> str:
    miou = f"mean IoU {facts['best_miou']:.1%}" if facts["best_miou"] is not None else "not scored yet"
    line = f"{facts['run']}  {facts['state']:8}  step {facts['step']}/{facts['steps_total'] or '?'}  {miou}  {facts['title']}"
    return f"{line}\n    {facts['error']}" if facts["error"] else line


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description="The segmentation lab without a browser.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("streets", parents=[common], help="draw street scenes in the Cityscapes layout")
    command.add_argument("--out", type=Path, help="folder to write; default: the lab's own")
    for name, default in (("train", 200), ("val", 40), ("height", 256), ("width", 512), ("seed", 0)):
        command.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    command.set_defaults(command=streets)

    command = commands.add_parser("train", parents=[common], help="train a network", argument_default=None)
    command.add_argument("--preset", choices=list(PRESETS), help="fill in the length of the training")
    command.add_argument("--config", type=Path, help="a config.json to begin with, of an older run for example")
    command.add_argument("--detach", action="store_true", help="don't wait for the end")
    for part, field in RunConfig.model_fields.items():
        group = command.add_argument_group(part)
        for name, detail in field.annotation.model_fields.items():
            _add_field(group, f"{part}.{name}", detail)
    command.set_defaults(command=train)

    command = commands.add_parser("runs", parents=[common], help="list, stop, resume or follow runs")
    command.add_argument("action", choices=["list", "stop", "resume", "follow"], nargs="?", default="list")
    command.add_argument("run", nargs="?", help="id of a run, or a part of it")
    command.set_defaults(command=runs)

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


def _add_field(group: Any, name: str, detail: Any) -> None:
    """One option per config field; type, help and unit are the field's own, and its bounds are checked by the config."""
    unit = (detail.json_schema_extra or {}).get("unit", "")
    default = "" if detail.default in ("", None) else f" Default {detail.default}{' ' + unit if unit else ''}."
    choices = get_args(detail.annotation) or None
    if detail.annotation is bool:
        group.add_argument(
            f"--{name}", dest=name, action=argparse.BooleanOptionalAction, help=detail.description + default
        )
        return
    group.add_argument(
        f"--{name.replace('_', '-')}",
        dest=name,
        type=detail.annotation if detail.annotation in (int, float) else str,
        choices=choices,
        metavar=None if choices else (unit or "VALUE").upper(),
        help=(detail.description + default).replace("%", "%%"),
    )


if __name__ == "__main__":
    sys.exit(main())
