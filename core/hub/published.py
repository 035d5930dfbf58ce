"""The config.json of a published network: everything that rebuilds it and says what it can do, and nothing about whose
it was.

Written when a run is pushed, read with distrust when one is pulled: whatever stands there was written by a stranger.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from core.config import RunConfig, read_stored_config
from core.data.class_table import space_of
from core.errors import LabError
from core.labels import LABEL_SPACES, Color, LabelSpace
from core.models.families import NOT_TRAINED
from core.runs.fitted_temperature import FittedTemperature

FORMAT = "segmentation-lab"
VERSION = 1
MAX_BYTES = 1_000_000
MACHINE = {"device": "auto", "num_processes": 1, "threads": 0, "workers": -1, "compile": False, "teacher": ""}
"""Training fields that are about a machine, or name a run on it; another one has its own."""
WEIGHT_NAMES = ("auto", "pretrained", "none")


@dataclass(frozen=True)
class Published:
    """A published network, checked.

    Attributes:
        config: of its run; machine and paths are this machine's.
        space: its classes and colours.
        step: optimizer steps done.
        best_miou: of the validation frames, 0..1, as its author scored it.
        evaluation: the metrics row of that score; empty where there is none.
        fitted: the temperature of its probabilities; None where none was fitted.
    """

    config: RunConfig
    space: LabelSpace
    step: int
    best_miou: float
    evaluation: dict[str, Any]
    fitted: FittedTemperature | None = None


Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class _Progress(BaseModel):
    step: int = Field(strict=True, ge=0, le=2**53)
    best_miou: Share


class _Evaluation(BaseModel):
    epoch: int = Field(1, strict=True, ge=0, le=2**31)
    loss: float | None = Field(None, strict=True, ge=-1e12, le=1e12)
    miou: Share
    pixel_accuracy: Share
    iou: list[Share | None]
    frames: int | None = Field(None, strict=True, ge=1, le=2**31)


def published_text(
    config: RunConfig,
    class_names: tuple[str, ...],
    colors: tuple[Color, ...],
    step: int,
    best_miou: float,
    evaluation: dict[str, Any],
    preprocessing: dict[str, Any],
    fitted: FittedTemperature | None = None,
) -> str:
    """Return the text of a config.json. Paths and what is about this machine are left out."""
    values = {
        "format": FORMAT,
        "version": VERSION,
        "run": impersonal(config.model_dump()),
        "classes": [{"name": name, "color": list(color)} for name, color in zip(class_names, colors, strict=True)],
        "preprocessing": preprocessing,
        "step": step,
        "best_miou": best_miou,
        "evaluation": evaluation,
        "calibration": fitted.model_dump() if fitted else None,
    }
    return json.dumps(values, indent=1)


def impersonal(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a run's config without paths, and without what is about a machine."""
    dataset, model = dict(values["dataset"]), dict(values["model"])
    dataset["root"] = dataset["corrections"] = ""
    if dataset.get("classes", "auto") not in LABEL_SPACES:
        dataset["classes"] = "auto"
    dataset["cache"], dataset["unlabelled"] = "auto", 0.0
    weights = str(model.get("weights", "auto"))
    if weights not in WEIGHT_NAMES and not weights.startswith("hub:"):
        model |= {"weights": "auto", "class_map": ""}
    return {"dataset": dataset, "model": model, "training": dict(values["training"]) | MACHINE}


def read_published(values: dict[str, Any], repo: str, root_for: Callable[[str, tuple[str, ...]], str]) -> Published:
    """Check the config.json of a repository.

    Args:
        values: the object in it.
        repo: for the sentences.
        root_for: tells the folder on this machine that holds such data, given the data set's name and the classes.

    Raises:
        LabError: it isn't of this lab, or something in it doesn't make sense.
    """
    if values.get("format") != FORMAT:
        raise LabError(
            f"{repo} can't be brought here: its config.json is of another kind. The lab takes networks that were pushed"
            " from a lab like this one, and SegFormer or Mask2Former trained for Cityscapes. Check the name."
        )
    if values.get("version") != VERSION:
        raise LabError(f"{repo} was pushed by another version of the lab. Update the lab, and try again.")
    try:
        space = _space(values["classes"])
        run = impersonal(values["run"])
        run["dataset"]["root"] = root_for(str(run["dataset"].get("name")), space.class_names)
        config = read_stored_config(run)
        if config.model.family in NOT_TRAINED:
            raise ValueError("a network of others, or of several as one, isn't taken from a lab.")
        try:
            progress = _Progress.model_validate(values)
        except ValidationError:
            raise ValueError("its step or its score is no number that can be.") from None
        evaluation = _evaluation(values.get("evaluation"), progress.step, len(space.class_names))
        fitted = _fitted(values.get("calibration"))
        return Published(config, space, progress.step, progress.best_miou, evaluation, fitted)
    except LabError as error:
        raise LabError(f"{repo} can't be taken. {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        detail = f"'{error.args[0]}' is missing." if isinstance(error, KeyError) else str(error)
        raise LabError(f"The config.json of {repo} doesn't make sense: {detail[:200]}") from None


def read_json(path: Path, repo: str) -> dict[str, Any]:
    """Return the object in a config.json of a repository. Raises LabError when it isn't one."""
    try:
        values = json.loads(path.read_bytes(), parse_constant=_reject_constant)
    except (ValueError, RecursionError, OSError):
        values = None
    if not isinstance(values, dict):
        raise LabError(f"The config.json of {repo} is broken: it is not a JSON object. Ask its owner to push it again.")
    return values


def _reject_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _space(rows: Any) -> LabelSpace:
    """Return classes and colours; the ids are their own numbers, for what the author's label files hold isn't known."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) and set(row) == {"name", "color"} for row in rows):
        raise ValueError("its classes are no list of names and colours.")
    for row in rows[:256]:
        if not isinstance(row["name"], str) or not row["name"].isprintable() or len(row["name"]) > 80:
            raise ValueError("a class has no name that can be shown.")
    checked = space_of([row | {"ids": [index]} for index, row in enumerate(rows[:256])])
    known = next((space for space in LABEL_SPACES.values() if space.class_names == checked.class_names), None)
    return known or checked


def _fitted(values: Any) -> FittedTemperature | None:
    """Return a temperature, or None where it isn't one: repositories of before have none."""
    try:
        return FittedTemperature.model_validate(values)
    except ValidationError:
        return None


def _evaluation(row: Any, step: int, num_classes: int) -> dict[str, Any]:
    """Return what the lab shows of a metrics row, or nothing where it isn't one."""
    try:
        evaluation = _Evaluation.model_validate(row)
    except ValidationError:
        return {}
    if len(evaluation.iou) != num_classes:
        return {}
    # All frames were looked at where it says nothing of them.
    return {"kind": "eval", "step": step} | evaluation.model_dump(exclude={"frames"} if not evaluation.frames else None)
