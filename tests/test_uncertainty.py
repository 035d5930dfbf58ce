"""What networks are unsure of: the maps against numbers counted by hand, kept on disk, and asked for by address."""

import math

import cv2
import numpy as np
import pytest
import torch

import core.inference.uncertainty as uncertainty_module
from core.config import TrainingConfig
from core.hardware import choose_hardware
from core.inference.fair_queue import outcome
from core.inference.prediction_cache import LIKELIEST, PredictionCache, UncertaintyMaps
from core.inference.predictor import Predictor
from core.inference.tta import WHOLE, PredictOptions
from core.inference.uncertainty import capped_size, estimate_uncertainty
from core.inference.worker import InferenceWorker


@pytest.fixture(scope="module")
def predictor(trained_run):
    return Predictor(trained_run, choose_hardware(TrainingConfig(device="cpu", precision="fp32", threads=1)))


@pytest.fixture(scope="module")
def image(streets):
    from core.data.cityscapes import list_frames
    from core.data.decoding import read_image

    return read_image(list_frames(streets, "val")[0].image)


def decoded(uncertainty: UncertaintyMaps) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entropy (h, w), and classes and shares (h, LIKELIEST, w)."""
    entropy, rows = (
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        for png in (uncertainty.entropy, uncertainty.likeliest)
    )
    ranks = rows.reshape(entropy.shape[0], LIKELIEST, 2, entropy.shape[1])
    return entropy, ranks[:, :, 0], ranks[:, :, 1]


@pytest.mark.parametrize("options", [WHOLE, PredictOptions(sliding_window=True, flip=True, scales=(1.0, 1.5))])
def test_the_maps_are_those_of_the_probabilities_under_the_same_options(predictor, image, options):
    entropy, classes, shares = decoded(estimate_uncertainty(predictor, image, options))
    result = predictor.predict(image, options)
    assert (classes[:, 0] == result.labels).mean() > 0.9999
    assert np.abs(shares[:, 0].astype(int) - result.confidence).max() <= 1  # sums in another order
    probabilities = predictor.probabilities(image, image.shape[:2], options)[0].double().numpy()
    for y, x in ((0, 0), (17, 90), (63, 127)):
        order = np.argsort(-probabilities[:, y, x])[:LIKELIEST]
        assert classes[y, :, x].tolist() == order.tolist()
        assert np.abs(shares[y, :, x] - 255 * probabilities[order, y, x]).max() <= 0.51
        nats = -sum(p * math.log(p) for p in probabilities[:, y, x] if p > 0)
        assert abs(entropy[y, x] - 255 * nats / math.log(19)) <= 0.51


def test_a_network_of_two_classes_has_no_third(predictor, image, monkeypatch):
    even = torch.full((1, 2, *image.shape[:2]), 0.5)
    monkeypatch.setattr(predictor, "probabilities", lambda *_: even)
    entropy, classes, shares = decoded(estimate_uncertainty(predictor, image, WHOLE))
    assert (entropy == 255).all() and (classes[:, 2:] == 255).all() and (shares[:, 2:] == 0).all()
    assert (classes[:, :2].sum(axis=1) == 1).all() and (shares[:, :2] == 128).all()


def test_a_large_picture_is_told_about_at_fewer_pixels(predictor, image, monkeypatch):
    assert capped_size((1024, 2048)) == (1024, 2048)
    height, width = capped_size((3000, 4000))
    assert height * width == pytest.approx(2**21, rel=0.01) and width / height == pytest.approx(4 / 3, rel=0.01)
    monkeypatch.setattr(uncertainty_module, "MAX_PIXELS", image.shape[0] * image.shape[1] // 4)
    entropy, classes, _ = decoded(estimate_uncertainty(predictor, image, WHOLE))
    assert entropy.shape == (32, 64) and classes.shape == (32, LIKELIEST, 64)


def test_the_process_tells_once_and_the_disk_from_then_on(lab_folders, trained_run, predictor, image, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    worker = InferenceWorker(PredictionCache())
    response, uncertainty = worker.ask(trained_run, image), worker.ask_uncertainty(trained_run, image)
    assert (decoded(outcome(uncertainty))[1][:, 0] == outcome(response).labels).mean() > 0.9999
    worker.close()
    again = worker.ask_uncertainty(trained_run, image)
    assert again.done() and worker.pid is None and again.result() == uncertainty.result()
    assert (worker.ask(trained_run, image).result().labels == response.result().labels).all(), "both are kept"
    (path,) = PredictionCache().folder.glob("*-doubts.npz")
    path.write_bytes(b"torn")
    assert PredictionCache().get_uncertainty(path.stem.removesuffix("-doubts")) is None
