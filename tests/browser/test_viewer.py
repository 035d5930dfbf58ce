"""The mask viewer in a real Chromium: what it reads, draws, keeps and asks for, over images made here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from app.viewer import Panel, viewer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

HEIGHT, WIDTH, BLOCK = 128, 256, 16
CLASSES = ["road", "building", "pole", "sky"]
COLORS = [(128, 64, 128), (70, 70, 70), (153, 153, 153), (70, 130, 180)]
GRAY = 200  # the image is one flat gray
LOST = "This mask could not be loaded. Reload the page; if it stays away, the run's folder may have been deleted."

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
import json
from pathlib import Path
import streamlit as st
from app.viewer import Panel, viewer

st.set_page_config(layout="wide")
given = json.loads((Path(__file__).parent / "setups.json").read_text())
setup = given["setups"][st.radio("Setup", list(given["setups"]), key="setup", bind="query-params", horizontal=True)]
if setup:
    panels = [Panel(**panel) for panel in setup["panels"]]
    picked = st.session_state.setdefault("picked", [])
    picking = {"picked": picked[-1] if picked else (0.25, 0.5), "on_pick": picked.append} if setup.get("pick") else {}
    viewer(setup["image"], panels, given["classes"], given["colors"], key="viewer", aspect=setup["aspect"], **picking)
    if setup.get("pick"):
        st.text("picked: " + json.dumps(picked))
st.html("<div style='height: 1500px'>something to scroll to</div>")
"""


@dataclass(frozen=True)
class Served:
    """The served app, and the arrays behind its images."""

    url: str
    truth: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    half: np.ndarray


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve_app: Callable[..., str]) -> Served:
    """An app with one setup per case: an image of one gray, and label maps of random 16x16 blocks."""
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("viewer")
    (folder / "images").mkdir()

    def blocks(values: list[int]) -> np.ndarray:
        return rng.choice(values, (HEIGHT // BLOCK, WIDTH // BLOCK)).astype(np.uint8)

    def enlarged(small: np.ndarray) -> np.ndarray:
        return small.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)

    truth = enlarged(blocks([0, 1, 2, 3, 255]))
    labels = np.where(enlarged(rng.random((HEIGHT // BLOCK, WIDTH // BLOCK)) < 0.5), truth, enlarged(blocks([0, 1, 2])))
    labels[truth == 255] = 0  # a network always answers
    half = labels[::2, ::2]
    confidence = rng.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    images = {"truth": truth, "labels": labels, "confidence": confidence, "half": half}
    images |= {"two": (truth == 1).astype(np.uint8), "heat": np.arange(WIDTH, dtype=np.uint8)[None].repeat(HEIGHT, 0)}
    ranks = np.zeros((HEIGHT, 5, 2, WIDTH), np.uint8)  # two classes a pixel, and nothing at the last three ranks
    ranks[:, :, 0] = 255
    ranks[:, 0] = np.stack([labels, confidence], axis=1)
    ranks[:, 1] = np.stack([(labels + 1) % 4, 255 - confidence], axis=1)
    images |= {"entropy": 255 - confidence, "likeliest": ranks.reshape(-1, WIDTH)}
    images |= {"flat": np.full((HEIGHT, WIDTH), GRAY, np.uint8), "square": np.full((HEIGHT, HEIGHT), GRAY, np.uint8)}
    for name, image in images.items():
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image)

    def panel(title: str, labels: str, **more: str | bool | float) -> dict[str, str | bool | float]:
        return {"title": title, "labels": f"/images/{labels}.png", **more}

    truth_panel = panel("Ground truth", "truth", is_truth=True)
    unet = panel("U-Net", "labels", confidence="/images/confidence.png", color="#1c7ed6", subtitle="mIoU 0.54")
    flat = {"image": "/images/flat.png", "aspect": 2}
    judged = panel("U-Net", "labels", confidence="/images/confidence.png")
    judged |= {"entropy": "/images/entropy.png", "likeliest": "/images/likeliest.png"}
    setups = {
        "judged": {
            **flat,
            "pick": True,
            "panels": [truth_panel, judged, panel("Half size", "half", likeliest="/images/nowhere.png")],
        },
        "three": {**flat, "panels": [truth_panel, unet, panel("Half size", "half")]},
        "other": {**flat, "panels": [truth_panel, panel("ViT", "labels")]},
        "two classes": {**flat, "panels": [panel("Road and building", "two")]},
        "square": {"image": "/images/square.png", "aspect": 1, "panels": [panel("Square", "labels")]},
        "lost": {**flat, "panels": [truth_panel, panel("Deleted run", "nowhere")]},
        "coming": {**flat, "panels": [truth_panel, {"title": "Slow run", "labels": None}]},
        "no image": {"image": "/images/nowhere.png", "aspect": 2, "panels": [truth_panel]},
        "heat": {
            **flat,
            "pick": True,
            "panels": [unet, panel("Heat", "heat", heat=True, low=-2.0, high=8.0, power=2.0)],
        },
        "only heat": {**flat, "panels": [panel("Alone", "heat", heat=True)]},
        "nothing": None,
    }
    (folder / "setups.json").write_text(json.dumps({"classes": CLASSES, "colors": COLORS, "setups": setups}))
    (folder / "script.py").write_text(SCRIPT)
    (folder / "entry.py").write_text(ENTRY)
    return Served(serve_app(folder / "entry.py"), truth, labels, confidence, half)


page_errors: list[Exception] = []


@pytest.fixture(autouse=True)
def no_page_errors() -> Iterator[None]:
    """An uncaught error in the page's scripts fails the test that met it."""
    page_errors.clear()
    yield
    assert page_errors == []


def show(page: Page, served: Served, setup: str) -> Locator:
    """Open the app at `setup` and return its viewer, painted."""
    page.on("pageerror", lambda error: page_errors.append(error))
    page.goto(f"{served.url}/?setup={setup}")
    page.wait_for_selector(".viewer[data-ready=true]", timeout=30_000)
    return page.locator(".viewer")


def choose(page: Page, setup: str, title: str) -> None:
    """Pick another setup in the app: new data under the same key. `title` is a panel that only it has."""
    page.get_by_text(setup, exact=True).click()
    page.locator(".title", has_text=title).wait_for()
    page.wait_for_selector(".viewer[data-ready=true]")


def point_at(page: Page, x: float, y: float, panel: int = 0) -> None:
    """Move the mouse to the middle of pixel (x, y) of an unzoomed image."""
    box = page.locator(".stage").nth(panel).bounding_box()
    page.mouse.move(box["x"] + (x + 0.5) / WIDTH * box["width"], box["y"] + (y + 0.5) / HEIGHT * box["height"])


def pixel(page: Page, x: int, y: int, panel: int = 0) -> list[int]:
    """RGB drawn at the middle of the image's pixel (x, y), unzoomed."""
    script = """(canvas, [u, v]) => {
        const [x, y] = [Math.floor(u * canvas.width), Math.floor(v * canvas.height)];
        return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
    }"""
    return page.locator("canvas").nth(panel).evaluate(script, [(x + 0.5) / WIDTH, (y + 0.5) / HEIGHT])


def pixels(stage: Locator) -> str:
    """Everything drawn in one panel, as a data URL."""
    return stage.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")


def set_opacity(page: Page, percent: int) -> None:
    page.get_by_label("Opacity of the labels").fill(str(percent))
    next_frame(page)


def next_frame(page: Page) -> None:
    """Drawing waits for the next animation frame; so does this."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def middle_of(labels: np.ndarray, value: int) -> tuple[int, int]:
    """(x, y) in the middle of a block of this class."""
    y, x = np.argwhere(labels[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK] == value)[0] * BLOCK + BLOCK // 2
    return int(x), int(y)


def test_hover_reads_every_map_exactly(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    rng = np.random.default_rng(1)
    wrong_predictions = 0
    for _ in range(40):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        point_at(page, x, y, panel=int(rng.integers(3)))
        true, label, half = int(served.truth[y, x]), int(served.labels[y, x]), int(served.half[y // 2, x // 2])
        sure = int(served.confidence[y, x] / 2.55 + 0.5)
        marks = [" ≠" if true != 255 and true != response else "" for response in (label, half)]
        wrong_predictions += bool(marks[0])
        assert root.get_attribute("data-hover") == (
            f"Ground truth: truth: {'not labelled' if true == 255 else CLASSES[true]}; "
            f"U-Net: {CLASSES[label]} {sure} %{marks[0]}; Half size: {CLASSES[half]}{marks[1]}"
        )
    assert 0 < wrong_predictions < 40


def test_read_out_is_shown_under_the_titles_and_moves_nothing(page: Page, served: Served) -> None:
    show(page, served, "three")
    boxes = """(root) => [...root.querySelectorAll(".stage, .entry, .legend-head, .bar")]
        .map((element) => JSON.stringify(element.getBoundingClientRect()))"""
    before = page.locator(".viewer").evaluate(boxes)
    x, y = np.argwhere((served.truth != served.labels) & (served.truth != 255))[0][::-1]
    point_at(page, x, y)
    read_out = page.locator(".readout").nth(1)
    assert re.fullmatch(rf"{CLASSES[served.labels[y, x]]} \d+\s%≠", read_out.inner_text().replace("\n", ""))
    color = read_out.locator(".swatch").evaluate("(swatch) => getComputedStyle(swatch).backgroundColor")
    assert color == "rgb({}, {}, {})".format(*COLORS[served.labels[y, x]])
    assert page.locator(".cross:not([hidden])").count() == 3
    assert page.locator(".viewer").evaluate(boxes) == before
    page.mouse.move(2, 2)
    assert page.locator(".viewer").get_attribute("data-hover") == ""
    assert page.locator(".cross:not([hidden])").count() == 0


def test_opacity_mixes_class_color_and_image(page: Page, served: Served) -> None:
    show(page, served, "three")
    positions = {value: middle_of(served.truth, value) for value in range(4)}
    for percent in (0, 50, 100):
        set_opacity(page, percent)
        for value, folder in positions.items():
            mixed = (1 - percent / 100) * GRAY + percent / 100 * np.array(COLORS[value])
            assert np.abs(pixel(page, *folder) - mixed).max() <= 1.5, (percent, CLASSES[value])
        assert pixel(page, *middle_of(served.truth, 255)) == [GRAY] * 3  # ignored pixels show the image


def test_class_buttons_hide_isolate_and_restore(page: Page, served: Served) -> None:
    show(page, served, "three")
    set_opacity(page, 100)
    pole, road = middle_of(served.labels, 2), middle_of(served.labels, 0)
    button = page.locator(".entry[data-class=pole]")

    def seen() -> tuple[bool, bool]:
        next_frame(page)
        return pixel(page, *pole, panel=1) == list(COLORS[2]), pixel(page, *road, panel=1) == list(COLORS[0])

    assert seen() == (True, True)
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert seen() == (False, True)
    button.click()
    button.dblclick()
    assert seen() == (True, False)
    page.get_by_role("button", name="Show all classes").click()
    assert seen() == (True, True)
    button.press("o")
    assert seen() == (True, False)


def test_a_class_seen_alone_stays_alone_in_the_next_image(page: Page, served: Served) -> None:
    show(page, served, "two classes")
    page.locator(".entry[data-class=road]").dblclick()
    choose(page, "other", "ViT")
    pressed = {name: page.locator(f".entry[data-class={name}]").get_attribute("aria-pressed") for name in CLASSES}
    assert pressed == {"road": "true", "building": "false", "pole": "false", "sky": "false"}
    page.locator(".entry[data-class=road]").dblclick()
    assert page.locator(".entry[aria-pressed=true]").count() == len(CLASSES)


def test_legend_lists_the_classes_present_with_their_shares(page: Page, served: Served) -> None:
    show(page, served, "three")
    labelled = served.truth[served.truth != 255]

    def shares() -> list[str]:
        return [text.replace("\xa0", " ") for text in page.locator(".entry .figure").all_inner_texts()]

    assert page.locator(".entry .name").all_inner_texts() == CLASSES
    assert shares() == [f"{(labelled == value).mean() * 100:.1f} %" for value in range(4)]
    point_at(page, 5, 5, panel=1)
    assert page.locator(".legend-title").inner_text() == "Share of pixels: U-Net"
    assert shares()[2] == f"{(served.labels == 2).mean() * 100:.1f} %"
    rows = page.locator(".shares tbody tr")  # for readers of the screen, and for all who open it
    assert rows.count() == len(CLASSES)
    pole = rows.nth(2).locator("td").all_text_contents()
    shares_of_pole = [(labels == 2).mean() for labels in (labelled, served.labels, served.half)]
    assert [text.replace("\xa0", " ") for text in pole] == [f"{share * 100:.1f} %" for share in shares_of_pole]


def test_outlines_leave_the_inside_of_a_block_clear(page: Page, served: Served) -> None:
    show(page, served, "three")
    set_opacity(page, 100)
    folder = middle_of(served.truth, 2)
    page.get_by_role("button", name="Outlines").click()
    next_frame(page)
    assert pixel(page, *folder) == [GRAY] * 3
    same = served.truth[:, :-1] == served.truth[:, 1:]
    y, x = np.argwhere(~same & (served.truth[:, :-1] == 2))[BLOCK // 2]
    assert pixel(page, int(x), int(y)) != [GRAY] * 3


def test_zoom_is_shared_and_kept_when_the_data_change(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    set_opacity(page, 100)
    x, y = middle_of(served.labels, 2)
    point_at(page, x, y, panel=1)
    for _ in range(6):
        page.mouse.wheel(0, -400)
    page.mouse.wheel(0, 150)  # down, where the page does have room to scroll
    page.wait_for_timeout(300)
    scale = root.get_attribute("data-scale")
    assert 20 < float(scale) < 40
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0  # the page stayed
    assert f"U-Net: {CLASSES[2]}" in root.get_attribute("data-hover")  # the pixel stayed under the pointer
    for panel in (1, 2):  # one block fills both panels
        assert pixel(page, x, y, panel) == pixel(page, x - 9, y - 5, panel) == list(COLORS[2])

    page.locator(".entry[data-class=sky]").click()
    choose(page, "other", "ViT")
    assert root.get_attribute("data-scale") == scale
    assert root.get_attribute("data-opacity") == "1.00"
    assert page.locator(".entry[data-class=sky]").get_attribute("aria-pressed") == "false"
    assert page.locator(".panel").count() == 2

    choose(page, "square", "Square")  # other proportions: the old place means nothing
    assert root.get_attribute("data-scale") == "1.00"
    box = page.locator(".stage").bounding_box()
    assert abs(box["width"] / box["height"] - 1) < 0.01


def test_a_zoomed_mask_has_hard_edges(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    set_opacity(page, 100)
    point_at(page, 128, 64, panel=1)
    page.mouse.wheel(0, -800)
    next_frame(page)
    assert float(root.get_attribute("data-scale")) > 1.5
    colors = """(canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [...new Set(new Uint32Array(data.buffer))].map((word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255]);
    }"""
    seen = {tuple(color) for color in page.locator("canvas").nth(1).evaluate(colors)}
    assert len(seen) > 1
    assert seen <= set(COLORS)  # no mixture of two neighbours


def test_keys_drag_and_double_click_move_the_view(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    grid = page.locator(".grid")
    grid.press("+")
    assert root.get_attribute("data-scale") == "1.50"
    grid.press("0")
    assert root.get_attribute("data-scale") == "1.00"
    point_at(page, 128, 64)
    box = page.locator(".stage").first.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.dblclick(*middle)
    assert root.get_attribute("data-scale") == "3.00"
    page.mouse.move(*middle)
    page.mouse.down()
    x, y = WIDTH // 2 + 24, HEIGHT // 2 + 8  # to be drawn to the middle of the frame; 3 is the zoom
    across, along = 24.5 * 3 / WIDTH * box["width"], 8.5 * 3 / HEIGHT * box["height"]
    page.mouse.move(middle[0] - across, middle[1] - along, steps=5)
    page.mouse.up()
    page.mouse.move(*middle)
    read = re.search(rf"U-Net: {CLASSES[served.labels[y, x]]} (\d+) %", root.get_attribute("data-hover"))
    near = served.confidence[y - 1 : y + 2, x - 1 : x + 2]  # browsers cut a double click's position to whole pixels
    assert read and int(read[1]) in (near / 2.55 + 0.5).astype(int)
    grid.press("ArrowRight")
    page.get_by_role("button", name="Show the whole image").click()
    assert root.get_attribute("data-scale") == "1.00"
    assert page.get_by_role("button", name="Show the whole image").is_disabled()


def test_nothing_is_asked_of_the_server(page: Page, served: Served) -> None:
    traffic: list[str] = []
    page.on("request", lambda request: traffic.append(request.url))
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: traffic.append("websocket frame")))
    show(page, served, "three")
    page.wait_for_timeout(500)
    assert any("/images/" in url for url in traffic) and "websocket frame" in traffic
    traffic.clear()
    for x in range(0, WIDTH, 16):
        point_at(page, x, 40)
    page.mouse.wheel(0, -300)
    page.locator(".entry").first.click()
    page.get_by_role("button", name="Outlines").click()
    set_opacity(page, 20)
    page.wait_for_timeout(500)
    # Chromium looks for the page's icon again when the address changes.
    assert [url for url in traffic if not url.endswith("/favicon.png")] == []


def test_two_panels_are_as_large_as_the_window_lets_them_be(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 1440, "height": 1100})
    root = show(page, served, "other")
    first, second = (page.locator(".stage").nth(index).bounding_box() for index in range(2))
    assert first["x"] == second["x"] and second["y"] > first["y"], "one above the other they are larger"
    assert second["y"] + second["height"] < 1100, "both are seen without scrolling"
    page.set_viewport_size({"width": 1440, "height": 560})
    page.wait_for_selector(".viewer[data-columns='2']")
    first, second = (page.locator(".stage").nth(index).bounding_box() for index in range(2))
    assert first["y"] == second["y"] and root.bounding_box()["width"] > 1200


def test_a_tapped_pixel_keeps_its_cross_when_the_phone_is_turned(phone: Page, served: Served) -> None:
    show(phone, served, "other")
    stage = phone.locator(".stage").first
    box = stage.bounding_box()
    phone.touchscreen.tap(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    phone.set_viewport_size({"width": 844, "height": 390})
    phone.wait_for_selector(".viewer[data-columns='2']")
    cross, turned = phone.locator(".cross").first.bounding_box(), stage.bounding_box()
    assert abs(turned["width"] - box["width"]) > 10
    assert (cross["x"] - turned["x"]) / turned["width"] == pytest.approx(0.75, abs=0.01)


def test_controls_can_be_used_while_images_load(page: Page, served: Served) -> None:
    page.route("**/images/labels.png", lambda _: None)  # never answered
    page.on("pageerror", lambda error: page_errors.append(error))
    page.goto(f"{served.url}/?setup=three")
    page.locator(".panel.ready").first.wait_for()
    assert page.get_by_role("button", name="Show all classes").is_disabled()
    page.get_by_role("button", name="Outlines").click()
    page.get_by_role("button", name="Zoom in").click()
    point_at(page, 128, 64, panel=1)
    hover = page.locator(".viewer").get_attribute("data-hover")
    assert hover.startswith("Ground truth: truth: ") and "U-Net" not in hover


def test_a_missing_mask_is_said_in_its_panel_only(page: Page, served: Served) -> None:
    root = show(page, served, "lost")
    assert page.locator(".message:visible").all_inner_texts() == [LOST]
    point_at(page, *middle_of(served.truth, 3))
    assert root.get_attribute("data-hover") == "Ground truth: truth: sky"


def test_a_panel_whose_labels_are_to_come_shows_the_image_and_is_not_judged(page: Page, served: Served) -> None:
    root = show(page, served, "coming")
    assert page.locator(".message:visible").count() == 0
    x, y = middle_of(served.truth, 3)
    assert pixel(page, x, y, panel=1) == [GRAY] * 3
    point_at(page, x, y, panel=1)
    assert root.get_attribute("data-hover") == "Ground truth: truth: sky"
    page.get_by_label("What is laid over the image").select_option("error")
    next_frame(page)
    assert pixel(page, x, y, panel=1) == [GRAY] * 3
    assert "wrong" not in page.locator(".panel").nth(1).inner_text()
    choose(page, "three", "U-Net")
    assert pixel(page, x, y, panel=1) != [GRAY] * 3


def test_a_missing_image_is_said(page: Page, served: Served) -> None:
    show(page, served, "no image")
    assert page.locator(".message:visible").inner_text().startswith("The image could not be loaded.")


def test_it_can_leave_the_page_and_come_back(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    page.get_by_text("nothing", exact=True).click()
    root.wait_for(state="detached")
    choose(page, "other", "ViT")
    assert page.locator(".viewer").count() == 1


def test_a_script_that_does_not_load_is_a_sentence(page: Page, served: Served) -> None:
    page.route("**/lab/static/*/viewer/maps.js", lambda route: route.abort())
    page.goto(f"{served.url}/?setup=three")
    page.get_by_role("alert").get_by_text("could not be loaded").wait_for(timeout=30_000)
    assert page.locator(".viewer").count() == 0


def test_data_that_change_before_the_scripts_arrive_are_shown_alone(page: Page, served: Served) -> None:
    held = []
    page.route("**/lab/static/*/viewer/maps.js", lambda route: held.append(route))
    page.on("pageerror", lambda error: page_errors.append(error))
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url.rpartition("/")[2]))
    page.goto(f"{served.url}/?setup=three")
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.get_by_text("square", exact=True).click()
    page.wait_for_function("location.search.includes('square')")
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.wait_for_timeout(500)
    for route in held:
        route.continue_()
    page.wait_for_selector(".viewer[data-ready=true]")
    assert page.locator(".title").all_inner_texts() == ["Square"]
    assert "truth.png" not in fetched


def test_phone(phone: Page, served: Served) -> None:
    root = show(phone, served, "three")
    assert root.get_attribute("data-columns") == "1"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    stage = phone.locator(".stage").first
    box = stage.bounding_box()
    assert box["width"] > 340
    assert stage.locator("canvas").evaluate("(canvas) => canvas.width") == round(box["width"] * 2)  # sharp

    x, y = middle_of(served.truth, 1)
    phone.touchscreen.tap(box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"])
    assert root.get_attribute("data-hover").startswith("Ground truth: truth: building; U-Net: ")

    touch = phone.context.new_cdp_session(phone)
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}

    def drag_up(distance: int) -> float:
        """Draw one finger up from the image's middle; how far the page has scrolled then, in CSS pixels."""
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [middle]})
        for step in range(1, 11):
            moved = {**middle, "y": middle["y"] - distance * step / 10}
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        next_frame(phone)
        return phone.evaluate("document.querySelector('[data-testid=stMain]').scrollTop")

    touch.send("Input.synthesizePinchGesture", {**middle, "scaleFactor": 2.5, "gestureSourceType": "touch"})
    assert float(root.get_attribute("data-scale")) > 1.8
    before = pixels(stage)
    assert drag_up(60) == 0  # zoomed in, one finger moves the image
    assert pixels(stage) != before
    phone.get_by_role("button", name="Show the whole image").click()
    next_frame(phone)
    assert drag_up(120) > 50  # the whole image in view, one finger scrolls the page
    assert root.get_attribute("data-scale") == "1.00"


@pytest.mark.parametrize(
    ("count", "classes", "colors", "message"),
    [(0, 1, 1, "panels: 0"), (9, 1, 1, "panels: 9"), (1, 2, 1, "colors: 1"), (1, 256, 256, "classes: 256")],
)
def test_impossible_calls_are_refused(count: int, classes: int, colors: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        viewer("/image", [Panel("U-Net", "/mask")] * count, ["a"] * classes, [(0, 0, 0)] * colors, key="viewer")


# ---- heat maps


def test_a_heat_map_reads_its_values_and_is_no_class(page: Page, served: Served) -> None:
    root = show(page, served, "heat")
    assert page.locator(".scale:visible").all_inner_texts() == ["−2\n8"]
    for x in (0, 100, 255):
        point_at(page, x, 40, panel=1)
        value = float(f"{-2 + 10 * (x / 255) ** 2:.3g}")
        message = root.get_attribute("data-hover").split("; ")
        assert message[0].startswith(f"U-Net: {CLASSES[served.labels[40, x]]}")
        assert float(message[1].removeprefix("Heat: ").replace("−", "-")) == value
    assert page.locator(".scale:visible").count() == 0
    assert page.locator(".legend-title").inner_text() == "Share of pixels: U-Net"
    assert page.locator(".entry").count() == len(np.unique(served.labels))


def test_a_heat_map_gets_lighter_evenly_with_its_values(page: Page, served: Served) -> None:
    show(page, served, "heat")
    set_opacity(page, 100)
    page.get_by_role("button", name="Outlines").click()
    page.locator(".entry[data-class=road]").click()  # neither concerns a heat map
    next_frame(page)
    colors = np.array([pixel(page, x, 64, panel=1) for x in range(0, WIDTH, 5)], dtype=np.uint8)
    lightness = cv2.cvtColor((colors / 255).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0, :, 0]
    steps = np.diff(lightness)
    assert lightness[0] < 15 and lightness[-1] > 90
    assert steps.min() > 0.4 * steps.mean() and steps.max() < 2 * steps.mean()
    set_opacity(page, 50)
    assert np.abs(np.array(pixel(page, 100, 64, panel=1)) - (colors[20] / 2 + GRAY / 2)).max() <= 1.5


def test_heat_maps_alone_have_no_legend_and_no_outlines(page: Page, served: Served) -> None:
    show(page, served, "only heat")
    assert page.locator(".scale:visible").inner_text() == "0\n1"
    assert not page.locator(".legend-head").is_visible() and not page.locator(".legend").is_visible()
    assert not page.get_by_role("button", name="Outlines").is_visible()
    choose(page, "three", "U-Net")
    assert page.locator(".legend-head").is_visible() and page.get_by_role("button", name="Outlines").is_visible()
    assert page.locator(".scale:visible").count() == 0


# ---- picking


def picked(page: Page) -> list[list[float]]:
    """The points that Python received, once its script has run."""
    page.wait_for_selector("[data-test-script-state=notRunning]")
    return json.loads(page.get_by_text("picked: ").inner_text().removeprefix("picked: "))


def pins(page: Page) -> list[tuple[float, float]]:
    """Where the picked point is marked in each panel, (u, v), unzoomed."""
    script = """(pins) => pins.map((pin) => {
        const [box, stage] = [pin.getBoundingClientRect(), pin.parentElement.getBoundingClientRect()];
        return [(box.x + box.width / 2 - stage.x) / stage.width, (box.y + box.height / 2 - stage.y) / stage.height];
    })"""
    return page.locator(".pin:not([hidden])").evaluate_all(script)


def test_a_click_tells_python_the_point_and_marks_it_in_every_panel(page: Page, served: Served) -> None:
    show(page, served, "heat")
    assert picked(page) == [], "nothing is sent before a click"
    assert np.allclose(pins(page), [(0.25, 0.5)] * 2, atol=0.01)
    box = page.locator(".stage").nth(1).bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    page.get_by_text("picked: [[0.7").wait_for()
    assert np.allclose(picked(page), [(0.75, 0.25)], atol=0.01)
    page.mouse.move(2, 2)
    assert np.allclose(pins(page), [(0.75, 0.25)] * 2, atol=0.01), "the mark lasts"
    assert page.locator(".cross:not([hidden])").count() == 0


def test_neither_a_drag_nor_the_second_click_picks(page: Page, served: Served) -> None:
    root = show(page, served, "heat")
    box = page.locator(".stage").first.bounding_box()
    middle = (box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.dblclick(*middle)
    assert root.get_attribute("data-scale") == "3.00"
    page.get_by_text("picked: [[0.").wait_for()
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1] - 20, steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    assert len(picked(page)) == 1
    page.mouse.click(*middle)  # zoomed: the point of the image, not of the frame
    page.wait_for_function("document.body.innerText.split('picked: ')[1].split('[').length === 4")
    u, v = picked(page)[1]
    assert u == pytest.approx(0.5 + 60 / 3 / box["width"], abs=0.01)
    assert v == pytest.approx(0.5 + 20 / 3 / box["height"], abs=0.01)


def test_enter_picks_the_middle(page: Page, served: Served) -> None:
    show(page, served, "heat")
    page.locator(".grid").press("Enter")
    page.get_by_text("picked: [[0.5, 0.5]]").wait_for()


def test_without_on_pick_a_click_is_not_sent(page: Page, served: Served) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    show(page, served, "three")
    page.wait_for_timeout(500)
    assert frames
    frames.clear()
    page.locator(".stage").first.click()
    page.locator(".grid").press("Enter")
    page.wait_for_timeout(500)
    assert frames == [] and page.locator(".pin:not([hidden])").count() == 3  # pinned in the browser alone


def test_a_tap_picks_and_a_scrolling_finger_does_not(phone: Page, served: Served) -> None:
    show(phone, served, "heat")
    box = phone.locator(".stage").first.bounding_box()
    touch = phone.context.new_cdp_session(phone)
    start = {"x": box["x"] + 0.5 * box["width"], "y": box["y"] + 0.5 * box["height"]}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 11):
        touch.send(
            "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{**start, "y": start["y"] - 12 * step}]}
        )
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    phone.wait_for_timeout(500)
    assert picked(phone) == []
    box = phone.locator(".stage").first.bounding_box()
    phone.touchscreen.tap(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"])
    phone.get_by_text("picked: [[0.").wait_for()
    assert np.allclose(picked(phone), [(0.6, 0.8)], atol=0.02)


# ---- modes and overlays


def show_mode(page: Page, served: Served, mode: str, setup: str = "three") -> Locator:
    """Open the app at `setup` in a mode named by the address."""
    root = show(page, served, f"{setup}&view={mode}")
    set_opacity(page, 100)
    return root


def overlay(page: Page, name: str) -> None:
    page.get_by_label("What is laid over the image").select_option(name)
    next_frame(page)


def folder_where(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) in the middle of a block all of whose pixels fulfil a condition."""
    y, x = np.argwhere(mask[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK])[0] * BLOCK + BLOCK // 2
    return int(x), int(y)


def test_right_wrong_and_unlabelled_pixels_have_three_colours(page: Page, served: Served) -> None:
    show(page, served, "three")
    set_opacity(page, 100)
    overlay(page, "error")
    known = served.truth != 255
    right = pixel(page, *folder_where(known & (served.truth == served.labels)), panel=1)
    wrong = pixel(page, *folder_where(known & (served.truth != served.labels)), panel=1)
    assert wrong == [213, 94, 0]
    assert right[2] > right[0] and right != [GRAY] * 3  # a blue tint that leaves the image visible
    assert pixel(page, *folder_where(~known), panel=1) == [40, 40, 40]
    share = (served.truth != served.labels)[known].mean()
    page.mouse.move(2, 2)
    message = page.locator(".readout").nth(1).inner_text().replace("\xa0", " ").strip()
    assert message == f"{share * 100:.1f} % wrong"
    assert page.locator(".meaning").all_inner_texts() == ["Right", "Wrong", "Not labelled"]


def test_the_band_shows_only_pixels_near_a_true_edge(page: Page, served: Served) -> None:
    show(page, served, "three")
    set_opacity(page, 100)
    overlay(page, "band")
    across = (
        (served.truth[:, 1:] != served.truth[:, :-1]) & (served.truth[:, 1:] != 255) & (served.truth[:, :-1] != 255)
    )
    y, x = np.argwhere(across & (served.truth[:, 1:] != served.labels[:, 1:]))[BLOCK // 2]
    assert pixel(page, int(x) + 1, int(y), panel=1) == [213, 94, 0]
    assert pixel(page, *folder_where(served.truth != served.labels), panel=1) == [GRAY] * 3  # 8 pixels from every edge


def test_a_difference_names_who_is_right(page: Page, served: Served) -> None:
    root = show_mode(page, served, "difference-1-2")
    assert root.get_attribute("data-mode") == "difference"
    known = served.truth != 255
    assert pixel(page, *folder_where(known & (served.truth == served.labels))) == [GRAY] * 3
    assert pixel(page, *folder_where(known & (served.truth != served.labels))) == [204, 121, 167]
    assert page.locator(".panel:visible").count() == 2 and page.locator("canvas").nth(2).is_hidden()


def test_swipe_shows_a_left_of_the_line_and_b_right_of_it(page: Page, served: Served) -> None:
    show_mode(page, served, "swipe-1-2")
    handle = page.get_by_role("slider", name="Share of the image that shows A")
    handle.press("Home")
    assert handle.get_attribute("aria-valuenow") == "0"
    box, line = page.locator(".stage").first.bounding_box(), handle.bounding_box()
    page.mouse.move(line["x"] + line["width"] / 2, line["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], line["y"] + 20, steps=3)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "75"
    clipped = page.locator(".stage").nth(1).evaluate("(stage) => getComputedStyle(stage).clipPath")
    assert float(re.search(r"([\d.]+)%", clipped)[1]) == pytest.approx(75, abs=0.5)


def test_the_mode_stands_in_the_address_beside_what_streamlit_keeps_there(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    page.get_by_role("button", name="Single").click()
    assert root.get_attribute("data-mode") == "single" and page.locator(".panel:visible").count() == 1
    page.wait_for_url(lambda url: "view=single-2-3" in url and "setup=three" in url)
    page.reload()
    page.wait_for_selector(".viewer[data-mode=single][data-ready=true]")
    page.locator(".grid").press("b")
    page.wait_for_url(lambda url: "view=" not in url and "setup=three" in url)


def test_a_reload_and_another_tab_show_the_same_view(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    point_at(page, 128, 64)
    page.mouse.down()
    page.mouse.up()
    page.locator(".grid").press("+")
    page.locator(".grid").press("ArrowRight")
    set_opacity(page, 30)
    page.get_by_role("button", name="Safe colours").click()
    page.locator(".entry[data-class=sky]").click()
    page.get_by_label("What is laid over the image").select_option("error")
    page.wait_for_url(
        lambda url: all(name in url for name in ("zoom=1.5_", "pin=", "opacity=30", "hide=3", "show=error"))
    )

    def state(each: Page) -> list:
        drawn = [pixels(each.locator(".stage").nth(index)) for index in range(3)]
        names = ("data-scale", "data-opacity", "data-overlay")
        return [[each.locator(".viewer").get_attribute(name) for name in names], drawn]

    before = state(page)
    assert before[0] == ["1.50", "0.30", "error"]
    other = page.context.new_page()
    for again in (page, other):
        again.goto(page.url)
        again.wait_for_selector(".viewer[data-ready=true]")
        next_frame(again)
        assert state(again) == before
        assert again.locator(".entry[data-class=sky]").get_attribute("aria-pressed") == "false"
        assert again.get_by_role("button", name="Safe colours").get_attribute("aria-pressed") == "true"
        assert again.locator(".pin:not([hidden])").count() == 3
    assert root.count() == 1


def test_an_address_that_names_no_mode_is_side_by_side(page: Page, served: Served) -> None:
    assert show(page, served, "three&view=swipe-7-x").get_attribute("data-mode") == "swipe"
    assert show(page, served, "three&view=constructor").get_attribute("data-mode") == "side"


def test_safe_colours_and_a_gray_image_change_what_is_drawn_and_the_legend(page: Page, served: Served) -> None:
    show(page, served, "three")
    set_opacity(page, 100)
    page.get_by_role("button", name="Safe colours").click()
    next_frame(page)
    assert pixel(page, *middle_of(served.truth, 0)) == [230, 159, 0]
    swatch = page.locator(".entry[data-class=road] .swatch")
    assert swatch.evaluate("(it) => getComputedStyle(it).backgroundColor") == "rgb(230, 159, 0)"
    in_table = page.locator(".shares tbody tr").filter(has_text="road").first.locator(".swatch")
    assert in_table.evaluate("(it) => getComputedStyle(it).backgroundColor") == "rgb(230, 159, 0)"
    page.get_by_role("button", name="Gray image").click()
    assert page.get_by_role("button", name="Gray image").get_attribute("aria-pressed") == "true"
    set_opacity(page, 0)
    assert pixel(page, *middle_of(served.truth, 0)) == [GRAY] * 3


def test_a_plain_wheel_is_the_pages_until_the_image_was_clicked(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    point_at(page, 128, 64)
    page.mouse.wheel(0, 200)
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 50")
    assert root.get_attribute("data-scale") == "1.00"
    page.locator(".grid").press("Home")
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop = 0")
    point_at(page, 128, 64)
    page.mouse.wheel(0, -200)
    next_frame(page)
    assert float(root.get_attribute("data-scale")) > 1


def test_a_pin_lists_every_panel_and_the_likeliest_classes_of_that_very_pixel(page: Page, served: Served) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.rpartition("/")[2]))
    show(page, served, "judged")
    assert "entropy.png" not in requests, "it isn't looked at"
    page.locator(".top-five").wait_for()
    for x, y in ((200, 90), (9, 119), (247, 8)):
        box = page.locator(".stage").nth(1).bounding_box()
        folder = {"x": (x + 0.5) / WIDTH * box["width"], "y": (y + 0.5) / HEIGHT * box["height"]}
        page.locator(".stage").nth(1).click(position=folder)
        page.locator(".pinned-title", has_text=f"column {x}, row {y} of").wait_for()
        page.locator(".top-five").wait_for()
        first, share = served.labels[y, x], served.confidence[y, x] / 255
        rows = [(CLASSES[first], share), (CLASSES[(first + 1) % 4], 1 - share)]
        assert page.locator(".top-five th").all_inner_texts() == [name for name, part in rows if part]
        shown = [float(text.split()[0]) for text in page.locator(".top-five .figure").all_inner_texts()]
        assert shown == pytest.approx([100 * part for _, part in rows if part], abs=0.06)
    assert page.locator(".pinned h3").all_inner_texts() == ["Ground truth", "U-Net", "Half size"]
    assert requests.count("likeliest.png") == 1, "further pins ask nobody"
    page.locator(".pinned-panel").nth(2).get_by_text("could not be loaded").wait_for()


def test_entropy_is_fetched_when_it_is_chosen_and_read_beside_the_class(page: Page, served: Served) -> None:
    show(page, served, "judged")
    with page.expect_response("**/entropy.png"):
        overlay(page, "Entropy")
    page.locator(".panel .readout", has_text="No entropy was given").first.wait_for()
    set_opacity(page, 100)
    dark, light = (np.unravel_index(pick(served.confidence), (HEIGHT, WIDTH)) for pick in (np.argmax, np.argmin))
    assert sum(pixel(page, *dark[::-1], panel=1)) < 100 < 600 < sum(pixel(page, *light[::-1], panel=1))
    point_at(page, 40, 60, panel=1)
    percent = round((255 - int(served.confidence[60, 40])) / 2.55)
    assert f"entropy {percent} %" in page.locator(".viewer").get_attribute("data-hover")


def test_escape_takes_the_pin_away(page: Page, served: Served) -> None:
    show(page, served, "three")
    page.locator(".grid").press("Enter")
    assert page.locator(".pinned-panel").count() == 3
    page.locator(".grid").press("Escape")
    assert page.locator(".pinned").is_hidden() and page.locator(".pin:not([hidden])").count() == 0


def test_what_is_seen_is_saved_at_the_images_resolution(page: Page, served: Served, tmp_path: Path) -> None:
    show_mode(page, served, "single-1-2")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save what you see").click()
    download.value.save_as(tmp_path / "seen.png")
    seen = cv2.imread(str(tmp_path / "seen.png"))[..., ::-1]
    assert seen.shape[1] - WIDTH < 40 and seen.shape[0] > HEIGHT + 40  # a margin; a title and the legend
    gap = (seen.shape[1] - WIDTH) // 2
    top = next(
        y for y in range(80) if (seen[y : y + HEIGHT, gap + BLOCK // 2][served.truth[:, 8] == 0] == COLORS[0]).all()
    )
    for value in range(4):
        x, y = middle_of(served.truth, value)
        assert tuple(seen[top + y, gap + x]) == COLORS[value]


def test_a_question_mark_lists_the_keys(page: Page, served: Served) -> None:
    show(page, served, "three")
    page.locator(".grid").press("?")
    assert page.get_by_role("dialog", name="Keys and gestures").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog", name="Keys and gestures").count() == 0


def test_full_screen_fills_the_window_and_the_wheel_zooms_there(page: Page, served: Served) -> None:
    root = show(page, served, "three")
    page.get_by_role("button", name="Full screen").click()
    page.get_by_role("button", name="Leave full screen").wait_for()
    assert root.bounding_box()["x"] == 0
    point_at(page, 128, 64)
    page.mouse.wheel(0, -200)
    next_frame(page)
    assert float(root.get_attribute("data-scale")) > 1
