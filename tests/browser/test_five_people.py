"""Several people at once, each in a browser of their own: they inspect pictures, pin pixels and watch a run learn.

Every answer must be its asker's own, and the server's share of a core is measured over what it does while they watch.
"""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from PIL import Image

from core.inference.predictor import Predictor
from core.processes import ProcessId
from core.runs.metrics_log import MetricsLog
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.synthetic import draw_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
SIZE = (128, 256)
PATIENCE_MS = 120_000
"""Ten pages at once are much for two cores that have other things to do; alone this takes a tenth."""
MAX_OF_A_CORE = 0.3


def png(image: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(image).save(held, "PNG")
    return held.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, trained_run: Path) -> Path:
    """A folder with a finished run, and one that this process, as its trainer, writes to."""
    folder = tmp_path_factory.mktemp("five") / "runs"
    shutil.copytree(trained_run, folder / trained_run.name)
    live = create_run(read_run(trained_run).config, folder)
    update_status(live, state="running", phase="training", trainer=ProcessId.of(os.getpid()), started=time.time())
    return folder


@pytest.fixture(scope="module")
def url(serve_app: Callable[..., str], runs: Path, streets: Path) -> str:
    folder = runs.parent
    positions = {"CHECKPOINTS": runs, "DATA": streets.parent, "WEIGHTS": folder / "weights", "CACHE": folder / "cache"}
    return serve_app(ROOT / "app" / "main.py", {f"SEGLAB_{name}": str(path) for name, path in positions.items()})


def server_at(url: str) -> psutil.Process:
    """The process that listens there; the only child of this one that was given the port."""
    port = url.rsplit(":", 1)[1]
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    (result,) = [child for child in living if port in child.cmdline()]
    return result


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


class User:
    """One context with two pages: an inspected picture, and the curves of the living run."""

    def __init__(self, browser: Browser, index: int, url: str, finished: str) -> None:
        self.image = draw_scene(31, index, SIZE).image
        self.context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.context.set_default_timeout(PATIENCE_MS)
        self.url = url
        self.maps: list[str] = []
        self.inspect = self.context.new_page()
        self.inspect.on("response", self._note)
        self.inspect.goto(f"{url}/inspect?runs={finished}", wait_until="commit")

    def _note(self, response) -> None:
        if "/lab/picture/" in response.url and response.url.endswith(".png"):
            self.maps.append(response.url)

    def drop(self) -> None:
        self.inspect.locator("input[type=file]").set_input_files(
            {"name": "street.png", "mimeType": "image/png", "buffer": png(self.image)}
        )

    def open_curves(self, live: str) -> None:
        self.curves = self.context.new_page()
        self.curves.goto(f"{self.url}/runs?runs={live}", wait_until="commit")

    def full_maps(self) -> list[np.ndarray]:
        """The maps of the picture's own size that this browser was given."""
        self.inspect.locator(".viewer[data-ready=true] .subtitle", has_text="ms").wait_for()
        self.inspect.locator(".subtitle", has_text="half size").wait_for(state="detached")
        self.inspect.wait_for_selector(".viewer[data-ready=true]")
        bodies = [self.inspect.request.get(address).body() for address in dict.fromkeys(self.maps)]
        result = [np.asarray(Image.open(io.BytesIO(body))) for body in bodies]
        return [values for values in result if values.shape == SIZE]

    def likeliest(self) -> tuple[tuple[int, int], str]:
        """Pins the pixel in the middle: its column and row, and the class that leads the list there."""
        self.inspect.locator(".grid").press("Enter")
        first = self.inspect.locator(".top-five th").first
        first.wait_for()
        text = self.inspect.locator(".pinned-title").inner_text().replace(",", "").split()
        return (int(text[2]), int(text[4])), first.inner_text()


def train_on(live: Path, log: MetricsLog, step: int) -> None:
    log.append(
        {"kind": "train", "step": step, "epoch": 1, "loss": 2 / step, "learning_rate": 1e-3, "minutes": step / 60}
    )
    update_status(live, step=step, steps_total=1000)


def watch(page: Page, live: Path, log: MetricsLog, first: int, seconds: float) -> int:
    """Lets a run learn twice a second while everybody watches. Returns its step."""
    until, step = time.monotonic() + seconds, first
    while time.monotonic() < until:
        step += 1
        train_on(live, log, step)
        page.wait_for_timeout(500)
    return step


@pytest.mark.parametrize(("count", "seconds"), [(2, 4), pytest.param(5, 10, marks=pytest.mark.campaign)])
def test_each_gets_their_own_answer_and_the_server_stays_idle(
    browser: Browser,
    url: str,
    runs: Path,
    trained_run: Path,
    figure: Callable[[str], None],
    count: int,
    seconds: float,
) -> None:
    live = next(path for path in runs.iterdir() if path.name != trained_run.name)
    log = MetricsLog(live)
    step = watch(browser.new_page(), live, log, 0, 1)
    server, began, requests = server_at(url), time.monotonic(), cpu_seconds(server_at(url))
    users = [User(browser, index, url, trained_run.name) for index in range(count)]
    for person in users:
        person.drop()
    predictor = Predictor(trained_run)
    classes = predictor.checkpoint.class_names
    masks = []
    for person in users:
        expected = predictor.predict(person.image)
        maps = person.full_maps()
        assert len(maps) == 2, "one mask and its confidence"
        assert any((values == expected.labels).all() for values in maps)
        # Another number of threads sums in another order, which may round to the next of 255 steps.
        assert min(np.abs(values.astype(int) - expected.confidence).max() for values in maps) <= 1
        (column, row), main_process = person.likeliest()
        assert main_process == classes[expected.labels[row, column]]
        masks.append(expected.labels.tobytes())
    assert len(set(masks)) == count, "as many masks as pictures"
    for person in users:
        person.open_curves(live.name)
    for person in users:
        person.curves.locator(".curves[data-ready=true]").wait_for()
    asking = (cpu_seconds(server) - requests) / (time.monotonic() - began)

    step = watch(users[0].curves, live, log, step, 2)
    began, before = time.monotonic(), cpu_seconds(server)
    step = watch(users[0].curves, live, log, step, seconds)
    watching = (cpu_seconds(server) - before) / (time.monotonic() - began)
    figure(f"server's share of a core: {asking:.1%} while {count} ask, {watching:.1%} while {count} watch")
    for person in users:
        person.curves.locator(".lab-card", has_text=f"step {step} of 1000").wait_for()
        person.context.close()
    log.close()
    assert watching < MAX_OF_A_CORE
