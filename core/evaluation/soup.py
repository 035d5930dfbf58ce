"""The mean of the weights of runs that began alike: one network, as quick as each of them, and often a little better.

Wortsman et al., Model soups (https://arxiv.org/abs/2203.05482), the greedy recipe: the best run first, then each other
one that makes the mean no worse on the validation frames.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from core.auth import require_write
from core.config import ModelConfig
from core.data.dataset import Dataset, open_dataset
from core.disk_usage import check_disk_quota
from core.errors import LabError
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.hardware import choose_hardware
from core.inference.predictor import Predictor
from core.progress import CountCallback, ProgressCallback, no_progress
from core.runs.ensembles import check_alike, read_tensors, write_combined
from core.runs.notes import NAME_LENGTH, Notes
from core.runs.store import Run, checkpoint_path
from core.text import format_percent, join_items

OF_START = {"weights": "none", "class_map": "", "freeze": 0.0, "head_only": False}
"""Fields in which networks of one shape may differ, with what stands for any value."""


@dataclass(frozen=True)
class Soup:
    """A run that holds the mean of some runs' weights, which these are, its mean IoU on their validation frames, and
    that of the best of them, 0..1.
    """

    path: Path
    members: tuple[str, ...]
    miou: float
    best_miou: float


def make_soup(runs: Sequence[Run], folder: Path, progress: ProgressCallback = no_progress) -> Soup:
    """Average the weights of runs as long as that is better than the best of them, and write the mean as a run.

    Args:
        runs: two or more of one network, that began with the same weights.
        folder: that shall hold the run.
        progress: called before each frame; may raise to break off, and nothing is written then.

    Raises:
        QuotaError: the one who is asking has as much on the disk as one may have.
        LabError: the runs can't be averaged, no mean is better than the best of them, or the folder can't be written
            to.
    """
    require_write()
    check_disk_quota()
    check_alike(runs, "An average")
    _check_start(runs)
    assert runs[0].config
    dataset = open_dataset(runs[0].config.dataset)
    tensors = [read_tensors(run) for run in runs]
    rounds = 2 * len(runs) - 1

    def score(mean: Mapping[str, np.ndarray], which: str, index: int) -> float:
        def step(done: int, total: int) -> None:
            progress(f"Scoring {which}", index * total + done, rounds * total)

        return _score(runs[0], mean, dataset, step)

    alone = [score(own, run.name, index) for index, (run, own) in enumerate(zip(runs, tensors, strict=True))]
    order = sorted(range(len(runs)), key=lambda index: -alone[index])
    members, miou = order[:1], alone[order[0]]
    for number, index in enumerate(order[1:]):
        tried = [*members, index]
        tried_miou = score(_mean([tensors[each] for each in tried]), f"a mean of {len(tried)}", len(runs) + number)
        if tried_miou >= miou:
            members, miou = tried, tried_miou
    best = runs[order[0]]
    if len(members) == 1:
        raise LabError(
            f"No average is better than {best.name} alone, with a mean IoU of {format_percent(miou)} on its validation"
            " frames. Nothing was written. Runs that go on from one run average better than runs that began anew."
        )
    chosen = [runs[index] for index in members]
    note = [
        "The mean of the weights of:",
        *(f"{run.id}, {run.name}: mean IoU {format_percent(alone[runs.index(run)])}" for run in chosen),
        f"Mean IoU {format_percent(miou)}; which runs are in it was chosen by these frames, so score it on others.",
    ]
    notes = Notes(
        name=f"Average of {join_items([run.name.split(' · ')[0] for run in chosen], 'and')}"[:NAME_LENGTH],
        tags=("average",),
        note="\n".join(note),
    )
    plan = {**best.plan, "weights": f"Averages the weights of {join_items([run.id for run in chosen], 'and')}."}
    assert best.config
    mean = _mean([tensors[index] for index in members])
    path = write_combined(best, best.config, mean, plan, notes, folder, miou)
    return Soup(path, tuple(run.id for run in chosen), miou, alone[order[0]])


def _check_start(runs: Sequence[Run]) -> None:
    """Raise LabError where runs are of several networks, or began apart."""
    first = runs[0]
    for run in runs:
        assert run.config and first.config
        if _shape(run.config.model) != _shape(first.config.model):
            raise LabError(
                f"{run.name} is another network than {first.name}: their weights have no mean. Average what they see"
                " instead."
            )
        if _fold(run) != _fold(first):
            raise LabError(
                "These runs learned from each other's validation frames, so nothing is left to judge a mean by."
            )
        starts = [(each.config.model.weights, each.plan.get("pretrained")) for each in (first, run) if each.config]
        if starts[0] != starts[1] or not starts[0][1]:
            raise LabError(
                f"{run.name} and {first.name} didn't begin with the same weights, so a mean of theirs is no network."
                " Average what they see instead, or train both on from one run."
            )


def _fold(run: Run) -> tuple[int, int] | None:
    return (run.config.dataset.folds, run.config.dataset.fold) if run.config else None


def _shape(model: ModelConfig) -> ModelConfig:
    return model.model_copy(update=OF_START)


def _mean(tensors: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the mean of equally named tensors; of counters the first one's."""
    result = {}
    for name, first in tensors[0].items():
        is_float = np.issubdtype(first.dtype, np.floating)
        result[name] = np.mean([own[name] for own in tensors], axis=0, dtype=first.dtype) if is_float else first
    return result


def _score(run: Run, tensors: Mapping[str, np.ndarray], dataset: Dataset, progress: CountCallback) -> float:
    """Return the mean IoU, 0..1, of a run's network with other weights on the validation frames."""
    checkpoint = checkpoint_path(run.path, "best")
    assert checkpoint and run.config
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder) / "best"
        best.mkdir()
        shutil.copy(checkpoint / "state.json", best)
        save_file(dict(tensors), best / "model.safetensors")
        predictor = Predictor(Path(folder), choose_hardware(run.config.training))
    confusion = ConfusionMatrix(len(run.class_names))
    for done, frame in enumerate(dataset.val):
        progress(done, len(dataset.val))
        confusion.update(dataset.target(frame), predictor.predict(dataset.image(frame)).labels)
    return confusion.miou()
