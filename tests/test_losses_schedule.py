"""The loss against PyTorch's own mean, the class weights by hand, and the shape of the learning rate."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.config import TrainingConfig
from core.data.statistics import FrameCounts
from core.labels import IGNORED
from core.training.class_weights import class_weights
from core.training.early_stopping import has_stalled
from core.training.losses import SummedLoss
from core.training.schedule import END, RISE, START, lr_scale
from core.training.tables import LOSSES


def summed_loss(logits, target, weights, **training):
    return SummedLoss(TrainingConfig(**training), weights)(logits, target)


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
    result = rates(1000, schedule="one-cycle")
    top = result.index(max(result))
    assert top + 1 == pytest.approx(RISE * 1000, abs=1)
    assert result[:top] == sorted(result[:top])
    assert result[top:] == sorted(result[top:], reverse=True)
    assert result[0] == pytest.approx(START, rel=0.01)
    assert result[-1] == pytest.approx(END, rel=0.01)
    assert max(result) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("steps_total", [1, 2, 3, 7])
def test_a_short_run_has_a_rate_at_every_step(steps_total):
    assert all(0 < share <= 1 for share in rates(steps_total, schedule="one-cycle"))


def clear(target, classes=5, sure=20.0):
    """Logits that leave no doubt about a target; ignored pixels say class 0."""
    shown = torch.where(target == IGNORED, 0, target).long()
    return F.one_hot(shown, classes).permute(0, 3, 1, 2).float() * sure


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_small_where_all_is_right_and_falls_along_its_gradient(name):
    logits, target, weights = batch()
    right, weight = summed_loss(clear(target), target, weights, loss=name)
    assert 0 <= (right / weight).item() < 0.01
    logits.requires_grad_()
    loss, weight = summed_loss(logits, target, weights, loss=name)
    assert (loss / weight).item() > 0.1 and loss.ndim == 0 and loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    better, _ = summed_loss((logits - 0.1 * logits.grad).detach(), target, weights, loss=name)
    assert better < loss


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_change_no_loss(name):
    logits, target, weights = batch()
    other = torch.where((target == IGNORED)[:, None], logits + 7, logits)
    other[:, 2] += torch.where(target == IGNORED, 9.0, 0.0)
    first = summed_loss(logits, target, weights, loss=name)
    second = summed_loss(other, target, weights, loss=name)
    assert first[0].item() == pytest.approx(second[0].item(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_a_labelled_pixel_has_no_loss_and_no_gradient(name):
    logits, target, weights = batch()
    logits.requires_grad_()
    loss, weight = summed_loss(logits, torch.full_like(target, IGNORED), weights, loss=name)
    loss.backward()
    assert loss.item() == weight.item() == 0 and not logits.grad.any()


def test_a_second_loss_is_added_with_its_weight():
    logits, target, weights = batch()
    parts = [summed_loss(logits, target, weights, loss=name)[0].item() for name in ("cross-entropy", "dice")]
    both = summed_loss(logits, target, weights, second_loss="dice", second_loss_weight=0.5)[0].item()
    assert both == pytest.approx(parts[0] + 0.5 * parts[1], rel=1e-6)


def test_focal_by_hand():
    logits = torch.tensor([0.0, np.log(3)]).reshape(1, 2, 1, 1).float()
    loss, weight = summed_loss(logits, torch.ones(1, 1, 1, dtype=torch.uint8), torch.tensor([1.0, 2.0]), loss="focal")
    assert (loss / weight).item() == pytest.approx((1 / 4) ** 2 * np.log(4 / 3), rel=1e-5)


def test_ohem_counts_what_is_hard_alone():
    target = torch.zeros(1, 8, 8, dtype=torch.uint8)
    logits = clear(target, classes=2)
    logits[0, 1, 0, :] = 30.0  # eight of 64 pixels are wrong
    loss, weight = summed_loss(logits, target, torch.ones(2), loss="ohem")
    assert (loss / weight).item() == pytest.approx(10.0, rel=1e-3)
    loss, weight = summed_loss(logits, target, torch.ones(2))
    assert (loss / weight).item() == pytest.approx(10.0 / 8, rel=1e-3)


def test_dice_and_jaccard_by_hand():
    target = torch.tensor([[[0, 0, 1, 1]]], dtype=torch.uint8)
    logits = torch.tensor([[20.0, 20, 20, -20], [-20, -20, -20, 20]]).reshape(1, 2, 1, 4)
    # class 0: 2 of 3 said are right and 2 of 2 found; class 1: 1 of 1 and 1 of 2.
    dice, weight = summed_loss(logits, target, torch.ones(2), loss="dice")
    assert (dice / weight).item() == pytest.approx(1 - (4 / 5 + 2 / 3) / 2, abs=1e-4)
    jaccard, weight = summed_loss(logits, target, torch.ones(2), loss="jaccard")
    assert (jaccard / weight).item() == pytest.approx(1 - (2 / 3 + 1 / 2) / 2, abs=1e-4)


def test_smoothing_asks_for_less_certainty():
    _, target, weights = batch()
    sure = [summed_loss(clear(target), target, weights, label_smoothing=share)[0].item() for share in (0.0, 0.1)]
    assert sure[1] > sure[0] + 1


def test_a_class_is_as_frequent_as_in_the_images_that_show_it():
    """Eigen and Fergus, https://arxiv.org/abs/1411.4734, section 6.2: three images of 100 pixels by hand."""
    counts = FrameCounts(("a", "b", "c"), np.array([[90, 10, 0], [90, 10, 0], [98, 0, 2]]), np.zeros(3, np.int64))
    pixels = counts.pixels.sum(axis=0)
    assert counts.image_pixels.tolist() == [300, 200, 100]
    weights = class_weights(pixels, "median", counts.image_pixels)
    assert (weights / weights[1]).tolist() == pytest.approx([0.1 / (278 / 300), 1, 5])
    # What the lab did before, and a run of then goes on with: over the pixels of all images.
    before = class_weights(pixels, "median")
    assert (before / before[1]).tolist() == pytest.approx([20 / 278, 1, 10])
    assert torch.equal(class_weights(pixels, "sqrt", counts.image_pixels), class_weights(pixels, "sqrt"))


@pytest.mark.parametrize("name", ["dice", "jaccard"])
def test_a_region_loss_is_the_mean_over_the_classes_that_are_there(name):
    """Three more classes that no pixel shows change nothing, but in a run that began by the first rules."""
    logits, target, weights = batch()
    more = torch.cat([logits, torch.full_like(logits[:, :3], -50)], dim=1)
    many, all_weights = summed_loss(more, target, torch.ones(len(weights) + 3), loss=name)
    few, few_weights = summed_loss(logits, target, torch.ones(len(weights)), loss=name)
    present = len(target[target != IGNORED].unique())
    assert (many / all_weights).item() == pytest.approx((few / few_weights).item(), rel=1e-5)
    loss = SummedLoss(TrainingConfig(loss=name), torch.ones(len(weights) + 3), rules=1)
    first, weight = loss(more, target)
    assert (first / weight).item() == pytest.approx(
        (many / all_weights).item() * present / (len(weights) + 3), rel=1e-5
    )


def test_median_and_enet_weights_by_hand():
    pixels = np.array([70, 20, 10, 0])
    median = class_weights(pixels, "median")
    assert (median[:3] / median[0]).tolist() == pytest.approx([1, 3.5, 7])
    enet = class_weights(pixels, "enet")
    assert (enet[1] / enet[0]).item() == pytest.approx(np.log(1.72) / np.log(1.22), rel=1e-5)
    for weights in (median, enet):
        assert weights[:3].mean().item() == pytest.approx(1) and weights[3] == 1
    assert class_weights(pixels, "none").tolist() == [1, 1, 1, 1]


def rates(steps=100, per_epoch=10, **training):
    config = TrainingConfig(**training)
    return [lr_scale(config, (step - 0.5) / steps, (step - 0.5) / per_epoch) for step in range(1, steps + 1)]


@pytest.mark.parametrize("schedule", ["polynomial", "cosine", "constant", "step"])
def test_other_schedules_climb_while_warming_up_and_never_again(schedule):
    result = rates(schedule=schedule, warmup_fraction=0.2)
    assert result[:20] == sorted(result[:20]) and result[0] < 0.05
    assert result[20:] == sorted(result[20:], reverse=True) and result[20] > 0.95
    assert min(rates(schedule=schedule)) > 0


def test_step_drops_by_gamma_every_so_many_epochs():
    result = rates(schedule="step", gamma=0.1, gamma_epochs=4)
    assert result[:40] == [1.0] * 40
    assert result[40:80] == pytest.approx([0.1] * 40) and result[80:] == pytest.approx([0.01] * 20)


def test_polynomial_and_cosine_by_hand():
    assert rates(schedule="polynomial", power=2)[49] == pytest.approx((1 - 0.495) ** 2)
    assert rates(schedule="cosine")[49] == pytest.approx(0.5, abs=0.02)
    assert rates(schedule="constant") == [1.0] * 100


@pytest.mark.parametrize(
    ("values", "watched", "stalls"),
    [
        ([0.1, 0.2, 0.3, 0.4], "miou", False),
        ([0.1, 0.4, 0.3, 0.2], "miou", True),
        ([0.1, 0.4, 0.3, 0.5], "miou", False),
        ([0.9, 0.5, 0.6, 0.7], "loss", True),
        ([0.9, 0.5, 0.6, 0.4], "loss", False),
        ([0.5, 0.5], "miou", False),
        ([0.5, 0.4, 0.3, 0.2], "never", False),
    ],
)
def test_a_run_stalls_when_two_evaluations_bring_nothing(values, watched, stalls):
    rows = [{"miou": value, "loss": value} for value in values]
    assert has_stalled(rows, watched, 2) == stalls
