"""The bench in a browser: runs are hidden and ordered in the dock, by keys alone; pictures are dropped and pasted."""

import base64
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from tests.browser.conftest import ROOT

HAND_OVER = """async ([data, name, how]) => {
  const blob = await (await fetch(`data:image/png;base64,${data}`)).blob();
  const transfer = new DataTransfer();
  transfer.items.add(new File([blob], name, { type: "image/png" }));
  const options = { bubbles: true, cancelable: true };
  const target = document.querySelector(".stMain");
  if (how === "paste") target.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
  else for (const step of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(step, { ...options, dataTransfer: transfer }));
}"""


@pytest.fixture(scope="module")
def address(serve_app, tmp_path_factory, trained_run: Path, streets: Path) -> str:
    """A lab with the same run twice."""
    folder = tmp_path_factory.mktemp("bench")
    for ending in (trained_run.name[-4:], "0000"):
        shutil.copytree(trained_run, folder / "runs" / f"{trained_run.name[:-4]}{ending}")
    environment = {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(streets.parent),
        "SEGLAB_CACHE": str(folder / "cache"),
        "SEGLAB_WEIGHTS": str(folder),
    }
    return serve_app(ROOT / "app" / "main.py", environment)


@pytest.fixture
def bench(address: str, page, trained_run: Path):
    """Compare with both runs, once their masks are there."""
    page.set_default_timeout(120_000)
    runs = "&".join(f"runs={trained_run.name[:-4]}{ending}" for ending in sorted((trained_run.name[-4:], "0000")))
    page.goto(f"{address}/compare?{runs}")
    wait_for_panels(page, 3)
    return page


def wait_for_panels(page, count: int) -> None:
    page.wait_for_function(
        """(count) => {
          const host = [...document.querySelectorAll("*")].find((each) => each.shadowRoot?.querySelector(".viewer"));
          const root = host?.shadowRoot ?? document;
          const viewer = root.querySelector(".viewer");
          return viewer?.dataset.ready === "true" && viewer.querySelectorAll("canvas").length === count
            && !viewer.textContent.includes("is looking");
        }""",
        arg=count,
    )


def names(page) -> list[str]:
    return page.locator(".chips .name").all_inner_texts()


def test_runs_are_hidden_alone_and_ordered_by_keys_and_a_reload_shows_the_same(bench) -> None:
    first, second = names(bench)
    chips = bench.locator(".chips li")
    chips.nth(1).focus()
    bench.keyboard.press("Alt+ArrowUp")
    ending = second.split()[-1]
    bench.wait_for_url(lambda url: parse_qs(urlparse(url).query)["runs"][0].endswith(ending))
    assert names(bench) == [second, first]
    bench.keyboard.press("s")
    wait_for_panels(bench, 2)
    assert "off=" in bench.url
    bench.reload()
    wait_for_panels(bench, 2)
    assert names(bench) == [second, first]
    bench.locator(".chips li").nth(1).locator(".eye").press("Enter")
    wait_for_panels(bench, 3)
    bench.wait_for_url(lambda url: "off=" not in url)


def test_arrow_keys_move_a_zoomed_picture_and_not_the_frame(bench) -> None:
    grid = bench.locator(".viewer .grid")
    grid.focus()
    bench.keyboard.press("+")
    bench.keyboard.press("+")
    bench.wait_for_url(lambda url: "zoom=" in url)
    before = {name: value for name, value in parse_qs(urlparse(bench.url).query).items() if name in ("frame", "zoom")}
    bench.keyboard.press("ArrowRight")
    bench.wait_for_url(lambda url: parse_qs(urlparse(url).query)["zoom"] != before["zoom"])
    bench.wait_for_timeout(1000)  # a frame would have been followed by now
    after = parse_qs(urlparse(bench.url).query)
    assert after.get("frame") == before.get("frame") and bench.get_by_text("1 of 4").count()


def test_a_picture_is_dropped_on_one_page_of_the_bench_and_pasted_on_another(bench, streets: Path) -> None:
    (picture, *_) = sorted(streets.rglob("val/*/*_leftImg8bit.png"))
    data = base64.b64encode(picture.read_bytes()).decode()
    bench.evaluate(HAND_OVER, [data, "dropped.png", "drop"])
    bench.wait_for_url("**/inspect**")
    wait_for_panels(bench, 2)
    bench.evaluate(HAND_OVER, [data, "pasted.png", "paste"])
    bench.get_by_text("pasted.png").wait_for()
