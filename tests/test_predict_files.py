"""`predict` on files: masks at the picture's own size, names that never collide, and label maps that the lab reads back as what they are."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from core.data.class_table import read_class_table
from core.data.dataset import read_target
from core.data.decoding import decode_image, read_image
from core.errors import LabError
from core.inference.predict_files import PredictionFiles, find_images, predict_files
from core.inference.predictor import Predictor
from core.inference.uploads import decode_upload
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS


def picture(path: Path, size=(64, 32), **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(0, 256, (4, 8, 3), np.uint8)
    Image.fromarray(cv2.resize(noise, size)).save(path, **how)
    return path


@pytest.fixture
def run(lab_folders, trained_run):
    return shutil.copytree(trained_run, lab_folders.runs / trained_run.name)


@pytest.fixture
def predictor(run: Path) -> Predictor:
    return Predictor(run)


def labelled(predictor, sources, out, **files):
    pictures = find_images(sources, recursive=True)
    return list(predict_files(predictor, pictures, out, PredictionFiles(**files)))


@pytest.mark.parametrize("size", [(64, 32), (33, 50), (2600, 1300), (16, 2200)])
def test_masks_have_the_size_of_the_picture(predictor, tmp_path, size):
    (paths,) = labelled(
        predictor, [picture(tmp_path / "wide.png", size)], tmp_path / "out", confidence=True, overlay=True
    )
    assert [path.name for path in paths] == [
        f"wide_{suffix}.png" for suffix in ("labels", "colors", "confidence", "overlay")
    ]
    assert {Image.open(path).size for path in paths} == {size}


def test_no_two_pictures_share_a_name_and_folders_are_kept(predictor, tmp_path):
    files = [picture(tmp_path / name) for name in ("a/0001.png", "b/0001.png", "x.jpg", "x.png", "X.bmp", "c/d/y.png")]
    written = [path for paths in labelled(predictor, files, tmp_path / "out") for path in paths]
    assert len(set(map(str.casefold, map(str, written)))) == 12 and all(path.is_file() for path in written)
    assert (tmp_path / "out/a/0001_labels.png").is_file() and (tmp_path / "out/x.jpg_labels.png").is_file()
    assert find_images([tmp_path / "c"], recursive=True) == {tmp_path / "c/d/y.png": "d/y"}
    assert len(find_images([tmp_path / "c/d"])) == 1


def test_what_is_no_picture_is_a_sentence(predictor, tmp_path):
    with pytest.raises(LabError, match="There is no image"):
        find_images([tmp_path / "gone.png"])
    picture(tmp_path / "deep/a.png")
    with pytest.raises(LabError, match="holds no picture. Say --recursive"):
        find_images([tmp_path])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(LabError, match="text.png' can't be read as a picture"):
        labelled(predictor, [tmp_path / "text.png"], tmp_path / "out")


def test_it_goes_on_where_it_was_interrupted(predictor, tmp_path):
    files = [picture(tmp_path / f"{index}.png") for index in range(3)]
    labelled(predictor, files[:2], tmp_path / "out")
    before = (tmp_path / "out/0_labels.png").stat().st_mtime_ns
    assert [bool(paths) for paths in labelled(predictor, files, tmp_path / "out", skip_existing=True)] == [
        False,
        False,
        True,
    ]
    assert (tmp_path / "out/0_labels.png").stat().st_mtime_ns == before


def test_masks_of_other_numbers_are_not_mixed_in_one_folder(predictor, tmp_path):
    source = picture(tmp_path / "a.png")
    labelled(predictor, [source], tmp_path / "out", ids="train")
    with pytest.raises(LabError, match="holds masks of other classes or numbers"):
        labelled(predictor, [source], tmp_path / "out", ids="cityscapes")
    labelled(predictor, [source], tmp_path / "out", ids="train")


@pytest.mark.parametrize("ids", ["train", "dataset", "cityscapes"])
def test_saved_masks_are_read_back_as_the_same_labels(predictor, tmp_path, ids):
    source = picture(tmp_path / "a.png")
    labelled(predictor, [source], tmp_path / "out", ids=ids)
    space = read_class_table(tmp_path / "out/classes.json")
    assert space.class_names == CITYSCAPES_19.class_names
    labels = predictor.predict(read_image(source)).labels
    assert (read_target(tmp_path / "out/a_labels.png", space) == labels).all()
    if ids != "train":
        assert set(np.unique(Image.open(tmp_path / "out/a_labels.png"))) <= {label.id for label in CITYSCAPES_LABELS}


@pytest.mark.parametrize(
    ("ending", "mode", "how"),
    [
        ("png", "RGBA", {}), ("png", "LA", {}), ("webp", "RGBA", {"lossless": True}), ("tif", "RGB", {"orientation": 6}), ("jpg", "CMYK", {}),
        ("jpg", "RGB", {"orientation": 6}), ("png", "RGB", {"orientation": 3}), ("ppm", "RGB", {}), ("gif", "P", {}), ("png", "P", {}),
        ("bmp", "RGB", {}), ("tif", "F", {}), ("tif", "I;16", {}), ("png", "I;16", {}), ("tif", "I", {}), ("png", "1", {}),
    ],
)  # fmt: skip
def test_training_and_prediction_see_the_same_picture(tmp_path, ending, mode, how):
    colors = np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8)
    alpha = np.where(np.arange(40) < 20, 0, 255).astype(np.uint8) * np.ones((24, 1), np.uint8)
    match mode:
        case "RGBA":
            image = Image.fromarray(np.dstack([colors, alpha]))
        case "LA":
            image = Image.fromarray(np.dstack([colors[..., 0], alpha]), "LA")
        case "F":
            image = Image.fromarray(colors[..., 0].astype(np.float32) / 3)
        case "I;16":
            image = Image.fromarray(colors[..., 0].astype(np.uint16) * 16)
        case "I":
            image = Image.fromarray(colors[..., 0].astype(np.int32) * 16)
        case _:
            image = Image.fromarray(colors).convert(mode)
    options = {}
    if "orientation" in how:
        exif = Image.Exif()
        exif[0x0112] = how["orientation"]
        options = {"exif": exif}
    elif how:
        options = how
    path = tmp_path / f"a.{ending}"
    image.save(path, **options)
    seen = read_image(path)
    assert (seen == decode_image(path.read_bytes())).all()
    assert ending in ("ppm", "gif") or (seen == decode_upload(path.read_bytes())).all(), "uploads take fewer formats"
    assert seen.shape == ((40, 24, 3) if how.get("orientation") == 6 else (24, 40, 3)) and seen.max() > 200
    if mode in ("RGBA", "LA"):
        assert (seen[:, :20] == 255).all() and (
            seen[:, 20:] == (colors[:, 20:] if mode == "RGBA" else colors[:, 20:, :1])
        ).all()


def test_the_command_lists_what_it_wrote(run, lab_folders, tmp_path, capsys):
    from core.__main__ import main

    picture(tmp_path / "in/a.png")
    arguments = [
        "predict",
        run.name,
        str(tmp_path / "in"),
        "--out",
        str(tmp_path / "out"),
        "--json",
        "--flip",
        "--scales",
        "0.5",
        "1",
    ]
    assert main([*arguments, "--ids", "cityscapes", "--skip-existing"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["written"]) == 2 and result["skipped"] == 0 and Path(result["classes"]).is_file()
    assert main([*arguments, "--ids", "cityscapes", "--skip-existing"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 1
