"""Which masks are likely wrong: the formula, and that spoiled masks of generated streets come first."""

import numpy as np
import pytest

from core.data.dataset import open_dataset
from core.evaluation.metrics.label_quality import TEMPERATURE, label_quality
from core.inference.frame_scores import score_frame
from core.inference.prediction_cache import CachedPrediction


def test_in_a_small_frame_it_is_the_softmin_of_the_paper():
    rng = np.random.default_rng(0)
    target, labels = (rng.integers(0, 4, (12, 20), np.uint8) for _ in range(2))
    target[:3] = 255
    confidence = rng.integers(0, 256, (12, 20), np.uint8)
    probabilities = np.where(labels == target, confidence / 255, 1 - confidence / 255)[target < 4]
    weights = np.exp((1 - probabilities) / TEMPERATURE)
    expected = (probabilities * weights).sum() / weights.sum()
    assert label_quality(target, labels, confidence, 4) == pytest.approx(expected)
    assert label_quality(np.full_like(target, 255), labels, confidence, 4) is None


def test_a_wrong_patch_is_more_doubtful_than_as_many_wrong_pixels_at_borders():
    target = np.zeros((200, 400), np.uint8)
    sure = np.full_like(target, 240)
    patch, scattered = target.copy(), target.copy()
    patch[60:90, 60:90] = 1
    scattered.reshape(-1)[:: target.size // 900] = 1
    assert label_quality(target, patch, sure, 2) < 0.6 < label_quality(target, scattered, sure, 2)
    half = target.copy()
    half[:, 200:] = 255
    assert label_quality(half, target, sure, 2) == pytest.approx(240 / 255, abs=1e-6), "what has no label is left out"


def test_a_sure_network_that_agrees_finds_nothing_to_doubt():
    target = np.zeros((8, 8), np.uint8)
    sure = np.full((8, 8), 255, np.uint8)
    assert label_quality(target, target, sure, 2) == 1
    assert label_quality(target, 1 - target, sure, 2) == 0
    assert label_quality(target, 1 - target, sure // 2, 2) == pytest.approx(0.5, abs=0.01)


def test_spoiled_masks_are_doubted_before_sound_ones(lab_folders, tiny_config):
    """A network that is right but for one pixel in fifty, and as sure as that."""
    dataset = open_dataset(tiny_config().dataset)
    rng = np.random.default_rng(0)
    qualities = {}
    for number, frame in enumerate(dataset.train):
        target = dataset.target(frame)
        labels = np.where((rng.random(target.shape) < 0.02) | (target == 255), 0, target).astype(np.uint8)
        confidence = np.where(labels == target, 240, 140).astype(np.uint8)
        prediction = CachedPrediction(labels, confidence, dataset.space.class_names, dataset.space.colors, 1.0)
        shifted = np.roll(target, 12, axis=1)
        qualities[number, "sound"] = score_frame(prediction, target).quality
        qualities[number, "spoiled"] = score_frame(prediction, shifted).quality
    doubted = sorted(qualities, key=qualities.get)[: len(dataset.train)]
    assert {kind for _, kind in doubted} == {"spoiled"}
