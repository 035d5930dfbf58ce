"""The benchmarks run from a bare checkout, and their last lines say what their readers look for. Nobody asserts figures here."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.paths import PROJECT


def lines_of(script: str, *arguments: str) -> list[str]:
    """What a benchmark printed, by line. It is started as in the Makefile, from the project's folder."""
    command = [sys.executable, f"benchmarks/{script}.py", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize("script", sorted(path.name for path in (PROJECT / "benchmarks").glob("*.py")))
def test_each_finds_what_it_takes_from_the_lab(script):
    runpy.run_path(str(PROJECT / "benchmarks" / script), run_name="imported")


def test_one_table_says_what_was_reached():
    namespace = runpy.run_path(str(PROJECT / "benchmarks" / "table.py"), run_name="imported")
    outputs = {
        "loading": "crops\nratio without cache: 2.1\nratio: 19.7\n",
        "learning": "fcn mIoU ours 0.419 theirs 0.352\nfcn sooner: 4.10\nunet mIoU ours 0.383 theirs 0.202\n",
    }
    lines = namespace["table"](outputs).splitlines()
    assert lines[0].startswith("| work | peer |") and len(lines) == 2 + 2 + 6
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[2:] for row in rows] == [
        ["2.10 x", "1.5 x", "yes"],
        ["19.70 x", "30 x", "no"],
        ["+0.067", "+0.15", "no"],
        ["4.10 x", "4 x", "yes"],
        ["+0.181", "+0.15", "yes"],
        ["", "4 x", "broke off"],
        ["", "+0.15", "broke off"],
        ["", "4 x", "broke off"],
    ]


@pytest.mark.campaign
def test_models_compares_networks_with_their_peers_and_ends_with_the_ratio(lab_folders):
    sizes = {"--batch": "2", "--crop": "64 64", "--image": "64 64", "--steps": "1", "--predictions": "1"}
    small = [term for name, value in sizes.items() for term in (name, *value.split())]
    lines = lines_of("models", "--networks", "unet", "plain", "--threads", "1", *small)
    row = r"(.+) · (.+?) +(lab|plain|peer) +([\d.]+) +([\d.]+) +(\d+) +(\d+)( +\d+)? *"
    rows = [result.groups() for result in (re.fullmatch(row, line) for line in lines) if result]
    assert [way for _, _, way, *_ in rows] == ["lab", "plain", "peer", "lab", "plain"]
    for _, _, way, rate, _, memory, _, own_way in rows:
        assert float(rate) > 0 and int(memory) > 0
        assert (own_way is not None) == (way == "lab"), "only the lab has a way of its own to predict"
    assert lines[-1] == f"ratio: {rows[1][4]}", "a default network counts, the plain U-Net doesn't"

    assert any(re.fullmatch(r" +share of the peak: \d+%", line) for line in lines)
    parts = [found.groups() for found in (re.fullmatch(r" +([\d.]+)% (.+)", line) for line in lines) if found]
    shares = {part: float(share) for share, part in parts}
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert {"convolutions forward", "convolutions backward", "normalisation", "optimizer", "loss"} <= set(shares)
    assert shares.get("other", 0) < 25, "the groups know most of what a step does"


@pytest.mark.campaign
def test_learning_ends_with_a_line_a_family(lab_folders, streets: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", os.pathsep.join([str(streets), str(lab_folders.other)]))
    lines = lines_of(
        "learning",
        *("--minutes", "0.05", "--root", str(streets), "--families", "fcn", "--size", "64", "128", "--batch", "2"),
    )
    ours, theirs = (float(score) for score in re.fullmatch(r"fcn mIoU ours (\S+) theirs (\S+)", lines[-2]).groups())
    assert re.fullmatch(r"fcn sooner: [\d.]+", lines[-1])
    assert 0 < ours < 1 and 0 < theirs < 1
    seconds = [int(re.search(r" (\d+) steps in (\d+) s", line)[2]) for line in lines[:2]]
    assert seconds[1] >= seconds[0] - 1, "theirs has as long as ours took"
    assert not list(lab_folders.runs.iterdir()), "the runs go to a folder of their own"


@pytest.mark.campaign
def test_predict_asks_as_the_page_does_and_ends_with_the_least_ratio(lab_folders):
    lines = lines_of(
        "predict",
        *("--families", "fcn", "--image", "128", "256", "--size", "64", "128", "--steps", "1", "--rounds", "1"),
    )
    row = r"FCN-8s · EfficientNet-Lite0 +(\d+ x \d+) +([\d.]+) +([\d.]+) +[\d.]+ +[\d.]+ +([\d.]+) .+"
    rows = [result.groups() for result in (re.fullmatch(row, line) for line in lines) if result]
    assert [seen for seen, *_ in rows] == ["128 x 64", "256 x 128"], "the page's way, and the whole picture"
    assert all(0 < float(first) <= float(full) for _, first, full, _ in rows)
    assert lines[-2] == f"longest wait for a first mask: {max((first for _, first, *_ in rows), key=float)} s"
    assert lines[-1] == f"ratio: {min((ratio for *_, ratio in rows), key=float)}"
    assert not list(lab_folders.runs.iterdir()), "the runs go to a folder of their own"


def test_an_annotator_takes_as_long_as_was_published_and_paints_what_is_true():
    namespace = runpy.run_path(str(PROJECT / "benchmarks" / "labelling.py"), run_name="imported")
    target = np.zeros((60, 80), np.uint8)
    target[10:30, 20:50] = 1
    target[:, 78:] = 255
    image = np.repeat((target * 90)[..., None], 3, axis=2)

    polygons = namespace["draw_polygons"](target)
    assert np.array_equal(polygons.mask, target), "straight edges lose nothing"
    assert polygons.seconds == 2 * 2.4 + 0.9 * (4 + 4) / 2, "two pieces of four corners, each border drawn once"

    rng = np.random.default_rng(0)
    for count in (1, 5):
        clicked = namespace["click"](image, target, count, rng)
        known = clicked.mask != 255
        assert 0.9 * known.sum() <= (clicked.mask == target)[known].sum() and set(np.unique(clicked.mask[known])) == {
            0,
            1,
        }
        assert clicked.seconds == pytest.approx(2 * 2.4 + 2 * 0.9 * (count - 1))

    stroked = namespace["stroke"](target)
    assert stroked.seconds == 2 * 10.9 and ((stroked.mask == target) | (stroked.mask == 255)).all()
    rows, columns = np.nonzero(stroked.mask == 1)
    assert np.ptp(rows) >= 15 and np.ptp(columns) >= 25, "from one end to the other"

    class Model:
        """Takes a piece of the picture's colour for an object; at first, with what lies to its left."""

        def embed(self, image):
            return image

        def segment(self, image, prompts):
            points = [(int(v * 60), int(u * 80)) for u, v in prompts.points]
            covered = image[..., 0] == image[..., 0][points[0]]
            return covered | (np.arange(80) < points[0][1])[None] if len(points) == 1 else covered

    objects = namespace["click_objects"](image, target, 5, Model())
    assert np.array_equal(objects.mask[:, :78], target[:, :78])
    assert objects.seconds == pytest.approx(2 * (2.4 + 0.9)), "each took a click beside it"

    wrong = np.zeros_like(target)
    corrected = namespace["correct"](image, stroked, wrong, target, rng)
    assert corrected.seconds == stroked.seconds + 2.4 and (corrected.mask == 1).sum() > (stroked.mask == 1).sum()


def test_minutes_to_a_score_lie_on_the_line_between_points():
    minutes_to = runpy.run_path(str(PROJECT / "benchmarks" / "labelling.py"), run_name="imported")["minutes_to"]
    curve = [(10.0, 0.2), (30.0, 0.4)]
    assert minutes_to(0.3, curve) == pytest.approx(20) and minutes_to(0.1, curve) == pytest.approx(5)
    assert minutes_to(0.5, curve) == float("inf")
