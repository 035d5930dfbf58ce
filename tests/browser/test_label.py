"""Painting in Chromium with real pointer events: what is acknowledged is on the disk, pixel for pixel, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from core.labelling.label_set import LabelSet, create_label_set, open_label_set
from core.labelling.masks import read_mask
from core.labelling.patches import parse_patch
from core.labelling.superpixels import find_superpixels
from core.synthetic import draw_scene
from tests.browser.conftest import ROOT, free_port

CLASSES = ("road", "building", "sky", "car")
SIZE = (128, 256)
VIEWER = ".viewer[data-ready=true]"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, trained_run: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("label")
    (folder / "runs").mkdir()
    return {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(folder / "data"),
        "SEGLAB_WEIGHTS": str(folder / "weights"),
        "SEGLAB_DATA_ROOTS": str(folder),
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture
def label_set(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> LabelSet:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    scenes = [(f"photo {number}", lambda n=number: draw_scene(n, 0, size=SIZE).image) for number in range(3)]
    return create_label_set(f"Street {time.monotonic_ns()}", scenes, CLASSES)


@pytest.fixture(scope="module")
def url(serve_app, environment: dict[str, str]) -> str:
    return serve_app(ROOT / "app" / "main.py", environment)


def opened(page, url: str, label_set: LabelSet):
    """The page with a label set's first photograph, and the patches that the server acknowledges from now on."""
    patches: list[dict] = []

    def note(response) -> None:
        if response.request.method == "POST" and "/lab/labels/" in response.url and response.status == 200:
            patches.append(json.loads(response.request.post_data)["patch"])

    page.on("response", note)
    page.goto(f"{url}/label?label-set={label_set.slug}")
    page.wait_for_selector(VIEWER, timeout=60_000)
    page.locator(f"{VIEWER} .edit-bar").wait_for(timeout=30_000)
    return patches


def place(page, u: float, v: float) -> tuple[float, float]:
    box = page.locator(f"{VIEWER} canvas").first.bounding_box()
    return box["x"] + box["width"] * u, box["y"] + box["height"] * v


def stroke(page, *points: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=6)
    page.mouse.up()


def wait_saved(page, seconds: float = 30) -> None:
    page.wait_for_selector(f"{VIEWER}[data-saved=true]", timeout=seconds * 1000)


def on_disk(label_set: LabelSet) -> np.ndarray:
    frame = next(iter(label_set.images))
    return read_mask(open_label_set(label_set.slug), frame).labels


def replayed(patches: list[dict]) -> np.ndarray:
    labels = np.full(SIZE, 255, np.uint8)
    for patch in patches:
        labels = parse_patch(patch, SIZE, len(CLASSES)).applied(labels)
    return labels


def test_paint_fill_undo_and_reload(page, url: str, label_set: LabelSet) -> None:
    patches = opened(page, url, label_set)
    page.keyboard.press("Tab")
    stroke(page, (0.2, 0.8), (0.5, 0.8))
    wait_saved(page)
    labels = on_disk(label_set)
    assert np.array_equal(labels, replayed(patches)) and (labels == 0).sum() > 500
    assert (labels[int(0.8 * 128), int(0.25 * 256) : int(0.45 * 256)] == 0).all()

    # Another class by its number key, a polygon, and a fill of what is left unlabelled.
    page.locator(f"{VIEWER} .grid").focus()
    page.keyboard.press("3")
    page.keyboard.press("l")
    for point in ((0.1, 0.1), (0.6, 0.1), (0.6, 0.4)):
        page.mouse.click(*place(page, *point))
    page.keyboard.press("Enter")
    wait_saved(page)
    assert abs(int((on_disk(label_set) == 2).sum()) - 0.5 * 0.5 * 0.3 * 128 * 256) < 400
    page.keyboard.press("2")
    page.keyboard.press("r")
    page.mouse.click(*place(page, 0.9, 0.9))
    wait_saved(page)
    whole = on_disk(label_set)
    assert (whole != 255).all() and set(np.unique(whole)) == {0, 1, 2}

    # Back and forth; then the eraser.
    page.keyboard.press("Control+z")
    wait_saved(page)
    assert (on_disk(label_set) == 255).sum() > 10_000
    page.keyboard.press("Control+Shift+z")
    wait_saved(page)
    assert np.array_equal(on_disk(label_set), whole)
    page.keyboard.press("x")
    stroke(page, (0.8, 0.2), (0.9, 0.2))
    wait_saved(page)
    erased = on_disk(label_set)
    assert (erased == 255).sum() > 200 and np.array_equal(erased, replayed(patches))

    # A reload shows what was painted, and the next stroke goes on from there.
    page.reload()
    page.wait_for_selector(VIEWER, timeout=60_000)
    page.mouse.move(*place(page, 0.3, 0.8))
    page.wait_for_selector(f"{VIEWER}[data-hover*=road]", timeout=30_000)
    stroke(page, (0.8, 0.2), (0.9, 0.2))
    wait_saved(page)
    assert np.array_equal(on_disk(label_set), replayed(patches))


def test_superpixels_are_painted_one_by_one_and_corners_go_to_edges(page, url: str, label_set: LabelSet) -> None:
    frame = next(iter(label_set.images))
    numbers = find_superpixels(draw_scene(0, 0, size=SIZE).image)
    patches = opened(page, url, label_set)
    page.get_by_role("button", name="Superpixel").click()
    stroke(page, (0.3, 0.7), (0.5, 0.7))
    wait_saved(page)
    labels = on_disk(label_set)
    row, left, right = int(0.7 * 128), int(0.31 * 256), int(0.49 * 256)
    assert (labels[row, left:right] == 0).all() and np.array_equal(labels, replayed(patches))
    count, pieces = cv2.connectedComponents((labels == 0).astype(np.uint8), connectivity=4)
    assert count == 2, "what was painted is connected"
    for number in np.unique(numbers[row, left:right]):
        _, parts = cv2.connectedComponents((numbers == number).astype(np.uint8), connectivity=4)
        painted = parts[row, left:right][numbers[row, left:right] == number]
        assert (labels[np.isin(parts, painted)] == 0).all(), "a superpixel is painted as a whole"

    # With Shift a corner is where colours change most nearby, without it is where the pointer is.
    page.keyboard.press("Control+z")
    for shift in (False, True):
        page.keyboard.press("l")
        for point in ((0.21, 0.51), (0.61, 0.51), (0.61, 0.83)):
            page.mouse.move(*place(page, *point))
            if shift:
                page.keyboard.down("Shift")
            page.mouse.down()
            page.mouse.up()
            page.keyboard.up("Shift")
        page.keyboard.press("Enter")
        wait_saved(page)
        drawn = on_disk(label_set) == 0
        if not shift:
            plain = drawn
            page.keyboard.press("Control+z")
            wait_saved(page)
    assert 0 < (plain != drawn).sum() < 0.2 * plain.sum()
    assert read_mask(open_label_set(label_set.slug), frame).changes > 3


def test_a_click_labels_an_object_and_shift_corrects_it(
    page, url: str, label_set: LabelSet, environment: dict[str, str], shared: Path
) -> None:
    weights = Path(environment["SEGLAB_WEIGHTS"])
    weights.mkdir(exist_ok=True)
    (weights / "mobile_sam.safetensors").symlink_to(shared / "weights" / "mobile_sam_fp16.safetensors")
    patches = opened(page, url, label_set)

    def ask(act) -> None:
        with page.expect_response(lambda response: "/lab/object/" in response.url, timeout=60_000) as answer:
            act()
        assert answer.value.ok
        page.wait_for_timeout(300)
        wait_saved(page)

    scene = draw_scene(0, 0, size=SIZE)
    road = scene.label_ids == 7
    ask(lambda: page.get_by_role("button", name="Object").click())
    assert not (on_disk(label_set) != 255).any(), "a look paints nothing"
    ask(lambda: page.mouse.click(*place(page, 0.5, 0.8)))
    first = on_disk(label_set)
    assert np.array_equal(first, replayed(patches))
    assert ((first == 0) & road).sum() > 0.5 * (first == 0).sum() > 0, "most of what was clicked is road"

    page.keyboard.press("3")
    ask(lambda: page.mouse.click(*place(page, 0.5, 0.05)))
    both = on_disk(label_set)
    assert (both == 2).any() and ((both == 0) == (first == 0))[both != 2].all(), "another object, the first one stays"

    page.keyboard.down("Shift")
    ask(lambda: page.mouse.click(*place(page, 0.1, 0.05)))
    page.keyboard.up("Shift")
    assert on_disk(label_set)[6, 25] == 2 or np.array_equal(on_disk(label_set) == 0, first == 0)
    for _ in range(3):
        page.keyboard.press("Control+z")
    wait_saved(page)
    assert (on_disk(label_set) == 255).all()


def test_a_second_finger_moves_the_picture_and_nothing_is_painted(phone, url: str, label_set: LabelSet) -> None:
    patches = opened(phone, url, label_set)
    phone.locator(f"{VIEWER} .grid").scroll_into_view_if_needed()
    touch = phone.context.new_cdp_session(phone)

    def send(kind: str, *points: tuple[float, float]) -> None:
        fingers = [
            dict(zip("xy", place(phone, *point), strict=True)) | {"id": number} for number, point in enumerate(points)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    send("touchStart", (0.4, 0.5))
    send("touchMove", (0.42, 0.5))
    send("touchStart", (0.42, 0.5), (0.6, 0.5))
    send("touchMove", (0.3, 0.5), (0.75, 0.5))
    send("touchMove", (0.2, 0.5), (0.9, 0.5))
    send("touchEnd")
    phone.wait_for_timeout(500)
    assert float(phone.locator(VIEWER).get_attribute("data-scale")) > 1.5
    assert not patches and (on_disk(label_set) == 255).all()

    send("touchStart", (0.4, 0.5))
    send("touchMove", (0.6, 0.5))
    send("touchEnd")
    wait_saved(phone)
    assert np.array_equal(on_disk(label_set), replayed(patches)) and (on_disk(label_set) == 0).any()


def test_a_mask_that_was_changed_elsewhere_is_told_and_both_are_kept(page, url: str, label_set: LabelSet) -> None:
    from core.labelling.masks import change_mask

    opened(page, url, label_set)
    frame = next(iter(label_set.images))
    before = read_mask(label_set, frame)
    other = {"id": "0" * 8, "box": [0, 0, 256, 16], "runs": [256 * 16, 2]}
    change_mask(label_set, frame, other, before.revision)
    stroke(page, (0.2, 0.8), (0.5, 0.8))
    wait_saved(page)
    labels = on_disk(label_set)
    assert (labels[:16] == 2).all() and (labels == 0).sum() > 500
    assert "changed elsewhere" in page.locator(f"{VIEWER} .edit-state").inner_text()


def test_a_server_that_is_killed_while_a_hundred_strokes_are_painted_loses_none(
    page, environment: dict[str, str], label_set: LabelSet, tmp_path: Path, figure
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py"), "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none"]
    command += ["--browser.gatherUsageStats", "false", "--", "--no-token"]

    def serve() -> subprocess.Popen[bytes]:
        log = (tmp_path / "server.log").open("ab")
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log)

    def wait_until_it_answers() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(each.laddr.port == port and each.status == "LISTEN" for each in psutil.net_connections("tcp")):
                return
            time.sleep(0.2)
        pytest.fail("the server did not start")

    server = serve()
    try:
        wait_until_it_answers()
        patches = opened(page, f"http://127.0.0.1:{port}", label_set)
        page.locator(f"{VIEWER} .grid").focus()
        for _ in range(6):
            page.keyboard.press(",")  # a smaller brush
        for number in range(100):
            if number == 40:
                server.send_signal(signal.SIGKILL)
                server.wait()
                acknowledged = len(patches)
                # The disk may be one stroke ahead, whose answer the server could not send any more.
                ahead = (on_disk(label_set) != replayed(patches)).sum()
                assert ahead < 100, "acknowledged, and not on the disk"
            if number == 60:
                server = serve()
            # Each on a place of its own, so that each changes something.
            u, v = 0.06 + 0.09 * (number % 10), 0.06 + 0.09 * (number // 10)
            stroke(page, (u, v), (u + 0.03, v))
            if number >= 40:
                # One press closes the dialog in which Streamlit says that it lost the server. A stroke that was painted
                # already changes nothing.
                stroke(page, (u, v), (u + 0.03, v))
        assert 0 < acknowledged < 60
        wait_saved(page, 90)
        labels = on_disk(label_set)
        assert (labels != 255).sum() > 4000
        shown = page.evaluate(
            """async (address) => {
              const blob = await (await fetch(address, { cache: "no-store" })).blob();
              const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
              const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
              context.drawImage(bitmap, 0, 0);
              const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
              return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
            }""",
            f"/lab/labels/{label_set.slug}/{next(iter(label_set.images))}",
        )
        assert np.array_equal(np.array(shown, np.uint8).reshape(SIZE), labels)
        spots = [(int((0.06 + 0.09 * (n // 10)) * 128), int((0.075 + 0.09 * (n % 10)) * 256)) for n in range(100)]
        ids = [patch["id"] for patch in patches]
        lost = [number for number, (y, x) in enumerate(spots) if labels[y, x] != 0]
        assert lost == [], f"strokes that are lost, of {len(set(ids))} that were acknowledged"
        assert len(set(ids)) >= 100, "a stroke was neither acknowledged nor kept"
        assert np.array_equal(labels, replayed(patches))
        figure(f"{len(set(ids))} strokes acknowledged, the server killed after {acknowledged}")
    finally:
        server.kill()
        server.wait()
