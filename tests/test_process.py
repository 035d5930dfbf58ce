"""Which networks the inference process keeps: those used last, within what their weights may take together."""

import shutil

import numpy as np
import pytest

import core.inference.process as process
from core.config import ModelConfig
from core.errors import LabError
from core.inference.process import Models, describe_network, respond
from core.inference.worker import (
    DescribeRequest,
    InferenceWorker,
    PredictRequest,
    UncertaintyRequest,
    WarmUpRequest,
    checkpoint_stamp,
)
from core.models import model_summary
from core.models.model_summary import count_parameters
from core.models.summary_cache import recall_summary
from core.training import usage


@pytest.fixture
def runs(lab_folders, trained_run):
    """Three runs of the same small network."""
    paths = [lab_folders.runs / f"{trained_run.name[:-4]}000{index}" for index in range(3)]
    for path in paths:
        shutil.copytree(trained_run / "best", path / "best")
    return paths


def requested(run, image, kind=PredictRequest):
    return kind(run, "best", checkpoint_stamp(run, "best"), image)


def test_the_network_longest_unused_makes_room_and_is_loaded_again(runs, monkeypatch):
    image = np.zeros((32, 64, 3), np.uint8)
    models = Models()
    first = respond(requested(runs[0], image), models)
    (network,) = models._loaded.values()
    monkeypatch.setattr(process, "MODEL_BYTES", 2 * network.nbytes)
    respond(requested(runs[1], image), models)
    assert respond(
        requested(runs[0], image, UncertaintyRequest), models
    ).entropy  # used again: the second is now the older one
    respond(requested(runs[2], image), models)
    assert [key[0] for key in models._loaded] == [runs[0], runs[2]]
    assert next(iter(models._loaded.values())) is network
    monkeypatch.setattr(process, "MODEL_BYTES", 0)
    again = respond(requested(runs[1], image), models)
    assert [key[0] for key in models._loaded] == [runs[1]], "the one in use stays in any case"
    assert (again.labels == first.labels).all()


def test_a_network_that_would_take_the_memory_of_others_is_counted_and_not_built(monkeypatch):
    monkeypatch.setattr(process, "recall_summary", lambda *_: None)
    monkeypatch.setattr(process, "save_summary", lambda *_: None)
    large = DescribeRequest(ModelConfig(family="unet", encoder="plain", weights="none", width=128, depth=6), (64, 64))
    count = count_parameters(large.model)
    assert count > 50e6
    monkeypatch.setattr(usage, "free_memory", lambda: int(count * 4))
    monkeypatch.setattr(model_summary, "describe", lambda *_, **__: pytest.fail("it was built"))
    refused = respond(large, Models())
    assert isinstance(refused, LabError) and "Choose a smaller encoder" in str(refused)
    monkeypatch.setattr(model_summary, "describe", lambda *_, **__: "built")
    monkeypatch.setattr(usage, "free_memory", lambda: int(count * 40))
    assert respond(large, Models()) == "built"


def test_a_limit_reached_is_a_sentence_and_the_next_request_is_answered(runs, monkeypatch):
    image = np.zeros((32, 64, 3), np.uint8)
    models = Models()
    respond(requested(runs[0], image), models)
    (network,) = models._loaded.values()
    with monkeypatch.context() as short:

        def no_room(*_):
            raise MemoryError

        short.setattr(network, "probabilities", no_room)
        reports = respond(requested(runs[0], image, UncertaintyRequest), models)
    assert isinstance(reports, LabError) and "MemoryError" in str(reports)
    assert respond(requested(runs[0], image), models).labels.shape == (32, 64)


def test_the_first_mask_finds_its_network_loaded(runs):
    models = Models()
    assert respond(WarmUpRequest(runs[0], "best", checkpoint_stamp(runs[0], "best")), models) is None
    (network,) = models._loaded.values()
    respond(requested(runs[0], np.zeros((32, 64, 3), np.uint8)), models)
    assert list(models._loaded.values()) == [network]
    gone = WarmUpRequest(runs[0].with_name("20260101-000000-unet-ffff"), "best", "")
    assert isinstance(respond(gone, models), LabError), "a run that is gone ends nothing"


def test_a_description_is_made_once_for_a_network_and_a_size(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    model = ModelConfig(family="unet", encoder="plain", weights="none", width=4, depth=2)
    worker = InferenceWorker()
    summary = worker.describe(model, (64, 96))
    worker.close()
    again = InferenceWorker()
    assert again.describe(model, (64, 96)) == summary and again.pid is None
    assert recall_summary(model, (64, 64)) is None
    assert recall_summary(model.model_copy(update={"width": 8}), (64, 96)) is None
    (file,) = (lab_folders.other / "cache" / "summaries").iterdir()
    for content in (b"", b"[]", b"{}", b"[" * 100_000, b"x" * 2_000_000):
        file.write_bytes(content)
        assert recall_summary(model, (64, 96)) is None


def test_a_time_that_was_measured_beside_a_training_is_not_kept(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    monkeypatch.setattr("core.inference.process.list_active", lambda folder: ["a training"])
    model = ModelConfig(family="unet", encoder="plain", weights="none", width=4, depth=2)
    describe_network(DescribeRequest(model, (64, 64)))
    assert recall_summary(model, (64, 64)) is None
