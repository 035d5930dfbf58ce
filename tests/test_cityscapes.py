"""Reading of the Cityscapes layout: what is found, what is refused, and what the refusal says."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from core.config import DatasetConfig
from core.data.cityscapes import list_frames
from core.data.dataset import open_dataset, spread
from core.data.decoding import read_image, read_labels
from core.data.statistics import count_classes
from core.errors import LabError
from core.labels import CITYSCAPES_19


@pytest.fixture
def root(tmp_path):
    """Two cities with two frames each, fine and coarse, and a test split without labels; frame 0 of b has no fine labels."""
    rng = np.random.default_rng(0)
    for city in ("b", "a"):
        for index in (1, 0):
            frame = f"{city}_{index:06d}_000019"
            write(tmp_path / f"leftImg8bit/train/{city}/{frame}_leftImg8bit.png", rng.integers(0, 256, (8, 16, 3)))
            if frame != "b_000000_000019":
                write(tmp_path / f"gtFine/train/{city}/{frame}_gtFine_labelIds.png", rng.integers(0, 34, (8, 16)))
            write(tmp_path / f"gtCoarse/train/{city}/{frame}_gtCoarse_labelIds.png", rng.integers(0, 34, (8, 16)))
    write(tmp_path / "leftImg8bit/test/t/t_000000_000019_leftImg8bit.png", rng.integers(0, 256, (8, 16, 3)))
    return tmp_path


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(image).astype(np.uint8))


def test_frames_come_by_city_and_number_with_their_labels(root):
    frames = list_frames(root, "train")
    assert [frame.id for frame in frames] == ["a_000000_000019", "a_000001_000019", "b_000001_000019"]
    frame = frames[0]
    assert (frame.city, frame.split) == ("a", "train")
    assert frame.image == root / "leftImg8bit/train/a/a_000000_000019_leftImg8bit.png"
    assert frame.labels == root / "gtFine/train/a/a_000000_000019_gtFine_labelIds.png"


def test_coarse_labels_come_from_their_own_folder(root):
    frames = list_frames(root, "train", "coarse")
    assert len(frames) == 4
    assert all("gtCoarse" in frame.labels.parts for frame in frames)


def test_the_test_split_needs_no_labels(root):
    (frame,) = list_frames(root, "test")
    assert frame.labels is None


def test_other_files_beside_the_frames_do_no_harm(root):
    (root / "leftImg8bit/train/.DS_Store").write_text("")
    (root / "leftImg8bit/train/a/Thumbs.db").write_text("")
    (root / "leftImg8bit/train/a/notes_leftImg8bit.txt").write_text("")
    assert len(list_frames(root, "train")) == 3


@pytest.mark.parametrize(("given", "right"), [("leftImg8bit", "."), (".", "cityscapes")])
def test_a_root_one_folder_off_is_told_the_right_one(root, given, right, tmp_path_factory):
    if right != ".":
        outer = tmp_path_factory.mktemp("outer")
        root.rename(outer / right)
        root = outer
    with pytest.raises(LabError) as caught:
        list_frames(root / given, "train")
    assert f"'{(root / right).resolve()}'" in str(caught.value)


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda root: (root / "leftImg8bit/train").rename(root / "leftImg8bit/training"), "no train split.*training"),
        (lambda root: (root / "leftImg8bit").rename(root / "images"), "is not a Cityscapes folder"),
        (lambda root: (root / "gtFine").rename(root / "gt"), "4 images, but none has its labels under .*gtFine"),
        (lambda root: [path.unlink() for path in root.glob("leftImg8bit/train/*/*.png")], "There is no image under"),
    ],
)
def test_a_broken_layout_is_explained(root, break_it, text):
    break_it(root)
    with pytest.raises(LabError, match=text):
        list_frames(root, "train")


def test_a_photograph_is_rgb_and_scaled(tmp_path):
    write(tmp_path / "red.png", np.full((8, 16, 3), (0, 0, 200)))  # OpenCV writes blue, green, red
    image = read_image(tmp_path / "red.png")
    assert image.shape == (8, 16, 3) and image.dtype == np.uint8
    assert (image == (200, 0, 0)).all()
    assert read_image(tmp_path / "red.png", (4, 24)).shape == (4, 24, 3)


def test_labels_are_scaled_without_inventing_numbers(tmp_path):
    labels = np.zeros((8, 16), np.uint8)
    labels[:, 8:] = 33
    write(tmp_path / "labels.png", labels)
    assert (read_labels(tmp_path / "labels.png") == labels).all()
    small = read_labels(tmp_path / "labels.png", (4, 8))
    assert (small == np.repeat([[0, 33]], 4, axis=0).repeat(4, axis=1)).all()
    assert set(np.unique(read_labels(tmp_path / "labels.png", (13, 29)))) == {0, 33}


def png_header_of(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("read", [read_image, read_labels])
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "folder", "huge"])
def test_a_file_that_is_no_picture_is_named(tmp_path, read, kind):
    path = tmp_path / "frame.png"
    write(path, np.random.default_rng(0).integers(0, 30, (64, 64)))
    whole = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        content = {
            "empty": b"",
            "text": b"hello",
            "truncated": whole[: len(whole) // 2],
            "huge": png_header_of(60_000, 60_000),
        }
        path.write_bytes(content[kind])
    with pytest.raises(LabError, match="frame.png' can't be read"):
        read(path)


@pytest.mark.parametrize(
    "image",
    [
        np.dstack([np.full((8, 8), value, np.uint8) for value in (1, 2, 3)]),
        np.full((8, 8), 24_001, np.uint16),
        np.dstack([np.full((8, 8), value, np.uint8) for value in (1, 2, 3, 4)]),
    ],
)
def test_a_colour_or_16_bit_picture_is_no_label_map(tmp_path, image):
    cv2.imwrite(str(tmp_path / "color.png"), image)
    with pytest.raises(LabError, match="color.png.*labelIds"):
        read_labels(tmp_path / "color.png")


@pytest.mark.parametrize("kind", ["gray", "three equal channels", "palette", "16 bits"])
def test_numbers_are_read_however_a_tool_has_stored_them(tmp_path, kind):
    ids = np.arange(64, dtype=np.uint8).reshape(8, 8)
    path = tmp_path / "labels.png"
    if kind == "palette":
        image = Image.fromarray(ids, "P")
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
        image.save(path)
        assert read_labels(path, colors=True)[0, 1].tolist() == [1, 254, 7]
    else:
        stored = {"gray": ids, "three equal channels": np.dstack([ids] * 3), "16 bits": ids.astype(np.uint16)}
        cv2.imwrite(str(path), stored[kind])
        assert read_labels(path, colors=True)[0, 5].tolist() == [5, 5, 5]
    assert (read_labels(path) == ids).all()


def test_mixtures_show_each_frame_as_often_as_asked(lab_folders, streets):
    config = DatasetConfig(annotations="fine+coarse", fine_weight=2, coarse_weight=0.5, height=32, width=64)
    train = open_dataset(config).train
    assert [frame.weight for frame in train] == [2.0] * 8 + [0.5] * 8
    assert {"gtFine" in frame.labels.parts for frame in train[:8]} == {True}
    alone = open_dataset(DatasetConfig(annotations="coarse", coarse_weight=0.5, height=32, width=64)).train
    assert [frame.weight for frame in alone] == [1.0] * 8


def test_an_extra_split_that_is_not_there_names_its_archive(lab_folders, streets):
    with pytest.raises(LabError, match="train_extra.*leftImg8bit_trainextra.zip"):
        open_dataset(DatasetConfig(annotations="coarse", coarse_split="train_extra"))


@pytest.mark.parametrize(("classes", "count"), [("cityscapes-7", 7), ("cityscapes-30", 30), ("cityscapes-34", 34)])
def test_other_numberings_are_one_word(lab_folders, streets, classes, count):
    dataset = open_dataset(DatasetConfig(classes=classes, height=32, width=64))
    assert len(dataset.space.class_names) == count
    target = dataset.target(dataset.val[0])
    assert target[target != 255].max() < count


def test_open_dataset_gives_train_ids_at_its_size(lab_folders, streets):
    config = DatasetConfig(name="streets", height=32, width=64, max_train_samples=3, max_val_samples=2)
    dataset = open_dataset(config)
    assert (len(dataset.train), len(dataset.val)) == (3, 2)
    image, target = dataset.image(dataset.train[0]), dataset.target(dataset.train[0])
    assert image.shape == (32, 64, 3) and target.shape == (32, 64)
    ids = read_labels(dataset.train[0].labels, (32, 64))
    assert (target == CITYSCAPES_19.lookup[ids]).all()
    assert set(np.unique(target)) <= {*range(19), 255}


def test_a_frame_without_labels_is_ignored_everywhere(lab_folders, root):
    dataset = open_dataset(DatasetConfig(height=32, width=64))
    (frame,) = list_frames(root, "test")
    assert (dataset.target(frame) == 255).all()


def test_open_dataset_reads_a_root_of_ones_own_and_its_coarse_twin(lab_folders, streets):
    config = DatasetConfig(name="cityscapes", root=str(streets), annotations="coarse", height=64, width=128)
    dataset = open_dataset(config)
    assert (len(dataset.train), len(dataset.val)) == (8, 4)
    assert all("gtCoarse" in frame.labels.parts for frame in dataset.train)
    assert all("gtFine" in frame.labels.parts for frame in dataset.val), "scores are always on fine labels"


def test_spread_takes_evenly():
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(4), 0) == spread(range(4), 9) == [0, 1, 2, 3]


def test_class_counts_by_hand(lab_folders):
    dataset = open_dataset(DatasetConfig(height=32, width=64))
    counts = count_classes(dataset, dataset.train)
    targets = np.stack([dataset.target(frame) for frame in dataset.train])
    assert counts.frames == 8
    assert counts.ignored == (targets == 255).sum()
    for index in range(19):
        assert counts.pixels[index] == (targets == index).sum()
        assert counts.images[index] == (targets == index).any(axis=(1, 2)).sum()
    assert counts.shares.sum() == pytest.approx(1)


def test_the_real_frames(shared):
    root = shared / "data" / "cityscapes"
    train, val = list_frames(root, "train"), list_frames(root, "val")
    assert (len(train), len(val)) == (409, 106)
    assert {frame.city for frame in train} == {"aachen", "bochum", "cologne", "darmstadt"}
    assert all(frame.id.startswith(f"{frame.city}_") for frame in train)
    assert len({frame.id for frame in train + val}) == 515
    assert read_image(val[0].image).shape == (256, 512, 3)
    ids = read_labels(val[0].labels)
    assert ids.shape == (256, 512) and ids.max() <= 33


def test_the_real_frames_at_full_size(shared):
    frames = list_frames(shared / "data" / "cityscapes-fullres", "train")
    assert len(frames) == 8
    assert read_labels(frames[0].labels, (256, 512)).shape == (256, 512)
    assert read_image(frames[0].image).shape == (1024, 2048, 3)
