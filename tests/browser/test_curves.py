"""The live curves in Chromium: rows are appended to files while the page is open, as a trainer would.

Scripts and Plotly come from the lab's own routes. The metrics come from a route of the test's with the same contract, over a folder
of metrics.jsonl files, since here no trainer lives.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.curves import Curve, curves

POLL_S = 0.2
TICKS_MS = 1200  # several polls

SCRIPT = f"""
import streamlit as st
from app.curves import Curve, curves

st.set_page_config(layout="wide")
runs = st.query_params.get_all("run")
colors = ["#2a6fdb", "#d9730d", "#0f9d76", "#a855b5"]
curves(
    [Curve(run, f"Run {{run}}", color) for run, color in zip(runs, colors)],
    key="curves", class_names=["road", "sky"], poll_seconds={POLL_S},
)
st.button("Run the script again")
"""

ENTRY = """
import os, pathlib
import streamlit as st
from starlette.responses import JSONResponse
from starlette.routing import Route
from app.routes import ROUTES
from core.runs.metrics_log import rows_since
from core.runs.status import ACTIVE_STATES

RUNS = pathlib.Path(os.environ["TEST_RUNS"])

async def metrics(request):
    folder = RUNS / request.path_params["run_id"]
    if (RUNS / "outage").exists():
        return JSONResponse({"error": "out of order"}, 503)
    if not folder.is_dir():
        return JSONResponse({"error": "no such run"}, 404)
    state = (folder / "state").read_text()
    rows, offset, reset = rows_since(folder, int(request.query_params["offset"]))
    is_final = state not in ACTIVE_STATES
    return JSONResponse({"rows": rows, "offset": offset, "reset": reset, "state": state, "is_final": is_final})

app = st.App("script.py", routes=[Route("/lab/metrics/{run_id}", metrics), *ROUTES])
"""


class Run:
    """A run folder that the test writes as a trainer does: whole lines, appended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "metrics.jsonl").touch()
        self.state("running")

    @property
    def id(self) -> str:
        return self.folder.name

    def state(self, state: str) -> None:
        staged = self.folder / "state.new"
        staged.write_text(state)
        os.replace(staged, self.folder / "state")

    def append(self, *rows: dict[str, Any]) -> None:
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))

    def train(self, first: int, last: int, loss: float | None = 1.0) -> None:
        """Train rows of the steps first..last."""
        self.append(*self.train_rows(first, last, loss))

    def train_with_usage(self, first: int, last: int) -> None:
        """Train rows as today's trainer writes them; ten steps a minute."""
        usage = {"learning_rate": 2e-3, "images_per_second": 12.5, "cpu": 0.8, "memory": 3e9, "machine_memory": 0.6}
        usage["waiting"] = 0.25
        self.append(*(row | usage | {"minutes": row["step"] / 10} for row in self.train_rows(first, last)))

    @staticmethod
    def train_rows(first: int, last: int, loss: float | None = 1.0) -> list[dict[str, Any]]:
        steps = range(first, last + 1)
        return [{"kind": "train", "step": step, "epoch": epoch_of(step), "loss": loss} for step in steps]

    def evaluate(self, step: int, **more: float) -> None:
        scores = {"loss": 0.8, "miou": 0.5, "pixel_accuracy": 0.9, "iou": [0.75, None]}
        self.append({"kind": "eval", "step": step, "epoch": epoch_of(step), **scores, **more})


def epoch_of(step: int) -> int:
    """From 1; ten steps an epoch."""
    return (step - 1) // 10 + 1


@pytest.fixture(scope="module")
def lab(serve_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("curves")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "entry.py").write_text(ENTRY)
    runs = folder / "runs"
    runs.mkdir()
    return serve_app(folder / "entry.py", env={"TEST_RUNS": str(runs)}), runs


@pytest.fixture
def new_run(lab: tuple[str, Path]) -> Iterator[Callable[[], Run]]:
    _, runs = lab
    yield lambda: Run(runs / f"r{len(list(runs.iterdir()))}")
    (runs / "outage").unlink(missing_ok=True)


@pytest.fixture
def open_curves(lab: tuple[str, Path]) -> Callable[..., Any]:
    """`open_curves(page, *runs)`: the component's root, once the first poll is drawn."""

    def open_page(page: Any, *runs: Run) -> Any:
        page.goto(f"{lab[0]}/?" + "&".join(f"run={run.id}" for run in runs))
        root = page.locator(".curves[data-ready=true]")
        root.wait_for(timeout=30_000)
        return root

    return open_page


def wait_for(root: Any, name: str, value: object, timeout_s: float = 10) -> None:
    """Wait until the root's attribute `name` is `value`."""
    deadline = time.monotonic() + timeout_s
    while (got := root.get_attribute(name)) != str(value):
        assert time.monotonic() < deadline, f"{name} is {got}, not {value}"
        root.page.wait_for_timeout(50)


def drag_zoom(page: Any, plot: int = 0) -> None:
    """Draw a zoom box with the mouse over the middle of a plot, slowly enough that polls arrive meanwhile."""
    box = page.locator(".curves-canvas .nsewdrag").nth(plot).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    for share in (0.4, 0.5, 0.6):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * (share + 0.2))
        page.wait_for_timeout(POLL_S * 1000)
    page.mouse.up()


def plotted(page: Any, plot: int, trace: int, column: str = "x") -> list[float | None]:
    """One column of one trace: plot 0 has raw, smoothed and validation loss of each run, plot 1 score and extent."""
    return page.evaluate(f"document.querySelectorAll('.curves-canvas')[{plot}].data[{trace}].{column}")


def axis_range(page: Any, plot: int) -> list[float]:
    return page.evaluate(f"document.querySelectorAll('.curves-canvas')[{plot}].layout.xaxis.range")


def test_points_arrive_and_nothing_jumps(page, new_run, open_curves):
    run = new_run()
    root = open_curves(page, run)
    assert root.get_by_text("Waiting for the first step.").is_visible()
    empty = root.bounding_box()

    run.train(1, 20)
    run.evaluate(20)
    wait_for(root, "data-points", 21)
    assert not root.get_by_text("Waiting for the first step.").is_visible()
    assert root.bounding_box() == empty
    run.train(21, 30)
    wait_for(root, "data-points", 31)
    assert plotted(page, 0, 1) == list(range(1, 31))
    assert plotted(page, 1, 0, "y") == [50]
    assert root.get_attribute("data-range") == "auto"
    # Both plots show the same steps, though the score has but one point.
    assert axis_range(page, 1)[0] <= 1 and axis_range(page, 1)[1] >= 30
    assert "0.800" in root.locator(".unseen table").text_content()


def test_zoom_drawn_with_the_mouse_survives_new_rows(page, new_run, open_curves):
    run = new_run()
    run.train(1, 100)
    root = open_curves(page, run)
    run.train(101, 110)
    drag_zoom(page)
    zoom = root.get_attribute("data-range")
    low, high = map(float, zoom.split(","))
    assert 20 < low < high < 80
    assert axis_range(page, 1) == pytest.approx([low, high], abs=0.01)  # the score plot follows

    run.train(111, 150)
    run.evaluate(150)
    wait_for(root, "data-points", 151)
    run.append({"kind": "resume", "step": 140})  # drawn anew, not extended
    wait_for(root, "data-points", 140)
    root.get_by_role("checkbox", name="Log scale").check()
    assert root.get_attribute("data-range") == zoom

    root.get_by_role("button", name="Reset zoom").click()
    wait_for(root, "data-range", "auto")
    assert axis_range(page, 0)[1] >= 140 and axis_range(page, 1)[1] >= 140


def test_double_click_resets_both_plots(page, new_run, open_curves):
    run = new_run()
    run.train(1, 100)
    run.evaluate(100)
    root = open_curves(page, run)
    drag_zoom(page, plot=1)
    assert root.get_attribute("data-range") != "auto"
    page.locator(".curves-canvas .nsewdrag").nth(0).dblclick()
    wait_for(root, "data-range", "auto")
    assert axis_range(page, 1)[1] >= 100


def test_a_hidden_run_stays_hidden(page, new_run, open_curves):
    first, second = new_run(), new_run()
    first.train(1, 10)
    second.train(1, 40)
    root = open_curves(page, first, second)
    wait_for(root, "data-points", 50)
    button = root.get_by_role("button", name=f"Run {second.id}")
    button.click()
    wait_for(root, "data-points", 10)

    first.train(11, 20)
    second.train(41, 60)
    wait_for(root, "data-points", 20)
    root.evaluate("node => { node.dataset.mark = 'same node' }")
    page.get_by_role("button", name="Run the script again").click()
    page.wait_for_timeout(TICKS_MS)
    assert root.get_attribute("data-mark") == "same node"  # a script run does not mount it anew
    assert root.get_attribute("data-points") == "20"
    assert button.get_attribute("aria-pressed") == "false"
    drawn = [page.locator(".curves-canvas").nth(plot).locator("g.trace").count() for plot in (0, 1)]
    assert drawn == [2, 1]  # raw and smoothed loss, extent: those of the other run alone
    button.click()
    wait_for(root, "data-points", 80)


def test_resume_drops_the_void_rows(page, new_run, open_curves):
    run = new_run()
    run.train(1, 50)
    run.evaluate(25)
    run.evaluate(50)
    root = open_curves(page, run)
    wait_for(root, "data-points", 52)
    run.append({"kind": "resume", "step": 30})
    wait_for(root, "data-points", 31)
    run.train(31, 35, loss=0.5)
    wait_for(root, "data-points", 36)
    assert plotted(page, 0, 1) == list(range(1, 36))
    assert plotted(page, 0, 0, "y")[-5:] == [0.5] * 5
    assert plotted(page, 0, 2) == [25]


def test_an_outage_is_said_and_survived(page, lab, new_run, open_curves):
    run = new_run()
    run.train(1, 10)
    root = open_curves(page, run)
    note = root.get_by_text("The lab does not answer; trying again.")
    height = root.bounding_box()["height"]

    (lab[1] / "outage").touch()
    note.wait_for(timeout=5000)
    assert root.bounding_box()["height"] == height
    run.train(11, 30)
    page.wait_for_timeout(TICKS_MS)
    assert root.get_attribute("data-points") == "10"
    (lab[1] / "outage").unlink()
    wait_for(root, "data-points", 30, timeout_s=20)
    note.wait_for(state="hidden")
    assert plotted(page, 0, 1) == list(range(1, 31))


def test_a_deleted_run_keeps_its_curve(page, new_run, open_curves):
    run, other = new_run(), new_run()
    run.train(1, 10)
    root = open_curves(page, run, other)
    wait_for(root, "data-points", 10)
    run.folder.rename(run.folder.with_name(f"{run.id}-moved"))
    root.get_by_role("button", name="deleted").wait_for(timeout=5000)
    other.train(1, 5)
    wait_for(root, "data-points", 15)


def test_a_missing_loss_is_a_gap_and_the_pointer_reads_the_rest(page, new_run, open_curves):
    run = new_run()
    run.train(1, 10, loss=0.53)
    run.train(11, 12, loss=None)
    run.train(13, 20, loss=0.53)
    root = open_curves(page, run)
    smoothed = plotted(page, 0, 1, "y")
    assert smoothed[10:12] == [None, None]
    assert smoothed[12:] == pytest.approx([0.53] * 8)

    page.locator(".curves-canvas").first.hover()
    readout = root.locator(".curves-readout").first
    assert "0.530" in readout.text_content()
    run.train(21, 25, loss=0.53)
    wait_for(root, "data-points", 25)
    page.wait_for_timeout(TICKS_MS)
    assert readout.is_visible()


def test_epoch_axis(page, new_run, open_curves):
    run, expired = new_run(), new_run()
    run.train(1, 8)
    expired.train(1, 5)
    root = open_curves(page, run, expired)
    epoch = root.get_by_role("button", name="Epoch")
    assert epoch.is_disabled()  # how long an epoch is shows only in the second
    run.train(11, 12)
    wait_for(root, "data-points", 15)
    epoch.click()
    assert plotted(page, 0, 1)[-1] == 1.5  # from what was seen, an epoch has eight steps
    run.train(13, 20)
    wait_for(root, "data-points", 18)
    drawn = plotted(page, 0, 1)
    assert (drawn[0], drawn[-1]) == (0.1, 2)  # it has ten: the earlier points moved

    assert root.get_by_text("Not on this axis before the second epoch").is_visible()
    assert plotted(page, 0, 4) == []
    expired.train(6, 12)
    wait_for(root, "data-points", 30)
    assert plotted(page, 0, 4)[-1] == 1.2


def test_the_score_shown_can_be_chosen(page, new_run, open_curves):
    run = new_run()
    run.train(1, 10)
    run.evaluate(10)
    root = open_curves(page, run)
    for option, percent in (("Mean IoU", 50), ("Pixel accuracy", 90), ("IoU of road", 75), ("IoU of sky", None)):
        root.get_by_label("Score shown").select_option(option)
        assert plotted(page, 1, 0, "y") == [percent]


def test_what_the_machine_gave_can_be_chosen_and_grows_with_the_rows(page, new_run, open_curves):
    run, old = new_run(), new_run()
    run.train_with_usage(1, 10)
    run.evaluate(10)
    old.train(1, 3)  # of an older lab: its rows tell none of it
    root = open_curves(page, run, old)
    chosen = root.get_by_label("Score shown")
    measures = {
        "Learning rate": 2e-3,
        "Images per second": 12.5,
        "Use of the processor": 80,
        "Memory": 3,
        "Machine's memory": 60,
        "Waiting for frames": 25,
    }
    for option, value in measures.items():
        chosen.select_option(option)
        assert plotted(page, 1, 0, "y") == pytest.approx([value] * 10)
        assert plotted(page, 1, 2, "y") == [None] * 3
    assert root.get_by_text("during training").is_visible()
    run.train_with_usage(11, 15)
    wait_for(root, "data-points", 19)
    assert plotted(page, 1, 0) == list(range(1, 16))
    page.locator(".curves-canvas").nth(1).hover()
    assert "25.0\xa0%" in root.locator(".curves-readout").nth(1).text_content()
    chosen.select_option("Mean IoU")
    assert plotted(page, 1, 0, "y") == [50]
    assert root.get_by_text("on the validation frames").is_visible()


def test_minutes_axis(page, new_run, open_curves):
    run, old = new_run(), new_run()
    old.train(1, 5)
    root = open_curves(page, run, old)
    minutes = root.get_by_role("button", name="Minutes")
    assert minutes.is_disabled()  # no row has any yet
    run.train_with_usage(1, 20)
    run.evaluate(20, minutes=2.5)
    wait_for(root, "data-points", 26)
    minutes.click()
    assert plotted(page, 0, 1) == pytest.approx([step / 10 for step in range(1, 21)])
    assert plotted(page, 0, 2) == plotted(page, 1, 0) == [2.5]
    assert plotted(page, 0, 4) == []
    assert root.get_by_text("Not on this axis, for its rows tell no minutes").is_visible()
    drag_zoom(page)
    zoom = root.get_attribute("data-range")
    run.train_with_usage(21, 30)
    wait_for(root, "data-points", 31)
    assert plotted(page, 0, 1)[-1] == 3 and root.get_attribute("data-range") == zoom != "auto"
    root.get_by_role("button", name="Step").click()
    assert plotted(page, 0, 1)[-1] == 30 and root.get_attribute("data-range") == "auto"


def test_ended_and_paused_runs_and_hidden_tabs_are_not_polled(page, new_run, open_curves):
    run, other = new_run(), new_run()
    run.train(1, 10)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/lab/metrics/" in request.url else None)
    root = open_curves(page, run, other)
    requests.clear()
    page.wait_for_timeout(TICKS_MS)
    assert len(requests) >= 3

    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(2 * POLL_S * 1000)  # what was under way
    requests.clear()
    run.train(11, 20)
    page.wait_for_timeout(TICKS_MS)
    assert requests == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(root, "data-points", 20, timeout_s=2)

    run.state("finished")
    other.state("paused")
    for state in ("finished", "paused"):
        root.get_by_text(state).first.wait_for(timeout=5000)
    page.wait_for_timeout(2 * POLL_S * 1000)
    requests.clear()
    page.wait_for_timeout(TICKS_MS)
    assert requests == []


def test_the_plots_follow_the_theme(page, new_run, open_curves):
    run = new_run()
    run.train(1, 10)
    root = open_curves(page, run)
    color = "getComputedStyle(document.querySelector('.curves-canvas .xtick text')).fill"
    light = page.evaluate(color)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{color} !== {light!r}", timeout=5000)
    muted = page.evaluate("getComputedStyle(document.querySelector('.curves-note')).color")
    assert page.evaluate(color) == muted
    assert root.get_attribute("data-points") == "10"


def test_a_phone_shows_both_plots_without_sideways_scrolling(phone, new_run, open_curves):
    runs = [new_run() for _ in range(4)]
    for run in runs:
        run.train(1, 50)
        run.evaluate(50)
    root = open_curves(phone, *runs)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert root.evaluate("node => node.scrollWidth <= node.clientWidth")
    loss, score = (phone.locator(".curves-canvas").nth(i).bounding_box() for i in range(2))
    assert score["y"] >= loss["y"] + loss["height"] and score["width"] == loss["width"] > 320
    phone.locator(".curves-canvas").first.tap()
    assert root.locator(".curves-readout").first.text_content().count("Run ") == 4


def test_bad_arguments_are_refused():
    run = Curve("a", "A", "#123456")
    with pytest.raises(ValueError, match="run id"):
        curves([run, run], key="twice")
    with pytest.raises(ValueError, match="poll_seconds"):
        curves([run], key="never", poll_seconds=0)
