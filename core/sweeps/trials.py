"""The trials of a sweep as Optuna keeps them: a journal in plain lines, written by the driver alone and read by
everybody.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from core.errors import LabError
from core.runs.status import read_status
from core.sweeps.space import MAX_TRIALS, Range, SweepConfig, Value
from core.sweeps.sweep import Sweep

JOURNAL = "trials.jsonl"
JOURNAL_BYTES = 50_000_000
"""A larger journal was not written by the lab, and isn't read."""
RUNS, ERROR = "runs", "error"
"""Names of the attributes that a trial has in the journal: ids of its runs, one a round, and why it failed."""
MIN_FOR_IMPORTANCE = 4
BEST_SHARE = 0.25
"""Importance says what sets this share of the trials apart: of 36 that is 9, and fewer than five say nothing."""

optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells of every study that is looked into

_STATES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "dropped", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Trial:
    """One choice of settings.

    Attributes:
        number: in the order of proposal, from 0.
        params: what varies, by the field's full name.
        state: `open` while it is trained or waits for the next round.
        scores: best validation mIoU, 0..1, one a round.
        runs: ids of its runs, one a round; the last may still be running.
        error: a sentence, where it failed.
    """

    number: int
    params: dict[str, Value]
    state: Literal["open", "finished", "dropped", "failed"]
    scores: tuple[float, ...]
    runs: tuple[str, ...]
    error: str | None = None

    @property
    def score(self) -> float | None:
        """The score of its last round, or None before there is one."""
        return self.scores[-1] if self.scores else None


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: trainings done, trainings in all as planned, and seconds left, None before the first was
    timed.
    """

    done: int
    total: int
    seconds_left: float | None


class _DriverAlone(JournalFileOpenLock):
    """No lock: the driver holds one of its own for life, which goes with it.

    Optuna's stays behind after a kill for half a minute.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _Grid(optuna.samplers.GridSampler):
    """Optuna's own, but that it doesn't end the study with the last combination: it can only where Optuna itself runs
    the trials.
    """

    def after_trial(self, *args: object) -> None:
        pass


def open_study(folder: Path) -> optuna.Study:
    """Return the study of a sweep folder, for the driver; made where there is none. Raises as `read_trials`."""
    _cut_torn_line(folder / JOURNAL)
    with _readable(folder):
        return optuna.create_study(
            storage=_storage(folder), study_name=folder.name, direction="maximize", load_if_exists=True
        )


def read_trials(sweep: Sweep) -> list[Trial]:
    """Return the trials of a sweep in the order of proposal. Raises LabError where the journal can't be read."""
    if not (sweep.path / JOURNAL).is_file():
        return []
    with _readable(sweep.path):
        try:
            study = optuna.load_study(storage=_storage(sweep.path), study_name=sweep.id)
        except KeyError:
            return []  # the driver has opened the journal and written nothing yet
        return [trial_of(frozen) for frozen in study.get_trials(deepcopy=False)]


def trial_of(frozen: FrozenTrial) -> Trial:
    """Return a trial as the lab shows it."""
    return Trial(
        number=frozen.number,
        params=frozen.params,
        state=_STATES.get(frozen.state, "open"),
        scores=tuple(score for _, score in sorted(frozen.intermediate_values.items())),
        runs=tuple(frozen.user_attrs.get(RUNS, ())),
        error=frozen.user_attrs.get(ERROR),
    )


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials that have a score, the best first: who came further, then who scored higher, then who came
    first.
    """
    scored = [trial for trial in trials if trial.scores and trial.state != "failed"]
    return sorted(scored, key=lambda trial: (-len(trial.scores), -trial.scores[-1], trial.number))


def progress_of(sweep: Sweep, trials: Sequence[Trial]) -> Progress:
    """Return how far a sweep is. The time left goes by the time that the trainings took so far and the frames that they
    had.
    """
    frames = [planned.frames for planned in sweep.rounds]
    total = sum(planned.contestants for planned in sweep.rounds)
    done = sum(len(trial.scores) + (trial.state == "failed") for trial in trials)
    if not sweep.is_active:
        return Progress(done, total if sweep.state != "finished" else done, None)
    seconds, work = 0.0, 0
    for trial in trials:
        for index, _ in enumerate(trial.scores):
            status = read_status(sweep.runs_folder / trial.runs[index])
            if status and status.started and status.ended:
                seconds += status.ended - status.started
                work += frames[index]
    lost = sum(frames[len(trial.scores)] for trial in trials if trial.state == "failed")
    ahead = sum(planned.contestants * planned.frames for planned in sweep.rounds) - work - lost
    return Progress(done, max(total, done), max(0.0, seconds / work * ahead) if work else None)


def importances(spec: SweepConfig, trials: Sequence[Trial]) -> dict[str, float]:
    """Return how much each setting has to do with being among the best, as shares of 1, the largest first.

    Empty where that can't be said.

    By PED-ANOVA (Watanabe 2023), from the scores of the first round, which all trials have in common.
    """
    scored = [trial for trial in trials if trial.scores]
    if len(scored) < MIN_FOR_IMPORTANCE or len({trial.scores[0] for trial in scored}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the evaluator is experimental, and that scores may tie
        study = optuna.create_study(direction="maximize")
        distributions = {name: _distribution(choice) for name, choice in spec.vary.items()}
        for trial in scored:
            study.add_trial(
                optuna.create_trial(params=trial.params, distributions=distributions, value=trial.scores[0])
            )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


def suggest(trial: optuna.Trial, spec: SweepConfig) -> None:
    """Choose what varies in a trial; what was chosen already stays."""
    for position, (name, choice) in enumerate(spec.vary.items()):
        trial.study.sampler = sampler_of(spec, trial.number, position)
        if not isinstance(choice, Range):
            trial.suggest_categorical(name, choice)
        elif isinstance(choice.low, int):
            trial.suggest_int(name, choice.low, choice.high, log=choice.log)
        else:
            trial.suggest_float(name, choice.low, choice.high, log=choice.log)


def sampler_of(spec: SweepConfig, number: int, position: int = 0) -> optuna.samplers.BaseSampler:
    """Return who chooses one setting of one trial.

    A seed for each: a sweep that was interrupted proposes what it would have anyway.
    """
    if spec.is_grid:
        return _Grid(spec.vary, seed=spec.seed)
    seed = int(np.random.SeedSequence((spec.seed, number, position)).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=seed) if spec.method == "tpe" else optuna.samplers.RandomSampler(seed=seed)


def _distribution(choice: tuple[Value, ...] | Range) -> optuna.distributions.BaseDistribution:
    if not isinstance(choice, Range):
        return optuna.distributions.CategoricalDistribution(choice)
    kind = (
        optuna.distributions.IntDistribution if isinstance(choice.low, int) else optuna.distributions.FloatDistribution
    )
    return kind(choice.low, choice.high, log=choice.log)


def _storage(folder: Path) -> optuna.storages.JournalStorage:
    path = str(folder / JOURNAL)
    if os.path.exists(path) and os.path.getsize(path) > JOURNAL_BYTES:
        raise ValueError(f"{path} is larger than any journal of {MAX_TRIALS} trials")
    return optuna.storages.JournalStorage(JournalFileBackend(path, lock_obj=_DriverAlone(path)))


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turns a journal that Optuna can't make sense of into a sentence.

    What it raises on a foreign line can be anything.
    """
    try:
        yield
    except Exception as error:
        raise LabError(
            f"The trials of sweep {folder.name} can't be read: {JOURNAL} is damaged. Its runs are untouched; start a"
            " new sweep."
        ) from error


def _cut_torn_line(path: Path) -> None:
    """Cut a half line that a power cut left at the end: the next one would be glued to it, and neither could be
    read.
    """
    if path.is_file():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            with open(path, "rb+") as file:
                file.truncate(data.rfind(b"\n") + 1)
