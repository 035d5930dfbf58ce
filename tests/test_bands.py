"""Photographs of other bands than red, green and blue, from the file to the network."""

import io

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from core.config import PixelFormat, read_config
from core.data.bands import composite, in_fours, resize
from core.data.dataset import open_dataset
from core.data.decoding import decode_image
from core.data.doctor import examine
from core.data.transforms import Augmentation
from core.errors import LabError
from core.inference.predictor import Predictor
from core.inference.uploads import MAX_SIDE, WORKING_SIDE, decode_upload
from core.models.build import build_model
from core.training.checkpoint import read_checkpoint
from core.training.loop import train

SIZE = (48, 64)


def tiff(values, **options):
    """A TIFF of values (H, W, C)."""
    file = io.BytesIO()
    if values.shape[2] == 1:
        values = values[..., 0]
    elif options.get("planarconfig") == "separate":
        values = np.moveaxis(values, 2, 0)
    tifffile.imwrite(
        file,
        np.ascontiguousarray(values),
        **({"photometric": "minisblack"} | ({"planarconfig": "contig"} if values.ndim == 3 else {}) | options),
    )
    return file.getvalue()


def pages(values):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for index in range(values.shape[2]):
            writer.write(np.ascontiguousarray(values[..., index]), photometric="minisblack")
    return file.getvalue()


def values_of(count, kind=np.uint8, top=200, seed=0):
    return (np.random.default_rng(seed).random((*SIZE, count)) * top).astype(kind)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 8])
@pytest.mark.parametrize(
    "write",
    [
        tiff,
        lambda values: tiff(values, planarconfig="separate") if values.shape[2] > 1 else tiff(values),
        lambda values: tiff(values, compression="zlib"),
        lambda values: tiff(values, bigtiff=True, byteorder=">"),
        pages,
    ],
)
def test_bands_come_in_the_order_that_was_asked_for(write, count, kind):
    values = values_of(count, kind)
    order = tuple(range(count, 0, -1))
    result = decode_image(write(values), PixelFormat(order, (255.0,)))
    assert result.dtype == np.uint8 and (result == np.rint(values[..., ::-1]).astype(np.uint8)).all()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}, {"byteorder": ">"}])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colours_of_a_deep_tiff_are_as_bright_as_they_are(bits, photometric, options):
    values = values_of(3, np.uint16, 2**bits - 1)
    result = decode_image(tiff(values, photometric=photometric, **options), PixelFormat(white=(2.0**bits,)))
    assert np.abs(result - values * (255 / 2**bits)).max() <= 0.51


def test_transparency_and_orientation_of_a_deep_tiff_are_as_of_any_other():
    values = np.dstack([values_of(3, np.uint16, 1000), np.full(SIZE, 65535, np.uint16)])
    values[:8, ..., 3] = 0
    file = tiff(values, photometric="rgb", extrasamples=["unassalpha"], extratags=[(274, "H", 1, 6, True)])
    result = decode_image(file, PixelFormat(white=(1000.0,)))
    upright = np.rot90(values, -1)
    assert result.shape == (SIZE[1], SIZE[0], 3) and (result[:, -8:] == 255).all()
    assert np.abs(result[:, :-8] - upright[:, :-8, :3] * 0.255).max() <= 0.51


def test_colours_beside_other_bands_are_colours_and_unnamed_bands_are_asked_for():
    values = values_of(4)
    assert (decode_image(tiff(values, photometric="rgb", extrasamples=["unspecified"])) == values[..., :3]).all()
    for count in (2, 4, 5, 8):
        for kind in (np.uint8, np.uint16, np.float32):
            with pytest.raises(ValueError, match=f"it has {count} bands, and nothing says .* setting Bands"):
                decode_image(tiff(values_of(count, kind)))
    with pytest.raises(ValueError, match="it has 4 bands, and the setting Bands asks for band 5"):
        decode_image(tiff(values), PixelFormat((1, 5)))
    with pytest.raises(ValueError, match="values are below 0"):
        decode_image(tiff(values.astype(np.float32) - 900), PixelFormat((1, 2)))


def test_an_alpha_channel_that_is_asked_for_is_a_band():
    values = values_of(4)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    assert (decode_image(file.getvalue(), PixelFormat((4, 1, 2, 3))) == values[..., [3, 0, 1, 2]]).all()


@pytest.mark.parametrize("part", [0, 8, 60, 400, -20])
def test_a_broken_file_of_bands_is_a_sentence(part):
    data = bytearray(tiff(values_of(5), compression="zlib"))
    for options in (data[:part], data[: abs(part)] + b"\xff" * 40 + data[abs(part) + 40 :]):
        try:
            result = decode_image(bytes(options), PixelFormat((1, 2, 3, 4, 5)))
        except ValueError:
            continue
        assert result.shape[2] == 5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_every_band_goes_the_way_of_the_first(count):
    gray = values_of(1)[..., 0]
    image = np.dstack([gray] * count)
    target = (gray > 100).astype(np.uint8)
    assert (resize(image, (20, 30)) == resize(image, (20, 30))[..., :1]).all()
    assert in_fours(lambda part: part[::-1], image).shape == image.shape
    assert composite(image).shape == (*SIZE, 3)
    augmentation = Augmentation((32, 32), (0.7, 1.5), True, 0.0, rotation=20.0, blur=1.0)
    first, _ = augmentation(np.dstack([gray] * 3), target, np.random.default_rng(3))
    crop, mask = augmentation(image, target, np.random.default_rng(3))
    assert crop.shape == (32, 32, count) and mask.shape == (32, 32)
    assert np.abs(crop.astype(int) - first[..., :1]).max() <= 1
    varied, _ = Augmentation((48, 64), (1, 1), False, 0.5)(image, target, np.random.default_rng(0))
    assert varied.shape == image.shape and (varied != image).any()


@pytest.mark.parametrize(
    ("family", "encoder"),
    [("fcn", "resnet18"), ("unet", "plain"), ("unet", "resnet18"), ("vit", "vit_tiny_patch16_224")],
)
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_family_takes_any_number_of_bands(family, encoder, count):
    torch.manual_seed(0)
    model = build_model(read_config({"model": {"family": family, "encoder": encoder}}).model, 4, count).eval()
    images = torch.rand(1, count, 64, 64)
    with torch.no_grad():
        logits = model(images)
    assert logits.shape == (1, 4, 64, 64) and model.mean.numel() == model.std.numel() == count
    assert build_model(read_config({"model": {"family": family, "encoder": encoder}}).model, 4).mean.numel() == 3


def test_pretrained_weights_of_three_colours_are_repeated_over_the_bands(tmp_path):
    from safetensors.torch import save_file

    config = read_config({"model": {"family": "fcn", "encoder": "resnet18"}}).model
    source = build_model(config, 4)
    save_file(source.encoder.state_dict(), tmp_path / "weights.safetensors")
    wide = build_model(config, 4, 6)
    report = wide.load_pretrained(tmp_path / "weights.safetensors")
    assert (
        report.widened == ("conv1.weight",) and "repeated over the bands of these data: conv1.weight" in report.sentence
    )
    weight = source.encoder.conv1.weight
    assert torch.allclose(wide.encoder.conv1.weight, torch.cat([weight, weight], dim=1) / 2)
    # The same picture twice is as strong a signal as once.
    images = torch.rand(1, 3, 64, 64)
    assert torch.allclose(wide.encoder.conv1(torch.cat([images] * 2, 1)), source.encoder.conv1(images), atol=1e-5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve photographs of five bands of 16 bits, the fifth of which alone tells the two classes apart."""
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    root = tmp_path / "data"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(12):
        rng = np.random.default_rng(index)
        mask = np.zeros(SIZE, np.uint8)
        top, left = rng.integers(0, 24), rng.integers(0, 32)
        mask[top : top + 24, left : left + 32] = 1
        values = rng.integers(0, 4000, (*SIZE, 5)).astype(np.uint16)
        values[..., 4] = 100 + 300 * mask.astype(np.uint16)
        (root / f"images/{index}.tif").write_bytes(tiff(values))
        Image.fromarray(mask).save(root / f"masks/{index}.png")
    (root / "classes.json").write_text('[{"name": "field", "ids": [0]}, {"name": "water", "ids": [1]}]')
    return root


def test_the_doctor_counts_the_bands_and_names_the_setting(folder):
    report = examine(folder)
    (finding,) = [finding for finding in report.findings if finding.code == "more-bands"]
    assert "has 5 bands, and nothing says which are red, green and blue" in finding.sentence
    assert "in the setting Bands, such as 1 2 3 4 5" in finding.fix and report.healthy
    values = {"name": "folder", "root": str(folder), "height": 48, "width": 64}
    dataset = open_dataset(read_config({"dataset": values}).dataset)
    with pytest.raises(LabError, match=r"can't be read as an image: it has 5 bands.*setting Bands, such as 3 2 1 4 5"):
        dataset.image(dataset.train[0])


def test_a_network_learns_from_a_band_that_no_colour_shows(folder, tmp_path):
    config = read_config(
        {
            "dataset": {"name": "folder", "root": str(folder), "height": 48, "width": 64, "bands": "5 1 2 3", "cache": "raw"},
            "model": {"family": "unet", "encoder": "plain", "width": 8, "depth": 2},
            "training": {
                "epochs": 8, "minutes": 0, "batch_size": 4, "crop_height": 48, "crop_width": 64,
                "learning_rate": 0.01, "workers": 0, "device": "cpu",
            },
        }
    )  # fmt: skip
    run = tmp_path / "run"
    run.mkdir()
    assert train(run, config, report=lambda **changes: None, should_stop=lambda: False) == "finished"
    checkpoint = read_checkpoint(run, "last")
    white = checkpoint.config.dataset.pixels.white
    assert white == pytest.approx((400, 4000, 4000, 4000), rel=0.02), "each band has its own white"
    dataset = open_dataset(config.dataset)
    predictor = Predictor(run, which="last")
    right = [(predictor.predict(dataset.image(frame)).labels == dataset.target(frame)).mean() for frame in dataset.val]
    assert np.mean(right) > 0.9, "three quarters are of one class"
    with pytest.raises(LabError, match="learned from 4 bands, and the image has 3"):
        predictor.predict(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bands": "0 1"}, "Bands is '0 1', but takes one to eight"),
        ({"bands": "red"}, "such as 4 3 2"),
        ({"bands": "1 2 3 4 5 6 7 8 9"}, "one to eight"),
        ({"white_level": "bright"}, "takes numbers from 0"),
        ({"white_level": "-1"}, "takes numbers from 0"),
        ({"white_level": "inf"}, "takes numbers from 0"),
        ({"bands": "1 2 3 4", "white_level": "10 20"}, "2 values, and Bands 4 bands"),
        ({"white_level": "10 20 30"}, "3 values, and Bands 0 bands"),
    ],
)
def test_bands_that_make_no_sense_are_refused_by_name(values, message):
    with pytest.raises(LabError, match=message):
        read_config({"dataset": {"name": "folder", "root": "/x"} | values})


def test_an_upload_is_seen_as_the_run_learned_to_see():
    values = values_of(5, np.uint16, 4000)
    pixels = PixelFormat((5, 1), (4000.0,))
    result = decode_upload(tiff(values), pixels)
    assert np.abs(result - values[..., [4, 0]] * (255 / 4000)).max() <= 0.51
    with pytest.raises(LabError, match="it has 5 bands, and nothing says"):
        decode_upload(tiff(values))
    with pytest.raises(LabError, match="it has 2 bands, and the setting Bands asks for band 5"):
        decode_upload(tiff(values[..., :2]), pixels)
    wide = np.zeros((20, WORKING_SIDE * 2, 5), np.uint8)
    assert decode_upload(tiff(wide), PixelFormat((1, 2, 3, 4, 5))).shape == (10, WORKING_SIDE, 5)
    with pytest.raises(LabError, match="pixels; the limit is"):
        decode_upload(tiff(np.zeros((20, MAX_SIDE + 1, 5), np.uint8), compression="zlib"), pixels)


def test_rows_of_a_large_picture_are_those_of_the_whole(tmp_path):
    pytest.importorskip("rasterio")
    from core.inference.raster_files import open_rows

    path = tmp_path / "field.tif"
    path.write_bytes(tiff(values_of(5, np.uint16, 4000)))
    for pixels in (PixelFormat((5, 1, 2, 3), (4000.0, 3000.0, 200.0, 4000.0)), PixelFormat((4, 2))):
        whole = decode_image(path.read_bytes(), pixels)
        with open_rows(path, pixels) as rows:
            read = np.concatenate([rows.read(top, top + 16) for top in range(0, SIZE[0], 16)])
        assert read.shape == whole.shape and np.abs(read.astype(int) - whole).max() <= 1
    with pytest.raises(LabError, match="has 5 bands"), open_rows(path, PixelFormat((6,))):
        pass
