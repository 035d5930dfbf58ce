"""Several runs as one: a finished run whose network is the ensemble of theirs, so that it can be looked at, scored,
exported and used to predict like any other.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from core.auth import require_write
from core.config import RunConfig, read_config
from core.disk_usage import check_disk_quota
from core.errors import LabError, writing
from core.labels import LabelSpace
from core.models.families import ENSEMBLE
from core.runs.fitted_temperature import read_temperature
from core.runs.notes import NAME_LENGTH, Notes
from core.runs.status import Status
from core.runs.store import Run, checkpoint_path, checkpoint_state, new_run, write_plan
from core.text import join_first, join_items


def make_ensemble(runs: Sequence[Run], folder: Path) -> Path:
    """Put runs together as a run whose probabilities are the mean of theirs; returns its path.

    Its data, the size at which it is shown pictures, and the order of its classes, which are joined by name, are the
    first one's.

    Args:
        runs: two or more, each with a best checkpoint.
        folder: that shall hold the run.

    Raises:
        QuotaError: the one who is asking has as much on the disk as one may have.
        LabError: they are too few or too many, one has no network yet, they tell other classes apart or see other
            bands, or the folder can't be written to.
    """
    require_write()
    check_disk_quota()
    check_alike(runs, "An ensemble", in_order=False)
    configs = [run.config for run in runs if run.config]
    members = [config.model.model_dump() for config in configs]
    values = configs[0].model_dump() | {"model": {"family": ENSEMBLE, "architecture": json.dumps(members)}}
    values["training"]["layer_decay"] = 1.0  # a ViT's own; an ensemble isn't trained
    mixes_folds = len({(config.dataset.folds, config.dataset.fold) for config in configs}) > 1
    names = join_items([run.name.split(" · ")[0] for run in runs], "and")
    note = [
        "The mean of the probabilities of:",
        *(f"{run.id}, {run.name}" for run in runs),
        *(["They learned from each other's validation frames: score it on others."] if mixes_folds else []),
    ]
    plan = {
        "parameters": sum(int(run.plan.get("parameters", 0)) for run in runs),
        "weights": f"Averages the probabilities of {join_items([run.id for run in runs], 'and')}.",
    }
    notes = Notes(name=f"Ensemble of {names}"[:NAME_LENGTH], tags=("ensemble",), note="\n".join(note))
    return write_combined(runs[0], read_config(values), _weights_of(runs), plan, notes, folder)


def check_alike(runs: Sequence[Run], what: str, in_order: bool = True) -> None:
    """Raise LabError where runs can't be put together as something that a sentence begins with, since they are too few,
    one has no network, they see other bands, or tell other classes apart, or the same ones `in_order` of another kind.
    """
    if len(runs) < 2:
        raise LabError(f"{what} is put together of two runs or more. Choose another one.")
    first = runs[0]
    for run in runs:
        if run.config is None or not run.has_checkpoint("best"):
            raise LabError(f"Run {run.id} has no network yet. Wait for its first evaluation, or leave it out.")
        if sorted(run.class_names) != sorted(first.class_names):
            apart = set(run.class_names) ^ set(first.class_names)
            raise LabError(
                f"Run {run.id} tells other classes apart than {first.id}: only one of them knows"
                f" {join_first(sorted(apart), 5)}. {what} needs the same ones."
            )
        if in_order and run.class_names != first.class_names:
            raise LabError(f"Run {run.id} has its classes in another order than {first.id}. {what} needs the same one.")
        if run.pixels != first.pixels:
            raise LabError(
                f"Run {run.id} sees other bands or another white than {first.id}. Take runs of the same data."
            )


def write_combined(
    first: Run,
    config: RunConfig,
    tensors: Mapping[str, np.ndarray],
    plan: Mapping[str, Any],
    notes: Notes,
    folder: Path,
    best_miou: float = -1.0,
) -> Path:
    """Write a finished run whose network was put together of others, and return its path.

    Args:
        first: of the others, whose classes, colours and pixels are its own.
        config: of the run.
        tensors: of its network, by name.
        plan: what its plan says besides: `parameters`, and in `weights` how it came to be.
        notes: of the run.
        folder: that shall hold it.
        best_miou: on its validation frames, 0..1; -1 where it wasn't scored.

    Raises:
        LabError: the folder can't be written to.
    """
    now = time.time()
    status = Status(state="finished", created=now, updated=now, exit=0)
    space = LabelSpace("combined", first.class_names, first.colors, ())
    known = {"classes": first.class_names, "colors": first.colors, "white": first.plan.get("white", ()), "hardware": ""}
    with writing(folder), new_run(config, folder, status, notes) as hidden:
        best = hidden / "best"
        best.mkdir()
        save_file(dict(tensors), best / "model.safetensors")
        state = checkpoint_state(config, space, 0, best_miou)
        (best / "state.json").write_text(json.dumps(state, indent=1))
        write_plan(hidden, {**known, **plan})
    return folder / hidden.name.removeprefix(".")


def read_tensors(run: Run) -> dict[str, np.ndarray]:
    """Return the tensors of a run's best network, by name. Raises LabError where they can't be read."""
    path = (checkpoint_path(run.path, "best") or run.path) / "model.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise LabError(f"The weights of run {run.id} can't be read: {str(error).splitlines()[0]}") from None


def _weights_of(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Return the tensors of an ensemble, whose own mean and deviation leave a picture as it is."""
    tensors: dict[str, np.ndarray] = {}
    for index, run in enumerate(runs):
        own = read_tensors(run)
        tensors |= {f"members.{index}.{name}": tensor for name, tensor in own.items()}
    like = tensors["members.0.mean"]
    fitted = [read_temperature(run.path) for run in runs]
    temperatures = np.array([each.temperature if each else 1.0 for each in fitted], np.float32)
    orders = np.array([[run.class_names.index(name) for name in runs[0].class_names] for run in runs], np.int64)
    own = {"mean": np.zeros_like(like), "std": np.ones_like(like), "temperatures": temperatures, "orders": orders}
    return tensors | own
