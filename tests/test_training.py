"""The training: exact over kills and stops, honest about what went wrong, and it learns."""

import dataclasses
import errno
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from core.config import read_config
from core.data.cityscapes import list_frames
from core.data.dataset import open_dataset
from core.data.decoding import read_labels
from core.data.loaders import FrameStore, TrainingCrops
from core.data.transforms import Augmentation
from core.errors import LabError
from core.evaluation.metrics.confusion import ConfusionMatrix
from core.hardware import choose_hardware
from core.labels import CITYSCAPES_19
from core.models.build import build_model
from core.models.unet import PlainUNet
from core.paths import PROJECT
from core.processes import ProcessId
from core.runner.device_lock import DeviceLock
from core.runs.metrics_log import best_evaluation, evaluations, read_metrics, valid_rows
from core.runs.status import clear_request, read_status, request_stop, update_status
from core.runs.store import best_miou, create_run, read_run
from core.training import __main__ as trainer
from core.training.__main__ import explain
from core.training.checkpoint import read_checkpoint
from core.training.class_weights import class_weights
from core.training.distributed import Distributed
from core.training.loop import train
from core.training.losses import SummedLoss, dice
from core.training.plan import Plan
from core.training.setup import set_up_training
from core.training.step import at_half_size, measure_speed
from core.training.tables import RULES


def train_here(run, config, stop_after=None, stop_in=None):
    """Trains in this process, to the end or to a polite stop after a step or in a phase."""
    now = {"step": 0, "phase": ""}
    return train(
        run,
        config,
        report=lambda **changes: now.update(changes),
        should_stop=lambda: now["step"] == stop_after or now["phase"] == stop_in,
    )


def fingerprint(run):
    """SHA-256 over the names and bytes of all tensors, the optimizer's included."""
    digest = hashlib.sha256()
    for file in ("model", "optimizer"):
        for name, tensor in sorted(load_file(run / f"last/{file}.safetensors").items()):
            digest.update(name.encode() + str(tensor.dtype).encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def scores(run):
    """The eval rows of a run, but for the time, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "minutes"} for row in evaluations(run)]


def start_process(run):
    return subprocess.Popen(
        [sys.executable, "-m", "core.training", str(run)],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=open(run / "train.log", "ab"),
        stderr=subprocess.STDOUT,
    )


def train_steps(run):
    return [row["step"] for row in valid_rows(read_metrics(run)[0]) if row["kind"] == "train"]


def wait_for_step(run, process, step):
    """Until a row of that step, or a later one, was written since the last resume."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, (run / "train.log").read_text()
        rows = read_metrics(run)[0]
        if any(row["kind"] == "train" and row["step"] >= step for row in rows):
            return
        time.sleep(0.002)
    pytest.fail(f"step {step} was never reached")


# ---- exactness


@pytest.fixture
def long_config(tiny_config):
    """120 steps, a checkpoint every few of them."""
    return tiny_config(epochs=30, evaluations=4, checkpoint_seconds=0.1)


@pytest.fixture(scope="module")
def undisturbed():
    """The fingerprint of the long run left alone, once it is known."""
    return {}


@pytest.fixture
def expected(lab_folders, long_config, undisturbed):
    if not undisturbed:
        run = create_run(long_config, lab_folders.runs)
        assert train_here(run, long_config) == "finished"
        undisturbed["weights"] = fingerprint(run)
        undisturbed["scores"] = scores(run)
    return undisturbed


@pytest.mark.parametrize(
    "between", [[(5, 110)], pytest.param([(5, 30), (40, 70), (80, 110)], marks=pytest.mark.campaign)], ids=len
)
def test_a_killed_run_ends_with_the_same_bits(lab_folders, long_config, expected, between):
    run = create_run(long_config, lab_folders.runs)
    dice = random.Random()
    for first, last in between:
        step = dice.randint(first, last)
        process = start_process(run)
        wait_for_step(run, process, step)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert read_run(run).state == "lost"
        print(f"killed after step {step}")
    assert train_here(run, long_config) == "finished"
    assert fingerprint(run) == expected["weights"]
    assert train_steps(run) == list(range(1, 121)), "every step counts once"
    assert scores(run) == expected["scores"]


def test_a_run_stopped_politely_and_resumed_ends_with_the_same_bits(lab_folders, long_config, expected):
    run = create_run(long_config, lab_folders.runs)
    process = start_process(run)
    wait_for_step(run, process, 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    status = read_status(run)
    assert (status.state, status.error, status.exit) == ("stopped", None, 0)
    assert read_checkpoint(run, "last").step == status.step == train_steps(run)[-1] < 120, "nothing is lost"
    assert train_here(run, long_config) == "finished"
    assert fingerprint(run) == expected["weights"]
    assert train_steps(run) == list(range(1, 121))


@pytest.mark.parametrize(
    ("model", "threads"),
    [
        ({"family": "fcn", "encoder": "tf_efficientnet_lite0"}, 1),
        ({"family": "vit", "encoder": "vit_tiny_patch16_224"}, 1),
        ({"family": "unet", "encoder": "plain"}, 2),
    ],
    ids=["fcn", "vit", "unet"],
)
def test_every_family_resumes_exactly_in_bf16(lab_folders, tiny_config, model, threads):
    config = tiny_config(
        model=model, epochs=1, evaluations=1, precision="bf16", threads=threads, checkpoint_seconds=1000
    )
    fingerprints = []
    for stops in ([], [2]):
        run = create_run(config, lab_folders.runs)
        for step in stops:
            assert train_here(run, config, stop_after=step) == "stopped"
            assert read_checkpoint(run, "last").step == step
        assert train_here(run, config) == "finished"
        fingerprints.append(fingerprint(run))
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": "adam", "loss": "focal", "schedule": "polynomial", "warmup_fraction": 0.2},
        {"optimizer": "adamax", "loss": "ohem", "schedule": "step", "gamma_epochs": 1},
        {"optimizer": "sgd", "momentum": 0.0, "loss": "dice", "second_loss": "cross-entropy", "schedule": "constant"},
        {
            "optimizer": "sgd",
            "loss": "lovasz",
            "schedule": "cosine",
            "ema": 0.9,
            "accumulate_grad_batches": 2,
            "epochs": 4,
        },
        {"half_size_share": 0.6, "evaluations": 3},
        {"precision": "fp16", "ema": 0.99, "class_weights": "median", "label_smoothing": 0.1},
    ],
    ids=lambda fields: "-".join(str(value) for value in fields.values()),
)
def test_every_way_to_train_resumes_exactly(lab_folders, tiny_config, fields):
    config = tiny_config(**({"epochs": 2, "evaluations": 2, "checkpoint_seconds": 1000} | fields))
    fingerprints = []
    for stops in ([], [3, 5]):
        run = create_run(config, lab_folders.runs)
        for step in stops:
            assert train_here(run, config, stop_after=step) == "stopped"
        assert train_here(run, config) == "finished"
        fingerprints.append(fingerprint(run))
        if config.training.ema:
            means, last = (load_file(run / path) for path in ("last/ema.safetensors", "last/model.safetensors"))
            assert any(not torch.equal(means[name], last[name]) for name in means)
            fingerprints[-1] += hashlib.sha256(
                repr(sorted((k, v.sum().item()) for k, v in means.items())).encode()
            ).hexdigest()
    assert fingerprints[0] == fingerprints[1]


def test_a_step_at_half_size_learns_from_means_of_four_pixels():
    images = torch.tensor([[[[0, 2, 9], [4, 6, 9], [9, 9, 9]]]], dtype=torch.uint8)
    small, targets = at_half_size(images, torch.tensor([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], dtype=torch.uint8))
    assert small.tolist() == [[[[3]]]] and targets.tolist() == [[[5]]] and small.dtype == torch.uint8


def test_the_best_checkpoint_of_a_run_with_a_mean_holds_the_mean(lab_folders, tiny_config):
    config = tiny_config(epochs=1, evaluations=1, ema=0.9)
    run = create_run(config, lab_folders.runs)
    train_here(run, config)
    means, best = load_file(run / "last/ema.safetensors"), load_file(run / "best/model.safetensors")
    assert all(torch.equal(means[name], best[name]) for name in means)


def test_parts_of_a_batch_make_the_same_step(lab_folders, tiny_config):
    """Without batch statistics, which see each part alone."""
    weights = []
    for accumulate_grad_batches in (1, 2):
        config = tiny_config(
            model={"norm": "group"},
            epochs=1,
            evaluations=1,
            batch_size=4 // accumulate_grad_batches,
            accumulate_grad_batches=accumulate_grad_batches,
            optimizer="sgd",
        )
        run = create_run(config, lab_folders.runs)
        train_here(run, config)
        weights.append(load_file(run / "last/model.safetensors"))
    for other in weights[1:]:
        for name, tensor in weights[0].items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-6)


def test_a_run_that_no_longer_gets_better_stops_early(lab_folders, tiny_config):
    config = tiny_config(
        epochs=20, evaluations=20, learning_rate=1e-6, stop_early="miou", patience=2, schedule="constant", batch_size=8
    )
    run = create_run(config, lab_folders.runs)
    assert train_here(run, config) == "finished"
    rows = evaluations(run)
    assert 3 <= len(rows) < 20
    assert max(row["miou"] for row in rows[-2:]) <= max(row["miou"] for row in rows[:-2])
    assert read_checkpoint(run, "last").step == rows[-1]["step"]


class Forgetful(PlainUNet):
    """A network that drops half of its logits while it learns, at random."""

    def segment(self, images):
        return F.dropout(super().segment(images), 0.5, self.training)


def test_a_network_with_random_layers_resumes_exactly(lab_folders, tiny_config, monkeypatch):
    monkeypatch.setattr("core.training.setup.build_model", Forgetful)
    config = tiny_config(epochs=2, evaluations=1, checkpoint_seconds=1000)
    fingerprints = []
    for stops in ([], [3]):
        run = create_run(config, lab_folders.runs)
        for step in stops:
            assert train_here(run, config, stop_after=step) == "stopped"
            torch.manual_seed(99)
        assert train_here(run, config) == "finished"
        fingerprints.append(fingerprint(run))
    assert fingerprints[0] == fingerprints[1]


def test_measuring_the_speed_leaves_the_network_as_it_was(lab_folders, tiny_config):
    config = tiny_config()
    dataset = open_dataset(config.dataset)
    crops = TrainingCrops(FrameStore(dataset, dataset.train), Augmentation.from_config(config.training), 0)
    model = build_model(config.model, 19)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    speed = measure_speed(
        model,
        crops,
        SummedLoss(config.training, torch.ones(19)),
        choose_hardware(config.training),
        config,
        Distributed(),
    )
    assert 0 < speed.seconds_per_step < 60 and 0 < speed.seconds_to_decode < 60
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_another_seed_is_another_run(lab_folders, tiny_config):
    fingerprints = set()
    for seed in (0, 0, 1):
        config = tiny_config(epochs=1, evaluations=1, seed=seed)
        run = create_run(config, lab_folders.runs)
        train_here(run, config)
        fingerprints.add(fingerprint(run))
    assert len(fingerprints) == 2


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew_and_counts_once(lab_folders, tiny_config):
    config = tiny_config(epochs=2, checkpoint_seconds=1000, evaluations=1)
    run = create_run(config, lab_folders.runs)

    class Killed(BaseException):
        pass

    def die(**changes):
        if changes.get("step") == 5:
            raise Killed

    with pytest.raises(Killed):
        train(run, config, die, lambda: False)
    assert train_steps(run)[-1] in (4, 5)
    assert train_here(run, config) == "finished"
    assert train_steps(run) == list(range(1, 9))


def test_a_checkpoint_without_its_plan_is_not_overwritten(lab_folders, tiny_config):
    config = tiny_config(epochs=2)
    run = create_run(config, lab_folders.runs)
    train_here(run, config, stop_after=3)
    (run / "plan.json").write_text("{")
    with pytest.raises(LabError, match="plan.json"):
        train_here(run, config)
    assert read_checkpoint(run, "last").step == 3


def test_a_finished_run_that_died_before_saying_so_ends_at_once(lab_folders, tiny_config):
    config = tiny_config(epochs=1)
    run = create_run(config, lab_folders.runs)
    train_here(run, config)
    before = fingerprint(run)
    assert train_here(run, config) == "finished"
    assert fingerprint(run) == before and train_steps(run) == [1, 2, 3, 4]


def test_a_stop_tells_its_step_even_between_two_rows(lab_folders, tiny_config):
    config = tiny_config(epochs=2000, evaluations=1)  # 8000 steps: a row every eighth
    run = create_run(config, lab_folders.runs)
    reports = {}
    assert (
        train(
            run,
            config,
            lambda **changes: reports.update(changes),
            lambda: read_checkpoint(run, "last").step == 10 if (run / "last").exists() else False,
        )
        == "stopped"
    )
    assert reports["step"] == read_checkpoint(run, "last").step


SET_UP = ("opening the data", "building the network", "counting classes", "checking two batches")


def test_a_stop_while_setting_up_costs_nothing_and_the_run_goes_on_as_if_it_had_not_been(lab_folders, tiny_config):
    config = tiny_config(epochs=1, evaluations=1)
    alone, run = create_run(config, lab_folders.runs), create_run(config, lab_folders.runs)
    train_here(alone, config)
    for phase in SET_UP:
        assert train_here(run, config, stop_in=phase) == "stopped"
        assert not (run / "last").exists() and not (run / "metrics.jsonl").exists()
    assert train_here(run, config, stop_in="training") == "stopped"
    assert read_checkpoint(run, "last").step == 1
    assert train_here(run, config) == "finished"
    assert fingerprint(run) == fingerprint(alone)


def test_the_runs_own_request_stops_it(lab_folders, tiny_config):
    config = tiny_config(epochs=2)
    run = create_run(config, lab_folders.runs)
    request_stop(run)
    assert train_here(run, config) == "stopped"
    assert not (run / "plan.json").exists()
    clear_request(run)
    assert train_here(run, config) == "finished"


def test_another_data_set_is_not_gone_on_with(lab_folders, tiny_config):
    config = tiny_config(epochs=2)
    run = create_run(config, lab_folders.runs)
    train_here(run, config, stop_after=3)
    fewer = tiny_config(epochs=2, dataset={"max_train_samples": 5})
    with pytest.raises(LabError, match="began with 8 training and 4 validation frames; now there are 5 and 4"):
        train_here(run, fewer)
    assert read_checkpoint(run, "last").step == 3


def test_threads_and_precision_are_settled_by_the_first_start(lab_folders, tiny_config, monkeypatch):
    config = tiny_config(epochs=2, precision="auto", threads=0)
    run = create_run(config, lab_folders.runs)
    train_here(run, config, stop_after=3)
    values = json.loads((run / "plan.json").read_text())
    # As if it had begun on a machine with one core and no bf16.
    (run / "plan.json").write_text(json.dumps(values | {"threads": 1, "precision": "fp32"}))
    settled = []
    monkeypatch.setattr(
        "core.training.setup.choose_hardware",
        lambda wish, folder: settled.append(wish) or choose_hardware(wish, folder),
    )
    train_here(run, config)
    assert [(wish.threads, wish.precision) for wish in settled] == [(1, "fp32")]


# ---- what a run leaves behind


def test_it_learns(trained_run, lab_folders):
    rows = read_metrics(trained_run)[0]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])

    config = read_run(trained_run).config
    dataset = open_dataset(config.dataset)
    targets = np.stack([dataset.target(frame) for frame in dataset.val])
    chance = []
    for index in range(19):
        confusion = ConfusionMatrix(19)
        confusion.update(targets, np.full_like(targets, index))
        chance.append(confusion.miou())
    assert evaluations(trained_run)[-1]["miou"] > 1.5 * max(chance), "better than any one answer everywhere"


def test_rows_hold_what_the_curves_show(trained_run):
    rows = read_metrics(trained_run)[0]
    train_row = next(row for row in rows if row["kind"] == "train")
    assert set(train_row) == {
        *("kind", "step", "epoch", "loss", "learning_rate", "images_per_second", "seconds_left", "minutes"),
        *("cpu", "memory", "machine_memory", "waiting"),
    }
    assert train_row["step"] == train_row["epoch"] == 1
    assert rows[-2]["epoch"] == 30 and rows[-2]["seconds_left"] == 0
    assert max(row["learning_rate"] for row in rows if row["kind"] == "train") == pytest.approx(1e-2, rel=0.02)
    scores = evaluations(trained_run)
    assert [row["step"] for row in scores] == [30, 60]
    for row in scores:
        assert set(row) == {
            *("kind", "step", "epoch", "minutes", "loss", "miou", "pixel_accuracy", "iou", "predicted", "truth")
        }
        known = [value for value in row["iou"] if value is not None]
        assert len(row["iou"]) == 19 and all(0 <= value <= 1 for value in known)
        assert row["miou"] == pytest.approx(np.mean(known))
        assert 0 < row["pixel_accuracy"] <= 1 and row["loss"] > 0


def test_best_is_the_highest_score(trained_run):
    scores = evaluations(trained_run)
    best = max(scores, key=lambda row: row["miou"])
    checkpoint = read_checkpoint(trained_run, "best")
    assert (checkpoint.step, checkpoint.best_miou) == (best["step"], best["miou"])
    assert best_miou(trained_run) == best["miou"]
    assert read_checkpoint(trained_run, "last").step == 60
    assert not (trained_run / "best/optimizer.safetensors").exists()


def test_the_plan_says_what_was_decided(trained_run):
    plan = Plan.load(trained_run)
    assert (plan.steps_total, plan.eval_every, plan.log_every, plan.threads) == (60, 30, 1, 1)
    assert (plan.train_frames, plan.val_frames, len(plan.class_pixels)) == (8, 4, 19)
    assert plan.weights.startswith("Starts from scratch")
    assert plan.hardware == "On the CPU with 1 thread, in fp32, as asked."
    assert plan.parameters == sum(
        tensor.numel() for name, tensor in load_file(trained_run / "last/model.safetensors").items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked", "mean", "std"))
    )  # fmt: skip


def test_samples_are_label_maps_of_the_same_frames_at_every_evaluation(trained_run):
    plan = Plan.load(trained_run)
    folders = sorted(path.name for path in (trained_run / "samples").iterdir())
    assert folders == ["00000030", "00000060"]
    for folder in folders:
        files = sorted((trained_run / "samples" / folder).iterdir())
        assert [path.name for path in files] == sorted(f"{frame}.png" for frame in plan.sample_frames)
        for path in files:
            labels = np.asarray(Image.open(path))
            assert labels.shape == (64, 128) and labels.dtype == np.uint8 and labels.max() < 19


# ---- lengths


def test_minutes_become_steps_and_are_looked_at_once_more(lab_folders, tiny_config):
    config = tiny_config(minutes=0.04, evaluations=2, checkpoint_seconds=30)
    run = create_run(config, lab_folders.runs)
    began = time.monotonic()
    assert train_here(run, config, stop_after=3) == "stopped"
    assert train_here(run, config) == "finished"
    seconds = time.monotonic() - began
    plan = Plan.load(run)
    assert len(plan.replans) == len(evaluations(run)) - 1 and plan.replans[0][1] > 0
    assert read_checkpoint(run, "last").step == plan.steps_total == train_steps(run)[-1]
    assert 0.5 < seconds < 120, "about 2.4 s, and a busy machine takes longer"


def test_a_run_that_is_planned_anew_resumes_exactly(lab_folders, tiny_config, monkeypatch):
    """With more steps and with fewer, stopped before the first new plan, after it and after the second."""
    longer, shorter = {4: (16, 4), 8: (20, 12)}, {4: (10, 2), 6: (8, 2)}
    new = {}

    def replan(plan, training, step, *_):
        steps_total, eval_every = new[step]
        replans = (*plan.replans, (step, plan.steps_total))
        return dataclasses.replace(plan, steps_total=steps_total, eval_every=eval_every, replans=replans)

    monkeypatch.setattr("core.training.loop._replan", replan)
    monkeypatch.setattr("core.training.setup.count_steps", lambda *_, **__: 12)
    config = tiny_config(minutes=1, evaluations=3, checkpoint_seconds=1000)
    for way in (longer, shorter):
        new = way
        results = []
        for stop_after in (None, 2, 5, 7):
            run = create_run(config, lab_folders.runs)
            if stop_after:
                assert train_here(run, config, stop_after=stop_after) == "stopped"
            assert train_here(run, config) == "finished"
            plan = Plan.load(run)
            assert [step for step, _ in plan.replans] == list(way) and train_steps(run)[-1] == plan.steps_total
            results.append((fingerprint(run), str(scores(run)), plan.steps_total))
        assert len(set(results)) == 1


def test_a_score_of_all_frames_counts_more_than_one_of_a_few(lab_folders, tiny_config, monkeypatch):
    """Though it be lower: what is called the best is what the lab can stand by."""
    monkeypatch.setattr("core.training.setup.count_eval_frames", lambda *_: 2)
    monkeypatch.setattr("core.training.setup.SAMPLES", 1)
    # The more pixels, the lower.
    monkeypatch.setattr(ConfusionMatrix, "miou", lambda confusion: 1 / (1 + confusion.matrix.sum()))
    config = tiny_config(epochs=3, evaluations=3)
    run = create_run(config, lab_folders.runs)
    assert train_here(run, config) == "finished"
    rows = evaluations(run)
    assert [row.get("frames") for row in rows] == [2, 2, None] and rows[0]["miou"] > rows[2]["miou"]
    assert best_evaluation(rows) == rows[-1]
    assert read_checkpoint(run, "best").step == rows[-1]["step"] and best_miou(run) == rows[-1]["miou"]


# ---- what goes wrong


@pytest.fixture
def main_here(monkeypatch):
    """The trainer's `main` in this process, which stays as nice as it was and keeps its signal handlers."""
    monkeypatch.setattr(os, "nice", lambda _: 0)
    handlers = {index: signal.getsignal(index) for index in (signal.SIGINT, signal.SIGTERM)}
    yield lambda run: trainer.main([str(run)])
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_run_by_the_trainer_is_recorded_from_start_to_end(lab_folders, tiny_config, main_here, capsys):
    run = create_run(tiny_config(epochs=1), lab_folders.runs)
    assert main_here(run) == 0
    status = read_status(run)
    assert (status.state, status.step, status.steps_total, status.exit, status.error) == ("finished", 4, 4, 0, None)
    assert status.created <= status.started <= status.ended
    assert status.trainer.pid == os.getpid()
    assert "8 frames to learn from, 4 to score on, 4 steps." in capsys.readouterr().out


def test_weights_that_run_away_end_in_a_sentence(lab_folders, tiny_config, main_here):
    run = create_run(tiny_config(epochs=100, learning_rate=1, grad_clip_norm=0), lab_folders.runs)
    with pytest.MonkeyPatch.context() as patch:
        # Batch normalisation survives any rate that a config may ask for.
        patch.setattr("core.training.loop.lr_scale", lambda *_: 1e30)
        assert main_here(run) == trainer.USER_ERROR == 42
    status = read_status(run)
    assert (status.state, status.exit) == ("failed", 42)
    assert "the training diverged" in status.error and "training.learning_rate" in status.error


def test_weights_that_ran_away_are_not_saved(lab_folders, tiny_config, monkeypatch):
    monkeypatch.setattr("core.training.loop.lr_scale", lambda *_: 1e30)
    config = tiny_config(
        epochs=2000, evaluations=1, grad_clip_norm=0
    )  # a row every eighth step, a checkpoint at every one
    run = create_run(config, lab_folders.runs)
    with pytest.raises(LabError, match="at step 2: the training diverged"):
        train_here(run, config)
    assert read_checkpoint(run, "last").step == 1


def test_a_trainer_by_hand_keeps_off_a_busy_device_and_a_running_run(lab_folders, tiny_config, main_here, capsys):
    run = create_run(tiny_config(), lab_folders.runs)
    with DeviceLock(lab_folders.runs / ".slots", "cpu") as lock:
        assert lock.acquire()
        assert main_here(run) == 42
    assert "Another run is training on this device" in capsys.readouterr().err
    assert read_status(run).state == "queued"
    update_status(run, state="running", trainer=ProcessId.of(os.getpid()))
    assert main_here(run) == 42
    assert "is running already" in capsys.readouterr().err


def test_a_data_root_that_is_not_there_ends_in_a_sentence(lab_folders, tiny_config, main_here, capsys):
    run = create_run(
        tiny_config(dataset={"name": "cityscapes", "root": str(lab_folders.other / "gone")}), lab_folders.runs
    )
    assert main_here(run) == 42
    status = read_status(run)
    assert (status.state, status.exit) == ("failed", 42)
    assert (
        status.error
        == f"There is no folder '{lab_folders.other / 'gone'}'. Check the spelling, or whether the disk is mounted."
    )
    assert "Traceback" in capsys.readouterr().err, "one click away"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MemoryError(), 42, "ran out of memory. Halve training.batch_size"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 42, "ran out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), 42, "The disk is full"),
        (RuntimeError("unable to allocate shared memory(shm) for file </torch_1>"), 42, "Set training.workers to 0"),
        (RuntimeError("DataLoader worker is killed by signal: Bus error."), 42, "shared memory of this machine"),
        (KeyError("x"), 1, "a fault of the lab: KeyError: 'x'"),
    ],
)
def test_other_ends_are_explained(lab_folders, tiny_config, main_here, monkeypatch, error, code, text):
    def fail(*_):
        raise error

    monkeypatch.setattr("core.training.setup.open_dataset", lambda *_, **__: fail())
    run = create_run(tiny_config(), lab_folders.runs)
    assert main_here(run) == code
    assert read_status(run).exit == code and text in read_status(run).error


def test_shared_memory_without_room_for_a_semaphore_is_no_full_disk(tiny_config, monkeypatch):
    """Seen with a /dev/shm of 16 kB."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refuse)
    with pytest.raises(OSError) as caught:
        multiprocessing.get_context("spawn").Semaphore(1)
    ending = explain(caught.value, tiny_config(workers=2))
    assert "/dev/shm" in ending.sentence and ending.suggested_change == {"training": {"workers": 0}}


def test_a_config_that_cannot_be_read_is_not_trained(lab_folders, tiny_config, main_here, capsys):
    run = create_run(tiny_config(), lab_folders.runs)
    (run / "config.json").write_text("{")
    assert main_here(run) == 42
    assert "config.json is missing or half written" in capsys.readouterr().err


def relabelled(root, streets, change):
    """A copy of the tiny streets whose training labels were changed: `change(number, labels) -> labels`."""
    for split in ("train", "val"):
        for index, frame in enumerate(list_frames(streets, split)):
            for path in (frame.image, frame.labels):
                target = root / path.relative_to(streets)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
            if split == "train":
                Image.fromarray(change(index, read_labels(frame.labels))).save(root / frame.labels.relative_to(streets))
    return root


def test_a_batch_without_a_labelled_pixel_does_not_stop_a_run(lab_folders, streets, tiny_config):
    root = relabelled(lab_folders.other / "data", streets, lambda index, labels: labels * (index > 2))
    config = tiny_config(dataset={"name": "cityscapes", "root": str(root)}, epochs=2, batch_size=1, crop_height=64)
    run = create_run(config, lab_folders.runs)
    assert train_here(run, config) == "finished"
    losses = [row["loss"] for row in read_metrics(run)[0] if row["kind"] == "train"]
    assert losses.count(None) >= 6 and len(losses) == 16
    state = load_file(run / "last/model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_labels_without_a_class_are_refused_before_the_first_step(lab_folders, streets, tiny_config):
    root = relabelled(lab_folders.other / "data", streets, lambda _, labels: labels * 0)
    config = tiny_config(dataset={"name": "cityscapes", "root": str(root)})
    run = create_run(config, lab_folders.runs)
    with pytest.raises(LabError, match="No pixel of the training labels"):
        train_here(run, config)


def test_classes_of_the_run_are_those_of_the_benchmark(trained_run):
    assert read_checkpoint(trained_run, "best").class_names == CITYSCAPES_19.class_names


def test_samples_of_frames_that_lie_in_folders_are_kept_in_folders(lab_folders, tiny_config):
    root = lab_folders.other / "own"
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (root / kind / split / "town").mkdir(parents=True)
        for index in range(2):
            name = f"{split}{index}.png"
            Image.fromarray(np.full((64, 128, 3), 90 * index, np.uint8)).save(root / "images" / split / "town" / name)
            Image.fromarray(np.full((64, 128), index, np.uint8)).save(root / "masks" / split / "town" / name)
    classes = [{"name": name, "color": [9 * number, 0, 0], "ids": [number]} for number, name in enumerate("ab")]
    (root / "classes.json").write_text(json.dumps({"classes": classes}))
    config = tiny_config(dataset={"name": "folder", "root": str(root)}, epochs=1, evaluations=1)
    run = create_run(config, lab_folders.runs)
    assert train_here(run, config) == "finished"
    assert sorted(path.name for path in run.glob("samples/*/town/*.png")) == ["val0.png", "val1.png"]


def test_compiling_without_a_compiler_is_a_sentence():
    error = RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx")
    ending = explain(error, read_config({"training": {"compile": True}}))
    assert ending.code == 42 and "Install one (g++ or clang), or switch compiling off" in ending.sentence
    assert ending.suggested_change == {"training": {"compile": False}}


def test_a_run_of_before_goes_on_by_the_rules_that_it_began_by(lab_folders, tiny_config):
    """Version 0.1 took the median over all images, and Dice over absent classes too: its plans say nothing of rules."""
    config = tiny_config(epochs=1, class_weights="median", second_loss="dice")
    run = create_run(config, lab_folders.runs)
    assert train(run, config, lambda **_: None, lambda: False) == "finished"
    plan = Plan.load(run)
    pixels = np.array(plan.class_pixels)
    today = set_up_training(run, config, lambda _: None, Distributed())
    assert plan.rules == RULES and today.loss.terms[1][1] is dice
    assert torch.equal(today.loss.weights, class_weights(pixels, "median", np.array(plan.image_pixels)))

    values = json.loads((run / "plan.json").read_text())
    del values["rules"], values["image_pixels"]
    (run / "plan.json").write_text(json.dumps(values))
    before = set_up_training(run, config, lambda _: None, Distributed())
    assert torch.equal(before.loss.weights, class_weights(pixels, "median")) and before.plan.rules == 1
    assert not torch.equal(before.loss.weights, today.loss.weights) and before.loss.terms[1][1] is not dice
