"""Temperature: probabilities that are as high as they should be, and labels as they were."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.data.dataset import open_dataset
from core.errors import LabError
from core.inference.predictor import Predictor
from core.runs.ensembles import make_ensemble
from core.runs.fitted_temperature import read_temperature
from core.runs.store import read_run
from core.training.temperature import PIXELS, fit_temperature, fit_to_samples, sample_logits


def drawn(count: int, factor: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose classes are drawn with their own probabilities, then made so many times too sure."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 5, generator=generator)
    targets = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    return logits * factor, targets


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_what_was_too_sure_by_a_factor_is_divided_by_it(factor):
    assert fit_temperature(*drawn(20_000, factor)) == pytest.approx(factor, rel=0.05)


def test_the_temperature_is_where_the_loss_is_least():
    logits, targets = drawn(3000, 2.3)
    fitted = fit_temperature(logits, targets)
    losses = {value: float(F.cross_entropy(logits / value, targets)) for value in np.linspace(0.5, 5, 200)}
    assert fitted == pytest.approx(min(losses, key=losses.get), abs=0.03)


def test_what_has_no_pixels_or_no_numbers_stays_as_it_is():
    assert fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 1
    assert fit_temperature(torch.full((4, 3), float("nan")), torch.zeros(4, dtype=torch.long)) == 1
    right = torch.tensor([0, 1, 2])
    assert 0.1 <= fit_temperature(5.0 * torch.eye(3), right) <= 10, "there is no least loss where all is right"


def test_labelled_pixels_are_sampled_the_same_ones_every_time():
    logits = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).float()
    targets = torch.full((2, 4, 5), 255, dtype=torch.uint8)
    targets[0, 1, 2], targets[0, 3, 4] = 2, 1
    sample = sample_logits(logits, targets, [7, 8])
    assert sample.logits.shape == (PIXELS, 3) and set(sample.frames.tolist()) == {7}
    for values, target in zip(sample.logits, sample.targets, strict=True):
        row, column = (1, 2) if target == 2 else (3, 4)
        assert values.tolist() == logits[0, :, row, column].tolist()
    assert torch.equal(sample.targets, sample_logits(logits, targets, [7, 8]).targets)


def test_each_half_is_judged_by_what_was_fitted_to_the_other():
    samples = []
    for frame, factor in enumerate((4.0, 4.0, 1.0, 1.0)):  # the halves want other temperatures
        logits, targets = drawn(4000, factor, seed=frame)
        maps = logits.reshape(1, 40, 100, 5).permute(0, 3, 1, 2)
        samples.append(sample_logits(maps, targets.reshape(1, 40, 100).to(torch.uint8), [frame]))
    fitted = fit_to_samples(samples)
    assert 1.2 < fitted.temperature < 3.5
    assert fitted.after.ece > 0.1, "each half has the temperature that the other wanted"
    even = fit_to_samples(samples[:2])
    assert even.temperature == pytest.approx(4, rel=0.25) and even.after.ece < even.before.ece / 2
    assert sum(each.pixels for each in even.before.bins) == 2 * PIXELS


@pytest.fixture
def run(lab_folders, trained_run):
    return shutil.copytree(trained_run, lab_folders.runs / trained_run.name)


def set_temperature(run, value: float) -> None:
    path = run / "best" / "state.json"
    state = json.loads(path.read_text())
    state["calibration"]["temperature"] = value
    path.write_text(json.dumps(state))


def test_a_training_leaves_it_in_its_checkpoint_and_all_answers_follow(run):
    fitted = read_temperature(run)
    assert fitted and fitted.temperature != 1
    dataset = open_dataset(read_run(run).config.dataset)
    image = dataset.image(dataset.val[0])
    set_temperature(run, 1.0)
    plain = Predictor(run).probabilities(image, dataset.size)
    set_temperature(run, 2.0)
    warm, answer = Predictor(run).probabilities(image, dataset.size), Predictor(run).predict(image)
    torch.testing.assert_close(warm, (plain.log() / 2).softmax(dim=1), rtol=1e-3, atol=1e-5)
    assert torch.equal(warm.argmax(dim=1), plain.argmax(dim=1)), "it changes no label"
    assert np.abs(answer.confidence / 255 - warm[0].amax(dim=0).numpy()).max() < 0.005


def test_the_members_of_an_ensemble_keep_theirs(run, lab_folders):
    other = shutil.copytree(run, lab_folders.runs / f"{run.name[:-4]}beef")
    set_temperature(run, 0.5)
    set_temperature(other, 3.0)
    dataset = open_dataset(read_run(run).config.dataset)
    image = dataset.image(dataset.val[0])
    both = torch.stack([Predictor(path).probabilities(image, dataset.size) for path in (run, other)])
    joined = Predictor(make_ensemble([read_run(run), read_run(other)], lab_folders.runs))
    torch.testing.assert_close(joined.probabilities(image, dataset.size), both.mean(dim=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [0, -1, 10**400, "hot", None, [1]])
def test_a_checkpoint_with_an_impossible_temperature_is_refused_or_has_none(run, value):
    set_temperature(run, value)
    assert read_temperature(run) is None
    with pytest.raises(LabError, match="can't be read"):
        Predictor(run)
