"""`python -m core score`, `compare` and `predict`: what trained runs are worth, and what they make of a picture."""

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.commands.options import say
from core.errors import LabError
from core.places import runs_folder
from core.runs import Run, find_run
from core.scorecards.card import CardSettings, RobustnessCard, ScoreCard, list_robustness, read_card
from core.scoring.bootstrap import compare as bootstrap


def add_scores(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the commands to a parser's."""
    command = commands.add_parser("score", parents=[common], help="score a run, and keep the scorecard in its folder")
    command.add_argument("run", help="id of a run, or a part of it")
    _add_settings(command)
    command.add_argument("--robustness", action="store_true", help="score under corruptions in five strengths instead")
    command.set_defaults(command=score)

    command = commands.add_parser(
        "compare", parents=[common], help="is one run better than another, by paired bootstrap"
    )
    command.add_argument("runs", nargs=2, metavar="RUN", help="ids of two runs, or parts of them")
    _add_settings(command)
    command.set_defaults(command=compare)

    command = commands.add_parser("predict", parents=[common], help="label images")
    command.add_argument("run", help="id of a run, or a part of it")
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument("images", type=Path, nargs="+")
    command.add_argument("--out", type=Path, default=Path("predictions"), help="default: predictions/")
    command.set_defaults(command=predict)


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--checkpoint", choices=["best", "last"], default="best")
    command.add_argument("--split", choices=["val", "train"], default="val", help="frames to score on")
    command.add_argument("--root", default="", help="score on another data set in the Cityscapes layout")
    command.add_argument(
        "--size", choices=["training", "full"], default="training", help="score there; full is the files' own size"
    )
    command.add_argument("--sliding-window", action="store_true", help="show windows of the training crops' size")
    command.add_argument("--flip", action="store_true", help="show the mirrored picture too")
    command.add_argument("--frames", type=int, default=0, metavar="N", help="so many at even distances; default: all")
    command.add_argument("--no-boundary", action="store_true", help="leave boundaries out, which is faster")


def _settings(options: argparse.Namespace) -> CardSettings:
    return CardSettings(
        checkpoint=options.checkpoint,
        split=options.split,
        size=options.size,
        sliding_window=options.sliding_window,
        flip=options.flip,
        boundary=not options.no_boundary,
        root=options.root,
        frames=max(0, options.frames),
    )


def score(options: argparse.Namespace) -> dict[str, Any]:
    """Scores a run's checkpoint; what was scored before in the same way is read."""
    from core.scorecards.making import make_robustness

    run = find_run(options.run, runs_folder())
    if not options.robustness:
        card = _card(run, options)
        if not options.json:
            _print_card(card)
        return _card_facts(card)
    with _Bar(options) as progress:
        make_robustness(run, _settings(options), progress)
    card = list_robustness(run.path)[0]
    if not options.json:
        _print_robustness(card)
    return {"run": run.id, "miou": card.miou, "frames": card.facts.frames, "size": list(card.facts.size)}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Whether one run is better than another on the same frames."""
    runs = [find_run(run_id, runs_folder()) for run_id in options.runs]
    one, other = (_card(run, options) for run in runs)
    found = bootstrap(one.scores, other.scores, (runs[0].name, runs[1].name))
    say(options, found.sentence)
    return {
        "runs": [run.id for run in runs],
        "difference": found.difference,
        "spread": found.spread,
        "low": found.low,
        "high": found.high,
        "frames": found.frames,
        "sentence": found.sentence,
    }


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


def _card(run: Run, options: argparse.Namespace) -> ScoreCard:
    from core.scorecards.making import make_card

    with _Bar(options) as progress:
        path = make_card(run, _settings(options), progress)
    card = read_card(path)
    if card is None:
        raise LabError(f"'{path}' was written and can't be read. Is the disk full? Free some space, and score again.")
    return card


class _Bar:
    """A progress bar on a terminal, called as `Progress` is."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._bar = tqdm(unit="frame", dynamic_ncols=True, disable=options.json or None)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        self._bar.set_description(what, refresh=False)
        self._bar.total, self._bar.n = total, done
        self._bar.refresh()


def _card_facts(card: ScoreCard) -> dict[str, Any]:
    facts, settings = card.facts, card.facts.settings
    return card.scores.to_json() | {
        "run": facts.run,
        "checkpoint": settings.checkpoint,
        "step": facts.step,
        "size": list(facts.size),
        "scored_at": settings.size,
        "protocol": settings.words,
        "sliding_window": settings.sliding_window,
        "milliseconds": facts.milliseconds,
        "ceiling": {"pixels_per_cell": facts.pixels_per_cell, "miou": facts.ceiling},
        "ceilings": facts.ceilings,
    }


def _print_card(card: ScoreCard) -> None:
    result, facts = card.scores.to_json(), card.facts
    for name, value in result["iou"].items():
        print(f"{name:15} {_percent(value)}")
    if len(result["groups"]) > 1:
        print()
        for name, row in result["groups"].items():
            print(f"{name:15} {_percent(row['miou'])}  {row['frames']} frames")
        print()
    print(f"mean IoU {_percent(result['miou'])}, pixel accuracy {_percent(result['pixel_accuracy'])}")
    print(f"on {facts.frames} frames at {facts.size[1]} x {facts.size[0]} pixels ({facts.settings.words})")
    if result["miiou"] is not None:
        print(f"mean iIoU {_percent(result['miiou'])}")
    if result["mean_boundary_f1"] is not None:
        print(f"mean boundary F1 {_percent(result['mean_boundary_f1'])}")
    print(f"calibration error {_percent(result['calibration']['ece'])}")
    print(f"the truth itself, seen in cells of {facts.pixels_per_cell} pixels, would have {_percent(facts.ceiling)}")


def _print_robustness(card: RobustnessCard) -> None:
    print(f"mean IoU on {card.facts.frames} frames ({card.facts.settings.words}), by strength 1 to 5")
    print(f"{'as they are':15} {_percent(card.miou['none'][0])}")
    for kind, row in card.miou.items():
        if kind != "none":
            print(f"{kind:15} {'  '.join(_percent(value) for value in row.values())}")


def _percent(value: float | None) -> str:
    return " absent" if value is None else f"{value:.1%}"
