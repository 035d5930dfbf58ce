"""From the files of a repository to a run folder: the network is built, its weights are checked, then the folder
appears.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.config import RunConfig
from core.errors import LabError
from core.hub.checking import check_weights
from core.hub.origin import Origin, write_origin
from core.hub.published import Published
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.runs.metrics_log import MetricsLog
from core.runs.notes import NAME_LENGTH, Notes
from core.runs.status import Status
from core.runs.store import checkpoint_state, new_run, write_plan

PutWeights = Callable[[Path, Path, Published, str], SegmentationModel]
"""`put(source, target, published, repo)`: weights that weren't checked yet, checked and put into a run.

Returns the network
without its weights. Raises LabError when they aren't its own."""


def put_own(source: Path, target: Path, published: Published, repo: str) -> SegmentationModel:
    """Return the weights of a network that was pushed from the lab: the file as it is. See `PutWeights`."""
    _link_or_copy(source, target)
    model = unfilled_model(published.config, len(published.space.class_names), repo)
    check_weights(target, model, repo)
    return model


def make_run(
    origin: Origin, published: Published, weights: Path, folder: Path, put_weights: PutWeights = put_own
) -> Path:
    """Return a finished run with a best checkpoint, as if it had been trained here.

    Args:
        origin: where it came from.
        published: what its config.json says.
        weights: a safetensors file that wasn't checked yet.
        folder: that shall hold the run.
        put_weights: checks them, and puts them there.

    Returns:
        The run folder.

    Raises:
        LabError: the network can't be built, or the weights aren't its own. Then there is no folder.
        OSError: it can't be written.
    """
    config, space, now = published.config, published.space, time.time()
    status = Status(state="finished", created=now, updated=now, step=published.step, steps_total=published.step, exit=0)
    notes = Notes(name=origin.repo.partition("/")[2][:NAME_LENGTH], tags=("hub",))
    with new_run(config, folder, status, notes) as hidden:
        file = hidden / "best" / "model.safetensors"
        file.parent.mkdir()
        model = put_weights(weights, file, published, origin.repo)
        state = checkpoint_state(config, space, published.step, published.best_miou)
        state["calibration"] = published.fitted.model_dump() if published.fitted else None
        (file.parent / "state.json").write_text(json.dumps(state, indent=1))
        write_plan(hidden, _plan(published, model, origin))
        if published.evaluation:
            log = MetricsLog(hidden)
            log.append(published.evaluation)
            log.close()
        write_origin(hidden, origin)
    return folder / hidden.name.removeprefix(".")


def unfilled_model(config: RunConfig, num_classes: int, name: str) -> SegmentationModel:
    """Return a network without memory for its weights, so that only what fits it is ever given any.

    Raises:
        LabError: it can't be built; the sentence begins with `name`.
    """
    try:
        with torch.device("meta"):
            return build_model(config.model, num_classes, config.dataset.pixels.num_bands)
    except LabError as error:
        raise LabError(f"{name} can't be built here. {error}") from None


def _plan(published: Published, model: SegmentationModel, origin: Origin) -> dict[str, Any]:
    """As much of a plan as pages read; nothing is left to train."""
    return {
        "classes": published.space.class_names,
        "colors": published.space.colors,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "weights": origin.sentence,
        "hardware": "",
    }


def _link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name: the Hub's cache and the run folder share its bytes where they share a disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
