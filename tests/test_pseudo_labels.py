"""Masks for photographs without any: what is taken, how it is stored, and that it is learned from and never scored on."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from core.__main__ import main
from core.config import DatasetConfig
from core.data.dataset import find_splits, open_dataset
from core.data.joint_list import write_list
from core.errors import LabError
from core.inference.predict_files import find_images
from core.inference.predictor import Predictor
from core.inference.pseudo_labels import thresholds, write_pseudo_labels
from core.labels import IGNORED


def test_a_class_is_taken_from_where_it_is_sure_enough_or_surer_than_most():
    counts = np.zeros((4, 256), np.int64)
    counts[0, 250] = 100  # sure all over
    counts[1, 100:200] = 1  # never sure: the upper half
    counts[2, [10, 240]] = 50, 50  # half sure
    assert thresholds(counts, 0.9, 0.5).tolist() == [230, 150, 230, 230]
    assert thresholds(counts, 0.9, 0.0).tolist() == [230] * 4
    assert thresholds(counts, 1.0, 0.25).tolist() == [250, 175, 240, 255]
    assert thresholds(counts, 0.0, 0.5).tolist() == [0] * 4


@pytest.fixture
def photographs(lab_folders, streets):
    folder = lab_folders.other / "photographs"
    folder.mkdir()
    for path in sorted((streets / "leftImg8bit" / "val").rglob("*.png")):
        shutil.copy(path, folder / path.name)
    return folder


def test_photographs_become_a_data_set_to_learn_from(lab_folders, trained_run, photographs, streets):
    predictor = Predictor(trained_run)
    out = lab_folders.other / "pseudo"
    images = find_images([photographs])
    result = write_pseudo_labels(predictor, images, out, 0.9, 0.5)
    assert result.frames == 4 and 0.4 < result.labelled <= 1
    whole = {name: predictor.predict(np.asarray(Image.open(path))) for path, name in images.items()}
    for name, prediction in whole.items():
        mask = np.asarray(Image.open(out / "masks" / f"{name}.png"))
        assert set(np.unique(mask[mask != prediction.labels])) <= {IGNORED}
        assert (mask == prediction.labels)[prediction.confidence >= 230].all(), "sure enough"
    assert all(level <= 230 / 255 for level in result.thresholds.values())
    joint = write_list("both", [streets, out])
    alone = open_dataset(DatasetConfig(height=64, width=128))
    both = open_dataset(DatasetConfig(name="folder", root=str(joint), height=64, width=128))
    assert (len(both.train), len(both.val)) == (len(alone.train) + 4, len(alone.val)), "no score is of them"
    scored = [
        frame
        for fold in (1, 2)
        for frame in open_dataset(
            DatasetConfig(name="folder", root=str(joint), height=64, width=128, folds=2, fold=fold)
        ).val
    ]
    assert len(scored) == len(alone.train) + len(alone.val), "nor by folds"


def test_names_that_a_list_could_mix_up_are_told_apart(lab_folders, trained_run, photographs):
    one, two, *_ = sorted(photographs.iterdir())
    names = ["photo.png", "photo.png.png", "a b (1).png", "a b (1).PNG", "straße é.png", "straße e\u0301.png"]
    for name in names:
        shutil.copy(one, photographs / name)
    two.unlink()
    out = lab_folders.other / "pseudo"
    result = write_pseudo_labels(Predictor(trained_run), find_images([photographs]), out)
    pairs = frames_of(out)
    assert result.frames == len(pairs) == 9 and all(frame.labels for frame in pairs)
    assert all(frame.image.stem == frame.labels.stem for frame in pairs)


def frames_of(root):
    """Every frame of a folder, which has none to score on."""
    _, splits = find_splits(DatasetConfig(name="folder", root=str(root), height=64, width=128))
    assert set(splits) == {"train"}
    return splits["train"]


def test_what_can_not_be_is_a_sentence_and_leaves_nothing(lab_folders, trained_run, photographs):
    predictor = Predictor(trained_run)
    out = lab_folders.other / "pseudo"
    (photographs / "zz.png").write_bytes(b"no picture")
    with pytest.raises(LabError, match="zz"):
        write_pseudo_labels(predictor, find_images([photographs]), out)
    assert not out.exists() and not list(out.parent.glob(".*pseudo*"))
    out.mkdir()
    with pytest.raises(LabError, match="a folder .* already"):
        write_pseudo_labels(predictor, find_images([photographs]), out)
    with pytest.raises(LabError, match="from 0 to 1"):
        write_pseudo_labels(predictor, find_images([photographs]), out / "x", 90)
    with pytest.raises(LabError, match="no photograph"):
        write_pseudo_labels(predictor, {}, out / "x")


def test_the_command_does_it_too(lab_folders, trained_run, photographs, capsys):
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    out = lab_folders.other / "by-command"
    assert main(["pseudo-labels", trained_run.name, str(photographs), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["frames"] == 4 and len(list((out / "masks").glob("*.png"))) == 4
