"""The confusion matrix in Chromium: a click on a cell shows the frames behind it, and a zoom that was drawn is kept."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.evaluation.evaluate_run import evaluate_run
from core.evaluation.results import EvaluationSettings
from core.runs.store import read_run

ROOT = Path(__file__).resolve().parents[2]
CLASSES = 19


@pytest.fixture(scope="module")
def address(serve_app: Callable[..., str], tmp_path_factory, trained_run: Path, streets: Path) -> str:
    folder = tmp_path_factory.mktemp("scores")
    environment = {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(streets.parent),
        "SEGLAB_CACHE": str(folder / "cache"),
        "SEGLAB_WEIGHTS": str(folder),
    }
    shutil.copytree(trained_run, folder / "runs" / trained_run.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        evaluate_run(read_run(folder / "runs" / trained_run.name), EvaluationSettings(boundary=False))
    return serve_app(ROOT / "app" / "main.py", environment)


def test_a_click_on_a_cell_shows_its_frames_and_keeps_the_zoom(address: str, page, wait_for_app) -> None:
    page.set_default_timeout(120_000)
    page.set_viewport_size({"width": 1440, "height": 1500})  # nothing scrolls while other frames come
    page.goto(f"{address}/scores?view=Confusion&scored-boundary=false")
    wait_for_app(page, 90)
    plot = page.locator(".stPlotlyChart .nsewdrag").first
    plot.wait_for()

    def folder_of(row: float, column: float) -> tuple[float, float]:
        box = plot.bounding_box()
        return box["x"] + box["width"] * (column + 0.5) / CLASSES, box["y"] + box["height"] * (row + 0.5) / CLASSES

    page.mouse.click(*folder_of(2.2, 0.1))  # anywhere in the cell
    page.get_by_text("Pixels of building that were seen as road").wait_for()
    link = page.locator(".lab-links a").first.get_attribute("href")
    assert link.startswith("compare?image=") and "runs=" in link

    page.mouse.move(*folder_of(4, 4))
    page.mouse.down()
    page.mouse.move(*folder_of(12, 12), steps=6)
    page.mouse.up()
    page.wait_for_function("document.querySelectorAll('.ytick text').length < 12")
    page.wait_for_timeout(600)  # sooner, it would be Plotly's double click, which takes the zoom back
    page.mouse.click(*folder_of(9, 9))
    page.get_by_text("Pixels of vegetation that were seen as vegetation").wait_for()
    assert page.locator(".ytick text").count() < 12

    page.goto(f"{address}/{link}")
    page.wait_for_selector(".viewer[data-ready=true]")
    assert page.locator(".viewer canvas").count() == 2, "the truth and the run"
