"""The film of a training in Chromium: it plays by itself, is dragged, follows new evaluations, and never asks the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.film import Scene, Strip, film

ENTRY = """
import pathlib
import streamlit as st
from app.routes import ROUTES

app = st.App(str(pathlib.Path(__file__).parent / "script.py"), routes=ROUTES)
"""

SCRIPT = """
import base64
import cv2, numpy as np, streamlit as st
from app.film import Scene, Strip, film

def address(value):
    png = cv2.imencode(".png", np.full((4, 8, 3), value, np.uint8))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(png).decode()

count = int(st.query_params["scenes"])
if st.button("One more"):
    st.session_state["more"] = st.session_state.get("more", 0) + 1
count += st.session_state.get("more", 0)
scenes = [Scene(10 * number, f"step {10 * number}") for number in range(1, count + 1)]
strips = [
    Strip(f"<b>frame {frame}</b>", address(200), tuple(address(number + 40 * frame) for number in range(count)))
    for frame in range(6)
]
if "broken" in st.query_params:
    strips = [Strip(strip.name, strip.image, ("/nowhere.png", *strip.masks[1:])) for strip in strips]
film(scenes, strips, key="film")
"""


@pytest.fixture(scope="module")
def address(serve_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("film")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "entry.py").write_text(ENTRY)
    return serve_app(folder / "entry.py")


@pytest.fixture
def open_film(address: str) -> Callable[..., Any]:
    """`open_film(page, 5)`: the component of so many scenes, once its newest is shown."""

    def open_page(page: Any, scenes: int, more: str = "") -> Any:
        page.goto(f"{address}/?scenes={scenes}{more}")
        root = page.locator(".film")
        root.locator("xpath=self::*[@data-step]").wait_for(timeout=30_000)
        return root

    return open_page


def reach(root: Any, step: int) -> None:
    root.locator(f"xpath=self::*[@data-step='{step}']").wait_for(timeout=10_000)


def masks(root: Any) -> list[str]:
    return root.locator("figure img:last-child").evaluate_all("images => images.map((image) => image.src)")


def test_the_newest_scene_is_shown_first_and_dragging_shows_any(page, open_film):
    root = open_film(page, 5)
    assert root.get_attribute("data-step") == "50"
    assert root.locator("figure").count() == 6
    assert root.locator("figure img").first.get_attribute("alt") == "<b>frame 0</b>"
    newest = masks(root)
    assert len(set(newest)) == 6
    root.get_by_label("Evaluation").fill("1")
    reach(root, 20)
    assert root.get_by_text("step 20").is_visible()
    assert all(one != other for one, other in zip(masks(root), newest, strict=True))


def test_it_plays_from_the_beginning_without_asking_the_server_and_pauses(page, open_film):
    root = open_film(page, 4)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.startswith("http") else None)
    root.get_by_role("button", name="Play").click()
    for step in (10, 20, 30):
        reach(root, step)
    root.get_by_role("button", name="Pause").click()
    stopped = root.get_attribute("data-step")
    page.wait_for_timeout(1000)
    assert root.get_attribute("data-step") == stopped
    assert root.get_by_role("button", name="Play").is_visible()
    assert sent == []


def test_a_new_evaluation_is_shown_unless_the_reader_looks_back(page, open_film):
    root = open_film(page, 3)
    root.evaluate("node => { node.dataset.mark = 'same node' }")
    page.get_by_role("button", name="One more").click()
    reach(root, 40)
    assert root.get_attribute("data-mark") == "same node"
    root.get_by_label("Evaluation").fill("0")
    reach(root, 10)
    page.get_by_role("button", name="One more").click()
    root.locator("input[max='4']").wait_for()
    assert root.get_attribute("data-step") == "10" and root.get_by_label("Evaluation").input_value() == "0"


def test_one_scene_has_nothing_to_play(page, open_film):
    root = open_film(page, 1)
    assert not root.get_by_role("button").is_visible()
    assert root.get_by_text("step 10").is_visible()


def test_an_image_that_is_no_longer_there_does_not_stop_the_film(page, open_film):
    root = open_film(page, 3, "&broken=1")
    root.get_by_label("Evaluation").fill("0")
    reach(root, 10)
    root.get_by_label("Evaluation").fill("1")
    reach(root, 20)


def test_a_phone_shows_two_in_a_row(phone, open_film):
    root = open_film(phone, 3)
    first, second, third = (root.locator("figure").nth(index).bounding_box() for index in range(3))
    assert first["y"] == second["y"] < third["y"] and first["width"] / first["height"] == pytest.approx(2, rel=0.02)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="none given"):
        film([], [], key="empty")
    with pytest.raises(ValueError, match="one mask for each"):
        film([Scene(1, "")], [Strip("a", "b", ("c", "d"))], key="uneven")
