"""The benchmark's archive of a run: every frame of a split at full size, checked, and nothing left where it fails."""

import shutil
import zipfile

import cv2
import numpy as np
import pytest

from core.data.cityscapes import list_frames
from core.data.decoding import read_image
from core.errors import LabError
from core.evaluation.job import start_submission
from core.evaluation.make_submission import make_submission
from core.evaluation.metrics.protocol import label_ids_of
from core.evaluation.results import EvaluationSettings
from core.evaluation.submission import check_submission
from core.evaluation.submission_archives import archive_path, list_archives
from core.inference.prediction_cache import checkpoint_digest
from core.inference.predictor import Predictor
from core.jobs.kinds import latest
from core.labels import CITYSCAPES_19
from core.runs.store import read_run


@pytest.fixture
def run(lab_folders, trained_run):
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    return read_run(lab_folders.runs / trained_run.name)


def test_the_archive_holds_every_frame_as_the_network_sees_it(run, lab_folders):
    path, made = make_submission(run, "val", lab_folders.other / "val.zip")
    frames = list_frames(lab_folders.data / "streets", "val")
    assert check_submission(path, [frame.id for frame in frames]) == []
    assert (
        made.frames == 4 and made.size == path.stat().st_size and made.description == "whole picture, best checkpoint"
    )
    with zipfile.ZipFile(path) as archive:
        held = archive.read(f"{frames[0].id}_pred_labelIds.png")
    ids = cv2.imdecode(np.frombuffer(held, np.uint8), cv2.IMREAD_UNCHANGED)
    small = label_ids_of(CITYSCAPES_19)[Predictor(run.path).predict(read_image(frames[0].image)).labels]
    assert ids.shape == (1024, 2048)
    assert (cv2.resize(small, (2048, 1024), interpolation=cv2.INTER_NEAREST_EXACT) == ids).all()
    assert list_archives(run.path) == [], "one that goes elsewhere isn't the run's"


def test_the_archive_names_the_weights_that_predicted_though_a_better_checkpoint_comes_meanwhile(run, lab_folders):
    before, state = checkpoint_digest(run.path, "best"), run.path / "best" / "state.json"

    def reported(what, done, total):
        if done == 1:
            state.write_text(state.read_text() + " ")

    _, made = make_submission(run, "val", lab_folders.other / "val.zip", progress=reported)
    assert made.weights == before != checkpoint_digest(run.path, "best")


def test_a_job_keeps_the_archive_in_the_run(run, wait_until):
    start_submission(run.id, "val", EvaluationSettings(flip=True))
    job = wait_until(lambda: (now := latest("evaluation")) and not now.is_active and now)
    assert job.state == "finished", job
    ((path, archive),) = list_archives(run.path)
    assert path == archive_path(run.path, "val") and archive.weights == checkpoint_digest(run.path, "best")
    assert archive.description == "whole picture, mirrored too, best checkpoint" and archive.frames == 4
    path.write_bytes(b"")
    assert list_archives(run.path) == []


def test_what_the_server_would_refuse_is_refused_before_and_leaves_nothing(run, lab_folders):
    root = shutil.copytree(lab_folders.data / "streets", lab_folders.data / "other")
    shutil.copytree(root / "leftImg8bit" / "val", root / "leftImg8bit" / "test")
    there = run.config.model_copy(
        update={"dataset": run.config.dataset.model_copy(update={"name": "cityscapes", "root": str(root)})}
    )
    (run.path / "config.json").write_text(there.model_dump_json())
    with pytest.raises(LabError, match="4 test frames, but the server wants all 1525"):
        make_submission(read_run(run.path), "test")
    grouped = run.config.model_copy(
        update={"dataset": run.config.dataset.model_copy(update={"classes": "cityscapes-7"})}
    )
    (run.path / "config.json").write_text(grouped.model_dump_json())
    with pytest.raises(LabError, match="can't be turned back"):
        make_submission(read_run(run.path), "val")
    shutil.rmtree(root)

    def broken_off(what, done, total):
        if done == 2:
            raise KeyboardInterrupt

    (run.path / "config.json").write_text(run.config.model_dump_json())
    with pytest.raises(KeyboardInterrupt):
        make_submission(read_run(run.path), "val", progress=broken_off)
    assert list((run.path / "submissions").iterdir()) == []
