"""metrics.jsonl of a run folder: rows appended by the trainer, read by everyone else while it grows."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

from core.files import parse_json, unless_changed


class UsageRow(TypedDict):
    """What a training used of its machine since the row before.

    Attributes:
        minutes: of training up to now, scoring and saving included and breaks not.
        cpu: share of the cores that the process could use, 0..1, without those of loader processes.
        memory: bytes of the process.
        machine_memory: share of the machine's memory in use, 0..1.
        gpu_memory: bytes of the CUDA device in use.
        waiting: share of the steps' time spent waiting for the loader, 0..1.
    """

    minutes: float
    cpu: float
    memory: int
    machine_memory: float
    gpu_memory: NotRequired[int]
    waiting: float


class TrainRow(UsageRow):
    """A step of training.

    Attributes:
        step: optimizer steps done, from 1.
        epoch: pass over the training frames, from 1.
        loss: mean over the step's frames; None for a batch without a labelled pixel.
        learning_rate: the highest of all groups.
        images_per_second: training frames, without pauses.
        seconds_left: an estimate.
    """

    kind: Literal["train"]
    step: int
    epoch: int
    loss: float | None
    learning_rate: float
    images_per_second: float
    seconds_left: float


class EvalRow(TypedDict):
    """A scoring of the validation frames after a step.

    Attributes:
        miou, pixel_accuracy: 0..1.
        iou: per class, 0..1; None for a class that is neither there nor predicted.
        predicted, truth: each class's share of the pixels, 0..1.
        minutes: of training up to now.
        frames: how many validation frames were looked at, where it weren't all.
    """

    kind: Literal["eval"]
    step: int
    epoch: int
    loss: float
    miou: float | None
    pixel_accuracy: float | None
    iou: list[float | None]
    predicted: list[float]
    truth: list[float]
    minutes: float
    frames: NotRequired[int]


RowT = TypeVar("RowT", EvalRow, dict[str, Any])


class MetricsLog:
    """Appends rows to metrics.jsonl.

    A torn last line, left by a crash, is cut off first, else the next row would be lost too.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path / "metrics.jsonl", "ab")  # noqa: SIM115 - stays open as long as the log
        _cut_torn_tail(path / "metrics.jsonl")

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row and hands it to the operating system.

        Values that are not numbers (NaN, infinity) become null.
        """
        clean = {
            name: None if isinstance(value, float) and value - value != 0 else value for name, value in row.items()
        }
        self._file.write(json.dumps(clean, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Make the rows durable and closes the file."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_metrics(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the rows after a byte offset and the offset to ask for next. Only lines that end in a newline count."""
    try:
        with open(path / "metrics.jsonl", "rb") as file:
            file.seek(max(0, offset))
            data = file.read()
    except OSError:
        return [], 0
    complete = data[: data.rfind(b"\n") + 1]
    rows = []
    for line in complete.splitlines():
        try:
            row = parse_json(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows, max(0, offset) + len(complete)


def valid_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without those that a resume made void: it went back to a checkpoint, and steps after that were done
    again.
    """
    valid: list[dict[str, Any]] = []
    for row in rows:
        if row.get("kind") == "resume":
            valid = [old for old in valid if old["step"] <= row["step"]]
        else:
            valid.append(row)
    return valid


def rows_since(path: Path, offset: int) -> tuple[list[dict[str, Any]], int, bool]:
    """Return the valid rows after a byte offset, the offset to ask for next, and whether to forget all earlier rows.

    A resume among the new rows may void rows before the offset: then all valid rows of the run come again.
    """
    rows, end = read_metrics(path, offset)
    must_forget = offset > 0 and any(row.get("kind") == "resume" for row in rows)
    if must_forget:
        rows, end = read_metrics(path)
    return valid_rows(rows), end, must_forget


def minutes_trained(path: Path) -> float:
    """Return minutes that a run had trained when it wrote the last row that still counts, breaks left out.

    0 where it wrote none. This is how long a run took, wherever that is said.
    """
    return _minutes_of_log(path / "metrics.jsonl") or 0.0


@unless_changed
def _minutes_of_log(log: Path) -> float:
    rows = valid_rows(read_metrics(log.parent)[0])
    return next((row["minutes"] for row in reversed(rows) if isinstance(row.get("minutes"), int | float)), 0.0)


def evaluations(path: Path) -> list[EvalRow]:
    """Return the evaluation rows of a run, oldest first."""
    return [row for row in valid_rows(read_metrics(path)[0]) if row.get("kind") == "eval"]  # type: ignore[misc]


def best_evaluation(rows: Sequence[RowT]) -> RowT | None:
    """Return the eval row of the highest mean IoU; one of all validation frames before any of a part of them."""
    scored = [row for row in rows if row.get("miou") is not None]
    return max(scored, key=lambda row: ("frames" not in row, row["miou"]), default=None)


def _cut_torn_tail(path: Path) -> None:
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        position = size
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < size:
            file.truncate(position)
