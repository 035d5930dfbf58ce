"""Calibration, by hand."""

import numpy as np
import pytest

from core.evaluation.metrics.calibration import calibration_of, count_confidence


def test_by_hand():
    target = np.array([[0, 0, 0, 0, 1, 255]], np.uint8)
    labels = np.array([[0, 0, 0, 1, 1, 1]], np.uint8)
    sure = np.array([[204, 204, 204, 204, 255, 0]], np.uint8)
    result = calibration_of(count_confidence(target, labels, sure, 2), bins=10)
    assert result.pixels.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 4, 1]
    assert result.confidence[8] == pytest.approx(0.8) and result.accuracy[8] == 0.75
    assert result.error == pytest.approx((4 * 0.05 + 0) / 5)


def test_a_network_that_is_as_sure_as_right_has_no_error():
    counts = np.zeros((256, 2), np.int64)
    counts[:, 1] = np.arange(256)
    counts[:, 0] = 255 - counts[:, 1]
    assert calibration_of(counts).error < 1e-12
    assert calibration_of(counts[::-1]).error > 0.3


def test_nothing_counted_is_no_number():
    result = calibration_of(np.zeros((256, 2), np.int64))
    assert np.isnan(result.error) and result.to_json()["ece"] is None
    assert result.to_json()["bins"][3]["accuracy"] is None


def test_confidence_of_another_shape_or_type_is_an_error():
    one = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="confidence is float64"):
        count_confidence(one, one, one.astype(float), 2)
