"""Sweeps: specs are checked as a whole, every method goes to its end, and a driver killed anywhere loses and doubles nothing."""

import itertools
import json
import os
import secrets
import shutil
import signal
from collections import Counter

import pytest
from optuna.storages.journal import JournalFileBackend

from core import runner
from core.__main__ import USER_ERROR, main
from core.auth import User, set_current_user, shell_user
from core.config import DatasetConfig, read_config
from core.data.dataset import open_dataset
from core.errors import LabError
from core.paths import PROJECT
from core.runner import local
from core.runs.status import request_stop, update_status
from core.runs.store import best_miou, create_run, list_runs, read_run
from core.sweeps import (
    delete_sweep,
    driver,
    find_sweep,
    list_sweeps,
    read_spec,
    read_sweep,
    resume_sweep,
    space,
    start_sweep,
    stop_sweep,
)
from core.sweeps import sweep as sweep_module
from core.sweeps.driver import QueuedRuns, StopRequested, drive
from core.sweeps.space import Range, Round, survivors
from core.sweeps.trials import importances, progress_of, ranked, read_trials

BASE = {"model": {"family": "unet", "encoder": "plain", "weights": "none"}, "training": {"minutes": 0, "epochs": 2}}
GRID = {"training.learning_rate": [1e-3, 1e-4, 1e-2], "model.dropout": [0, 0.1]}


class Killed(BaseException):
    """The driver's process ends here."""


class FakeRuns(QueuedRuns):
    """Real run folders, but nothing is trained: the score follows from the settings, the higher the rate the better."""

    def score(self, run_id):
        config = read_run(self._sweep.runs_folder / run_id).config
        return 0.3 + config.training.learning_rate - config.model.dropout / 1000


def spec_of(**changes):
    return read_spec({"base": BASE, "method": "grid", "vary": GRID} | changes)


@pytest.fixture
def made(lab_folders, monkeypatch):
    """`made(method=..., ...)`: a sweep of 6 trials whose driver was not started, and whose runs are folders alone."""
    monkeypatch.setattr(sweep_module, "_start_driver", lambda path: None)
    monkeypatch.setattr(runner, "launch", create_run)
    monkeypatch.setattr(driver, "PATIENCE", 0)
    letters = itertools.count()  # four random ones are enough for runs that take a second at least
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{next(letters):04x}")

    def make(**changes):
        return read_sweep(start_sweep(spec_of(**changes), lab_folders.runs))

    return make


def reported(sweep):
    """What a journal says, without ids and times."""
    return [(trial.number, trial.params, trial.state, trial.scores) for trial in read_trials(sweep)]


# ---- the space


def test_values_take_their_fields_own_types():
    spec = spec_of(
        vary={
            "training.learning_rate": ["1e-3", 1],
            "training.flip": ["yes", "no"],
            "training.loss": ["focal", "dice"],
            "training.batch_size": ["2", 4.0],
        }
    )
    assert spec.vary["training.learning_rate"] == (0.001, 1.0)
    assert spec.vary["training.flip"] == (True, False)
    assert [type(value) for value in spec.vary["training.batch_size"]] == [int, int]
    assert spec.count == 16
    fcn = {"model": {"family": "fcn"}}
    assert spec_of(base=fcn, vary={"model.stride": ["8", "32"]}).vary["model.stride"] == (8, 32)
    drawn = spec_of(method="random", vary={"training.batch_size": {"low": "2", "high": 8.0}})
    assert drawn.vary["training.batch_size"] == Range(low=2, high=8) and drawn.count == 20
    assert isinstance(drawn.vary["training.batch_size"].high, int)


RATES = {"low": 1e-4, "high": 1e-2, "log": True}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"vary": {}}, "0 settings vary"),
        ({"vary": {"training.nonsense": [1, 2]}}, "'training.nonsense' can't be varied"),
        ({"vary": {"dataset.height": [64, 128]}}, "'dataset.height' can't be varied"),
        ({"vary": {"../../etc/passwd": [1]}}, "can't be varied"),
        ({"vary": {"training.__class__": [1]}}, "can't be varied"),
        ({"vary": {"training.learning_rate": []}}, "no values to try"),
        ({"vary": {"training.learning_rate": [1e-3, 2]}}, "training.learning_rate is 2"),
        ({"vary": {"training.learning_rate": ["fast"]}}, "training.learning_rate is 'fast'"),
        ({"vary": {"training.learning_rate": [float("nan")]}}, "training.learning_rate is nan"),
        ({"vary": {"training.learning_rate": [0.001, "1e-3"]}}, "has the value 0.001 twice"),
        ({"vary": {"model.head": ["pup"]}}, "has no such option"),
        ({"vary": {"training.scale_min": [1, 3], "training.scale_max": [2, 4]}}, "must be at least training.scale_min"),
        ({"vary": {"training.seed": list(range(51)), "training.batch_size": list(range(1, 11))}}, "510 combinations"),
        ({"method": "random", "vary": {"training.seed": list(range(101))}}, "has 101 values, but a sweep takes 100"),
        ({"vary": {"training.learning_rate": RATES}}, "a grid needs values"),
        ({"method": "random", "vary": {"training.learning_rate": RATES | {"low": 1}}}, "second must be the larger"),
        ({"method": "random", "vary": {"training.learning_rate": RATES | {"high": 2}}}, "learning_rate is 2"),
        ({"method": "random", "vary": {"training.gamma": {"low": 0.1, "high": float("inf")}}}, "finite"),
        ({"vary": {"training.gamma": [1, 0.1]}}, "does nothing unless training.schedule is step"),
        ({"base": {"training": {"minutes": 2}}, "vary": {"training.epochs": [1, 2]}}, "unless training.minutes is 0"),
        ({"method": "random", "vary": {"training.ema": {"low": 0, "high": 0.9, "log": True}}}, "there is no zero"),
        ({"method": "random", "vary": {"training.loss": {"low": 0, "high": 1}}}, "is no number"),
        ({"method": "random", "trials": 501}, "'trials'"),
        (
            {
                "method": "random",
                "vary": {"training.seed": list(range(100)), "training.batch_size": list(range(1, 42))},
            },
            "can't all be checked",
        ),
        ({"method": "evolution"}, "'method'"),
        ({"first_share": 0}, "'first_share'"),
        ({"hidden": 1}, "'hidden'"),
        ({"base": {"dataset": {"name": "cityscapes"}}}, "dataset.root is empty"),
        ({"base": []}, "config"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_spec_is_refused_with_a_sentence(changes, text):
    with pytest.raises(LabError, match="(?s)" + text.replace("(", r"\(")):
        spec_of(**changes)


@pytest.mark.parametrize("values", [None, [], "x", 3])
def test_what_is_no_object_is_no_sweep(values):
    with pytest.raises(LabError, match="described by an object"):
        read_spec(values)


def test_missing_data_is_refused_before_a_folder_is_made(lab_folders):
    spec = spec_of(base=BASE | {"dataset": {"name": "cityscapes", "root": str(lab_folders.other / "none")}})
    with pytest.raises(LabError, match="There is no folder"):
        start_sweep(spec, lab_folders.runs)
    assert not list(lab_folders.runs.iterdir())


def test_rounds_halve_the_trials_and_double_the_frames():
    spec = spec_of(method="halving", first_share=0.125)
    assert spec.rounds(200) == [Round(6, 25), Round(3, 50), Round(2, 100)]  # one would be left
    many = spec_of(method="halving", vary={"training.seed": list(range(36))}, first_share=0.3)
    assert many.rounds(100) == [Round(36, 30), Round(18, 60), Round(9, 100)]  # the data is whole
    assert spec_of().rounds(200) == [Round(6, 200)]
    assert [survivors(count) for count in (1, 2, 3, 9, 36)] == [1, 1, 2, 5, 18]


def test_a_rounds_config_takes_its_part_of_the_data_and_of_the_minutes():
    base = BASE | {"training": {"minutes": 8}}
    spec = spec_of(method="halving", base=base, seed=4)
    config = spec.config_of({"training.learning_rate": 0.01}, 25, 200)
    assert (config.dataset.max_train_samples, config.dataset.train_sample_seed) == (25, 5)
    assert (config.training.minutes, config.training.learning_rate) == (1, 0.01)
    assert spec.config_of({}, 200, 200).dataset.max_train_samples == 0
    full = spec.full_config({"model.dropout": 0.1})
    assert (full.training.epochs, full.training.minutes, full.model.dropout) == (60, 0, 0.1)
    assert (full.dataset.max_train_samples, full.dataset.train_sample_seed) == (0, 0)


def test_a_random_part_is_another_than_the_first_and_lies_in_the_next_larger_one(lab_folders):
    def ids(limit, sample):
        config = DatasetConfig(height=64, width=128, max_train_samples=limit, train_sample_seed=sample)
        return [frame.id for frame in open_dataset(config).train]

    assert ids(3, 0) == ids(0, 0)[:3]
    samples = {tuple(ids(3, sample)) for sample in range(6)}
    assert len(samples) > 3
    assert set(ids(2, 5)) < set(ids(4, 5)) < set(ids(8, 5)) == set(ids(0, 0))
    assert ids(4, 5) == sorted(ids(4, 5)) == ids(4, 5)


# ---- the driver, with runs that aren't trained


def test_a_grid_tries_every_combination_once(made, lab_folders):
    sweep = made()
    drive(sweep, FakeRuns(sweep))
    trials = read_trials(sweep)
    assert Counter(tuple(trial.params.values()) for trial in trials) == Counter(
        (rate, dropout) for rate in (1e-3, 1e-4, 1e-2) for dropout in (0.0, 0.1)
    )
    assert {trial.state for trial in trials} == {"finished"}
    assert {run.id for run in list_runs(lab_folders.runs)} == {trial.runs[0] for trial in trials}
    best = ranked(trials)[0]
    assert best.params == {"training.learning_rate": 0.01, "model.dropout": 0.0}
    assert read_run(lab_folders.runs / best.runs[0]).config == sweep.spec.config_of(best.params, 8, 8)


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_drawn_trials_lie_in_their_ranges_and_are_the_same_for_the_same_seed(made, method):
    vary = {
        "training.learning_rate": RATES,
        "training.batch_size": {"low": 2, "high": 8},
        "training.flip": [True, False],
    }
    result = []
    for seed in (3, 3, 4):
        sweep = made(method=method, vary=vary, trials=12, seed=seed)
        drive(sweep, FakeRuns(sweep))
        result.append(reported(sweep))
    assert result[0] == result[1] != result[2]
    params = [trial[1] for trial in result[0]]
    assert all(1e-4 <= chosen["training.learning_rate"] <= 1e-2 for chosen in params)
    assert all(2 <= chosen["training.batch_size"] <= 8 for chosen in params)
    assert len({chosen["training.learning_rate"] for chosen in params}) == 12


def test_halving_keeps_the_better_half_each_time(made, lab_folders):
    sweep = made(method="halving", first_share=0.25)
    assert sweep.rounds == [Round(6, 2), Round(3, 4), Round(2, 8)]
    drive(sweep, FakeRuns(sweep))
    trials = read_trials(sweep)
    by_rate = {tuple(trial.params.values()): (trial.state, len(trial.scores)) for trial in trials}
    assert by_rate == {
        (1e-4, 0.0): ("dropped", 1),
        (1e-4, 0.1): ("dropped", 1),
        (1e-3, 0.1): ("dropped", 1),
        (1e-3, 0.0): ("dropped", 2),
        (1e-2, 0.1): ("finished", 3),
        (1e-2, 0.0): ("finished", 3),
    }
    limits = Counter(run.config.dataset.max_train_samples for run in list_runs(lab_folders.runs))
    assert limits == {2: 6, 4: 3, 0: 2}
    assert ranked(trials)[0].params == {"training.learning_rate": 0.01, "model.dropout": 0.0}


def test_a_tie_goes_to_the_trial_that_came_first(made):
    sweep = made(method="halving", first_share=0.5)
    trainer = FakeRuns(sweep)
    trainer.score = lambda run_id: 0.5
    drive(sweep, trainer)
    assert [len(trial.scores) for trial in read_trials(sweep)] == [2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("changes", [{}, {"method": "random", "trials": 4}, {"method": "halving", "first_share": 0.25}])
def test_a_driver_killed_before_or_after_any_write_goes_on_without_a_trial_lost_or_doubled(
    made, lab_folders, changes, monkeypatch
):
    monkeypatch.setattr(
        os, "fsync", lambda index: None
    )  # Optuna's after every line; what is tested is the order of writes
    whole = made(**changes)
    writes = count_writes(whole, monkeypatch)
    expected, runs = reported(whole), len(list_runs(lab_folders.runs))
    assert writes > 20
    for position in range(writes):
        sweep = made(**changes)
        before = len(list_runs(lab_folders.runs))
        with pytest.raises(Killed):
            count_writes(sweep, monkeypatch, kill_at=position)
        count_writes(sweep, monkeypatch)
        assert reported(sweep) == expected, position
        assert len(list_runs(lab_folders.runs)) - before == runs, position
        for run in list_runs(lab_folders.runs):
            os.rename(run.path, lab_folders.other / run.id)  # else the next one would have to read them all


def count_writes(sweep, monkeypatch, kill_at=None):
    """Drives a sweep; returns the writes to its journal. Killed at one: every second time before, else after it was done."""
    append, count = JournalFileBackend.append_logs, 0

    def counted(self, logs):
        nonlocal count
        if count == kill_at and kill_at % 2:
            raise Killed
        append(self, logs)
        count += 1
        if count - 1 == kill_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(JournalFileBackend, "append_logs", counted)
        drive(sweep, FakeRuns(sweep))
    return count


def test_a_run_launched_just_before_a_kill_is_found_again(made, lab_folders, monkeypatch):
    sweep = made()

    def launched_last(config, folder):
        create_run(config, folder)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(runner, "launch", launched_last)
        with pytest.raises(Killed):
            drive(sweep, FakeRuns(sweep))
    (orphan,) = list_runs(lab_folders.runs)
    drive(sweep, FakeRuns(sweep))
    assert len(list_runs(lab_folders.runs)) == 6
    assert read_trials(sweep)[0].runs == (orphan.id,)


def test_a_half_line_at_the_end_of_the_journal_is_cut_off(made):
    sweep = made()
    drive(sweep, FakeRuns(sweep))
    journal = sweep.path / "trials.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-9])
    drive(sweep, FakeRuns(sweep))
    assert [trial.state for trial in read_trials(sweep)] == ["finished"] * 6


def test_a_damaged_journal_is_a_sentence(made):
    sweep = made()
    (sweep.path / "trials.jsonl").write_text('["not", "optuna"]\n{"op_code": 999}\n')
    with pytest.raises(LabError, match="is damaged"):
        read_trials(sweep)
    assert driver.main(sweep.path) == 1
    assert "is damaged" in read_sweep(sweep.path).status.error
    os.truncate(sweep.path / "trials.jsonl", 60_000_000)
    with pytest.raises(LabError, match="is damaged"):
        read_trials(sweep)


def test_a_failed_run_is_a_failed_trial_with_its_sentence(made):
    sweep = made()
    trainer = FakeRuns(sweep)

    def score(run_id):
        if read_run(sweep.runs_folder / run_id).config.model.dropout:
            update_status(sweep.runs_folder / run_id, state="failed", error="The disk is full.")
            return QueuedRuns.score(trainer, run_id)
        return FakeRuns.score(trainer, run_id)

    trainer.score = score
    drive(sweep, trainer)
    failed = [trial for trial in read_trials(sweep) if trial.state == "failed"]
    assert len(failed) == 3 and {trial.error for trial in failed} == {"The disk is full."}
    assert all(trial.params["model.dropout"] == 0 for trial in ranked(read_trials(sweep)))
    assert progress_of(sweep, read_trials(sweep)).done == 6


def test_when_the_first_trials_all_fail_the_sweep_does(made, lab_folders, monkeypatch):
    def failed(config, folder):
        path = create_run(config, folder)
        update_status(path, state="failed", error="The street scenes are gone.")
        return path

    monkeypatch.setattr(runner, "launch", failed)
    sweep = made()
    assert driver.main(sweep.path) == 1
    status = read_sweep(sweep.path).status
    assert status.state == "failed" and "The street scenes are gone." in status.error
    assert len(list_runs(lab_folders.runs)) == 3


def test_a_lost_run_is_resumed_once(made, monkeypatch):
    sweep = made()
    path = create_run(sweep.spec.base, sweep.runs_folder)
    update_status(path, state="running")
    resumed = []
    monkeypatch.setattr(runner, "resume", resumed.append)
    with pytest.raises(LabError, match="lost twice"):
        QueuedRuns(sweep).score(path.name)
    assert resumed == [path]


def test_a_run_whose_folder_is_gone_is_a_failed_trial(made):
    sweep = made()
    with pytest.raises(LabError, match="config.json is missing"):
        QueuedRuns(sweep).score("20260101-000000-unet-0000")


def test_a_sweep_asked_to_stop_stops_its_run_and_keeps_the_trial_open(made, monkeypatch):
    sweep = made()
    stopped = []
    monkeypatch.setattr(sweep_module.ProcessId, "is_alive", lambda self: not stopped)

    def stop(path):
        stopped.append(path)
        update_status(path, state="stopped")

    def started(config, folder):
        path = create_run(config, folder)
        stop_sweep(sweep.path)
        return path

    monkeypatch.setattr(runner, "stop", stop)
    monkeypatch.setattr(runner, "launch", started)
    assert driver.main(sweep.path) == 0
    assert read_sweep(sweep.path).state == "stopped"
    (trial,) = read_trials(sweep)
    assert trial.state == "open" and [path.name for path in stopped] == list(trial.runs)
    resume_sweep(sweep.path)
    assert read_sweep(sweep.path).is_active
    with pytest.raises(LabError, match="running already"):
        resume_sweep(sweep.path)
    monkeypatch.setattr(runner, "launch", create_run)
    drive(sweep, FakeRuns(sweep))
    assert len(read_trials(sweep)) == 6
    with pytest.raises(StopRequested):
        stop_sweep(sweep.path)
        QueuedRuns(sweep).score(trial.runs[0])


# ---- what is learned from it


@pytest.fixture
def one_run_each():
    """Ann is asking, and one run, and one sweep, is all that a person may have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGLAB_MAX_QUEUED", "1")
        set_current_user(lambda: User("ann@x.org", "Ann"))
        yield
        set_current_user(shell_user)


def test_a_trial_waits_for_its_turn_among_its_owners_runs(lab_folders, monkeypatch, tiny_config, one_run_each):
    monkeypatch.setattr(sweep_module, "_start_driver", lambda path: None)
    monkeypatch.setattr(local, "start", lambda path: None)
    sweep = read_sweep(start_sweep(spec_of(), lab_folders.runs))
    other = create_run(tiny_config(), lab_folders.runs)
    styles = []
    monkeypatch.setattr(
        driver.time,
        "sleep",
        lambda seconds: styles.append(1) or len(styles) < 3 or update_status(other, state="stopped"),
    )
    launched = QueuedRuns(sweep).launch(sweep.spec.base, 0.0, {other.name})
    assert len(styles) == 3 and launched != other.name
    update_status(lab_folders.runs / launched, state="stopped")
    update_status(other, state="queued")
    request_stop(sweep.path)
    with pytest.raises(StopRequested):
        QueuedRuns(sweep).launch(sweep.spec.base, 0.0, {launched, other.name})
    assert len(list_runs(lab_folders.runs)) == 2


def test_a_lost_run_waits_for_its_owners_others_too(made, monkeypatch, tiny_config, one_run_each):
    sweep = made()
    path = create_run(sweep.spec.base, sweep.runs_folder)
    update_status(path, state="stopped")
    other = create_run(tiny_config(), sweep.runs_folder)
    monkeypatch.setattr(local, "start", lambda path: update_status(path, state="failed", error="Enough."))
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: update_status(other, state="stopped"))
    with pytest.raises(LabError, match=r"Enough\."):
        QueuedRuns(sweep).score(path.name)


def test_one_person_has_so_many_sweeps_under_way(made, lab_folders, one_run_each):
    first = made()
    stopped = first.path.with_name("20260101-000000-sweep-abcd")
    shutil.copytree(first.path, stopped)
    sweep_module.update_status(stopped, state="stopped", ended=1.0)
    for start in (made, lambda: resume_sweep(stopped)):
        with pytest.raises(LabError, match="You have 1 of the 1 sweeps under way"):
            start()
    sweep_module.update_status(first.path, state="stopped", ended=1.0)
    resume_sweep(stopped)
    assert [sweep.is_active for sweep in list_sweeps(lab_folders.runs) if sweep.path == stopped] == [True]
    assert len(list_sweeps(lab_folders.runs)) == 2


def test_importance_names_what_the_score_depends_on(made):
    sweep = made(vary=GRID | {"training.seed": [0, 1, 2]})
    drive(sweep, FakeRuns(sweep))
    shares = importances(sweep.spec, read_trials(sweep))
    assert list(shares)[0] == "training.learning_rate" and shares["training.learning_rate"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(sweep.spec, read_trials(sweep)[:3]) == {}


def test_progress_counts_trainings_and_tells_the_time_left(made):
    sweep = made(method="halving", first_share=0.25)
    trainer = FakeRuns(sweep)

    def score(run_id):
        path = sweep.runs_folder / run_id
        if read_run(path).config.dataset.max_train_samples == 4:
            raise Killed
        update_status(path, state="finished", started=1000.0, ended=1010.0)
        return FakeRuns.score(trainer, run_id)

    trainer.score = score
    with pytest.raises(Killed):
        drive(sweep, trainer)
    progress = progress_of(sweep, read_trials(sweep))
    assert (progress.done, progress.total) == (6, 11)
    # 10 s for 2 frames; three trials with 4 frames and two with 8 are ahead
    assert progress.seconds_left == pytest.approx(5 * (3 * 4 + 2 * 8))


# ---- the folder


@pytest.mark.parametrize("name", ["../../etc", "", ".", "*", "nosuch", "a" * 200, "\0", "20260101-000000-sweep-0000"])
def test_a_hostile_name_names_no_sweep(made, name, lab_folders):
    made()
    with pytest.raises(LabError, match="There is no sweep"):
        find_sweep(name, lab_folders.runs)


def test_a_sweep_is_found_by_a_part_of_its_id_and_listed(made, lab_folders):
    sweep = made()
    assert find_sweep(sweep.id[-4:], lab_folders.runs) == sweep
    assert [result.id for result in list_sweeps(lab_folders.runs)] == [sweep.id]
    assert list_runs(lab_folders.runs) == []
    os.symlink(sweep.path, sweep.path.with_name("20260101-000000-sweep-0000"))
    assert len(list_sweeps(lab_folders.runs)) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"vary": 1}', "x" * 1_000_001, "[" * 100_000, '{"frames": "many"}'])
def test_a_broken_sweep_is_shown_with_its_problem(made, text):
    sweep = made()
    (sweep.path / "sweep.json").write_text(text)
    broken = read_sweep(sweep.path)
    assert broken.spec is None and "sweep.json can't be used" in broken.problem and broken.rounds == []
    with pytest.raises(LabError, match="can't go on"):
        resume_sweep(sweep.path)


def test_what_was_checked_once_is_not_checked_again(made, lab_folders, monkeypatch):
    many = {"training.seed": list(range(50)), "training.learning_rate": [rate / 100 for rate in range(1, 21)]}
    sweep = made(method="random", vary=many)
    configs = []
    monkeypatch.setattr(space, "read_config", lambda values: configs.append(values) or read_config(values))
    assert list_sweeps(lab_folders.runs) == [sweep] and len(configs) == 1  # its base


def test_whether_one_may_start_a_sweep_is_told_without_reading_what_the_others_study(
    made, lab_folders, monkeypatch, one_run_each
):
    made()
    monkeypatch.setattr(sweep_module, "read_spec_file", lambda path: pytest.fail("read under the queue's lock"))
    with pytest.raises(LabError, match="1 of the 1 sweeps under way"):
        start_sweep(spec_of(), lab_folders.runs)


def test_a_sweep_is_deleted_by_its_owner_once_it_has_ended_and_its_runs_stay(made, lab_folders, capsys):
    set_current_user(lambda: User("ann@x.org", "Ann"))
    sweep = made()
    set_current_user(shell_user)
    drive(sweep, FakeRuns(sweep))
    with pytest.raises(LabError, match="is running"):
        delete_sweep(sweep.path)
    sweep_module.update_status(sweep.path, state="finished")
    set_current_user(lambda: User("bob@x.org", "Bob"))
    with pytest.raises(LabError, match="belongs to ann@x.org"):
        delete_sweep(sweep.path)
    set_current_user(shell_user)
    assert main(["sweep", "delete", sweep.id]) == USER_ERROR and "add --yes" in capsys.readouterr().err
    assert list_sweeps(lab_folders.runs) == [read_sweep(sweep.path)]
    assert main(["sweep", "delete", sweep.id, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"sweep": sweep.id, "deleted": True}
    assert not list((lab_folders.runs / sweep_module.SWEEPS).iterdir()) and len(list_runs(lab_folders.runs)) == 6


def test_only_one_driver_is_at_a_sweep(made):
    sweep = made()
    with driver.DeviceLock(sweep.path / driver.LOCKS, "driver") as other:
        assert other.acquire()
        assert driver.main(sweep.path) == 0
    assert read_trials(sweep) == []


def test_a_sweep_without_a_driver_is_lost(made):
    sweep = made()
    assert sweep.state == "running"
    text = json.loads((sweep.path / "status.json").read_text())
    (sweep.path / "status.json").write_text(json.dumps(text | {"updated": 0.0}))
    assert read_sweep(sweep.path).state == "lost"


# ---- the command line


def test_the_command_lists_shows_and_refuses(made, lab_folders, capsys):
    assert main(["sweep"]) == 0 and "No sweep yet" in capsys.readouterr().out
    sweep = made(method="halving", first_share=0.25)
    drive(sweep, FakeRuns(sweep))
    assert main(["sweep", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sweeps"][0]["rounds"] == [[6, 2], [3, 4], [2, 8]]
    assert main(["sweep", "show", sweep.id]) == 0
    out = capsys.readouterr().out
    assert "What sets the best apart: training.learning_rate" in out and "dropped" in out
    assert main(["sweep", "show", sweep.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"][0]["params"]["training.learning_rate"] == 0.01
    for arguments, text in (
        (["show", "../../etc"], "There is no sweep"),
        (["start", str(lab_folders.other / "none.json")], "can't be read"),
        (["stop"], "Which sweep?"),
        (["start", str(PROJECT / "README.md")], "describes no sweep"),
    ):
        assert main(["sweep", *arguments]) == USER_ERROR
        assert text in capsys.readouterr().err


def test_the_study_is_36_combinations():
    spec = read_spec(json.loads((PROJECT / "docs" / "study.json").read_text()))
    assert (spec.count, spec.method, spec.base.dataset.name) == (36, "halving", "streets")
    assert spec.rounds(200)[0].contestants == 36 and spec.rounds(200)[-1].frames == 200


# ---- all of it


@pytest.mark.parametrize(
    ("vary", "count"),
    [({"training.learning_rate": [0.01, 0.001]}, 2), pytest.param(GRID, 6, marks=pytest.mark.campaign)],
    ids=["2", "6"],
)
def test_trials_run_to_their_end_through_a_killed_driver_and_one_that_goes_on(
    lab_folders, tiny_config, wait_until, vary, count
):
    base = tiny_config(epochs=1, evaluations=1)
    path = start_sweep(spec_of(base=base.model_dump(), vary=vary), lab_folders.runs)

    def first_run():
        trials = read_trials(read_sweep(path))
        return trials and trials[0].runs

    wait_until(first_run)
    os.kill(read_sweep(path).status.driver.pid, signal.SIGKILL)
    wait_until(lambda: read_sweep(path).state == "lost")
    resume_sweep(path)
    sweep = wait_until(lambda: not read_sweep(path).is_active and read_sweep(path), seconds=300)
    assert (sweep.state, sweep.status.error) == ("finished", None)
    trials = read_trials(sweep)
    assert len({tuple(trial.params.values()) for trial in trials}) == len(trials) == count
    assert {run.id for run in list_runs(lab_folders.runs)} == {run for trial in trials for run in trial.runs}
    assert [run.state for run in list_runs(lab_folders.runs)] == ["finished"] * count
    assert all(trial.score == best_miou(lab_folders.runs / trial.runs[0]) for trial in trials)
    assert read_config(base.model_dump()) == sweep.spec.base


def test_an_older_sweeps_trials_go_on_as_they_began(made):
    """Its base lacks what was added since."""
    sweep = made()
    values = json.loads((sweep.path / "sweep.json").read_text())
    del values["base"]["training"]["test_scale"]
    (sweep.path / "sweep.json").write_text(json.dumps(values))
    assert read_sweep(sweep.path).spec.base.training.test_scale == 1
