"""Film the way from the first page to three masks side by side, as README's film: `make film`.

A fresh lab in an empty folder is filmed as a newcomer sees it: the three families are trained for a minute each, shown
thirteen times as fast, then their masks are compared at about the speed of a hand. Prints what the way took.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page

from tests.browser.conftest import ROOT
from tests.browser.screens import masks, settle

FILM = ROOT / "docs" / "images" / "path.webm"
SIZE = (1280, 800)
SHOWN = (960, 600)
PER_SECOND = 6
EVERY_S = 13 / PER_SECOND
"""Between two frames while the networks learn."""
PATIENCE_S = 900
HOVER = np.linspace([0.08, 0.9], [0.9, 0.35], 40)


@contextmanager
def camera(page: Page) -> Iterator[Callable[[int], None]]:
    """Yield `take(n)`, which adds the page as it is to the film, n frames long."""
    codec = cv2.VideoWriter_fourcc(*"VP90")  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(FILM), codec, PER_SECOND, SHOWN)

    def take(frames: int = 1) -> None:
        shot = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        for _ in range(frames):
            writer.write(cv2.resize(shot, SHOWN, interpolation=cv2.INTER_AREA))

    try:
        yield take
    finally:
        writer.release()


def test_film(browser: Browser, serve_app: Callable[..., str], tmp_path: Path) -> None:
    places = ("CHECKPOINTS", "DATA", "CACHE")
    address = serve_app(ROOT / "app" / "main.py", {f"SEGLAB_{place}": str(tmp_path / place) for place in places})
    page = browser.new_context(viewport=dict(zip(("width", "height"), SIZE, strict=True))).new_page()
    page.goto(address)
    settle(page)
    page.wait_for_timeout(2000)
    with camera(page) as take:
        take(2 * PER_SECOND)
        page.get_by_role("button", name="Train all three").click()
        began = time.monotonic()
        link = page.get_by_role("link", name="Compare their masks")
        while time.monotonic() - began < PATIENCE_S:
            take()
            page.wait_for_timeout(1000 * EVERY_S)
            finished = page.get_by_text("finished", exact=True).count()
            if finished >= 3:
                break
        print(f"\nfrom the press to three finished runs: {time.monotonic() - began:.0f} s")
        assert finished >= 3
        take(PER_SECOND)
        link.first.click()
        for _ in range(PER_SECOND):
            take()
        masks(page)
        print(f"to their masks side by side: {time.monotonic() - began:.0f} s")
        box = page.locator(".viewer canvas").nth(1).bounding_box()
        assert box
        for across, along in HOVER:
            page.mouse.move(box["x"] + across * box["width"], box["y"] + along * box["height"])
            page.wait_for_timeout(50)
            take()
        take(2 * PER_SECOND)
    print(f"{FILM}: {FILM.stat().st_size / 1e6:.1f} MB")
