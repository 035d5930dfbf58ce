"""What every page shows of pictures and words, how soon, and how many clicks ten tasks take: `make screens`.

It serves the lab on the folders that the environment names, in which two runs and their data should be, and prints two
tables. What it trains stays there. With TASK, words of a name, that task alone is done. Shares are of the window,
pictures those of 100 pixels and more; seconds are to the last script's end, and to the masks where there are some: cold
as the first page of a fresh server, warm as the second visit.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page

from tests.browser.conftest import ROOT, SETTLED

PAGES = ("", "data", "label", "train", "runs", "compare", "inspect", "explain", "scores", "report", "models", "sweep")
WITH_MASKS = ("compare",)
WIDTHS = (1440, 1024, 390)
SEVERE = ("serious", "critical")
SETTLING_S = 0.25
"""What `settle` waits at first, which is no page's own time."""
HEIGHTS = {1440: 900, 1024: 768, 390: 844}
SEEN = """() => {
  const boxes = [], roots = [document], words = [];
  while (roots.length) {
    const root = roots.pop();
    for (const each of root.querySelectorAll("*")) {
      if (each.shadowRoot) roots.push(each.shadowRoot);
      const box = each.getBoundingClientRect();
      const isSeen = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
      if (!isSeen) continue;
      if (["IMG", "CANVAS"].includes(each.tagName) && box.width >= 100 && !each.closest("[data-testid=stDataFrame]"))
        boxes.push([box.left, box.top, box.right, box.bottom]);
      for (const node of each.childNodes)
        if (node.nodeType === 3 && !["STYLE", "SCRIPT"].includes(each.tagName)) words.push(node.textContent);
    }
  }
  const cells = 200, step = [innerWidth / cells, innerHeight / cells];
  let covered = 0;
  for (let row = 0; row < cells; row++)
    for (let column = 0; column < cells; column++) {
      const [x, y] = [(column + 0.5) * step[0], (row + 0.5) * step[1]];
      covered += boxes.some(([left, top, right, bottom]) => x >= left && x < right && y >= top && y < bottom);
    }
  const first = boxes.length ? Math.round(Math.min(...boxes.map((box) => box[1]))) : null;
  const count = words.join(" ").split(/\\s+/).filter((word) => /[A-Za-z]{2}/.test(word)).length;
  return { share: covered / cells ** 2, first, words: count, wide: document.documentElement.scrollWidth > innerWidth };
}"""


@dataclass
class Hand:
    """Who does a task: counts clicks and waits for what follows."""

    page: Page
    files: tuple[str, str]
    clicks: int = 0
    typed: int = 0

    def click(self, *names: str, role: str = "button") -> None:
        for name in names:
            self.clicks += 1
            self.page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]
            settle(self.page)

    def menu(self, group: str, name: str) -> None:
        """Open a page that stands under a word of the menu."""
        self.clicks += 2
        self.page.get_by_test_id("stTopNavSection").filter(has_text=group).click()
        self.page.get_by_test_id("stTopNavDropdownLink").filter(has_text=name).click()
        settle(self.page)

    def open(self, name: str) -> None:
        self.clicks += 1
        self.page.get_by_test_id("stTopNavLink").filter(has_text=name).first.click()
        settle(self.page)

    def type(self, label: str, text: str) -> None:
        self.typed += 1
        self.page.get_by_label(label).first.fill(text)
        self.page.keyboard.press("Enter")
        settle(self.page)

    def table(self, x: float, y: float) -> None:
        """Click into the table of runs, at pixels from its left and top."""
        self.clicks += 1
        box = self.page.get_by_test_id("stDataFrame").first.bounding_box() or {"x": 0, "y": 0}
        self.page.mouse.click(box["x"] + x, box["y"] + y)
        settle(self.page)


def settle(page: Page) -> None:
    """Wait until the page's script has ended, after the moment in which it begins."""
    page.wait_for_timeout(1000 * SETTLING_S)
    page.wait_for_selector(SETTLED, timeout=120_000)


def masks(page: Page) -> None:
    """Wait for a viewer with all its masks."""
    page.wait_for_selector(".viewer[data-ready=true]", timeout=120_000)
    page.wait_for_function(
        """() => {
          const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
          const viewer = roots.map((root) => root.querySelector(".viewer")).find(Boolean);
          return viewer?.dataset.ready === "true" && !viewer.textContent.includes("is looking");
        }""",
        timeout=120_000,
    )


def first_mask(hand: Hand) -> None:
    hand.click("Compare their masks", role="link")
    masks(hand.page)


def own_folder(hand: Hand) -> None:
    hand.open("Train")
    hand.click("Your own folder", role="radio")
    hand.type("Folder", hand.files[0])
    hand.clicks += 1
    hand.page.locator(".st-key-launch button").click()
    hand.page.get_by_role("button", name="Stop").first.wait_for()


def stop_and_resume(hand: Hand) -> None:
    hand.open("Runs")
    hand.click("Stop")
    hand.page.get_by_role("button", name="Resume").first.wait_for(timeout=120_000)
    hand.click("Resume")
    hand.page.get_by_role("button", name="Stop").first.wait_for(timeout=120_000)


def worst_frames(hand: Hand) -> None:
    hand.menu("Masks", "Compare")
    hand.clicks += 1
    hand.page.get_by_label("Sort frames").click()
    hand.clicks += 1
    hand.page.get_by_role("option", name="Largest difference first").click()
    settle(hand.page)
    hand.page.get_by_test_id("stProgress").wait_for(state="detached", timeout=120_000)
    masks(hand.page)


def own_photo(hand: Hand) -> None:
    hand.click("Try a photo of your own street", role="link")
    hand.clicks += 1
    hand.page.locator('input[type="file"]').first.set_input_files(hand.files[1])
    masks(hand.page)


def differing_settings(hand: Hand) -> None:
    hand.open("Runs")
    for row in (1, 2):
        hand.table(18, 20 + 35 * row)
    hand.click("Settings", role="tab")
    hand.page.get_by_text("they differ").first.wait_for()


def best_run(hand: Hand) -> None:
    hand.open("Runs")
    for _ in range(2):  # rising, then falling
        hand.table(380, 18)


def write_report(hand: Hand) -> None:
    hand.menu("Results", "Report")
    hand.click("Write")
    hand.page.get_by_role("link", name="Open").first.wait_for(timeout=300_000)


def why_missed(hand: Hand) -> None:
    hand.menu("Masks", "Explain")
    masks(hand.page)
    hand.clicks += 1
    hand.page.locator(".viewer canvas").first.click()
    settle(hand.page)


def same_view(hand: Hand) -> None:
    hand.menu("Masks", "Compare")
    masks(hand.page)
    hand.page.keyboard.press("z")
    other = hand.page.context.new_page()
    other.goto(hand.page.url)
    masks(other)
    other.close()


TASKS: dict[str, Callable[[Hand], None]] = {
    "first mask of what is trained": first_mask,
    "own folder to training": own_folder,
    "stop and resume": stop_and_resume,
    "two runs' worst frames": worst_frames,
    "my photo under three networks": own_photo,
    "which settings differ": differing_settings,
    "find the best run of many": best_run,
    "write a report": write_report,
    "why is it missed here": why_missed,
    "hand a colleague the same view": same_view,
}


@pytest.fixture(scope="module")
def lab(serve_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`lab()`: the address of a fresh server on the folders of the environment, which may read the tests' too. One that
    is asked for with `ends_before` ends before the next.
    """
    roots = os.pathsep.join(filter(None, [os.environ.get("SEGLAB_DATA_ROOTS"), str(tmp_path_factory.getbasetemp())]))
    if not os.environ.get("SEGLAB_CHECKPOINTS"):
        pytest.fail("Name the folders of a lab with two runs: SEGLAB_CHECKPOINTS, SEGLAB_DATA.")
    environment = {"HF_HUB_OFFLINE": "1", "SEGLAB_DATA_ROOTS": roots}
    return lambda **options: serve_app(ROOT / "app" / "main.py", environment, **options)


def seconds_to_content(page: Page, address: str, name: str) -> float:
    began = time.monotonic()
    page.goto(f"{address}/{name}")
    settle(page)
    if name in WITH_MASKS:
        masks(page)
    return time.monotonic() - began - SETTLING_S


def test_every_page(browser: Browser, lab: Callable[..., str]) -> None:
    address = lab()
    axe = Axe()
    print("\npage       width theme  pictures  first  words  cold s  warm s  other hosts  axe  scrolls sideways")
    for name in PAGES:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        cold = seconds_to_content(context.new_page(), lab(ends_before=True), name)
        context.close()
        for width in WIDTHS:
            for theme in ("light", "dark"):
                viewport = {"width": width, "height": HEIGHTS[width]}
                context = browser.new_context(viewport=viewport, color_scheme=theme)
                page, asked = context.new_page(), []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                seconds_to_content(page, address, name)
                warm = seconds_to_content(page, address, name)
                page.wait_for_timeout(1000)
                seen = page.evaluate(SEEN)
                own = urlsplit(address).netloc
                others = {urlsplit(each).netloc for each in asked if not each.startswith(("data:", "blob:"))} - {own}
                found = [each for each in axe.run(page).response["violations"] if each["impact"] in SEVERE]
                first = "-" if seen["first"] is None else seen["first"]
                print(
                    f"{name or 'home':10} {width:5} {theme:5} {seen['share']:9.1%} {first:>6} {seen['words']:6}"
                    f" {cold:7.1f} {warm:7.1f} {len(others):12} {len(found):4}  {'yes' if seen['wide'] else 'no'}",
                    flush=True,
                )
                context.close()


def test_ten_tasks(browser: Browser, lab: Callable[..., str], tmp_path: Path) -> None:
    files = write_own_folder(tmp_path)
    address = lab()
    print("\ntask                              clicks  typed  seconds")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    for name, do in TASKS.items():
        if os.environ.get("TASK", "") not in name:
            continue
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(address)
        settle(page)
        hand = Hand(page, files)
        began = time.monotonic()
        try:
            do(hand)
            result = f"{hand.clicks:6} {hand.typed:6} {time.monotonic() - began:8.1f}"
        except Error as error:
            page.screenshot(path=tmp_path / f"{name}.png")
            result = f"not done: {str(error).splitlines()[0]}"
        print(f"{name:33} {result}", flush=True)
        page.close()


def write_own_folder(folder: Path) -> tuple[str, str]:
    """Write a data set of blocks, and a picture; returns folder and picture."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / "own" / name).mkdir(parents=True)
    for number in range(12):
        mask = np.kron(rng.integers(0, 3, (6, 8), dtype=np.uint8), np.ones((20, 20), np.uint8))
        cv2.imwrite(str(folder / "own" / "masks" / f"{number}.png"), mask)
        cv2.imwrite(str(folder / "own" / "images" / f"{number}.png"), np.dstack([mask * 80] * 3))
    classes = [{"id": index, "name": name} for index, name in enumerate(("land", "water", "road"))]
    (folder / "own" / "classes.json").write_text(json.dumps(classes))
    return str(folder / "own"), str(folder / "own" / "images" / "0.png")
