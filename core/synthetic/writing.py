"""Writes generated streets to disk in the layout of Cityscapes, so that one reader serves both.

A folder is written beside its final place and renamed when it is whole: where `root` exists, it is complete.
"""

import json
import os
import shutil
import time
from pathlib import Path

import cv2
import numpy as np

from core.errors import LabError
from core.progress import CountCallback
from core.synthetic.scene import Scene, draw_scene

VERSION = 1
"""Raised whenever the same seed would give other pictures, so that an old folder is told from a new one."""

CITIES = {"train": ("arden", "belmont"), "val": ("corvale",)}
"""Invented towns, so that a frame's name never passes for a real one."""

_IMAGE_FLAGS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
_FLAT = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def write_streets(
    root: Path,
    train: int = 200,
    val: int = 40,
    size: tuple[int, int] = (256, 512),
    seed: int = 0,
    progress: CountCallback | None = None,
) -> None:
    """Write `train` and `val` scenes of `size` (height, width) under `root`; `progress(done, total)` follows each one.

    Does nothing where `root` already holds these very scenes, and replaces a streets folder written with other
    settings.

    Raises:
        LabError: `root` holds something else, or a number is out of range.
    """
    root = Path(root)
    settings = {"kind": "streets", "version": VERSION, "seed": seed, "train": train, "val": val, "size": list(size)}
    if train < 0 or val < 0 or min(size) < 32:
        raise LabError(
            f"Streets need counts of 0 or more and at least 32 pixels a side; got train {train}, val {val}, size"
            f" {tuple(size)}."
        )
    if root.exists() and _is_current(root, settings):
        return
    _sweep(root)
    partial = root.with_name(f".{root.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        total = train + val
        for index in range(total):
            split, ordinal = ("train", index) if index < train else ("val", index - train)
            cities = CITIES[split]
            name = f"{cities[ordinal % len(cities)]}_{ordinal // len(cities):06d}_000019"
            _write_scene(partial, split, name, draw_scene(seed, index, size))
            if progress:
                progress(index + 1, total)
        (partial / "streets.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        if root.exists():
            if _is_current(root, settings):  # another process was quicker
                return
            shutil.rmtree(root)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what killed writers left beside `root`: unfinished folders untouched for an hour."""
    for left in root.parent.glob(f".{root.name}.partial-*"):
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)


def _is_current(root: Path, settings: dict) -> bool:
    """Return whether `root` holds these scenes; a folder that isn't ours is refused."""
    note = root / "streets.json"
    if root.is_dir() and not any(root.iterdir()):
        return False
    try:
        result = json.loads(note.read_text(encoding="utf-8"))
        ours = isinstance(result, dict) and result.get("kind") == "streets"
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise LabError(
            f"{root} exists and was not written as a streets data set; choose another folder or move it away."
        )
    return result == settings


def _write_scene(root: Path, split: str, name: str, scene: Scene) -> None:
    city = name.split("_")[0]

    def path_of(kind: str, ending: str) -> Path:
        folder = root / kind / split / city
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}_{ending}"

    height, width = scene.label_ids.shape
    _save(path_of("leftImg8bit", "leftImg8bit.png"), cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR), _IMAGE_FLAGS)
    _save(path_of("gtFine", "gtFine_labelIds.png"), scene.label_ids)
    _save(path_of("gtFine", "gtFine_instanceIds.png"), scene.instance_ids)
    coarse_instances = scene.coarse_ids.astype(np.uint16)
    _save(path_of("gtCoarse", "gtCoarse_labelIds.png"), scene.coarse_ids)
    _save(path_of("gtCoarse", "gtCoarse_instanceIds.png"), coarse_instances)
    for kind, polygons in (("gtFine", scene.polygons), ("gtCoarse", scene.coarse_polygons)):
        text = json.dumps({"imgHeight": height, "imgWidth": width, "objects": polygons}, separators=(",", ":"))
        path_of(kind, f"{kind}_polygons.json").write_text(text, encoding="utf-8")


def _save(path: Path, image: np.ndarray, options: list[int] = _FLAT) -> None:
    if not cv2.imwrite(str(path), image, options):
        raise LabError(f"{path} could not be written; is the disk full or the folder read-only?")
