"""The loss against PyTorch's own mean, the class weights by hand, and the shape of the learning rate."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.labels import IGNORED
from core.training.losses import class_weights, summed_loss
from core.training.schedule import END, START, WARM_UP, one_cycle


def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 6, 7, generator=generator)
    target = torch.randint(0, 5, (2, 6, 7), generator=generator).to(torch.uint8)
    target[:, :2] = IGNORED
    return logits, target, torch.tensor([0.5, 1.0, 2.0, 4.0, 1.5])


def test_the_quotient_is_cross_entropys_weighted_mean():
    logits, target, weights = batch()
    loss, weight = summed_loss(logits, target, weights)
    expected = F.cross_entropy(logits, target.long(), weights, ignore_index=IGNORED)
    assert (loss / weight).item() == pytest.approx(expected.item(), rel=1e-6)


def test_by_hand():
    logits = torch.tensor([[0.0, 0.0], [np.log(3), 0.0]]).T.reshape(1, 2, 1, 2).float()
    target = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    loss, weight = summed_loss(logits, target, torch.tensor([2.0, 3.0]))
    # pixel 0: p(1) = 1/2, weight 3; pixel 1: logits (log 3, 0), p(0) = 3/4, weight 2.
    assert weight.item() == 5
    assert loss.item() == pytest.approx(3 * np.log(2) + 2 * np.log(4 / 3), rel=1e-6)


def test_sums_of_batches_add_up_to_the_mean_of_all():
    logits, target, weights = batch()
    parts = [summed_loss(logits[i : i + 1], target[i : i + 1], weights) for i in range(2)]
    together = sum(part[0] for part in parts) / sum(part[1] for part in parts)
    loss, weight = summed_loss(logits, target, weights)
    assert together.item() == pytest.approx((loss / weight).item(), rel=1e-6)


def test_without_a_labelled_pixel_both_sums_are_zero():
    logits, target, weights = batch()
    loss, weight = summed_loss(logits, torch.full_like(target, IGNORED), weights)
    assert loss.item() == 0 and weight.item() == 0


def test_bf16_logits_are_summed_in_float32():
    logits, target, weights = batch()
    loss, _ = summed_loss(logits.bfloat16(), target, weights)
    assert loss.dtype == torch.float32


def test_class_weights_are_one_over_the_root_of_the_share():
    weights = class_weights(np.array([64, 16, 4, 0]))
    # roots 8, 4, 2: weights as 1 : 2 : 4, their mean 1; the absent class weighs 1.
    assert weights.tolist() == pytest.approx([3 / 7, 6 / 7, 12 / 7, 1.0])
    assert weights.dtype == torch.float32


def test_no_class_weighs_more_than_ten():
    weights = class_weights(np.array([10**9] * 18 + [1]))
    assert weights.max() == 10


def test_the_learning_rate_climbs_once_and_falls_once():
    rates = [one_cycle(step, 1000) for step in range(1, 1001)]
    top = rates.index(max(rates))
    assert top + 1 == pytest.approx(WARM_UP * 1000, abs=1)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[0] == pytest.approx(START, rel=0.01)
    assert rates[-1] == pytest.approx(END, rel=0.01)
    assert max(rates) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("steps_total", [1, 2, 3, 7])
def test_a_short_run_has_a_rate_at_every_step(steps_total):
    assert all(0 < one_cycle(step, steps_total) <= 1 for step in range(1, steps_total + 1))
