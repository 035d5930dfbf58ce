"""Checkpoints: they bring everything back, and a crash at any moment of writing leaves one that loads."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from core.errors import LabError
from core.inference.prediction_cache import checkpoint_digest
from core.labels import CITYSCAPES_19
from core.runs.store import checkpoint_path
from core.training import checkpoint as module
from core.training.checkpoint import (
    TrainingState,
    load_optimizer,
    load_weights,
    read_checkpoint,
    restore_state,
    save_checkpoint,
)
from core.training.ema import ModelEma


class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        self.num_classes = 19
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, images):
        return self.last(self.norm(self.convolution(images)).relu())


def build(seed=0):
    model = Net(seed).to(memory_format=torch.channels_last)
    return model, torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)


def step(model, optimizer, seed):
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(images.contiguous(memory_format=torch.channels_last)).square().mean().backward()
    optimizer.step()


def save(run, model, optimizer, index, tiny_config, which="last"):
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = TrainingState(model, optimizer, scaler, step=index, best_miou=index / 100)
    save_checkpoint(run, which, state, tiny_config(), CITYSCAPES_19)


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_been(tmp_path, tiny_config):
    model, optimizer = build()
    for index in range(3):
        step(model, optimizer, index)
    save(tmp_path, model, optimizer, 3, tiny_config)
    for index in range(3, 6):
        step(model, optimizer, index)

    again, its_optimizer = build(seed=9)
    result = read_checkpoint(tmp_path, "last")
    load_weights(again, result)
    load_optimizer(again, its_optimizer, result)
    for index in range(3, 6):
        step(again, its_optimizer, index)
    assert same(model.state_dict(), again.state_dict())


def test_it_says_what_it_is(tmp_path, tiny_config):
    model, optimizer = build()
    save(tmp_path, model, None, 7, tiny_config, "best")
    result = read_checkpoint(tmp_path, "best")
    assert (result.step, result.best_miou) == (7, 0.07)
    assert result.config == tiny_config()
    assert result.class_names == CITYSCAPES_19.class_names and result.colors == CITYSCAPES_19.colors
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["model.safetensors", "state.json"]


def test_a_copied_checkpoint_needs_nothing_of_its_run(tmp_path, tiny_config):
    model, optimizer = build()
    for name in ("run", "elsewhere"):
        (tmp_path / name).mkdir()
    save(tmp_path / "run", model, optimizer, 1, tiny_config)
    shutil.copytree(tmp_path / "run/last", tmp_path / "elsewhere/last")
    shutil.rmtree(tmp_path / "run")
    again, _ = build(seed=9)
    load_weights(again, read_checkpoint(tmp_path / "elsewhere", "last"))
    assert same(model.state_dict(), again.state_dict())


class Crash(BaseException):
    """Stands for the end of the process: nothing in the lab catches it."""


def crashing(monkeypatch, at):
    """Lets the `at`-th of the calls that touch the disk raise, and every one after it: a dead process cleans nothing up."""
    calls = []

    def wrap(owner, name):
        real = getattr(owner, name)

        def call(*arguments, **options):
            calls.append(name)
            if len(calls) == at and name == "rmtree":
                # Half done: the weights are gone already, the state is still there.
                Path(arguments[0], "model.safetensors").unlink(missing_ok=True)
            if len(calls) >= at:
                raise Crash
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    for owner, name in ((module, "save_file"), (module.os, "rename"), (module.shutil, "rmtree"), (module.os, "fsync")):
        wrap(owner, name)
    return calls


def test_a_crash_at_any_moment_leaves_a_checkpoint_that_loads(tmp_path, tiny_config):
    states = {}
    model, optimizer = build()
    for index in (1, 2):
        step(model, optimizer, index)
        states[index] = {name: value.clone() for name, value in model.state_dict().items()}
    steps_seen = []
    crashes = 0
    for at in range(1, 100):
        run = tmp_path / f"run{at}"
        run.mkdir()
        first, its_optimizer = build()
        step(first, its_optimizer, 1)
        save(run, first, its_optimizer, 1, tiny_config)
        step(first, its_optimizer, 2)
        with pytest.MonkeyPatch.context() as patch:
            calls = crashing(patch, at)
            try:
                save(run, first, its_optimizer, 2, tiny_config)
                crashed = False
            except Crash:
                crashed = True
        if not crashed:
            break
        crashes += 1
        result = read_checkpoint(run, "last")
        steps_seen.append(result.step)
        again, again_optimizer = build(seed=9)
        load_weights(again, result)
        load_optimizer(again, again_optimizer, result)
        assert same(states[result.step], again.state_dict()), f"crash at call {at}, {calls[-1]}"
        assert again_optimizer.state[again.last.bias]["step"].item() == result.step
        # and the next save goes through, whatever lies about
        save(run, again, again_optimizer, result.step + 1, tiny_config)
        assert read_checkpoint(run, "last").step == result.step + 1
        assert sorted(path.name for path in run.iterdir()) == ["last"]
    assert crashes >= 10, "there were that many moments to crash at"
    assert steps_seen == sorted(steps_seen) and set(steps_seen) == {1, 2}


def test_a_second_crash_after_the_first_loses_nothing(tmp_path, tiny_config):
    for second in range(1, 100):
        run = tmp_path / str(second)
        run.mkdir()
        model, optimizer = build()
        save(run, model, optimizer, 1, tiny_config)
        with pytest.MonkeyPatch.context() as patch:
            real = os.rename

            def rename(source, target, real=real):
                if str(target).endswith("/last"):
                    raise Crash  # between the two renames: there is no `last` now
                real(source, target)

            patch.setattr(module.os, "rename", rename)
            with pytest.raises(Crash):
                save(run, model, optimizer, 2, tiny_config)
        assert not (run / "last").exists()
        assert read_checkpoint(run, "last").step == 2
        with pytest.MonkeyPatch.context() as patch:
            crashing(patch, second)
            try:
                save(run, model, optimizer, 3, tiny_config)
            except Crash:
                assert read_checkpoint(run, "last").step in (2, 3)
                continue
        break
    assert second > 10


def test_without_a_checkpoint_there_is_a_sentence(tmp_path):
    assert checkpoint_path(tmp_path, "best") is None
    with pytest.raises(LabError, match="no 'best' checkpoint"):
        read_checkpoint(tmp_path, "best")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"step": "x"}', '"hello"'])
def test_a_broken_state_is_a_sentence(tmp_path, text, tiny_config):
    model, optimizer = build()
    save(tmp_path, model, optimizer, 1, tiny_config)
    (tmp_path / "last/state.json").write_text(text)
    with pytest.raises(LabError, match="last' can't be read"):
        read_checkpoint(tmp_path, "last")


def test_a_state_of_another_version_is_a_sentence(tmp_path, tiny_config):
    model, optimizer = build()
    save(tmp_path, model, optimizer, 1, tiny_config)
    state = json.loads((tmp_path / "last/state.json").read_text())
    state["config"]["training"]["warp"] = 9
    (tmp_path / "last/state.json").write_text(json.dumps(state))
    with pytest.raises(LabError, match="training.warp"):
        read_checkpoint(tmp_path, "last")


@pytest.mark.parametrize("kind", ["gone", "cut", "of another network"])
def test_weights_that_do_not_load_are_a_sentence(tmp_path, kind, tiny_config):
    model, optimizer = build()
    save(tmp_path, model, optimizer, 1, tiny_config)
    for name in ("model", "optimizer"):
        path = tmp_path / f"last/{name}.safetensors"
        content = path.read_bytes()
        path.unlink()
        if kind == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif kind == "of another network":
            module.save_file({"foreign|exp_avg": torch.zeros(3)}, path)
    result = read_checkpoint(tmp_path, "last")
    with pytest.raises(LabError, match="model.safetensors"):
        load_weights(model, result)
    with pytest.raises(LabError, match="optimizer.safetensors"):
        load_optimizer(model, optimizer, result)


def test_a_checkpoint_for_other_classes_says_which_it_has(tmp_path, tiny_config):
    model, optimizer = build()
    save(tmp_path, model, optimizer, 3, tiny_config)
    model.num_classes = 7
    with pytest.raises(LabError, match="tells 19 classes apart .road, sidewalk.*but 7 are wanted"):
        load_weights(model, read_checkpoint(tmp_path, "last"))


@pytest.mark.parametrize("file", ["ema.safetensors", "average.safetensors"])
def test_the_last_checkpoint_is_shown_by_its_mean_weights_and_goes_on_from_its_own(tmp_path, tiny_config, file):
    model, optimizer = build()
    ema = ModelEma(model, 0.9)
    step(model, optimizer, 0)
    ema.update(model, 1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = TrainingState(model, optimizer, scaler, ema, step=1, best_miou=0.5)
    save_checkpoint(tmp_path, "last", state, tiny_config(), CITYSCAPES_19)
    (tmp_path / "last" / "ema.safetensors").rename(tmp_path / "last" / file)
    digest = checkpoint_digest(tmp_path, "last")

    shown, _ = build(seed=9)
    load_weights(shown, read_checkpoint(tmp_path, "last"))
    with ema.applied(model):
        assert same(model.state_dict(), shown.state_dict())
    resumed, its_optimizer = build(seed=9)
    its_state = TrainingState(resumed, its_optimizer, scaler, ModelEma(resumed, 0.9))
    restore_state(tmp_path, its_state)
    assert same(model.state_dict(), resumed.state_dict()) and same(ema.tensors, its_state.ema.tensors)

    (tmp_path / "last" / file).unlink()
    assert checkpoint_digest(tmp_path, "last") != digest, "what is scored and kept of another mean is another answer"
