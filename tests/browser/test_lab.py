"""The newcomer's path through the whole lab in Chromium, on a fresh folder: train all three, watch, stop, resume, compare, inspect.

Real runs of some seconds each, on small frames and from scratch (the Hub is out of reach here).
"""

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from core.runs.store import list_runs, read_run
from core.synthetic import draw_scene, write_streets

ROOT = Path(__file__).resolve().parents[2]
FRAME_OF_VIEWER = ".viewer[data-ready=true]"
SMALL = {
    "Augmentation": {"Crop height (px)": "64", "Crop width (px)": "128"},
    "Machine": {"Threads": "1"},
    "Frames": {"Height (px)": "64", "Width (px)": "128", "Validation frames at most": "8"},
}
"""What is typed into the form's expanders, by their titles."""


@dataclass(frozen=True)
class Lab:
    """A lab of its own: address and run folder."""

    url: str
    runs: Path

    def states(self) -> list[str]:
        return [run.state for run in reversed(list_runs(self.runs))]


@pytest.fixture(scope="module")
def lab(serve_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    environment = {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(folder / "data"),
        "SEGLAB_WEIGHTS": str(folder / "weights"),
        "SEGLAB_DATA_ROOTS": str(folder),
        "HF_HUB_OFFLINE": "1",
    }
    yield Lab(serve_app(ROOT / "app" / "main.py", environment), folder / "runs")
    for run in list_runs(folder / "runs"):
        for process in (run.status.supervisor, run.status.trainer):
            if process and process.is_alive():
                psutil.Process(process.pid).kill()


def server_pid(url: str) -> int:
    """The process that listens there; the only one of this test's own children that was given the port."""
    port = url.rsplit(":", 1)[1]
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    (result,) = [child.pid for child in living if port in child.cmdline()]
    return result


def wait_for(question: Callable[[], object], seconds: float, page) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"waited in vain; the page says: {page.inner_text('body')[-3000:]}"
        page.wait_for_timeout(250)


def type_in(page, wait_for_app, label: str, text: str) -> None:
    box = page.get_by_label(label, exact=True)
    box.fill(text)
    box.press("Enter")
    wait_for_app(page)


def hover(page, panel: int, x: float = 0.5, y: float = 0.85) -> str:
    """Points at a place of a panel, in shares of its picture, and returns what the viewer reads there."""
    box = page.locator(f"{FRAME_OF_VIEWER} canvas").nth(panel).bounding_box()
    page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
    page.wait_for_timeout(300)
    return page.locator(FRAME_OF_VIEWER).get_attribute("data-hover") or ""


@pytest.mark.parametrize("drawn", [24, pytest.param(0, marks=pytest.mark.campaign)])
def test_the_newcomers_path(lab: Lab, page, wait_for_app, drawn: int) -> None:
    # Train all three from the form; where no street scenes were drawn before, all 240 are drawn on the way.
    if drawn:
        write_streets(lab.runs.parent / "data" / "streets", train=drawn, val=8)
    page.goto(f"{lab.url}/train")
    wait_for_app(page)
    for family in ("U-Net", "ViT"):
        page.get_by_role("button", name=family, exact=True).click()
        wait_for_app(page)
    # By epochs, not minutes: so many steps are soon done, and yet enough to be stopped among, on any machine.
    type_in(page, wait_for_app, "Training time (min)", "0")
    type_in(page, wait_for_app, "Epochs", "5" if drawn else "0.5")
    type_in(page, wait_for_app, "Evaluations", "2")
    type_in(page, wait_for_app, "Batch size (frames)", "2")
    for group, fields in SMALL.items():
        page.locator("summary", has_text=group).click()
        for label, value in fields.items():
            type_in(page, wait_for_app, label, value)
    page.get_by_role("button", name="Train 3 networks").click()
    page.wait_for_url("**/runs?*", timeout=240_000)

    # The curves grow, and a zoom that was drawn with the mouse is kept while they do.
    curves = page.locator(".curves[data-ready=true]")
    wait_for(lambda: int(curves.get_attribute("data-points") or 0) >= 4, 300, page)
    plot = page.locator(".curves .nsewdrag").first.bounding_box()
    page.mouse.move(plot["x"] + plot["width"] * 0.3, plot["y"] + plot["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] * 0.8, plot["y"] + plot["height"] * 0.52, steps=8)
    page.mouse.up()
    wait_for(lambda: curves.get_attribute("data-range") != "auto", 30, page)
    zoom, points = curves.get_attribute("data-range"), int(curves.get_attribute("data-points"))
    wait_for(lambda: int(curves.get_attribute("data-points")) >= points + 3, 300, page)
    assert curves.get_attribute("data-range") == zoom

    # Stop one, see it stopped with a checkpoint, resume it. On a slow machine the first may reach its end before it is asked: then the next.
    stopped_at = 0
    for run in [run.path for run in reversed(list_runs(lab.runs))]:
        wait_for(lambda run=run: read_run(run).status.step >= 1, 240, page)
        if not read_run(run).is_active:
            continue
        page.get_by_role("button", name="Stop").first.click()
        wait_for(lambda run=run: not read_run(run).is_active, 180, page)
        if read_run(run).state == "finished":
            continue
        assert read_run(run).state == "stopped"
        stopped_at = read_run(run).status.step
        assert read_run(run).has_checkpoint("last")
        page.get_by_role("button", name="Resume").click()
        wait_for(lambda run=run: read_run(run).is_active, 120, page)
        assert curves.get_attribute("data-range") == zoom
        break
    assert stopped_at, "every run ended before it could be stopped"
    wait_for(lambda: lab.states() == ["finished"] * 3, 900, page)
    assert read_run(run).status.step == read_run(run).status.steps_total > stopped_at

    # Home knows them now, and what they saw at every evaluation is on the page of the runs.
    wait_for(lambda: page.locator(".film figure").count() == 6, 60, page)
    page.goto(lab.url)
    wait_for_app(page)
    assert page.locator(".lab-badge.finished").count() == 3

    # Compare the three on one frame: truth and three answers under one pointer.
    page.goto(f"{lab.url}/compare")
    page.wait_for_selector(FRAME_OF_VIEWER, timeout=120_000)
    wait_for(
        lambda: page.locator(f"{FRAME_OF_VIEWER} canvas").count() == 4, 60, page
    )  # not ready while it is drawn anew
    wait_for(lambda: page.get_by_text("is looking at it").count() == 0, 120, page)  # the masks come one by one
    read = hover(page, panel=0)
    assert "road" in read.lower(), read
    assert len(re.findall(r"\d+ %", read)) == 3, read

    # A photo of one's own: every network names a class and how sure it is.
    image = io.BytesIO()
    Image.fromarray(draw_scene(99, 0, size=(300, 533)).image).save(image, format="JPEG")
    page.goto(f"{lab.url}/inspect")
    wait_for_app(page)
    page.locator("input[type=file]").set_input_files(
        {"name": "my street.jpg", "mimeType": "image/jpeg", "buffer": image.getvalue()}
    )
    page.wait_for_selector(FRAME_OF_VIEWER, timeout=120_000)
    read = hover(page, panel=1)
    assert len(re.findall(r"\d+ %", read)) == 3, read

    # A file that is no picture is a sentence, and the next picture works again.
    page.locator("input[type=file]").set_input_files(
        {"name": "street.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n not a picture"}
    )
    page.get_by_text("can't be read as a picture").wait_for(timeout=30_000)

    # All of this without torch in the server.
    mapped = {Path(region.path).name for region in psutil.Process(server_pid(lab.url)).memory_maps()}
    assert not [name for name in mapped if name.startswith(("libtorch", "libc10"))]


def test_every_page_fits_a_phone(lab: Lab, phone, wait_for_app) -> None:
    for name in ("", "data", "label", "models", "train", "runs", "sweep", "compare", "inspect", "explain"):
        phone.goto(f"{lab.url}/{name}")
        wait_for_app(phone)
        phone.wait_for_timeout(500)
        assert phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        main = "document.querySelector('[data-testid=stMain]')"
        assert phone.evaluate(f"{main}.scrollWidth <= {main}.clientWidth"), f"{name} scrolls sideways"
        assert phone.get_by_text("fault of the lab").count() == 0, name


def test_routes_answer_nothing_but_what_they_should(lab: Lab, page) -> None:
    for path in (
        "/lab/metrics/..%2f..%2fetc%2fpasswd",
        "/lab/metrics/20260101-000000-fcn-0000",
        "/lab/metrics/20260101-000000-fcn-0000?offset=-1",
        "/lab/picture/..%2f..%2fcore%2fruns.py",
        "/lab/picture/" + "0" * 40 + ".png",
        "/lab/picture/%00.png",
    ):
        response = page.request.get(lab.url + path)
        assert response.status in (400, 404), path  # Streamlit's own server refuses some of them before us
        assert "Traceback" not in response.text()
    run = list_runs(lab.runs)
    if run:
        assert page.request.get(f"{lab.url}/lab/metrics/{run[0].id}?offset={'9' * 16}").status == 404
        assert page.request.post(f"{lab.url}/lab/metrics/{run[0].id}").status == 405
        rows = page.request.get(f"{lab.url}/lab/metrics/{run[0].id}?offset=0").json()
        assert rows["rows"] and rows["offset"] > 0
