"""Campaigns of bad input: numbers that run away, labels that don't do, and files that want to harm."""

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import ROOT, Bench, Result, config, launch_and_wait
from benchmarks.faults.processes import start_program
from core.data.cityscapes import list_frames
from core.data.decoding import read_labels
from core.runs.store import read_run


def bad_values(bench: Bench) -> Result:
    """Return a rate at which weights run away, labels that are all ignored, labels out of range: a sentence, or
    training goes on.
    """
    folder = bench.runs("numbers")
    remaining, lost = [], 0
    run = read_run(start_program(POISON, config(learning_rate=1, grad_clip_norm=0, dataset={}), folder))
    lost += (run.status.failure, bool(run.status.suggested_change)) != ("diverged", True)
    remaining.append(f"loss that is no number: {run.state}, {run.status.failure or 'no word'}")
    for name, change, expected in (
        ("first frames ignored", lambda index, labels: labels * (index > 2), {"finished"}),
        ("all ignored", lambda index, labels: labels * 0, {"failed"}),
        ("a label of 200", lambda index, labels: labels * 0 + 200 if index == 0 else labels, {"finished", "failed"}),
    ):
        data = relabelled(bench.folder / name.replace(" ", "-"), change)
        wish = config(epochs=2, batch_size=1, crop_height=64, dataset={"name": "cityscapes", "root": str(data)})
        run = read_run(launch_and_wait(wish, folder))
        lost += run.state not in expected or run.status.failure == "fault"
        remaining.append(f"{name}: {run.state}")
    return Result("numbers and labels that don't do", 4, "; ".join(remaining), lost)


POISON = """
import sys
import torch
from core.training import __main__ as trainer, loop
step = loop.train_step
loop.train_step = lambda *given, **named: torch.tensor(float("nan")) if step(*given, **named) is not None else None
sys.exit(trainer.main(sys.argv[1:]))
"""
"""A trainer whose loss is no number from the first step on: no rate that a config may ask for does that to batch
normalisation.
"""


def relabelled(root: Path, change: Callable[[int, Any], Any]) -> Path:
    """Return a copy of the streets in the Cityscapes layout whose training labels were changed."""
    from PIL import Image

    streets = Path(os.environ["SEGLAB_DATA"]) / "streets"
    shutil.copytree(streets, root)
    for index, frame in enumerate(list_frames(root, "train")):
        Image.fromarray(change(index, read_labels(frame.labels))).save(frame.labels)
    return root


TESTS = {
    "uploads": (
        "hostile uploads",
        ["tests/test_uploads.py::test_bad_uploads_are_a_sentence_each_in_time_and_within_memory"],
    ),
    "checkpoints": ("hostile checkpoints", ["tests/test_hostile_checkpoints.py", "-k", "wants_to_harm"]),
    "paths": ("hostile paths", ["tests/test_paths.py::test_hostile_text_gets_a_sentence"]),
    "readers": ("damaged files of every reader", ["tests/test_fuzz_readers.py", "-m", "campaign"]),
}
"""What each campaign of foreign input is called, and the tests that try it."""


def tried(bench: Bench, name: str) -> Result:
    """Ask the lab's own tests, whole and whatever the scale: how often each says in a property `faults`, else once."""
    title, tests = TESTS[name]
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--junitxml={report.name}", *tests]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        cases = list(ElementTree.parse(report.name).iter("testcase"))
    lost = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    properties = [{each.get("name"): each.get("value") for each in case.iter("property")} for case in cases]
    faults = sum(int(each.get("faults", 1)) for each in properties)
    figures = "; ".join(each["figure"] for each in properties if "figure" in each)
    return Result(title, faults, figures or "read, or refused in a sentence, in time", lost if cases else 1)
