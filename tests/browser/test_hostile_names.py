"""A lab in which all that people name is called to do harm, walked through in Chromium: nothing runs, leads or is loaded."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
from hostile_lab import build, environment

ROOT = Path(__file__).resolve().parents[2]
HARM = """() => [
    ...(window.pwned ? ['a script ran'] : []),
    ...[...document.querySelectorAll('a[href]')].map((link) => new URL(link.href))
        .filter((url) => /evil/.test(url.host) || !/^(https?|blob|mailto):$/.test(url.protocol)).map((url) => `a link to ${url}`),
    ...['img[src*="evil"]', 'img[src="x"]', 'iframe',
        'object', 'base', 'form[action*="evil"]', '[style*="fixed;inset"]', '[onerror]', '[onload]', '.katex', 'math',
        '[colspan="9"]', '.js-plotly-plot a']
        .flatMap((selector) => [...document.querySelectorAll(selector)].map((each) => `${selector}: ${each.outerHTML}`)),
].map((text) => text.slice(0, 200))"""
"""What a browser made of the names, were they more than text."""


@pytest.fixture(scope="module")
def lab(serve_app, tmp_path_factory, tiny_config) -> tuple[str, list[str], Path]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "runs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        runs = build(folder, tiny_config)
    return serve_app(ROOT / "app" / "main.py", environment(folder)), runs, folder


def test_names_stay_names_on_every_page(lab, page, wait_for_app) -> None:
    address, runs, folder = lab
    requests, dialogs = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.set_default_timeout(60_000)
    two = [("runs", run) for run in runs[:2]]
    for path in (
        "",
        f"data?{urlencode([('name', 'folder'), ('root', str(folder / 'data' / 'signs & <b>more</b>'))])}",
        "train",
        f"runs?{urlencode(two)}",
        f"compare?{urlencode(two)}",
        f"inspect?{urlencode([*two, ('source', 'Collection')])}",
        f"explain?{urlencode(two[:1])}",
        f"scores?{urlencode([*two, ('scored-boundary', 'false')])}",
        f"scores?{urlencode([*two, ('scored-boundary', 'false'), ('view', 'Confusion')])}",
        "sweep",
        "report",
    ):
        page.goto(f"{address}/{path}")
        wait_for_app(page, 90)
        page.wait_for_timeout(1500)
        for closed in page.locator("details:not([open]) > summary").all()[:20]:
            if closed.is_visible():
                closed.click()
        wait_for_app(page, 90)
        page.wait_for_timeout(500)
        assert page.evaluate(HARM) == [], path
        assert "fault of the lab" not in page.inner_text("body"), path
    assert not [url for url in requests if not url.startswith((address, "data:", "blob:"))] and not dialogs
    page.goto(f"{address}/runs?{urlencode(two)}")
    page.get_by_text("<script>window.pwned = 1</script>").first.wait_for()
