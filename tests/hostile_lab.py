"""A lab in which everything is called by the hostile strings: classes, frames, runs, tags, notes, owners, collections, reports."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from hostile_strings import HOSTILE
from PIL import Image

from core.data.collections import save_collection
from core.errors import LabError
from core.evaluation.evaluate_run import evaluate_run
from core.evaluation.results import EvaluationSettings
from core.runs.notes import NAME_LENGTH, TAG_LENGTH, Notes, write_notes
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.text import one_line

FRAMES = 60
"""Frames with names of their own; the rest of the strings can't be file names, or need not be."""


def environment(folder: Path) -> dict[str, str]:
    """What points the lab into a folder."""
    return {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(folder / "data"),
        "SEGLAB_DATA_ROOTS": str(folder),
        "SEGLAB_WEIGHTS": str(folder / "weights"),
    }


def class_names() -> list[str]:
    """The strings as a class table keeps them: on one line, short, each once."""
    return list(dict.fromkeys(filter(None, (one_line(text)[:80].strip() for text in HOSTILE))))[:200]


def write_data(root: Path) -> None:
    """A folder data set of small frames whose classes and files are called by the strings."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    names = class_names()
    table = [{"name": name, "ids": [index]} for index, name in enumerate(names)]
    (root / "classes.json").write_text(json.dumps(table))
    values = np.arange(64 * 128, dtype=np.int64).reshape(64, 128)
    stems = [text for text in names if "/" not in text and not text.startswith(".") and len(text.encode()) < 100]
    for index, stem in enumerate(stems[:: max(1, len(stems) // FRAMES)]):
        labels = ((values // 40 + index * 3) % len(names)).astype(np.uint8)
        with suppress(OSError, ValueError):
            Image.fromarray(np.stack([labels] * 3, axis=-1)).save(root / "images" / f"{stem}.png")
            Image.fromarray(labels).save(root / "masks" / f"{stem}.png")


def build(folder: Path, config) -> list[str]:
    """Lay the lab into a folder, whose `environment` holds; returns the ids of its runs. `config` is `tiny_config`."""
    from core.training.loop import train

    write_data(folder / "data" / "signs & <b>more</b>")
    dataset = {"name": "folder", "root": str(folder / "data" / "signs & <b>more</b>"), "val_fraction": 0.2}
    wish = config(dataset=dataset, epochs=1, batch_size=8, crop_height=64, crop_width=128)
    first = create_run(wish, folder / "runs")
    update_status(first, state=train(first, wish, report=lambda **_: None, should_stop=lambda: False))
    evaluate_run(read_run(first), EvaluationSettings(boundary=False))
    runs = [first]
    names = [name for name in class_names() if len(name) <= NAME_LENGTH]
    for index in range(1, 6):
        runs.append(first.with_name(f"{first.name[:-4]}{index:04x}"))
        shutil.copytree(first, runs[-1])
    for index, run in enumerate(runs):
        own = names[index :: len(runs)]
        tags = tuple(text for text in own if len(text) <= TAG_LENGTH)[:20]
        write_notes(
            run, Notes(own[0], tags, "\n".join(HOSTILE[index :: len(runs)]).encode("utf-8", "replace").decode())
        )
        (run / "owner.txt").write_text(own[1], encoding="utf-8")
    for index, name in enumerate(names[::20]):
        with suppress(LabError):
            save_collection(name, [(each, np.full((32, 64, 3), index, np.uint8)) for each in names[index : index + 3]])
    return [run.name for run in runs]
