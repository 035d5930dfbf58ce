"""The data-set doctor: data sets broken in every way that is known, what it says of each, and that training refuses them."""

import io
import json
import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from core.__main__ import main
from core.config import read_config
from core.data.class_table import read_class_table, save_class_table
from core.data.dataset import open_dataset
from core.data.decoding import read_image, read_labels
from core.data.doctor import examine, examine_dataset, refuse_broken
from core.data.doctor.known_data_sets import KNOWN_COLORS, recognise
from core.errors import LabError
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS
from core.runs.store import create_run
from core.training.loop import train

SIZE = (64, 96)
STREET = [7, 8, 11, 21, 23, 26, 24, 0]
COLOR_OF = {label.id: label.color for label in CITYSCAPES_LABELS}
TRAIN_ID_OF = {label.id: label.train_id for label in CITYSCAPES_LABELS}
CAMVID = [(128, 128, 128), (128, 0, 0), (64, 0, 128), (64, 192, 0)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def image_file(index):
    """A picture that no other number has, uint8 (64, 96, 3)."""
    cells = np.random.default_rng(index).integers(0, 256, (8, 12, 3), np.uint8)
    return cells.repeat(8, axis=0).repeat(8, axis=1)


def bands(values, index=0):
    """A map in which every value has an area; another number shifts them."""
    rows, columns = np.indices(SIZE)
    return np.array(values)[((columns // 6 + rows // 16 * 3 + index) % len(values))]


def write(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)


@dataclass
class Writer:
    """Writes 4 frames to learn from and 2 to score on; `masks` makes the label map of each."""

    root: Path
    layout: str
    values: tuple = ()

    def paths(self, index):
        split = "train" if index < 4 else "val"
        if self.layout == "cityscapes":
            name = f"aachen_000000_{index:06d}"
            return (
                self.root / f"leftImg8bit/{split}/aachen/{name}_leftImg8bit.png",
                self.root / f"gtFine/{split}/aachen/{name}_gtFine_labelIds.png",
            )
        return self.root / f"images/{split}/{index}.png", self.root / f"masks/{split}/{index}.png"

    def image(self, index):
        return self.paths(index)[0]

    def mask(self, index):
        return self.paths(index)[1]

    def healthy(self):
        for index in range(6):
            write(self.image(index), image_file(index))
        return self.masks(lambda labels: labels)

    def masks(self, change, only=range(6), **options):
        for index in only:
            labels = bands(STREET if self.layout == "cityscapes" else [0, 1, 2], index).astype(np.uint8)
            write(self.mask(index), change(labels), **options)
        return self

    def table(self, rows=None):
        rows = rows or [{"name": name, "ids": [index]} for index, name in enumerate(("road", "car", "sky"))]
        (self.root / "classes.json").write_text(json.dumps(rows))
        return self


def cityscapes(root):
    return Writer(root, "cityscapes").healthy()


def folder(root):
    return Writer(root, "folder").healthy().table()


def painted(labels, colors):
    return np.array(colors, np.uint8)[labels]


def official_colors(labels):
    table = np.zeros((256, 3), np.uint8)
    for label_id, color in COLOR_OF.items():
        table[label_id] = color
    return table[labels]


def with_palette(labels, colors):
    pixels = Image.fromarray(labels, mode="P")
    pixels.putpalette([part for color in colors for part in color])
    return pixels


def blurred(labels):
    return cv2.resize(labels, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_LINEAR)


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def both(change):
    """The same change in either layout."""
    return [lambda root: change(cityscapes(root)), lambda root: change(folder(root))]


def jpeg_image(data):
    data.image(1).unlink()
    path = data.image(1).with_suffix(".jpg")
    write(path, image_file(1))
    return path


def turned(data, orientation, shape):
    path = jpeg_image(data)
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(path, cv2.resize(image_file(1), shape[::-1]), exif=exif)


def bomb(path):
    """A PNG whose header promises 30000 x 30000 pixels."""
    promise = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", promise), (b"IDAT", zlib.compress(b"nothing")), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )


TRAIN_IDS = np.array([TRAIN_ID_OF.get(number, 255) for number in range(256)], np.uint8)
COLORED = [{"name": "road", "color": [10, 20, 200]}, {"name": "car", "color": [0, 200, 90]}, {"name": "sky", "color": [90, 0, 5]}]  # fmt: skip
OWN = [(10, 20, 200), (0, 200, 90), (90, 0, 5)]

BOTH = [
    ("unreadable-image", "can't be read as an image", lambda data: cut(data.image(1))),
    ("unreadable-mask", "can't be read as a label map", lambda data: cut(data.mask(5))),
    ("unreadable-image", "it is no picture", lambda data: data.image(2).write_text("<html>Not found</html>")),
    ("empty-image", "empty file of zero bytes", lambda data: data.image(1).write_bytes(b"")),
    ("empty-mask", "empty file of zero bytes", lambda data: data.mask(1).write_bytes(b"")),
    ("too-large-image", "too large to be opened", lambda data: bomb(data.image(0))),
    ("too-large-mask", "too large to be opened", lambda data: bomb(data.mask(0))),
    ("size-mismatch", "96 x 64 pixels and its mask 96 x 32", lambda data: data.masks(lambda x: x[:32], only=[2])),
    ("turned", "width and height swapped", lambda data: data.masks(lambda x: np.rot90(x), only=[2])),
    ("sixteen-bit", "multiples of 257", lambda data: data.masks(lambda x: x.astype(np.uint16) * 257)),
    ("blurred-masks", "was blurred, probably by resizing", lambda data: data.masks(lambda x: blurred(x * 7))),
    ("lossy-masks", "saved as JPEG", lambda data: data.masks(lambda x: x * 7, format="JPEG", quality=60)),
    ("painted-in-colors", "painted in colours", lambda data: data.masks(lambda x: painted(x % 3, OWN))),
    ("odd-numbers", "one whole number of 0 to 255", lambda data: cv2.imwrite(str(data.mask(1)), (image_file(1).astype(np.uint16) * 200))),
    ("no-class-pixels", "No pixel of the training labels", lambda data: data.masks(lambda x: x * 0 + 255, only=range(4))),
    ("no-class-pixels", "No pixel of the validation labels", lambda data: data.masks(lambda x: x * 0 + 255, only=(4, 5))),
    ("binary", "black and white", lambda data: data.masks(lambda x: (x % 2 * 255).astype(np.uint8))),
]  # fmt: skip

CITYSCAPES_ONLY = [
    ("train-ids", "look like Cityscapes train ids", lambda data: data.masks(lambda x: TRAIN_IDS[x])),
    ("train-ids", "(like 1 other)", lambda data: data.masks(lambda x: TRAIN_IDS[x], only=(4, 5))),
    ("painted-in-colors", "official colours of Cityscapes", lambda data: data.masks(official_colors)),
    ("painted-in-colors", "'gtFine/val/aachen/aachen_000000_000004_gtFine_labelIds.png' is painted", lambda data: data.masks(official_colors, only=[4])),
    ("sixteen-bit", "instanceIds", lambda data: data.masks(lambda x: np.where(x > 23, x * 1000.0 + 3, x).astype(np.uint16))),
    ("ids-above-table", "end at 33", lambda data: data.masks(lambda x: x + 60)),
    ("palette-places", "official colours in its palette, but at other places", lambda data: data.masks(
        lambda x: with_palette(x, [COLOR_OF.get(33 - n, (0, 0, 0)) for n in range(34)]))),
    ("no-masks", "none has its labels", lambda data: [data.mask(number).unlink() for number in range(4)]),
    ("no-images", "There is no image under", lambda data: [data.image(number).unlink() for number in range(4)]),
    ("no-images", "holds no leftImg8bit", lambda data: (data.root / "leftImg8bit").rename(data.root.parent / "away")),
    ("no-split", "has no val split", lambda data: (data.root / "leftImg8bit/val").rename(data.root.parent / "away")),
    ("unreadable-mask", "can't be read as polygons", lambda data: (data.mask(1).unlink(),
        Path(str(data.mask(1)).replace("_labelIds.png", "_polygons.json")).write_text('{"imgHeight": 64'))),
]  # fmt: skip

FOLDERS_ONLY = [
    ("one-based", "counts its classes from 1 to 3", lambda data: data.masks(lambda x: x + 1)),
    ("ids-not-colors", "class table names colours", lambda data: data.table(COLORED)),
    ("swapped-colors", "red and blue swapped", lambda data: data.table(COLORED).masks(lambda x: painted(x, OWN)[..., ::-1])),
    ("unknown-colors", "those of CamVid", lambda data: data.table(COLORED).masks(lambda x: painted(x + 1, CAMVID))),
    ("lossy-masks", "saved as JPEG", lambda data: data.table(COLORED).masks(lambda x: painted(x, OWN), format="JPEG", quality=60)),
    ("exif-turned", "EXIF orientation", lambda data: (turned(data, 6, SIZE), data.masks(lambda x: x, only=[1]))),
    ("class-table", "line 1, column 3", lambda data: (data.root / "classes.json").write_text("[{")),
    ("class-table", "belongs to both", lambda data: data.table([{"name": "a", "ids": [1]}, {"name": "b", "ids": [1]}])),
    ("no-class-table", "no class table", lambda data: (data.root / "classes.json").unlink()),
    ("no-masks", "but no masks", lambda data: (data.root / "masks").rename(data.root.parent / "away")),
    ("no-images", "but no photographs", lambda data: (data.root / "images").rename(data.root.parent / "away")),
    ("no-pairs", "don't match", lambda data: [data.mask(n).rename(data.mask(n).with_stem(f"other{n}")) for n in range(6)]),
    ("empty", "holds no pictures", lambda data: [path.unlink() for n in range(6) for path in data.paths(n)]),
    ("no-split", "at least one of each", lambda data: [path.unlink() for n in range(1, 6) for path in data.paths(n)]),
    ("truncated-image", "the file was cut short", lambda data: cut(jpeg_image(data))),
    ("truncated-mask", "the file was cut short", lambda data: (write(data.mask(1), bands([0, 1, 2]).astype(np.uint8), format="JPEG"), cut(data.mask(1), 0.95))),
]  # fmt: skip

ERRORS = [
    *(pytest.param("cityscapes", *case, id=f"cityscapes-{n}-{case[0]}") for n, case in enumerate(BOTH + CITYSCAPES_ONLY)),
    *(pytest.param("folder", *case, id=f"folder-{n}-{case[0]}") for n, case in enumerate(BOTH + FOLDERS_ONLY)),
]  # fmt: skip


def broken(root, layout, damage):
    damage(cityscapes(root) if layout == "cityscapes" else folder(root))
    return root


def listing(root):
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*")}


def start_training(root, layout, classes="auto"):
    """What a trainer does with its data before the first step."""
    values = {"name": layout, "root": str(root), "classes": classes, "height": 64, "width": 96}
    refuse_broken(examine_dataset(open_dataset(read_config({"dataset": values}).dataset), max_frames=400))


def matches(root, code, severity, **options):
    """The finding of a code, which must be there and as severe."""
    by_code = {finding.code: finding for finding in reversed(examine(root, **options).findings)}
    assert code in by_code, list(by_code)
    assert by_code[code].severity == severity
    return by_code[code]


def test_there_are_forty_broken_data_sets():
    assert len(ERRORS) >= 40


@pytest.mark.parametrize(("layout", "code", "fragment", "damage"), ERRORS)
def test_what_is_broken_is_found_named_and_refused_by_training(root, layout, code, fragment, damage):
    broken(root, layout, damage)
    before = listing(root)
    report = examine(root)
    assert listing(root) == before, "the doctor only looks"
    errors = {finding.code: finding for finding in reversed(report.errors)}
    assert code in errors, [finding.text for finding in report.findings]
    assert fragment in errors[code].sentence and report.exit_code == 42
    assert all(not os.path.isabs(name) for name in errors[code].files)
    assert json.loads(json.dumps(report.to_json()))["healthy"] is False
    if report.proposal:
        path = root.parent / "proposal.json"
        path.write_text(report.proposal)
        assert read_class_table(path).class_names
    with pytest.raises(LabError) as refused:
        start_training(root, layout)
    assert fragment in str(refused.value)


@pytest.mark.parametrize(("layout", "build"), [("cityscapes", cityscapes), ("folder", folder)])
def test_a_healthy_data_set_has_no_error_and_is_trained_on(root, layout, build):
    build(root)
    before = listing(root)
    report = examine(root)
    assert (report.layout, report.pairs, report.looked_at) == (layout, {"train": 4, "val": 2}, 6)
    assert report.healthy and report.exit_code == 0 and report.proposal == "" and report.sizes == {"96 x 64": 6}
    assert {finding.code for finding in report.findings} <= {"class-missing-train", "class-missing-val"}
    start_training(root, layout)
    assert listing(root) == before


def test_pixels_images_and_ids_are_counted(root):
    folder(root).masks(lambda labels: np.minimum(labels, 1), only=range(4))
    report = examine(root)
    truth = np.bincount(np.concatenate([np.minimum(bands([0, 1, 2], n), 1).ravel() for n in range(4)]), minlength=3)
    assert report.pixels["train"] == truth.tolist() and report.images == {"train": [4, 4, 0], "val": [2, 2, 2]}
    assert report.ids == {"0": 6, "1": 6, "2": 2}
    assert "sky never occurs in train" in matches(root, "class-missing-train", "warning").sentence


def polygons(index):
    corner = [[0, 0], [60 + index, 0], [60, 40], [0, 40]]
    return json.dumps({"imgHeight": 64, "imgWidth": 96, "objects": [{"label": "road", "polygon": corner}]})


def copy_frame(data, source, target):
    for path, goal in zip(data.paths(source), data.paths(target), strict=True):
        goal.write_bytes(path.read_bytes())


WORTH_A_WORD = [
    ("folder", "images-without-masks", "warning", "has no mask", lambda data: data.mask(1).unlink()),
    ("folder", "masks-without-images", "warning", "has no photograph", lambda data: data.image(1).unlink()),
    ("cityscapes", "images-without-masks", "warning", "has no mask", lambda data: data.mask(1).unlink()),
    ("cityscapes", "masks-without-images", "warning", "has no photograph", lambda data: data.image(1).unlink()),
    ("folder", "size-differs", "note", "both are scaled", lambda data: data.masks(lambda x: x[::2, ::2], only=[1])),
    ("folder", "mixed-sizes", "note", "2 different sizes", lambda data: write(data.image(1), image_file(1).repeat(2, axis=0).repeat(2, axis=1))),
    ("folder", "exif-orientation", "note", "EXIF", lambda data: turned(data, 3, SIZE)),
    ("folder", "ids-above-table", "warning", "holds the id 9", lambda data: data.masks(lambda x: np.where(x == 2, 9, x).astype(np.uint8), only=[1])),
    ("folder", "unknown-ids", "warning", "holds the id 1,", lambda data: data.table([{"name": "a", "ids": [0]}, {"name": "b", "ids": [2]}])),
    ("folder", "unknown-colors", "warning", "#5a0005", lambda data: data.table(COLORED[:2]).masks(lambda x: painted(x, OWN))),
    ("folder", "blurred-masks", "warning", "was blurred", lambda data: data.table(COLORED).masks(
        lambda x: cv2.resize(painted(x.repeat(8, axis=0).repeat(8, axis=1), OWN), None, fx=0.7, fy=0.7))),
    ("folder", "blank-masks", "warning", "no pixel of any class", lambda data: data.masks(lambda x: x * 0 + 255, only=[1])),
    ("cityscapes", "blank-masks", "warning", "no pixel of any class", lambda data: data.masks(lambda x: x * 0, only=[1])),
    ("folder", "sixteen-bit-harmless", "note", "16 bits", lambda data: data.masks(lambda x: x.astype(np.uint16))),
    ("folder", "palette", "note", "palette picture", lambda data: data.masks(lambda x: with_palette(x, OWN))),
    ("folder", "class-missing-val", "warning", "class road never occurs in val", lambda data: data.masks(lambda x: np.maximum(x, 1), only=(4, 5))),
    ("folder", "train-val-duplicates", "warning", "'images/train/0.png' and 'images/val/4.png' show the same picture", lambda data: copy_frame(data, 0, 4)),
    ("cityscapes", "train-val-duplicates", "warning", "show the same picture", lambda data: copy_frame(data, 0, 4)),
    ("folder", "train-duplicates", "note", "both are in train", lambda data: copy_frame(data, 0, 1)),
    ("folder", "train-val-names", "warning", "same name in train and val", lambda data: [
        path.rename(path.with_stem("0")) for path in data.paths(4)]),
    ("folder", "unusual-image", "note", "is gray", lambda data: write(data.image(1), image_file(1)[..., 0])),
    ("folder", "unusual-image", "note", "more than 8 bits", lambda data: write(data.image(1), image_file(1)[..., 0].astype(np.uint16) * 200)),
    ("folder", "unusual-image", "note", "transparency", lambda data: write(data.image(1), Image.fromarray(image_file(1)).convert("RGBA"))),
    ("folder", "unusual-image", "note", "CMYK", lambda data: write(jpeg_image(data), Image.fromarray(image_file(1)).convert("CMYK"))),
    ("folder", "animated", "warning", "several pictures", lambda data: write(
        data.image(1), image_file(1), save_all=True, append_images=[Image.fromarray(image_file(2))])),
    ("folder", "skipped", "warning", "read already", lambda data: (data.root / "images/again").symlink_to(data.root)),
    ("folder", "skipped", "warning", "out of the folders", lambda data: (data.root / "images/out").symlink_to("/usr/share")),
    ("cityscapes", "polygons-only", "note", "are polygons", lambda data: (data.mask(1).unlink(),
        Path(str(data.mask(1)).replace("_labelIds.png", "_polygons.json")).write_text(polygons(1)))),
    ("folder", "rare-class", "note", "car makes less than 0.01%", lambda data: data.masks(lambda x: x * 0).masks(
        lambda x: np.pad([[1]], ((0, 639), (0, 959))).astype(np.uint8), only=[0])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "code", "severity", "fragment", "damage"),
    [pytest.param(*case, id=f"{case[0]}-{n}-{case[1]}") for n, case in enumerate(WORTH_A_WORD)],
)
def test_what_is_odd_is_said_and_trained_on(root, layout, code, severity, fragment, damage):
    broken(root, layout, damage)
    before = listing(root)
    assert fragment in matches(root, code, severity).sentence
    assert examine(root).healthy and listing(root) == before
    start_training(root, layout)


MENDED = [case for case in BOTH + FOLDERS_ONLY if case[0] in (
    "painted-in-colors", "binary", "one-based", "ids-not-colors", "swapped-colors", "unknown-colors", "no-class-table")]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "fragment", "damage"), MENDED, ids=[f"{n}-{case[0]}" for n, case in enumerate(MENDED)]
)
def test_a_folder_is_healthy_once_the_proposal_is_saved(root, code, fragment, damage):
    broken(root, "folder", damage)
    (root / "classes.json").write_text(examine(root).proposal)
    assert examine(root).errors == ()
    start_training(root, "folder")


@pytest.mark.parametrize("damage", [CITYSCAPES_ONLY[0][2], CITYSCAPES_ONLY[2][2]])
def test_the_proposal_gives_the_same_targets_as_label_ids_would(root, damage):
    data = cityscapes(root)
    values = {"name": "cityscapes", "root": str(root), "height": 64, "width": 96}
    right = open_dataset(read_config({"dataset": values}).dataset)
    expected = [right.target(frame) for frame in right.val]
    damage(data)
    table = root / "classes.json"
    table.write_text(examine(root).proposal)
    mended = open_dataset(read_config({"dataset": values | {"classes": str(table)}}).dataset)
    assert mended.space.class_names == CITYSCAPES_19.class_names
    assert all(np.array_equal(mended.target(f), e) for f, e in zip(mended.val, expected, strict=True))
    assert examine(root, class_table=str(table)).healthy


def test_a_palette_of_voc_names_the_classes(root):
    voc = [color for _, color in KNOWN_COLORS[3].classes]
    folder(root).masks(lambda labels: with_palette(labels, voc))
    (root / "classes.json").unlink()
    assert [row["name"] for row in json.loads(examine(root).proposal)] == ["background", "aeroplane", "bicycle"]


def test_colors_are_recognised_and_those_of_nobody_are_not():
    assert KNOWN_COLORS[3].classes[15] == ("person", (192, 128, 128))
    assert recognise({color: 5 for color in CAMVID}).title == "CamVid"
    assert recognise({(1, 2, 3): 5, (4, 5, 6): 7}) is None


def test_an_empty_table_as_the_shell_makes_it_counts_as_none(root):
    folder(root)
    (root / "classes.json").write_bytes(b"")
    report = examine(root)
    assert [row["ids"] for row in json.loads(report.proposal)] == [[0], [1], [2]]
    assert "no-class-table" in {finding.code for finding in report.errors}


@pytest.mark.parametrize("build", both(lambda data: data))
def test_a_file_that_vanishes_while_it_is_examined_is_named(root, build, monkeypatch):
    data = build(root)
    monkeypatch.setattr("core.data.doctor.survey.os.cpu_count", lambda: 1)
    report = examine(root, progress=lambda done, _: data.mask(5).unlink(missing_ok=True))
    (finding,) = [finding for finding in report.errors if finding.code == "vanished-mask"]
    assert finding.files == (str(data.mask(5).relative_to(root)),) and "gone now" in finding.sentence
    with pytest.raises(LabError, match="gone now"):
        refuse_broken(report)


@pytest.mark.parametrize("layout", ["cityscapes", "folder"])
def test_a_folder_that_may_not_be_read_is_named(root, layout, monkeypatch):
    (cityscapes if layout == "cityscapes" else folder)(root)
    error = PermissionError(13, "Permission denied", str(root / "locked"))

    def refuse(*_):
        raise error

    monkeypatch.setattr(*("core.data.folder.os.scandir", refuse) if layout == "folder" else (Path, "iterdir", refuse))
    report = examine(root)
    assert "locked' can't be opened: Permission denied" in report.errors[0].sentence


def test_a_file_that_may_not_be_read_is_named(root, monkeypatch):
    data = folder(root)
    really = Image.open

    def refuse(path, *arguments, **options):
        if path == data.image(1):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *arguments, **options)

    monkeypatch.setattr("core.data.doctor.survey.Image.open", refuse)
    assert matches(root, "forbidden-image", "error").files == ("images/train/1.png",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_with_the_name_of_a_picture_does_not_hang_the_doctor(root):
    data = folder(root)
    data.image(1).unlink()
    os.mkfifo(data.image(1))
    assert "it is no file" in matches(root, "unreadable-image", "error").sentence


def test_the_folder_that_was_meant_is_named(root):
    cityscapes(root)
    assert "one folder higher" in matches(root / "gtFine", "wrong-folder", "error").sentence
    assert "one folder deeper" in matches(root.parent, "wrong-folder", "error").sentence
    assert examine(root / "nowhere").errors[0].code == "no-folder"


def test_hidden_files_and_strange_names_are_no_trouble(root):
    data = folder(root)
    for name in (".hidden.png", "Thumbs.db", ".DS_Store"):
        (root / "images/train" / name).write_bytes(b"nothing")
    for path in data.paths(1):
        path.rename(path.with_name("a b ü 東京.png"))
    report = examine(root)
    assert report.healthy and report.pairs == {"train": 4, "val": 2}


def test_coarse_masks_are_looked_at_and_their_photographs_only_once(root):
    data = cityscapes(root)
    for index in range(4):
        fine = data.mask(index)
        coarse = Path(str(fine).replace("gtFine", "gtCoarse"))
        write(coarse, np.where(bands([0, 1], index), 255, 7).astype(np.uint8))
    report = examine(root)
    assert report.pairs == {"train": 4, "train (coarse)": 4, "val": 2} and report.healthy
    assert report.sizes == {"96 x 64": 6} and "train-duplicates" not in {finding.code for finding in report.findings}
    coarse.write_bytes(b"")
    assert matches(root, "empty-mask", "error").files[0].startswith("gtCoarse")


def test_an_examination_can_be_stopped_and_leaves_no_thread_behind(root, monkeypatch):
    folder(root)
    monkeypatch.setattr("core.data.doctor.survey.os.cpu_count", lambda: 1)
    seen = []
    report = examine(root, progress=lambda done, count: seen.append((done, count)), should_stop=lambda: len(seen) >= 2)
    assert report.looked_at == 2 and seen == [(1, 6), (2, 6)]
    assert "stopped after 2 of 6" in {finding.code: finding for finding in report.findings}["stopped"].sentence
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("doctor")]


def test_who_throws_while_it_is_told_how_far_it_is_gets_that_back_and_no_thread_is_left(root):
    folder(root)

    def throw(done, count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(root, progress=throw)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("doctor")]


def test_a_sample_is_evenly_spread_and_said(root):
    folder(root)
    report = examine(root, max_frames=2)
    assert report.looked_at == 4 and "4 of 6 pairs" in report.findings[-1].sentence


def test_a_finding_names_twenty_files_and_counts_them_all(root):
    for index in range(30):
        write(root / f"images/{index}.png", image_file(index))
        (root / "masks").mkdir(exist_ok=True)
        (root / f"masks/{index}.png").write_bytes(b"")
    finding = matches(root, "empty-mask", "error")
    assert len(finding.files) == 20 and finding.count == 30 and "(like 29 others)" in finding.sentence


def command(capsys, *arguments):
    code = main(["doctor", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_the_command_says_findings_shares_and_the_state(root, capsys):
    data = folder(root)
    code, out = command(capsys, root)
    assert code == 0 and "Healthy: 6 pairs" in out and "pixels of train" in out and "100.0%" in out
    data.masks(lambda labels: labels + 1)
    code, out = command(capsys, root)
    assert code == 42 and "counts its classes from 1 to 3" in out and "--write" in out
    assert command(capsys, "/nowhere")[0] == 42


def test_the_command_prints_json_or_the_proposal_alone(root, capsys):
    folder(root).masks(lambda labels: labels + 1)
    code, out = command(capsys, root, "--json")
    report = json.loads(out)
    assert code == 42 and report["findings"][0]["code"] == "one-based" and report["root"] == str(root)
    code, out = command(capsys, root, "--proposal")
    assert code == 0 and out == report["proposal"]
    (root / "classes.json").write_text(out)
    assert command(capsys, root)[0] == 0 and command(capsys, root, "--proposal")[0] == 42


@pytest.mark.parametrize(
    ("layout", "damage", "fragment"),
    [
        ("cityscapes", CITYSCAPES_ONLY[0][2], "look like Cityscapes train ids"),
        ("folder", FOLDERS_ONLY[0][2], "counts its classes from 1 to 3"),
    ],
)
def test_a_trainer_stops_before_the_first_step(root, lab_folders, tiny_config, layout, damage, fragment):
    broken(root, layout, damage)
    config = tiny_config(dataset={"name": layout, "root": str(root), "cache": "off"})
    steps = []
    with pytest.raises(LabError, match=fragment):
        train(
            create_run(config, lab_folders.runs),
            config,
            lambda **changes: steps.append(changes.get("step")),
            lambda: False,
        )
    assert set(steps) == {None}


def test_generated_streets_are_healthy(streets, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(streets.parent))
    assert examine(streets).errors == ()


def test_a_sample_of_real_frames_is_healthy(shared):
    report = examine(shared / "data" / "cityscapes", max_frames=40)
    assert report.errors == () and report.looked_at == 80
    assert {finding.severity for finding in report.findings} <= {"warning", "note"}


# ---- what passes as healthy unless one looks at all masks together


def few(root, save, values=(0, 2, 4), ending="png", table=5):
    """Four pairs with masks of a few numbers that touch each other, written by `save(mask, path)`."""
    rng = np.random.default_rng(0)
    for index in range(4):
        write(root / f"images/{index}.png", image_file(index))
        mask = np.full((64, 96), values[0], np.uint8)
        for other in range(6):
            cv2.circle(
                mask,
                tuple(map(int, rng.integers((96, 64)))),
                int(rng.integers(6, 20)),
                int(values[other % len(values)]),
                -1,
            )
        path = root / f"masks/{index}.{ending}"
        path.parent.mkdir(exist_ok=True)
        save(Image.fromarray(mask), path)
    if table:
        (root / "classes.json").write_text(
            json.dumps([{"name": f"c{index}", "ids": [index]} for index in range(table)])
        )


def through_jpeg(mask, path):
    data = io.BytesIO()
    mask.save(data, "JPEG", quality=90)
    Image.open(data).save(path)


@pytest.mark.parametrize(
    ("save", "ending", "code"),
    [
        (lambda mask, path: mask.resize((72, 48), Image.Resampling.BILINEAR).save(path), "png", "blurred-masks"),
        (lambda mask, path: mask.resize((192, 128), Image.Resampling.BICUBIC).save(path), "png", "blurred-masks"),
        (lambda mask, path: mask.resize((48, 32), Image.Resampling.BOX).save(path), "png", "blurred-masks"),
        (through_jpeg, "png", "blurred-masks"),
        (lambda mask, path: mask.save(path, quality=95), "jpg", "lossy-masks"),
        (lambda mask, path: mask.convert("RGB").save(path, quality=80), "webp", "lossy-masks"),
    ],
)
@pytest.mark.parametrize("values", [(0, 2, 4), (0, 1, 2, 3, 4), (0, 3)])
def test_masks_of_few_classes_that_were_spoiled_are_an_error(root, save, ending, code, values):
    few(root, save, values, ending)
    report = examine(root)
    assert code in {finding.code for finding in report.errors}
    assert "ids-above-table" not in {finding.code for finding in report.findings}, "no advice to name what nobody drew"


@pytest.mark.parametrize(
    ("save", "ending"),
    [
        (lambda mask, path: mask.save(path), "png"),
        (lambda mask, path: mask.resize((72, 48), Image.Resampling.NEAREST).save(path), "png"),
        (lambda mask, path: mask.save(path, lossless=True), "webp"),
        (lambda mask, path: mask.save(path), "gif"),
        (lambda mask, path: mask.save(path), "tif"),
        (lambda mask, path: Image.merge("LA", (mask, Image.new("L", mask.size, 255))).save(path), "png"),
        (lambda mask, path: Image.fromarray(np.asarray(mask, np.int32)).save(path), "tif"),
    ],
)
def test_their_clean_twins_are_healthy_and_mean_the_same(root, save, ending):
    few(root, save, ending=ending)
    assert examine(root).healthy
    assert set(np.unique(read_labels(root / f"masks/0.{ending}"))) <= {0, 2, 4}


@pytest.mark.parametrize("in_colors", [False, True])
@pytest.mark.parametrize("length", [0, 30], ids=["dabs", "strokes"])
def test_masks_of_thin_strokes_and_dabs_are_healthy(root, in_colors, length):
    """What a pen leaves is as thin as what a blur leaves, but no value lies between its neighbours."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    for index in range(4):
        write(root / f"images/{index}.png", image_file(index))
        mask = np.full((64, 96), 255, np.uint8)
        for value in range(16):  # a class a stroke, in a place of its own
            x, y = 8 + 24 * (value % 4), 8 + 16 * (value // 4)
            across, down = length * rng.uniform(-0.2, 0.2), length * rng.uniform(-0.2, 0.2)
            cv2.line(mask, (x, y), (int(x + across), int(y + down)), value, 1 if length == 0 else 2)
        painted = np.full((64, 96, 3), 255, np.uint8)
        painted[mask < 16] = colors[mask[mask < 16]]
        path = root / f"masks/{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(painted if in_colors else mask).save(path)
    rows = [
        {"name": f"c{value}", "color": color.tolist(), **({} if in_colors else {"ids": [value]})}
        for value, color in enumerate(colors)
    ]
    (root / "classes.json").write_text(json.dumps(rows))
    report = examine(root)
    assert report.errors == (), report.errors


@pytest.mark.parametrize("table", [0, 5])
def test_palettes_that_differ_are_an_error_whose_proposal_is_by_colour(root, table):
    colors = np.array([[0, 0, 0], [128, 64, 128], [70, 130, 180]], np.uint8)
    order = iter(np.random.default_rng(index).permutation(3) for index in range(4))
    drawn = {}

    def save(mask, path):
        numbers, palette = next(order), np.zeros((256, 3), np.uint8)
        palette[numbers] = colors
        painted = Image.fromarray(numbers.astype(np.uint8)[np.asarray(mask)])
        painted.putpalette(palette.ravel().tolist())
        painted.save(path)
        drawn[path] = np.asarray(mask)

    few(root, save, (0, 1, 2), table=table)
    report = examine(root)
    assert not report.healthy and all("color" in row for row in json.loads(report.proposal))
    if table:
        assert "palettes-differ" in {finding.code for finding in report.errors}
    space = read_class_table(save_class_table(root, report.proposal))
    named = {tuple(color): index for index, color in enumerate(space.colors)}
    for path, mask in drawn.items():
        expected = np.array([named[tuple(map(int, color))] for color in colors])[mask]
        assert (space.to_target(read_labels(path, colors=True)) == expected).all()
    assert examine(root).healthy


def test_a_list_without_background_is_asked_about(root):
    few(root, lambda mask, path: mask.save(path), (0, 1, 2), table=0)
    (root / "classes.txt").write_text("road\nsky\n")
    report = examine(root)
    assert {finding.code for finding in report.errors} == {"names-shifted"}
    assert [(row["name"], row["ids"]) for row in json.loads(report.proposal)] == [
        ("background", [0]),
        ("road", [1]),
        ("sky", [2]),
    ]
    with pytest.raises(LabError, match="can't be told from here"):
        start_training(root, "folder")
    (root / "classes.txt").write_text("ground\nroad\nsky\n")
    assert examine(root).healthy


def test_a_list_of_labelme_begins_with_what_is_ignored(root):
    few(root, lambda mask, path: mask.save(path), (0, 1, 2), table=0)
    (root / "labels.txt").write_text("__ignore__\n_background_\nroad\nsky\n")
    report = examine(root)
    assert report.healthy and report.classes == ("_background_", "road", "sky")


def test_a_table_of_one_class_is_refused(root):
    few(root, lambda mask, path: mask.save(path), (0, 1), table=1)
    report = examine(root)
    assert (
        "class-table" in {finding.code for finding in report.errors}
        and "'c0' is its only class" in report.errors[0].sentence
    )
    save_class_table(root, report.proposal)
    assert examine(root).healthy


def test_a_mask_that_is_only_transparency_is_read(root):
    few(root, lambda mask, path: Image.merge("LA", (Image.new("L", mask.size, 255), mask)).save(path))
    assert examine(root).healthy


def test_the_proposal_is_written_and_nothing_of_others_is_lost(root, capsys):
    few(root, lambda mask, path: mask.save(path), (1, 2, 3), table=0)
    (root / "classes.txt").write_text("road\nsky\ntree\n")
    code, out = command(capsys, root, "--write")
    assert code == 0 and "is written" in out
    assert read_class_table(root / "classes.json").class_names == ("road", "sky", "tree")
    assert command(capsys, root)[0] == 0
    (root / "classes.json").write_text(json.dumps([{"name": name, "ids": [index]} for index, name in enumerate("abc")]))
    assert command(capsys, root, "--write")[0] == 0
    assert "a" in (root / "classes.json.old").read_text(), "one's own older table is kept"
    (root / "classes.json").write_text('{"classes": [{"shape": "polygon"}]}')
    assert main(["doctor", str(root), "--write"]) == 42
    assert "may be the only copy" in capsys.readouterr().err and "polygon" in (root / "classes.json").read_text()


def test_a_name_that_is_no_text_is_left_out_and_said(root):
    few(root, lambda mask, path: mask.save(path))
    for kind in ("images", "masks"):
        os.rename(os.fsencode(root / kind) + b"/0.png", os.fsencode(root / kind) + b"/M\xfcnchen.png")
        (root / kind / "line\nbreak.png").write_bytes((root / kind / "1.png").read_bytes())
    report = examine(root)
    assert report.healthy and report.looked_at == 3
    assert sum(finding.code == "skipped" for finding in report.findings) == 4
    json.dumps(report.to_json()).encode()
    with pytest.raises(LabError):
        read_image(Path(os.fsdecode(os.fsencode(root) + b"/images/gone\xfc.png")))
    assert read_image(Path(os.fsdecode(os.fsencode(root) + b"/images/M\xfcnchen.png"))).shape == (64, 96, 3)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("gray", [True, False])
def test_photographs_of_more_bits_are_as_bright_as_their_data_set(root, bits, gray):
    few(root, lambda mask, path: mask.save(path))
    for index in range(4):
        values = np.random.default_rng(index).integers(
            0, 2**bits >> index, (64, 96) if gray else (64, 96, 3), dtype=np.uint16
        )
        cv2.imwrite(str(root / f"images/{index}.png"), values)
    values = {"name": "folder", "root": str(root), "height": 64, "width": 96}
    dataset = open_dataset(read_config({"dataset": values}).dataset)
    assert dataset.pixels.white == pytest.approx((2**bits,), rel=0.02)
    ends = {frame.id: int(dataset.image(frame).max()) for frame in (*dataset.train, *dataset.val)}
    assert ends == {str(index): pytest.approx(255 >> index, abs=3) for index in range(4)}, "one scale for all"
    assert "more than 8 bits" in matches(root, "unusual-image", "note").sentence


@pytest.mark.parametrize(
    ("masks", "ids", "names"),
    [
        ("SegmentationClass", (0, 1, 15), ["background", "aeroplane", "bicycle"]),
        ("trainannot", (0, 3, 11), ["Sky", "Building", "Pole"]),
        ("annotations/trimaps", (1, 2, 3), ["pet", "background", "border"]),
        ("masks_png", (0, 1, 7), ["background", "building", "road"]),
        ("labels/sem_seg/masks", (0, 2, 18), ["road", "sidewalk", "building"]),
        ("training/semantic", (7, 8, 11), ["road", "sidewalk", "building"]),
    ],
)
def test_well_known_data_sets_are_named_by_numbers_and_folders(root, masks, ids, names):
    few(root, lambda mask, path: mask.save(path), ids, table=0)
    (root / masks).parent.mkdir(parents=True, exist_ok=True)
    (root / "masks").rename(root / masks)
    report = examine(root)
    assert [row["name"] for row in json.loads(report.proposal)][:3] == names
    assert "known-data-set" in {finding.code for finding in report.findings}
    save_class_table(root, report.proposal)
    assert examine(root).healthy


@pytest.mark.parametrize(
    ("stem", "folders", "ids", "last"),
    [
        ("ADE_{split}_0000000{index}", ("training", "validation"), (0, 1, 4, 150), {1: "wall", 4: "floor", 150: "flag"}),
        ("00000000000{index}_labelTrainIds", ("train2017", "val2017"), (0, 170, 81, 255), {0: "person", 81: "blanket", 170: "wood"}),
        ("00000000000{index}", ("train2017", "val2017"), (0, 92, 181, 255), {0: "person", 92: "blanket", 181: "wood"}),
    ],
)  # fmt: skip
def test_data_sets_of_many_classes_are_opened_as_they_are_unpacked(root, stem, folders, ids, last):
    for index in range(6):
        split = ("train", "val")[index // 4]
        name = stem.format(split=split, index=index)
        write(root / f"images/{folders[index // 4]}/{name.removesuffix('_labelTrainIds')}.png", image_file(index))
        write(root / f"annotations/{folders[index // 4]}/{name}.png", bands(ids, index).astype(np.uint8))
    report = examine(root)
    assert report.pairs == {"train": 4, "val": 2} and "known-data-set" in {finding.code for finding in report.findings}
    rows = json.loads(report.proposal)
    assert len(rows) == (150 if 150 in ids else 171)
    named = {row["ids"][0]: row["name"] for row in rows}
    assert {index: named[index] for index in last} == last and 255 not in named
    assert len({tuple(row["color"]) for row in rows}) == len(rows)
    save_class_table(root, report.proposal)
    assert examine(root).healthy


def test_masks_of_coco_objects_alone_are_not_taken_for_coco_stuff(root):
    for index in range(6):
        name = f"00000000000{index}.png"
        write(root / f"images/{name}", image_file(index))
        write(root / f"masks/{name}", bands((0, 1, 18, 90), index).astype(np.uint8))
    assert "known-data-set" not in {finding.code for finding in examine(root).findings}


def roboflow(root, tables):
    """Their semantic export: the photographs of each split with masks and a table beside them."""
    for index in range(6):
        split = ("train", "valid", "test")[index // 2]
        name = root / split / f"street_{index}_jpg.rf.0a1b{index}"
        write(name.with_suffix(f".0a1b{index}.jpg"), image_file(index))
        write(name.with_name(f"{name.name}_mask.png"), bands((0, 1, 2), index).astype(np.uint8))
    for split, rows in zip(("train", "valid", "test"), tables, strict=True):
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n" + rows)


def test_an_export_of_roboflow_is_healthy_with_its_names_and_splits(root):
    roboflow(root, ["0, background\n1, road\n2, sky\n"] * 3)
    report = examine(root)
    assert report.healthy and report.classes == ("background", "road", "sky")
    assert report.pairs == {"train": 2, "val": 2, "test": 2}
    assert report.split_source == "The folders say so: train (2), val (2) and test (2)."


def test_tables_of_splits_that_differ_are_an_error_that_names_both(root):
    roboflow(root, ["0, background\n1, road\n2, sky\n", "0, background\n1, sky\n2, road\n", "0, a\n1, b\n"])
    (error, *_) = examine(root).errors
    assert "train/_classes.csv" in error.sentence and "valid/_classes.csv' differ" in error.sentence


def test_other_numbers_and_other_folders_are_nobodys(root):
    few(root, lambda mask, path: mask.save(path), (0, 1, 15), table=0)
    assert [row["name"] for row in json.loads(examine(root).proposal)] == ["class 0", "class 1", "class 15"]


@pytest.mark.parametrize("name", [b"M\xfcnchen", b"two\nlines", "gpj.\u202egnp".encode()])
@pytest.mark.parametrize("layout", ["cityscapes", "folder"])
def test_folders_and_cities_of_such_names_are_left_out_too(root, name, layout):
    (cityscapes if layout == "cityscapes" else folder)(root)
    place = root / ("leftImg8bit/train" if layout == "cityscapes" else "images")
    os.mkdir(os.fsencode(place) + b"/" + name)
    city = Path(os.fsdecode(os.fsencode(place) + b"/" + name))
    write(city / "a_000000_000000_leftImg8bit.png", image_file(0))
    report = examine(root)
    assert report.healthy and sum(finding.code == "skipped" for finding in report.findings) >= 1
    json.dumps(report.to_json()).encode()


def test_two_classes_of_one_colour_are_said(root):
    few(root, lambda mask, path: mask.save(path))
    rows = [{"name": f"c{index}", "ids": [index], "color": [9, 9, 9 if index < 2 else index]} for index in range(5)]
    (root / "classes.json").write_text(json.dumps(rows))
    assert (
        "c0, c1 are shown in the same colour" in matches(root, "same-color", "note").sentence and examine(root).healthy
    )


@pytest.mark.parametrize("values", [10**6, -5, float("inf")])
def test_any_depth_gives_a_white_that_a_config_takes(root, values):
    few(root, lambda mask, path: mask.save(path))
    kind = np.float32 if values == float("inf") else np.int32
    for index in range(4):
        (root / f"images/{index}.png").unlink()
        image = np.full((64, 96), values, kind)
        image[:32] = 3
        Image.fromarray(image).save(root / f"images/{index}.tif")
    plain = {"name": "folder", "root": str(root), "height": 64, "width": 96}
    dataset = open_dataset(read_config({"dataset": plain}).dataset)
    assert (
        read_config({"dataset": plain | {"white_level": dataset.pixels.white_text}})
        and dataset.image(dataset.train[0]).max() <= 255
    )


@pytest.mark.parametrize(("group_by", "is_said"), [("frame", True), ("stretch", False)])
def test_neighbours_of_a_video_in_train_and_val_are_said(root, group_by, is_said):
    """A camera that pans over a wide picture; held back one by one, each frame of val has its like in train."""
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 255, (8, 60, 3)).astype(np.uint8), (2400, 64))
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for index in range(80):
        view = wide[:, 5 * index : 5 * index + 128]
        cv2.imwrite(str(root / f"images/f{index:03}.png"), view)
        cv2.imwrite(str(root / f"masks/f{index:03}.png"), (view[..., 0] > 120).astype(np.uint8))
    (root / "classes.json").write_text('[{"name": "dark", "ids": [0]}, {"name": "light", "ids": [1]}]')
    report = examine(root, group_by=group_by)
    said = [finding for finding in report.findings if finding.code == "train-val-neighbours"]
    assert bool(said) == is_said
    assert all(finding.severity == "warning" and "look nearly the same" in finding.sentence for finding in said)
