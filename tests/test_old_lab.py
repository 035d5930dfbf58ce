"""What version 0.1 wrote still opens, goes on to the same weights, and scores the same: tests/lab_0_1 is a lab of that version."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.__main__ import main
from core.config import read_config
from core.evaluation.evaluate_run import evaluate_run
from core.evaluation.results import EvaluationSettings, list_results, read_result
from core.paths import PROJECT
from core.report.saved_reports import list_reports
from core.runner.trash import list_trash, restore
from core.runs.metrics_log import read_metrics
from core.runs.store import find_run, list_runs, read_run
from core.sweeps import list_sweeps
from core.sweeps.trials import ranked, read_trials
from core.training.loop import train

OLD = PROJECT / "tests" / "lab_0_1"
FINISHED, STOPPED, TRASHED = "20261128-194628-unet-a05f", "20261128-194746-unet-2770", "20261128-194843-unet-e0a3"


@pytest.fixture
def old_runs(lab_folders):
    """The folder of runs of the old lab, to be written to; its data are the tiny streets."""
    shutil.copytree(OLD / "checkpoints", lab_folders.runs, dirs_exist_ok=True)
    return lab_folders.runs


def test_a_config_says_the_same_under_todays_names(old_runs):
    assert all(run.problem is None for run in list_runs(old_runs)) and len(list_runs(old_runs)) == 6
    config = find_run(FINISHED, old_runs).config
    dataset, training = config.dataset, config.training
    assert (dataset.max_train_samples, dataset.train_sample_seed, dataset.max_val_samples) == (6, 3, 3)
    assert dataset.val_fraction == 0.25
    assert (training.scale_min, training.scale_max, training.warmup_fraction) == (0.9, 1.5, 0.1)
    assert (training.second_loss, training.second_loss_weight) == ("dice", 0.5)
    assert (training.grad_clip_norm, training.encoder_lr_scale, training.ema) == (2, 0.5, 0.9)
    # Its batch of 4 went through the network in 2 parts.
    assert (training.batch_size, training.accumulate_grad_batches, training.samples_per_step) == (2, 2, 4)


@pytest.mark.parametrize(
    ("old", "batch_size", "accumulate_grad_batches"),
    [
        ({"batch_size": 8, "accumulation": 1}, 8, 1),
        ({"accumulation": 4}, 2, 4),
        ({"batch_size": 5, "accumulation": 2}, 5, 1),
        ({"batch_size": 4, "accumulation": 4, "processes": 2}, 4, 1),
    ],
)
def test_a_step_of_parts_becomes_a_step_of_batches(old, batch_size, accumulate_grad_batches):
    training = read_config({"training": old}).training
    assert (training.batch_size, training.accumulate_grad_batches) == (batch_size, accumulate_grad_batches)


def test_a_run_knows_its_name_tags_and_note(old_runs):
    run = find_run(FINISHED, old_runs)
    assert run.state == "finished" and run.name == "the old one"
    assert run.notes.tags == ("baseline",) and run.notes.note == "written by version 0.1.0"
    assert [row["kind"] for row in read_metrics(run.path)[0]].count("eval") == 2


def test_a_run_scores_the_same(old_runs):
    run = find_run(FINISHED, old_runs)
    (path,) = list_results(run.path)
    old = read_result(path)
    assert old.metadata.step == 15 and 0 < old.metadata.upper_bound <= 1
    settings = EvaluationSettings(boundary=old.metadata.settings.boundary)
    assert old.metadata.settings == settings
    assert evaluate_run(run, settings).name == path.name, "it is known by the same key"
    shutil.rmtree(path.parent)
    new = read_result(evaluate_run(run, settings))
    for one, other in zip(old.scores.frames, new.scores.frames, strict=True):
        assert one.id == other.id and np.array_equal(one.confusion, other.confusion)


def test_a_stopped_run_goes_on_to_the_weights_of_one_left_alone(old_runs):
    """Up to step 60: both have the plan of version 0.1, and one of them its first 37 steps as well."""
    resumed = old_runs / STOPPED
    alone = old_runs / "20261128-194747-unet-2770"
    alone.mkdir()
    for name in ("config.json", "plan.json", "status.json"):
        shutil.copy(resumed / name, alone / name)
    assert json.loads((resumed / "last/state.json").read_text())["step"] == 37

    def train_to_60(run):
        def is_there() -> bool:
            rows = read_metrics(run)[0]
            return bool(rows) and rows[-1]["step"] >= 60

        assert train(run, read_run(run).config, report=lambda **_: None, should_stop=is_there) == "stopped"

    train_to_60(resumed)
    train_to_60(alone)
    for name in ("model", "ema"):
        one, other = (load_file(run / f"last/{name}.safetensors") for run in (resumed, alone))
        assert one.keys() == other.keys()
        # The first 37 steps were computed on another CPU, whose last digits are its own.
        assert all(torch.allclose(value, other[key], rtol=1e-5, atol=1e-5) for key, value in one.items()), name


def test_a_sweep_shows_its_trials(old_runs):
    (sweep,) = list_sweeps(old_runs)
    assert sweep.problem is None and sweep.state == "finished"
    trials = read_trials(sweep)
    assert len(trials) == 4 and all(trial.state == "finished" for trial in trials)
    best = ranked(trials)[0]
    config = sweep.spec.full_config(best.params)
    assert config.training.grad_clip_norm in (1, 5) and config.training.warmup_fraction == 0.1
    assert read_run(old_runs / best.runs[0]).config.training.grad_clip_norm == config.training.grad_clip_norm


def test_the_old_trash_is_todays(old_runs):
    (trashed,) = list_trash(old_runs)
    assert trashed.run.id == TRASHED
    assert restore(TRASHED, old_runs).is_dir() and not list_trash(old_runs)


def test_a_report_is_listed(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_REPORTS", str(OLD / "reports"))
    (report,) = list_reports()
    assert report.title == "An old report" and report.settings.runs == (FINISHED,)


@pytest.mark.parametrize(("old", "new"), [("clip-norm", "grad-clip-norm"), ("processes=2", "num-processes")])
def test_an_option_of_the_old_version_is_answered_with_its_new_name(old: str, new: str, capsys) -> None:
    assert main(["train", f"--training.{old}", "2"]) == 42
    assert capsys.readouterr().err == f"'--training.{old.split('=')[0]}' is called '--training.{new}' now.\n"
