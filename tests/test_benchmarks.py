"""The benchmarks run from a bare checkout, and their last lines say what their readers look for. Nobody asserts figures here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.places import PROJECT


def lines_of(script: str, *arguments: str) -> list[str]:
    """What a benchmark printed, by line. It is started as in the Makefile, from the project's folder."""
    command = [sys.executable, f"benchmarks/{script}.py", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_models_compares_a_network_with_its_peer_and_ends_with_the_ratio(places):
    small = "--batch 2 --crop 64 128 --picture 64 128 --steps 1 --predictions 1 --threads 1".split()
    lines = lines_of("models", "--networks", "unet", "plain", *small)
    rows = [
        re.fullmatch(r"(.+?) +(lab|plain|peer) +([\d.]+) +([\d.]+) +(\d+) +(\d+)( +\d+)? *", line) for line in lines
    ]
    table = {(row[1].split(" · ")[1], row[2]): row for row in rows if row}
    assert {way for _, way in table} == {"lab", "plain", "peer"}
    assert len(table) == 5
    for (_, way), row in table.items():
        assert float(row[3]) > 0 and int(row[5]) > 0, "images per second and memory"
        assert (row[7] is not None) == (way == "lab"), "only the lab has a way of its own to predict"
    # The default network counts, the plain U-Net doesn't; the table has the lab's own rate as 1.
    assert lines[-1] == f"ratio: {float(table['EfficientNet-Lite0', 'plain'][4]):.2f}"


def test_the_shares_of_a_step_are_shares(places):
    small = "--batch 2 --crop 64 64 --picture 64 64 --steps 1 --predictions 1 --threads 1".split()
    lines = lines_of("models", "--networks", "plain", *small)
    found = [re.fullmatch(r" +([\d.]+)% (.+)", line) for line in lines]
    shares = {match[2]: float(match[1]) for match in found if match}
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert {"convolutions forward", "convolutions backward", "normalisation", "optimizer", "loss"} <= set(shares)
    assert max(shares, key=shares.get) != "other"
    assert any(re.fullmatch(r" +share of the peak: \d+%", line) for line in lines)


def test_learning_ends_with_a_line_a_family(places, streets: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", os.pathsep.join([str(streets), str(places.other)]))
    lines = lines_of(
        "learning",
        *("--minutes", "0.05", "--root", str(streets), "--families", "fcn", "--size", "128", "256", "--batch", "2"),
    )
    ours, theirs = (float(score) for score in re.fullmatch(r"fcn mIoU ours (\S+) theirs (\S+)", lines[-1]).groups())
    assert 0 < ours < 1 and 0 < theirs < 1
    seconds = [int(re.search(r" (\d+) steps in (\d+) s", line)[2]) for line in lines[:2]]
    assert abs(seconds[1] - seconds[0]) <= 15, "theirs has as long as ours took"
    assert not list(places.runs.iterdir()), "the runs go to a folder of their own"
