"""`python -m core.sweeps.driver FOLDER`: goes through a sweep, one run at a time, and tells Optuna how each did.

Killed at any moment and started again it goes on, for everything that it decides is in the journal before it is acted
upon:

- a trial whose choice is incomplete gets the rest of it,
- a trial without a run gets one, or the one that the last driver launched and had no time to write down,
- a run that is still there is waited for, and one that was stopped or lost is resumed,
- a round whose worse half was dropped in part is dropped in full.
"""

import os
import sys
import time
import traceback
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from core import runner
from core.auth import QuotaError, build_user, read_owner, set_current_user
from core.config import RunConfig
from core.errors import LabError
from core.processes import ProcessId
from core.runner.device_lock import LOCKS, DeviceLock
from core.runs.status import requested
from core.runs.store import best_miou, list_runs, read_run
from core.sweeps.space import survivors
from core.sweeps.sweep import Sweep, read_sweep, update_status
from core.sweeps.trials import ERROR, RUNS, open_study, sampler_of, suggest, trial_of

PATIENCE = 0.5
"""Seconds between two looks at a run."""
QUOTA_PATIENCE = 10
"""So many times as long is waited for a place among the owner's runs, for what they have on the disk is counted each
time."""
FAILURES_IN_A_ROW = 3
"""When so many of the first trials fail and none succeeds, the fault is in what they have in common."""


class StopRequested(BaseException):
    """The sweep was asked to stop."""


class QueuedRuns:
    """Trains trials as ordinary runs in the queue of their device."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._resumed: set[str] = set()

    def launch(self, config: RunConfig, since: float, taken: Collection[str]) -> str:
        """Launch a run, or find the one of this config launched after `since` that isn't `taken`; returns its id.

        Raises:
            LabError: it can't be launched.
            StopRequested: the sweep was asked to stop.
        """
        for run in list_runs(self._sweep.runs_folder):
            if run.config == config and run.status.created >= since and run.id not in taken:
                return run.id
        while True:
            with suppress(QuotaError):  # the owner's own runs go before
                return runner.launch(config, self._sweep.runs_folder).name
            if requested(self._sweep.path) is not None:
                raise StopRequested
            time.sleep(QUOTA_PATIENCE * PATIENCE)

    def score(self, run_id: str) -> float:
        """Wait for a run's end; returns its best mIoU, 0..1.

        Raises:
            LabError: it failed.
            StopRequested: the sweep was asked to stop.
        """
        path = self._sweep.runs_folder / run_id
        watched = False
        while True:
            run = read_run(path)
            stops = requested(self._sweep.path) is not None
            if run.is_active:
                watched = True
                if stops and requested(path) is None:
                    runner.stop(path)
            elif stops:
                raise StopRequested
            elif run.state == "finished":
                score = best_miou(path)
                if score is None:
                    raise LabError(f"Run {run_id} has no score: no pixel of the validation labels belongs to a class.")
                return score
            elif run.state == "failed" or run.config is None:
                raise LabError(run.status.error or run.problem or f"Run {run_id} failed; its log says why.")
            elif run.state == "stopped" and watched:
                raise LabError(f"Run {run_id} was stopped by hand.")
            elif run.state != "paused":
                # Stopped with an earlier driver, or lost with the machine. Once, else what kills it would do so
                # forever.
                if run_id in self._resumed:
                    raise LabError(f"Run {run_id} was lost twice: its processes were killed.")
                try:
                    runner.resume(path)
                    self._resumed.add(run_id)
                except QuotaError:
                    time.sleep(QUOTA_PATIENCE * PATIENCE)
            time.sleep(PATIENCE)


def main(folder: Path) -> int:
    """Go through a sweep to its end; returns 0, or 1 when it failed."""
    with DeviceLock(folder / LOCKS, "driver") as alone:
        if not alone.acquire():
            return 0  # another driver is at it
        sweep = read_sweep(folder)
        if sweep.spec is None:
            print(sweep.problem)
            return 1
        owner = read_owner(folder)
        if owner:
            set_current_user(lambda: build_user(owner))  # its runs are theirs
        update_status(folder, state="running", driver=ProcessId.of(os.getpid()), error=None, ended=None)
        try:
            drive(sweep, QueuedRuns(sweep))
        except StopRequested:
            update_status(folder, state="stopped", ended=time.time())
            return 0
        except LabError as error:
            update_status(folder, state="failed", ended=time.time(), error=str(error))
            return 1
        except Exception:
            traceback.print_exc()
            sentence = "The sweep broke off; driver.log says where."
            update_status(folder, state="failed", ended=time.time(), error=sentence)
            return 1
        update_status(folder, state="finished", ended=time.time())
        return 0


def drive(sweep: Sweep, trainer: QueuedRuns) -> None:
    """Take every trial through its rounds, from wherever the journal stands.

    Raises:
        StopRequested: the sweep was asked to stop.
        LabError: the first trials all failed.
    """
    study = open_study(sweep.path)
    last = len(sweep.rounds) - 1
    for index, planned in enumerate(sweep.rounds):
        contestants = range(sweep.spec.count) if index == 0 else _contestants(study, index)
        if index > 0 and len(contestants) < 2:
            break
        for contestant in contestants:
            frozen = _proposed(study, sweep, contestant)
            if frozen.state == TrialState.RUNNING and index not in frozen.intermediate_values:
                _train(study, sweep, trainer, frozen, index, planned.frames)
                _check_for_common_fault(study)
            if index == last:
                _finish(study, contestant)
        if index < last:
            _drop_worse_half(study, index)
    for frozen in study.get_trials(deepcopy=False):
        _finish(study, frozen.number)


def _proposed(study: optuna.Study, sweep: Sweep, number: int) -> FrozenTrial:
    """Return the trial of a number, with all its settings chosen."""
    study.sampler = sampler_of(sweep.spec, number)
    known = study.get_trials(deepcopy=False)
    if number == len(known):
        suggest(study.ask(), sweep.spec)
    elif known[number].params.keys() != sweep.spec.vary.keys():
        # A grid's sampler notes its choice before the trial is asked for its settings; a kill may have come before
        # that.
        study.sampler.before_trial(study, known[number])
        suggest(_handle(study, known[number]), sweep.spec)
    return study.get_trials(deepcopy=False)[number]


def _train(study: optuna.Study, sweep: Sweep, trainer: QueuedRuns, frozen: FrozenTrial, rung: int, frames: int) -> None:
    """Train a trial for one round, and write its score or its failure into the journal."""
    if requested(sweep.path) is not None:
        raise StopRequested
    handle = _handle(study, frozen)
    runs = list(trial_of(frozen).runs)
    try:
        if len(runs) <= rung:
            config = sweep.spec.config_of(frozen.params, frames, sweep.frames)
            taken = {run for other in study.get_trials(deepcopy=False) for run in trial_of(other).runs}
            runs.append(trainer.launch(config, frozen.datetime_start.timestamp(), taken))
            handle.set_user_attr(RUNS, runs)
        handle.report(trainer.score(runs[rung]), step=rung)
    except LabError as error:
        handle.set_user_attr(ERROR, str(error))
        study.tell(frozen.number, state=TrialState.FAIL)


def _drop_worse_half(study: optuna.Study, rung: int) -> None:
    """Drop the worse half of those with a score in a round; ties go to who was proposed first.

    Optuna's SuccessiveHalvingPruner can't say this: it judges each trial as it comes, against those that came before,
    so the first always stays, whereas here a round is judged when it is complete.
    """
    scored = [frozen for frozen in study.get_trials(deepcopy=False) if rung in frozen.intermediate_values]
    best_first = sorted(scored, key=lambda frozen: (-frozen.intermediate_values[rung], frozen.number))
    for frozen in best_first[survivors(len(scored)) :]:
        if frozen.state == TrialState.RUNNING:
            study.tell(frozen.number, state=TrialState.PRUNED)


def _finish(study: optuna.Study, number: int) -> None:
    """Tell Optuna the last score of a trial that is still open."""
    frozen = study.get_trials(deepcopy=False)[number]
    if frozen.state == TrialState.RUNNING:
        study.tell(number, frozen.intermediate_values[frozen.last_step])


def _contestants(study: optuna.Study, rung: int) -> list[int]:
    """Return the trials of a round after the first: those that are open, and those that an earlier driver took through
    it already.
    """
    return [
        frozen.number
        for frozen in study.get_trials(deepcopy=False)
        if frozen.state == TrialState.RUNNING or len(trial_of(frozen).runs) > rung
    ]


def _check_for_common_fault(study: optuna.Study) -> None:
    trials = [trial_of(frozen) for frozen in study.get_trials(deepcopy=False)]
    if len(trials) == FAILURES_IN_A_ROW and all(trial.state == "failed" for trial in trials):
        raise LabError(f"The first {len(trials)} trials all failed. The last one: {trials[-1].error}")


def _handle(study: optuna.Study, frozen: FrozenTrial) -> optuna.Trial:
    """Return a trial of the journal as one that can be written to."""
    return optuna.Trial(study, frozen._trial_id)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
