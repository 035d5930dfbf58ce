"""Parts of a network that learn alone, or one after the other."""

import copy

import pytest
import torch
from safetensors.torch import load_file

from core.config import ModelConfig, read_config
from core.errors import LabError
from core.models.build import build_model, class_axes
from core.runs.store import create_run
from core.training.loop import train
from tests.test_models import CLASSES, train_two_steps
from tests.test_transfer import NETWORKS

ENCODER = {"family": "fcn", "encoder": "test_resnet", "weights": "none"}


def ended(config, folder, stop_after=None):
    """The run of a config, trained at once or with a break after a step, and its last weights by name."""
    path = create_run(config, folder)
    if stop_after:
        steps = iter(range(1, 1000))
        assert train(path, config, lambda **_: None, lambda: next(steps) > stop_after) == "stopped"
        stopped = load_file(path / "last" / "model.safetensors")
    else:
        stopped = {}
    assert train(path, config, lambda **_: None, lambda: False) == "finished"
    return stopped, load_file(path / "last" / "model.safetensors")


def encoder_of(weights):
    return {name: value for name, value in weights.items() if name.startswith("encoder.") and "num_batches" not in name}


def test_frozen_layers_join_one_after_the_other_the_last_ones_first(lab_folders, tiny_config):
    whole = tiny_config(model=ENCODER | {"freeze": 1}, unfreeze=0.8, epochs=6, learning_rate=1e-2)
    frozen = tiny_config(model=ENCODER | {"freeze": 1}, epochs=6, learning_rate=1e-2)
    _, first = ended(frozen, lab_folders.runs)
    early, late = ended(whole, lab_folders.runs, stop_after=10)
    began = encoder_of(first)  # what was frozen throughout is what all began with
    changed = [name for name, value in encoder_of(early).items() if not torch.equal(value, began[name])]
    assert changed and len(changed) < len(began)
    names = list(began)
    assert min(names.index(name) for name in changed) > 0, "the first layer joined before the last"
    assert all(not torch.equal(value, began[name]) for name, value in encoder_of(late).items() if "weight" in name)


def test_a_break_changes_nothing_while_layers_join(lab_folders, tiny_config):
    config = tiny_config(model=ENCODER | {"freeze": 1}, unfreeze=0.8, epochs=5)
    _, whole = ended(config, lab_folders.runs)
    _, broken = ended(config, lab_folders.runs, stop_after=7)
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_several_processes_can_not_unfreeze():
    with pytest.raises(LabError, match="several processes together can't"):
        read_config({"model": {"freeze": 1}, "training": {"unfreeze": 0.5, "num_processes": 2}})


@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_alone_learns(name):
    config = ModelConfig.model_validate(NETWORKS[name] | {"weights": "none", "head_only": True})
    model = build_model(config, CLASSES)
    before = copy.deepcopy(model.state_dict())
    train_two_steps(model)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(before[key], value)}
    assert changed and changed <= set(class_axes(model, config))
