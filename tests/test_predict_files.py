"""`predict` on files: masks at the picture's own size, names that never collide, and label maps that the lab reads back as what they are."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import rasterio
import torch
import torch.nn.functional as F
from PIL import Image

from core.config import PixelFormat
from core.data.class_table import read_class_table
from core.data.dataset import read_target
from core.data.decoding import decode_image, read_image
from core.errors import LabError
from core.inference.large_images import label_rows
from core.inference.predict_files import PredictionFiles, find_images, lost_coordinates, predict_files
from core.inference.predictor import Prediction, Predictor, resize
from core.inference.raster_files import open_rows
from core.inference.tta import PredictOptions
from core.inference.uploads import decode_upload
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS, palette_of
from core.synthetic.scene import draw_scene
from tests.conftest import TINY_SIZE


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


def mosaic(height: int, width: int) -> np.ndarray:
    """Drawn streets side by side, uint8 (height, width, 3)."""
    scenes = np.concatenate([draw_scene(1, index, TINY_SIZE).image for index in range(4)], axis=1)
    return np.tile(scenes, (-(-height // scenes.shape[0]), -(-width // scenes.shape[1]), 1))[:height, :width]


def in_tiles(predictor: Predictor, path: Path, scale: float, **options) -> Prediction:
    with open_rows(path) as rows:
        parts = [part for _, _, part in label_rows(predictor, rows, scale, PredictOptions(**options))]
    return Prediction(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "confidence")))


class SharpColors:
    """A network that looks at the pixels beside each other: tiles can't differ from the whole but by their places."""

    shown_size, multiple, padding_mode = TINY_SIZE, 16, "reflect"
    checkpoint = SimpleNamespace(class_names=("red", "green", "blue"))

    num_bands = 3

    def probabilities(self, image, size, options, seen):
        logits = torch.from_numpy(cv2.blur(resize(image, seen), (3, 3))).permute(2, 0, 1)[None].float() / 8
        return F.interpolate(logits, size=size, mode="bilinear").softmax(dim=1)


@pytest.mark.parametrize(("scale", "size"), [(1.0, (301, 500)), (0.5, (400, 334)), (2.0, (150, 203)), (1.0, (20, 700))])
def test_in_tiles_a_picture_is_labelled_as_whole_at_the_same_scale(tmp_path, scale, size):
    image = mosaic(*size)
    Image.fromarray(image).save(tmp_path / "large.tif", compression="tiff_lzw")
    seen = tuple(round(side * scale) for side in size)
    whole, sure = (
        each.numpy() for each in SharpColors().probabilities(image, size, PredictOptions(), seen)[0].max(dim=0)[::-1]
    )
    tiled = in_tiles(SharpColors(), tmp_path / "large.tif", scale)
    assert tiled.labels.shape == size and (tiled.labels == whole).mean() > 0.995
    assert np.abs(tiled.confidence / 255 - sure).mean() < 0.01
    assert len(np.unique(whole)) == 3


def test_each_tile_is_shown_as_the_options_say(predictor, tmp_path):
    Image.fromarray(mosaic(150, 300)).save(tmp_path / "large.png")
    plain, flipped = (in_tiles(predictor, tmp_path / "large.png", 1.0, flip=flip).labels for flip in (False, True))
    assert (plain != flipped).any() and (plain == flipped).mean() > 0.7


def test_the_interior_of_a_crop_is_labelled_as_the_crop_alone(predictor, tmp_path):
    image = mosaic(320, 640)
    Image.fromarray(image).save(tmp_path / "large.png")
    tiled = in_tiles(predictor, tmp_path / "large.png", 1.0).labels
    alone = predictor.probabilities(image[64:256, 128:512], (192, 384), input_size=(192, 384))[0]
    (first, second), (labels, _) = (each.numpy()[:, 48:-48, 64:-64] for each in alone.topk(2, dim=0))
    inside = tiled[64:256, 128:512][48:-48, 64:-64]
    # A network that has learned for seconds is undecided in places, and there anything tips it.
    decided = first - second > np.quantile(first - second, 0.75)
    assert (inside == labels)[decided].mean() > 0.85 and (inside == labels).mean() > 0.5


@pytest.mark.parametrize(
    ("mode", "how"),
    [("RGB", {}), ("RGBA", {}), ("L", {}), ("LA", {}), ("P", {}), ("I;16", {}), ("RGB", {"format": "JPEG"})],
)
def test_rows_are_those_that_the_decoder_gives(tmp_path, mode, how):
    image = Image.fromarray(mosaic(90, 70))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 16)
    elif mode[-1] == "A":
        image.putalpha(Image.fromarray(np.tile(np.arange(70, dtype=np.uint8) * 3, (90, 1))))
    path = tmp_path / "a.tif"
    (image if mode == "I;16" else image.convert(mode)).save(path, **how)
    with open_rows(path, PixelFormat(white=(2000.0,))) as rows:
        read = np.concatenate([rows.read(0, 40), rows.read(40, 90)])
    difference = np.abs(read.astype(int) - read_image(path, pixels=PixelFormat(white=(2000.0,))))
    assert difference.mean() < 1.5 if how else difference.max() <= 1  # two readers of JPEG, two ways to enlarge colours


def test_large_pictures_are_written_as_tiffs_that_read_back_as_the_same_labels(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr("core.inference.predict_files.LARGE_PIXELS", 100_000)
    source = tmp_path / "large.png"
    Image.fromarray(mosaic(301, 500)).save(source)
    (paths,) = labelled(predictor, [source], tmp_path / "out", ids="cityscapes", confidence=True, overlay=True)
    assert [path.name for path in paths] == [
        f"large_{kind}.tif" for kind in ("labels", "colors", "confidence", "overlay")
    ]
    space = read_class_table(tmp_path / "out/classes.json")
    expected = in_tiles(predictor, source, 1.0)  # the scale of the training frames, which were not scaled
    assert (read_target(paths[0], space) == expected.labels).all()
    assert (read_image(paths[1]) == palette_of(predictor.checkpoint.colors)[expected.labels]).all()
    assert (read_image(paths[2])[..., 0] == expected.confidence).all()
    assert [labelled(predictor, [source], tmp_path / "out", ids="cityscapes", skip_existing=True)] == [[[]]]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_masks_of_a_georeferenced_picture_lie_where_it_lies(predictor, tmp_path, monkeypatch):
    transform = rasterio.transform.from_origin(500_000, 5_400_000, 0.5, 0.5)
    source = tmp_path / "aerial.tif"
    image = mosaic(64, 128)
    with rasterio.open(
        source, "w", driver="GTiff", width=128, height=64, count=3, dtype="uint8", crs="EPSG:32632", transform=transform
    ) as file:
        file.write(image.transpose(2, 0, 1))
    assert not lost_coordinates([source])
    (paths,) = labelled(predictor, [source], tmp_path / "out", overlay=True)
    for path in paths:
        with rasterio.open(path) as file:
            assert file.crs == "EPSG:32632" and file.transform == transform and file.shape == (64, 128)
    assert (np.asarray(Image.open(paths[0])) == predictor.predict(image).labels).all()

    monkeypatch.setattr("core.inference.predict_files.has_rasterio", lambda: False)
    assert "keep their coordinates" in lost_coordinates([source]) and "rasterio" in lost_coordinates([source])
    (paths,) = labelled(predictor, [source], tmp_path / "plain")
    assert [path.name for path in paths] == ["aerial_labels.png", "aerial_colors.png"]


def test_what_can_not_be_read_in_tiles_is_a_sentence(predictor, tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.jpg"
    Image.fromarray(mosaic(64, 128)).save(turned, exif=exif)
    with pytest.raises(LabError, match="Turn it upright"):
        labelled(predictor, [turned], tmp_path / "out", pixel_scale=1.0)
    bands = tmp_path / "bands.tif"
    with rasterio.open(bands, "w", driver="GTiff", width=64, height=64, count=5, dtype="uint8") as file:
        file.write(np.zeros((5, 64, 64), np.uint8))
    with pytest.raises(LabError, match="has 5 channels"):
        labelled(predictor, [bands], tmp_path / "out", pixel_scale=1.0)
    whole = picture(tmp_path / "torn.tif", (640, 640))
    (tmp_path / "torn.tif").write_bytes(whole.read_bytes()[:400_000])
    with pytest.raises(LabError, match="torn.tif"):
        labelled(predictor, [whole], tmp_path / "torn", pixel_scale=1.0)
    assert not list((tmp_path / "torn").glob("*tif*")), "half a mask is none"
    with pytest.raises(LabError, match="pixel scale"):
        PredictionFiles(pixel_scale=99)
    monkeypatch.setattr("core.extras.is_here", lambda module: False)
    with pytest.raises(LabError, match="needs rasterio, which is not installed"):
        labelled(predictor, [picture(tmp_path / "a.png")], tmp_path / "out", pixel_scale=1.0)


def film(path: Path, images: list[np.ndarray], rate: float = 12.5) -> Path:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    for image in images:
        writer.write(image[..., ::-1].copy())
    writer.release()
    return path


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    video = cv2.VideoCapture(str(path))
    rate, frames = video.get(cv2.CAP_PROP_FPS), []
    while (read := video.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames, rate


def test_a_video_is_labelled_frame_by_frame_at_its_size_and_rate(predictor, tmp_path):
    clip = film(tmp_path / "clip.mp4", [mosaic(96, 192 + 16 * index)[:, 16 * index :] for index in range(6)])
    seen = []
    progress = lambda *count: seen.append(count)  # noqa: E731
    pictures = find_images([clip])
    (paths,) = predict_files(predictor, pictures, tmp_path / "out", PredictionFiles(overlay=True), progress=progress)
    assert [path.name for path in paths] == ["clip_colors.mp4", "clip_overlay.mp4"]
    assert seen == [("Labelling clip.mp4", index, 6) for index in range(6)]
    decoded, _ = frames_of(clip)
    colors, rate = frames_of(paths[0])
    assert len(colors) == 6 and rate == 12.5 and colors[0].shape == (96, 192, 3)
    for frame, masks in zip(decoded, colors, strict=True):
        wanted = palette_of(predictor.checkpoint.colors)[predictor.predict(frame).labels]
        assert np.abs(masks.astype(int) - wanted).mean() < 12, "as near as a video comes"
    assert labelled(predictor, [clip], tmp_path / "out", skip_existing=True) == [[]]


def test_smoothing_calms_masks_that_flicker(predictor, tmp_path):
    noise = np.random.default_rng(0)
    still = mosaic(64, 128).astype(int)
    clip = film(
        tmp_path / "clip.mp4",
        [np.clip(still + noise.normal(0, 40, still.shape), 0, 255).astype(np.uint8) for _ in range(8)],
    )

    def changes(smooth: float) -> float:
        ((colors,),) = labelled(predictor, [clip], tmp_path / f"{smooth}", smooth=smooth)
        frames = np.stack(frames_of(colors)[0]).astype(int)
        return float((np.abs(np.diff(frames, axis=0)).max(axis=-1) > 60).mean())

    assert changes(0.8) < 0.6 * changes(0.0)
    with pytest.raises(LabError, match="below 1"):
        PredictionFiles(smooth=1.0)


def test_a_broken_video_is_a_sentence(predictor, tmp_path):
    clip = film(tmp_path / "clip.avi", [mosaic(96, 192)] * 40)
    whole = clip.read_bytes()
    clip.write_bytes(whole[:500])
    with pytest.raises(LabError, match="clip.avi': This video can't be read"):
        labelled(predictor, [clip], tmp_path / "out")
    clip.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LabError, match="ends after .* of 40 frames"):
        labelled(predictor, [clip], tmp_path / "half")
    assert 0 < len(frames_of(tmp_path / "half/clip_colors.mp4")[0]) < 40
