"""What every browser test needs: a Chromium, a page in it, and a Streamlit server to look at.

Leaves to the tests: which script is served, and what is looked at. Without a Chromium every test that asks for a
browser is skipped, and says so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTLED = "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
SERVER_START_S = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, one per test module.

    Not one per session: Playwright's sync API keeps an event loop running in this thread while it is open, and
    whatever test runs after ours and calls `asyncio.run` would fail.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make test)")
    with sync_api.sync_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if system is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
        chromium = playwright.chromium.launch(executable_path=system, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Iterator[BrowserContext]:
    """The context of a module's pages: they share its cache, so Streamlit and Plotly are fetched and compiled once."""
    context = browser.new_context(viewport=DESKTOP)
    yield context
    context.close()


@pytest.fixture
def page(desktop: BrowserContext) -> Iterator[Page]:
    """A blank page of 1440x900 CSS pixels without cookies."""
    page = desktop.new_page()
    yield page
    for each in desktop.pages:
        each.close()
    desktop.clear_cookies()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A blank page of 390x844 CSS pixels with a touch screen and two device pixels to the CSS pixel."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def serve_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """`serve_app(script, env={}, port=None, options=(), with_token=False) -> base_url`: run a Streamlit script or an `st.App` entry until the module's end.

    The server runs in the repository's root (so it reads the lab's own theme), has the root on its path, listens on
    a free port of 127.0.0.1, and gets `env` on top of this process's environment and `options` of Streamlit's. All
    share a cache, where `env` names no other: networks are described once, not by every server. A server that was
    started with `ends_before` ends as soon as the next one of that kind begins.
    """
    servers: list[subprocess.Popen[bytes]] = []
    short_lived: list[subprocess.Popen[bytes]] = []
    folder = tmp_path_factory.getbasetemp()
    shared = {"SEGLAB_CACHE": str((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache")}

    def serve(
        script: Path,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        options: Sequence[str] = (),
        with_token: bool = False,
        ends_before: bool = False,
    ) -> str:
        if ends_before:
            for server in short_lived:
                server.terminate()
            short_lived.clear()
        port = port or free_port()
        log_path = tmp_path_factory.mktemp("server") / "server.log"
        command = [sys.executable, "-m", "streamlit", "run", str(script)]
        command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
        command += ["--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false", *options]
        if script == ROOT / "app" / "main.py" and not with_token:
            command += ["--", "--no-token"]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with log_path.open("wb") as log:
            server = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **shared, "PYTHONPATH": path, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        servers.append(server)
        if ends_before:
            short_lived.append(server)
        base_url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(base_url, server, log_path)
        return base_url

    yield serve
    for server in servers:
        server.terminate()
    for server in servers:
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def wait_for_app() -> Callable[..., None]:
    """`wait_for_app(page, timeout_s=90)`: return when the page is connected and its script has run to the end.

    A component may still be drawing then: wait for its own `data-ready` too. On a page that runs itself again every
    second, wait for a text instead.
    """

    def wait(page: Page, timeout_s: float = 90) -> None:
        page.wait_for_selector(SETTLED, timeout=timeout_s * 1000)

    return wait


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(base_url: str, server: subprocess.Popen[bytes], log_path: Path) -> None:
    """Poll Streamlit's health check; fail with the end of the server's log where it died or stays silent."""
    deadline = time.monotonic() + SERVER_START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{base_url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the Streamlit server did not start:\n{log_path.read_text(errors='replace')[-2000:]}")
