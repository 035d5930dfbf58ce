"""What a run starts from: pretrained weights of its encoder, the whole network of another run, or nothing. Known before
torch is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import ITSELF, OF_RUN, ModelConfig, TrainingConfig
from core.errors import LabError
from core.models.class_sources import class_sources, sources_sentence
from core.models.weights_source import WeightsSource, find_weights
from core.paths import runs_folder
from core.runs.store import Run, find_run


@dataclass(frozen=True)
class RunStart:
    """Another run whose network a run starts from, and the sentence that says so."""

    run: Run
    sentence: str
    pretrained: bool = True


def find_start(model: ModelConfig, hub_repo: str | None = None) -> WeightsSource | RunStart:
    """Return what a network starts from.

    Args:
        model: its `weights` is as for `find_weights`, or run:ID.
        hub_repo: as for `find_weights`.

    Raises:
        LabError: it can't be had; of a run, there is none of that id, or it has no network to start from yet.
    """
    if not model.weights.startswith(OF_RUN):
        return find_weights(model, hub_repo)
    run = find_run(model.weights.removeprefix(OF_RUN), runs_folder())
    if not run.has_checkpoint("best"):
        raise LabError(f"Run {run.id} has nothing to start from yet. Wait for its first evaluation.")
    return RunStart(run, f"Starts from run {run.id}, {run.title}.")


def find_teacher(training: TrainingConfig) -> Run | None:
    """Return the run that teaches a training; None without one, or where that is itself.

    Raises LabError where it has no network yet, or isn't there.
    """
    if training.teacher in ("", ITSELF):
        return None
    run = find_run(training.teacher, runs_folder())
    if not run.has_checkpoint("best"):
        raise LabError(f"Run {run.id} can't teach yet. Wait for its first evaluation.")
    return run


def carried_sentence(model: ModelConfig, run: Run, class_names: Sequence[str]) -> str:
    """Return in words which classes of the run that a network starts from are carried over to others.

    Raises LabError when the user's own table names a class that isn't there.
    """
    return sources_sentence(
        class_names, run.class_names, class_sources(class_names, run.class_names, model.class_pairs)
    )
