"""The moving mean of the weights: what it holds, and that the network gets its own back."""

import pytest
import torch
from torch import nn

from core.training.ema import ModelEma


def network(value):
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    model[0].weight.data.fill_(value)
    return model


def test_the_mean_follows_the_weights():
    model = network(0.0)
    ema = ModelEma(model, decay=0.9)
    expected = 0.0
    for step in range(1, 200):
        model[0].weight.data.fill_(float(step))
        ema.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert ema.tensors["0.weight"].item() == pytest.approx(expected, rel=1e-4)
    assert ema.tensors["0.weight"].item() == pytest.approx(199 - 9, abs=0.5), "a lag of decay / (1 - decay) steps"


def test_the_model_has_the_mean_inside_alone():
    model = network(1.0)
    ema = ModelEma(model, decay=0.5)
    model[0].weight.data.fill_(5.0)
    model[1].running_mean.fill_(3.0)
    with pytest.raises(RuntimeError), ema.applied(model):
        assert model[0].weight.item() == 1 and model[1].running_mean.item() == 0
        raise RuntimeError
    assert model[0].weight.item() == 5 and model[1].running_mean.item() == 3


def test_counters_are_left_alone():
    model = network(1.0)
    assert "1.num_batches_tracked" not in ModelEma(model, decay=0.5).tensors


def test_nothing_is_shared_with_the_model():
    model = network(1.0)
    ema = ModelEma(model, decay=0.5)
    model[0].weight.data.fill_(5.0)
    assert ema.tensors["0.weight"].item() == 1
    with torch.no_grad():
        ema.tensors["0.weight"].fill_(9.0)
    assert model[0].weight.item() == 5
