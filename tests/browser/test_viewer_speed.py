"""How quick the viewer is at 2048x1024: a test that prints its figures, and asserts only what a busy machine can't change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from app.shared import script_address

if TYPE_CHECKING:
    from playwright.sync_api import Page

HEIGHT, WIDTH, CLASSES = 1024, 2048, 19

ENTRY = """
from pathlib import Path
import streamlit as st
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from app.routes import ROUTES

here = Path(__file__).parent
images = Mount("/images", app=StaticFiles(directory=here / "images"))
app = st.App(str(here / "script.py"), routes=[images, *ROUTES])
"""

SCRIPT = """
import streamlit as st
from app.viewer import Edit, Panel, viewer

st.set_page_config(layout="wide")
count = int(st.query_params.get("count", "3"))
frame = st.segmented_control("Frame", ["0", "1"], default="0", required=True)
panels = [Panel(f"Panel {n}", f"/images/{frame}-{n}.png", "/images/confidence.png", is_truth=n == 0) for n in range(count)]
colors = [(n * 13, 255 - n * 13, n * 40 % 256) for n in range(19)]
edit = Edit("/images/nowhere", "0-0") if "edit" in st.query_params else None
viewer(f"/images/photo{frame}.jpg", panels, [f"class {n}" for n in range(19)], colors, key="viewer", edit=edit)
"""

# Frames a second while a change is made before each of 60 frames. The wheel zooms about a wandering point, which pans too.
FRAMES = """async (change) => {
    const stage = window.findViewer(".stage");
    const box = stage.getBoundingClientRect();
    const slider = window.findViewer("input[type=range]");
    const act = {
        pan: (i) => stage.dispatchEvent(new WheelEvent("wheel", { deltaY: i % 2 ? -30 : 30, ctrlKey: true, cancelable: true,
            clientX: box.x + 100 + i, clientY: box.y + 60 })),
        opacity: (i) => { slider.value = String(i % 100); slider.dispatchEvent(new Event("input")); },
        paint: (i) => stage.dispatchEvent(new PointerEvent(i ? "pointermove" : "pointerdown", { bubbles: true, buttons: 1,
            isPrimary: true, pointerId: 1, pointerType: "mouse", clientX: box.x + 100 + 3 * i, clientY: box.y + 60 + i })),
    }[change];
    const begin = performance.now();
    for (let i = 0; i < 60; i++) { act(i); await new Promise(requestAnimationFrame); }
    return 60_000 / (performance.now() - begin);
}"""
# Milliseconds between a stroke's step and the end of the frame that shows it: the median of 31.
LATENCY = """async () => {
    const stage = window.findViewer(".stage");
    const box = stage.getBoundingClientRect();
    const times = [];
    for (let i = 0; i < 31; i++) {
        const begin = performance.now();
        stage.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, buttons: 1, isPrimary: true, pointerId: 1,
            pointerType: "mouse", clientX: box.x + 300 - 5 * i, clientY: box.y + 130 + i }));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        times.push(performance.now() - begin);
    }
    return times.sort((a, b) => a - b)[15];
}"""

FIND = """window.findViewer = (what) => {
    const search = (root) => {
        const found = root.querySelector(what);
        if (found) return found;
        for (const node of root.querySelectorAll("*")) {
            const deeper = node.shadowRoot && search(node.shadowRoot);
            if (deeper) return deeper;
        }
        return null;
    };
    return search(document);
}"""

# Median milliseconds of one call, the handlers' own work; the frame that follows is counted above.
MOMENTS = """(change) => {
    const stage = window.findViewer(".stage");
    const box = stage.getBoundingClientRect();
    const entry = window.findViewer(".entry");
    const times = [];
    for (let i = 0; i < 31; i++) {
        const begin = performance.now();
        if (change === "toggle") entry.click();
        else stage.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, pointerType: "mouse",
            clientX: box.x + 20 + 5 * i, clientY: box.y + 40 }));
        times.push(performance.now() - begin);
    }
    return times.sort((a, b) => a - b)[15];
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve_app: Callable[..., str]) -> tuple[str, np.ndarray]:
    """The app's address, and the first label map of its first frame."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("speed")
    images = folder / "images"
    images.mkdir()
    first = None
    for frame in range(2):
        coarse = rng.integers(0, 256, (HEIGHT // 32, WIDTH // 32, 3), dtype=np.uint8)
        cv2.imwrite(str(images / f"photo{frame}.jpg"), cv2.resize(coarse, (WIDTH, HEIGHT)))
        for index in range(8):
            blocks = rng.integers(0, CLASSES, (HEIGHT // 32, WIDTH // 32), dtype=np.uint8)
            labels = blocks.repeat(32, axis=0).repeat(32, axis=1)
            labels[:256, :256] = np.arange(256)  # every byte there is
            first = labels if first is None else first
            cv2.imwrite(str(images / f"{frame}-{index}.png"), labels)
    cv2.imwrite(str(images / "confidence.png"), cv2.resize(coarse[..., 0], (WIDTH, HEIGHT)))
    (folder / "script.py").write_text(SCRIPT)
    (folder / "entry.py").write_text(ENTRY)
    return serve_app(folder / "entry.py"), first


def show(page: Page, url: str, count: int) -> None:
    page.goto(f"{url}/?count={count}")
    page.wait_for_selector(".viewer[data-ready=true]", timeout=60_000)
    page.evaluate(FIND)


@pytest.mark.campaign
def test_speed_at_full_size_with_no_request(page: Page, served: tuple[str, np.ndarray], figure) -> None:
    url, _ = served
    show(page, url, 3)
    page.reload()
    page.wait_for_selector(".viewer[data-ready=true]", timeout=60_000)
    page.evaluate(FIND)
    figures = {"first paint, warm, s": page.evaluate("performance.now() / 1000")}
    traffic: list[str] = []
    page.on("request", lambda request: traffic.append(request.url))
    for change in ("pan", "opacity"):
        figures[f"{change}, frames/s"] = page.evaluate(FRAMES, change)
    for change in ("hover", "toggle"):
        figures[f"{change}, ms"] = page.evaluate(MOMENTS, change)
    assert traffic == []
    page.locator(".grid").press("+")
    scale = page.locator(".viewer").get_attribute("data-scale")
    begin = page.evaluate("performance.now()")
    page.get_by_text("1", exact=True).first.click()
    page.wait_for_function(
        "() => window.findViewer('.viewer').dataset.ready === 'false' || performance.now() > " + str(begin + 3000)
    )
    page.wait_for_selector(".viewer[data-ready=true]")
    figures["swap, s"] = (page.evaluate("performance.now()") - begin) / 1000
    assert page.locator(".viewer").get_attribute("data-scale") == scale != "1.00"
    show(page, url, 8)
    figures["pan of eight, frames/s"] = page.evaluate(FRAMES, "pan")
    page.goto(f"{url}/?count=1&edit=1")
    page.wait_for_selector(".viewer[data-ready=true][data-tool=brush]", timeout=60_000)
    page.evaluate(FIND)
    figures["paint, frames/s"] = page.evaluate(FRAMES, "paint")
    figures["paint to picture, ms"] = page.evaluate(LATENCY)
    figure("; ".join(f"{name}: {value:.2f}" for name, value in figures.items()))
    assert all(np.isfinite(value) and value > 0 for name, value in figures.items() if name != "hover, ms")


def test_label_maps_decode_bit_for_bit(page: Page, served: tuple[str, np.ndarray]) -> None:
    url, labels = served
    page.goto(f"{url}/?count=1")
    digest = page.evaluate(
        """async (address) => {
            const { decodeMap } = await import(address);
            const map = await decodeMap("/images/0-0.png");
            const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", map.values));
            return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        }""",
        script_address("viewer/images.js"),
    )
    assert digest == hashlib.sha256(labels.tobytes()).hexdigest()
