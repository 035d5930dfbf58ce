"""The lab by the keyboard alone: from the first page to a training, its stop, and masks side by side."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import ROOT, SETTLED
from tests.browser.test_bench import wait_for_panels

FOCUSED = """() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return (element?.getAttribute("aria-label") || element?.textContent || "").trim();
}"""
MAX_STEPS = 150


@pytest.fixture(scope="module")
def address(serve_app: Callable[..., str], tmp_path_factory, trained_run: Path, streets: Path) -> str:
    """A lab with street scenes and a finished run."""
    folder = tmp_path_factory.mktemp("keys")
    shutil.copytree(trained_run, folder / "runs" / trained_run.name)
    environment = {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(streets.parent),
        "SEGLAB_CACHE": str(folder / "cache"),
        "SEGLAB_WEIGHTS": str(folder),
        "HF_HUB_OFFLINE": "1",
    }
    return serve_app(ROOT / "app" / "main.py", environment)


def go_to(page, name: str, key: str = "Tab") -> None:
    """Press a key until what has a name, or ends with it after its icon's, has the focus."""
    seen = []
    for _ in range(MAX_STEPS):
        page.keyboard.press(key)
        seen.append(page.evaluate(FOCUSED))
        if seen[-1] == name or seen[-1].endswith(name):
            return
    pytest.fail(f"{name} never had the focus, but {seen}")


def press(page, name: str) -> None:
    """Go to something and press Enter."""
    go_to(page, name)
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    page.wait_for_selector(SETTLED, timeout=90_000)


def test_from_the_first_page_to_masks_without_a_mouse(page, address: str) -> None:
    page.set_default_timeout(90_000)
    page.goto(address)
    page.wait_for_selector(SETTLED)
    press(page, "Train")
    page.wait_for_url("**/train**")
    press(page, "play_arrowTrain")
    page.wait_for_url("**/runs**")
    page.get_by_role("button", name="Stop").wait_for()
    go_to(page, "Stop")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Resume").wait_for()
    press(page, "Masks")
    assert page.evaluate(FOCUSED).endswith("Compare"), "the first entry of a menu has the focus"
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare**")
    wait_for_panels(page, 2)
    go_to(page, "Frames")
    page.keyboard.press("ArrowRight")
    page.get_by_text("2 of 4").wait_for()
    wait_for_panels(page, 2)
