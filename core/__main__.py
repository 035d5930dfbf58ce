"""`python -m core`: the lab without a browser, for a server or a script. The same core, the same run folders."""

import argparse
import getpass
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from core import runner
from core.config import PRESETS, RunConfig, read_config, with_preset
from core.errors import LabError
from core.places import resolve_data_root, runs_folder, streets_folder
from core.runs import ProcessId, Run, evaluations, find_run, list_runs, read_run, write_atomically, write_notes
from core.sweeps.command import add_sweep

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


def streets(options: argparse.Namespace) -> dict[str, Any]:
    """Draws the generated street scenes."""
    from core.data.streets import write_streets

    root = options.out or streets_folder()
    began = time.monotonic()
    with tqdm(total=options.train + options.val, unit="frame", disable=options.json or None) as bar:
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


def doctor(options: argparse.Namespace) -> dict[str, Any]:
    """Says what is wrong with a data set, and what mends it; the folder is only read."""
    from core.data.doctor import SEVERITIES, examine

    root = resolve_data_root(options.root)
    with tqdm(unit="frame", disable=options.json or None) as bar:

        def tell(done: int, count: int) -> None:
            bar.total = count
            bar.update(done - bar.n)

        report = examine(root, options.classes, progress=tell, most=options.limit)
    if options.proposal and not options.json:
        if not report.proposal:
            raise LabError(
                f"No class table can be proposed for '{root}', or none is needed. Without --proposal, the doctor says which."
            )
        print(report.proposal, end="")
        return {}
    if not options.json:
        for severity in SEVERITIES:
            for finding in report.findings:
                if finding.severity == severity:
                    print(f"{severity}: {finding.text} [{finding.code}]")
        if report.proposal:
            place = shlex.quote(str(root))
            print(f"Proposed class table: python -m core doctor {place} --proposal > {place}/classes.json")
        _print_classes(report)
        print(f"{'Healthy' if report.healthy else 'Not healthy'}: {report.looked_at} pairs looked at in {root}.")
    return report.to_json()


def _print_classes(report: Any) -> None:
    """A line for each class: its share of the labelled pixels, and the share of frames that show it, in train and in val."""
    parts = [part for part in ("train", "val") if any(report.pixels.get(part, ()))]
    if not parts:
        return
    print(" " * 20 + "".join(f"{f'pixels of {part}':>18}{f'frames of {part}':>18}" for part in parts))
    for number, name in enumerate(report.classes):
        shares = (
            f"{report.pixels[part][number] / sum(report.pixels[part]):18.2%}"
            f"{report.images[part][number] / report.labels[part]:18.1%}"
            for part in parts
        )
        print(f"{name[:19]:20}" + "".join(shares))


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Makes a run, starts it, and follows it to its end unless told to detach. Ctrl-C stops the run with a checkpoint."""
    config = _wanted_config(options)
    path = runner.launch(config, runs_folder())
    _say(options, f"Run {path.name}: {config.model.title}. It goes on without this terminal.")
    if options.detach:
        return {"run": path.name, "state": "queued"}
    return _follow(path, options)


def rehearse(options: argparse.Namespace) -> dict[str, Any]:
    """Tries two steps and a validation batch of a run, and says what the whole would take and what speaks against it."""
    from core.training.rehearsal import gigabytes, rehearse

    found = rehearse(_wanted_config(options))
    if found.cost and not options.json:
        cost = found.cost
        print(f"{cost.hardware} {cost.steps} steps, about {cost.seconds_total / 60:.1f} minutes in all:")
        print(
            f"{cost.seconds_per_step:.2f} s a step, {cost.seconds_per_epoch / 60:.1f} minutes a pass over the data, "
            f"{cost.seconds_per_evaluation:.1f} s to score it once"
        )
        print(
            f"{gigabytes(cost.memory_bytes)} of {gigabytes(cost.memory_free_bytes)} free memory, "
            f"{gigabytes(cost.checkpoint_bytes)} on disk"
        )
    for problem in found.problems:
        _say(options, problem.sentence)
    return found.as_dict()


def rate_test(options: argparse.Namespace) -> dict[str, Any]:
    """Lets the learning rate climb over some steps and suggests one."""
    from core.training import rate_test

    points = []
    for point in tqdm(
        rate_test.rate_test(_wanted_config(options)), total=rate_test.STEPS, unit="step", disable=options.json
    ):
        points.append(point)
    found = rate_test.suggest_rate(points)
    _say(options, found.sentence)
    return {"points": [asdict(point) for point in points], **asdict(found)}


def runs(options: argparse.Namespace) -> dict[str, Any]:
    """Lists the runs, or does one thing with one of them."""
    folder = runs_folder()
    if options.action == "list":
        found = [_facts(run) for run in list_runs(folder) if run.matches(" ".join(options.words))]
        if not options.json:
            print(
                "\n".join(_line(facts) for facts in found)
                or "No run yet. Start one: python -m core train --preset taste"
            )
        return {"runs": found}
    if options.action == "empty-bin":
        gone = runner.empty_bin(folder, options.older_than)
        size = sum(binned.size for binned in gone)
        _say(options, f"{len(gone)} run{'' if len(gone) == 1 else 's'} removed for good, {size / 1e6:.1f} MB freed.")
        return {"removed": [binned.run.id for binned in gone], "bytes": size}
    if not options.run:
        raise LabError(
            f"Name the run to {options.action}: python -m core runs {options.action} RUN. Any part of its id that no other has will do."
        )
    if options.action == "restore":
        path = runner.restore(options.run, folder)
        _say(options, f"Run {path.name} is back.")
        return _facts(read_run(path))
    run = find_run(options.run, folder)
    if options.action == "delete":
        runner.delete(run.path)
        _say(options, f"Run {run.id} is in the bin. Bring it back: python -m core runs restore {run.id}")
        return {"run": run.id, "deleted": True}
    return _RUN_ACTIONS[options.action](run, options)


def _show(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    facts = _facts(run) | {
        "path": str(run.path),
        "note": run.notes.note,
        "parent": run.notes.parent,
        "failure": run.status.failure,
        "remedy": run.status.remedy,
        "config": run.config.model_dump() if run.config else None,
    }
    if not options.json:
        print(_line(facts))
        print(f"    {run.path}")
        if run.notes.parent:
            print(f"    cloned from {run.notes.parent}")
        for line in run.notes.note.splitlines():
            print(f"    {line}")
        if run.config:
            print(run.config.model_dump_json(indent=2))
    return facts


def _stop(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    runner.stop(run.path)
    return _told(run, options, "will write a checkpoint and stop")


def _stop_now(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    runner.stop_now(run.path, options.patience)
    return _told(run, options, f"is {read_run(run.path).state}")


def _pause(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    runner.pause(run.path)
    return _told(run, options, "will write a checkpoint and pause")


def _resume(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    runner.resume(run.path)
    return _told(run, options, "is queued again")


def _clone(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    path = runner.clone(run.path, _given_fields(options))
    _say(options, f"Run {path.name} is queued: {run.id} once more, with what you changed.")
    return _facts(read_run(path))


def _annotate(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Rename, tag and note: the words that follow take the place of what was there; none at all take it away."""
    change = {
        "rename": {"name": " ".join(options.words)},
        "tag": {"tags": tuple(options.words)},
        "note": {"note": " ".join(options.words)},
    }[options.action]
    write_notes(run.path, replace(run.notes, **change))
    facts = _facts(read_run(run.path))
    _say(options, _line(facts))
    return facts


def _move(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    runner.move(run.path, -1 if options.action == "up" else 1)
    return _told(run, options, f"has {runner.queue_position(read_run(run.path))} before it now")


def _told(run: Run, options: argparse.Namespace, what: str) -> dict[str, Any]:
    _say(options, f"Run {run.id} {what}.")
    return _facts(read_run(run.path))


_RUN_ACTIONS: dict[str, Callable[[Run, argparse.Namespace], dict[str, Any]]] = {
    "show": _show,
    "stop": _stop,
    "stop-now": _stop_now,
    "pause": _pause,
    "resume": _resume,
    "follow": lambda run, options: _follow(run.path, options),
    "clone": _clone,
    "rename": _annotate,
    "tag": _annotate,
    "note": _annotate,
    "up": _move,
    "down": _move,
}


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
            _say(options, str(path))
    return {"run": run.id, "written": written}


def get(options: argparse.Namespace) -> dict[str, Any]:
    """Downloads Cityscapes with the user's own account, and unpacks it. Run again, it goes on where it was."""
    from core.data.download import FINE, get_packages, login, target_folder

    folder = target_folder(options.into)
    names = options.packages or list(FINE)
    with _reported(options, folder, names) as (progress, should_stop, tell):
        lacking = get_packages(
            lambda: login(*_credentials(options)), names, folder, progress, should_stop, options.keep_archives
        )
        tell(lacking=[sentence for sentence in lacking.values() if sentence])
    for sentence in filter(None, lacking.values()):
        _say(options, sentence)
    _say(options, f"Cityscapes is in {folder}. Look at it: python -m core doctor {shlex.quote(str(folder))}")
    return {"root": str(folder), "lacking": lacking}


def _credentials(options: argparse.Namespace) -> tuple[str, str]:
    """Username and password, asked for or read from stdin; never taken from the command line, where others could read them."""
    if options.credentials_stdin:
        return sys.stdin.readline().rstrip("\r\n"), sys.stdin.readline().rstrip("\r\n")
    try:
        print("Username or email address at cityscapes-dataset.com: ", end="", file=sys.stderr, flush=True)
        return input(), getpass.getpass("Password: ")
    except EOFError:
        raise LabError(
            "Nobody is there to be asked. Give username and password as two lines: --credentials-stdin."
        ) from None


@contextmanager
def _reported(
    options: argparse.Namespace, folder: Path, names: list[str]
) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[], bool], Callable[..., None]]]:
    """Progress, stop and further facts of a download: for a bar in the terminal or, where a page started it, a file it reads."""
    from core.data.download import StoppedError, job_file

    path = job_file(options.job) if options.job else None
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"folder": str(folder), "packages": names, "process": asdict(ProcessId.of(os.getpid()))}
    terminal = sys.stderr  # which leads nowhere while the official downloader works
    bar = tqdm(disable=True)
    what, began, first, written = "", 0.0, 0, 0.0

    def write(**changes: Any) -> None:
        facts.update(changes)
        if path:
            write_atomically(path, json.dumps(facts | {"updated": time.time()}))

    def progress(now: str, done: int, total: int) -> None:
        nonlocal bar, what, began, first, written
        moment = time.monotonic()
        if now != what:
            what, began, first, written = now, moment, done, 0.0
            bar.close()
            bar = tqdm(
                desc=now,
                total=total,
                initial=done,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                file=terminal,
                disable=options.json or path is not None,
            )
        bar.update(done - bar.n)
        if moment - written >= 0.5:
            written = moment
            left = (total - done) * (moment - began) / (done - first) if done > first else None
            write(what=what, done=done, total=total, seconds_left=left)

    write(state="running", what="Logging in", done=0, total=0, seconds_left=None, error="")
    try:
        yield progress, lambda: path is not None and path.with_suffix(".stop").exists(), write
    except StoppedError as error:
        write(state="stopped", error=str(error))
        raise
    except LabError as error:
        write(state="failed", error=str(error))
        raise
    except BaseException:
        write(state="failed", error="The download broke off. Start it again: it goes on from where it was.")
        raise
    finally:
        bar.close()
    write(state="finished")


def _wanted_config(options: argparse.Namespace) -> RunConfig:
    """The config that a file, a preset and single options describe together. Raises LabError."""
    values = _read_values(options.config) if options.config else {}
    for part, given in _given_fields(options).items():
        values[part] = values.get(part, {}) | given
    return read_config(with_preset(values, options.preset) if options.preset else values)


def _given_fields(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The config fields that were named on the command line, part by part."""
    return {
        part: {
            key.split(".")[1]: value
            for key, value in vars(options).items()
            if key.startswith(f"{part}.") and value is not None
        }
        for part in RunConfig.model_fields
    }


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
    with tqdm(unit="step", dynamic_ncols=True, disable=options.json or None) as bar:
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
        "name": run.notes.name,
        "tags": list(run.notes.tags),
        "state": run.state,
        "step": status.step,
        "steps_total": status.steps_total,
        "best_miou": best and best["miou"],
        "minutes": round(((status.ended or status.updated) - status.started) / 60, 2) if status.started else None,
        "error": status.error or run.problem,
    }


def _line(facts: dict[str, Any]) -> str:
    miou = f"mean IoU {facts['best_miou']:.1%}" if facts["best_miou"] is not None else "not scored yet"
    line = f"{facts['run']}  {facts['state']:8}  step {facts['step']}/{facts['steps_total'] or '?'}  {miou}  {facts['name'] or facts['title']}"
    line += "".join(f"  #{tag}" for tag in facts["tags"])
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

    command = commands.add_parser("doctor", parents=[common], help="say what is wrong with a data set")
    command.add_argument("root", metavar="ROOT", help="folder of the data set; nothing in it is changed")
    command.add_argument(
        "--classes", metavar="TABLE", default="auto", help="a numbering, or the path of a class table; default auto"
    )
    command.add_argument(
        "--limit", type=int, default=0, metavar="N", help="look at N evenly spread pairs of each split; default all"
    )
    command.add_argument("--proposal", action="store_true", help="print only the text of a classes.json that fits")
    command.set_defaults(command=doctor)

    command = commands.add_parser("train", parents=[common], help="train a network", argument_default=None)
    command.add_argument("--detach", action="store_true", help="don't wait for the end")
    _add_config(command)
    command.set_defaults(command=train)

    command = commands.add_parser("rehearse", parents=[common], help="try what a training would take")
    _add_config(command)
    command.set_defaults(command=rehearse)

    command = commands.add_parser("rate-test", parents=[common], help="find a good learning rate by a short test")
    _add_config(command)
    command.set_defaults(command=rate_test)

    command = commands.add_parser("runs", parents=[common], help="list runs, or stop, resume, clone, name, delete one")
    _add_run_actions(command)
    command.set_defaults(command=runs, action="list", words=[])

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

    command = commands.add_parser("get", parents=[common], help="download Cityscapes with your own account")
    command.add_argument("what", choices=["cityscapes"])
    command.add_argument("--into", required=True, metavar="FOLDER", help="that shall hold leftImg8bit and gtFine")
    command.add_argument(
        "--packages", nargs="+", metavar="NAME", help="archives to fetch; default: photographs and fine labels"
    )
    command.add_argument("--keep-archives", action="store_true", help="don't remove an archive once it is unpacked")
    command.add_argument(
        "--credentials-stdin", action="store_true", help="read username and password as two lines from stdin"
    )
    command.add_argument("--job", help="say how it stands in a file of this name, for the page Data")
    command.set_defaults(command=get)
    return parser


def _add_run_actions(command: argparse.ArgumentParser) -> None:
    """What can be done with runs, each with the options that it takes."""
    # Named again here, without a default: it may stand before the action or after it.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    actions = command.add_subparsers(dest="action", metavar="ACTION")
    for name, text in (
        ("list", "list all runs, or those that have all of some words; also what is done when no action is named"),
        ("empty-bin", "remove what was deleted, for good"),
        ("show", "show a run with its config"),
        ("stop", "stop a run after its present step, with a checkpoint"),
        ("stop-now", "the same, but end a trainer that doesn't stop in time"),
        ("pause", "set a run aside, with a checkpoint; the next one in the queue begins"),
        ("resume", "queue a run that was stopped, paused, lost or has failed"),
        ("follow", "watch a run until it ends"),
        ("clone", "train once more, with some fields changed"),
        ("rename", "give a run a name"),
        ("tag", "give a run these tags instead of those it has"),
        ("note", "give a run a note"),
        ("delete", "move a run into the bin"),
        ("restore", "bring a run back from the bin"),
        ("up", "move a queued run one place nearer to its turn"),
        ("down", "move a queued run one place back"),
    ):
        action = actions.add_parser(name, parents=[common], help=text)
        if name == "empty-bin":
            action.add_argument("--older-than", type=float, default=0.0, metavar="DAYS", help="keep what is younger")
        elif name != "list":
            action.add_argument("run", nargs="?", help="id of a run, or a part of it")
        if name in ("list", "rename", "tag", "note"):
            action.add_argument("words", nargs="*", help="all runs, or no name, tags or note, without any")
        elif name == "stop-now":
            action.add_argument(
                "--patience",
                type=float,
                default=runner.STOP_SECONDS,
                metavar="S",
                help=f"seconds that the trainer has for its checkpoint; default {runner.STOP_SECONDS:g}",
            )
        elif name == "clone":
            _add_fields(action)


def _add_config(command: argparse.ArgumentParser) -> None:
    """What a run is asked for with."""
    command.add_argument("--preset", choices=list(PRESETS), help="fill in the length of the training")
    command.add_argument("--config", type=Path, help="a config.json to begin with, of an older run for example")
    _add_fields(command)


def _add_fields(command: argparse.ArgumentParser) -> None:
    """One option per field of a config, in a group per part."""
    for part, field in RunConfig.model_fields.items():
        group = command.add_argument_group(part)
        for name, detail in field.annotation.model_fields.items():
            _add_field(group, f"{part}.{name}", detail)


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
