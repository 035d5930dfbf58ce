"""Every page, light and dark, as axe-core sees it: no violation that is serious or critical, and no host but our own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from core.synthetic import write_streets

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("", "data", "label", "train", "runs", "compare", "inspect", "explain", "scores", "report", "models", "sweep")

OPAQUE = "[data-stale=true] { opacity: 1 !important; transition: none !important; }"
"""What a script run is about to replace isn't pale: a run may begin at any moment of the audit, and is long on a slow machine."""
FRESH = """() => !document.querySelector('[data-stale=true]')
    && !document.getAnimations().some((each) => each instanceof CSSTransition && each.playState === 'running')"""
"""Whether everything is of the newest script run, and at its full strength."""


@pytest.fixture(scope="module")
def url(serve_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory, trained_run: Path) -> str:
    """A lab with street scenes and a finished run."""
    folder = tmp_path_factory.mktemp("accessible")
    write_streets(folder / "data" / "streets", train=8, val=4, size=(64, 128))
    shutil.copytree(trained_run, folder / "runs" / trained_run.name)
    environment = {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(folder / "data"),
        "SEGLAB_WEIGHTS": str(folder / "weights"),
        "SEGLAB_DATA_ROOTS": str(folder),
        "HF_HUB_OFFLINE": "1",
    }
    return serve_app(ROOT / "app" / "main.py", environment)


@pytest.fixture(scope="module", params=["light", "dark"])
def themed(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=request.param)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shuts_nobody_out_and_asks_no_other_host(themed: Page, url: str, wait_for_app, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (make test)").Axe()
    asked: list[str] = []
    themed.on("request", lambda request: asked.append(request.url))
    themed.goto(f"{url}/{name}")
    wait_for_app(themed)
    themed.wait_for_timeout(700)
    wait_for_app(themed)
    themed.add_style_tag(content=OPAQUE)
    themed.wait_for_function(FRESH)
    violations = [
        (each["id"], each["impact"], [node["html"][:200] for node in each["nodes"]][:4])
        for each in axe.run(themed).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert violations == []
    hosts = {urlsplit(address).netloc for address in asked if not address.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(url).netloc}
