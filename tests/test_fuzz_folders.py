"""Healthy folders of one's own, mutated at random: never a crash, and never "Healthy" with a label map that isn't the photograph's.

Every photograph carries its number in its pixels, and every mask was drawn from that number, so that a wrong pair is seen whatever the files
are called. What nobody could tell from the files isn't among the mutations: the contents of two masks exchanged, or one called after another.
"""

import io
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import read_config
from core.data.dataset import open_dataset
from core.data.decoding import read_image
from core.data.doctor import examine
from core.errors import LabError

SIZE = (64, 48)
LAYOUTS = (
    ("images/{}.png", "masks/{}.png"),
    ("{split}/images/{}.png", "{split}/masks/{}.png"),
    ("images/{split}/{}.png", "labels/{split}/{}_mask.png"),
    ("images/{city}/{}.png", "masks/{city}/{}.png"),
    ("{}.jpg", "{}.png"),
    ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
)


def mask_of(identity: int) -> np.ndarray:
    """A label map of ids 0, 1, 2 in areas that no two frames share."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    rng = np.random.default_rng(1000 + identity)
    for _ in range(5):
        x, y = rng.integers(0, SIZE[0] - 16), rng.integers(0, SIZE[1] - 16)
        mask[y : y + rng.integers(8, 16), x : x + rng.integers(8, 16)] = rng.integers(1, 3)
    return mask


def photograph_of(identity: int) -> np.ndarray:
    """A picture whose left half says which it is, in blocks that JPEG can't blur, and whose right half is noise."""
    image = (
        np.random.default_rng(identity)
        .integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    )
    for bit in range(6):
        image[8 * bit : 8 * bit + 8, : SIZE[0] // 2] = 255 * (identity >> bit & 1)
        image[8 * bit : 8 * bit + 8, -16:] = 255 - 255 * (identity >> bit & 1)
    return image


def identity_of(image: np.ndarray) -> int:
    """The number in a photograph, or -1 where it was damaged."""
    bits = [image[8 * bit + 4, [SIZE[0] // 4, -8]].mean(axis=-1) > 127 for bit in range(6)]
    return sum(int(one) << bit for bit, (one, _) in enumerate(bits)) if all(one != other for one, other in bits) else -1


def build(root: Path, layout: tuple[str, str], rng: np.random.Generator) -> None:
    for identity in range(12):
        name = f"{identity if rng.random() < 0.5 or '{split}' not in layout[0] else identity % 8:03}"
        values = {"split": "train" if identity < 8 else "val", "city": "ulm" if identity % 2 else "bonn"}
        for pattern, pixels in zip(layout, (photograph_of(identity), mask_of(identity)), strict=True):
            path = root / pattern.format(name, **values)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    (root / "classes.json").write_text(json.dumps([{"name": name, "ids": [index]} for index, name in enumerate("abc")]))


def rename(path: Path, rng: np.random.Generator) -> None:
    stem = rng.choice(
        [
            f"{rng.integers(0, 12):03}",
            path.stem.upper(),
            f"{path.stem}_mask",
            f"x{path.stem}",
            f"{path.stem}.v1",
            "Köln",
        ]
    )
    move(path, path.with_name(f"{stem}{path.suffix}"))


def elsewhere(path: Path, rng: np.random.Generator) -> None:
    folders = sorted({other.parent for other in path.parents[0].parent.rglob("*.*")})
    move(path, folders[rng.integers(len(folders))] / path.name)


def move(path: Path, target: Path) -> None:
    if not target.exists():
        path.rename(target)


def truncate(path: Path, rng: np.random.Generator) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(0, len(data))])


def damage(path: Path, rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 30)):
        data[rng.integers(len(data))] = rng.integers(256)
    path.write_bytes(data)


def recode(path: Path, rng: np.random.Generator) -> None:
    image = Image.open(path)
    image.load()
    data = io.BytesIO()
    match rng.integers(6):
        case 0:
            image.convert("RGB").save(data, "JPEG", quality=int(rng.integers(30, 96)))
        case 1:
            image.resize((40, 30), Image.Resampling.BILINEAR).save(data, "PNG")
        case 2:
            image.resize((128, 96), Image.Resampling.NEAREST).save(data, "PNG")
        case 3:
            image.convert("RGB").save(data, "WEBP", quality=60)
        case 4:
            Image.open(io.BytesIO(path.read_bytes())).transpose(Image.Transpose.ROTATE_90).save(data, "PNG")
        case 5:
            image.convert("P").save(data, "PNG")
    path.write_bytes(data.getvalue())


def remove(path: Path, _rng: np.random.Generator) -> None:
    path.unlink()


def double(path: Path, rng: np.random.Generator) -> None:
    target = path.with_suffix(str(rng.choice([".bmp", ".png", ".jpg", ".tif"])))
    if not target.exists():
        Image.open(path).convert("RGB").save(target)


def state_lists(path: Path, rng: np.random.Generator) -> None:
    root = next(parent for parent in path.parents if (parent / "classes.json").exists())
    stems = sorted(
        {other.stem for other in root.rglob("*.*") if other.suffix in (".png", ".jpg") and other.name.isprintable()}
    )
    (root / "train.txt").write_bytes(os.fsencode("\n".join(stems[:8])))
    (root / "val.txt").write_bytes(os.fsencode("\n".join(stems[8:] + ["gone"] * int(rng.integers(2)))))


def no_text(path: Path, _rng: np.random.Generator) -> None:
    os.rename(path, os.fsencode(path.parent) + b"/M\xfcn\x01chen" + os.fsencode(path.suffix))


MUTATIONS = (rename, elsewhere, truncate, damage, recode, remove, double, state_lists, no_text)


def outcome_of(root: Path, seed: int) -> str:
    """Mutate a folder one to three times and return what became of it: refused, right, or silent (a label map that isn't the frame's)."""
    rng = np.random.default_rng(seed)
    build(root, LAYOUTS[rng.integers(len(LAYOUTS))], rng)
    for _ in range(rng.integers(1, 4)):
        files = sorted(path for path in root.rglob("*.*") if path.suffix in (".png", ".jpg"))
        path = files[rng.integers(len(files))]
        try:
            MUTATIONS[rng.integers(len(MUTATIONS))](path, rng)
        except (OSError, SyntaxError):  # a file that was damaged before can't be recoded
            continue
    report = examine(root)
    json.dumps(report.to_json())
    try:
        config = read_config(
            {"dataset": {"name": "folder", "root": str(root), "height": SIZE[1], "width": SIZE[0]}}
        ).dataset
        dataset = open_dataset(config)
        for frame in (*dataset.train, *dataset.val):
            image, target = dataset.image(frame), dataset.target(frame)
            assert image.shape == (*target.shape, 3)
            identity = identity_of(image)
            is_sound = 0 <= identity < 12 and read_image(frame.image).shape[:2] == target.shape
            if report.healthy and is_sound and not is_close(target, mask_of(identity)):
                return f"silent: {seed}"
    except LabError:
        assert not report.healthy, "what the doctor calls healthy is trained on"
    return "right" if report.healthy else "refused"


def is_close(target: np.ndarray, truth: np.ndarray) -> bool:
    """True for the frame's own mask, also after it was resized by nearest neighbour: no other frame's is as near."""
    return float((target == truth).mean()) > 0.93


@pytest.mark.parametrize("count", [120, pytest.param(1000, marks=pytest.mark.campaign)])
def test_no_mutation_of_a_healthy_folder_is_learned_wrongly_in_silence(tmp_path, monkeypatch, count):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    outcomes = Counter(outcome_of(tmp_path / str(seed), seed) for seed in range(count))
    silent = [outcome for outcome in outcomes if outcome.startswith("silent")]
    print(dict(outcomes))
    assert not silent, silent
    assert outcomes["right"] > count / 5 and outcomes["refused"] > count / 5
