"""The start token in a browser: asked for once, remembered, and no page asks another host for anything."""

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-this-test-42"


def test_a_browser_that_was_given_the_token_is_remembered_and_no_other_is_let_in(browser, serve_app, tmp_path_factory):
    folder = tmp_path_factory.mktemp("token")
    places = {name: str(folder / name) for name in ("SEGLAB_CHECKPOINTS", "SEGLAB_DATA", "SEGLAB_WEIGHTS")}
    url = serve_app(ROOT / "app" / "main.py", places | {"SEGLAB_TOKEN": TOKEN}, with_token=True)
    context = browser.new_context()
    page = context.new_page()
    outside, refused = [], []
    page.on("request", lambda request: outside.append(request.url) if _is_outside(request.url, url) else None)
    page.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)

    page.goto(f"{url}/models")
    expect(page.get_by_text("asks for the token")).to_be_visible()
    page.get_by_label("Token").fill("not this one at all")
    page.get_by_role("button", name="Open the lab").click()
    expect(page.get_by_text("That was not the token")).to_be_visible()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Open the lab").click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible(timeout=60_000)
    assert "token" not in page.url and TOKEN not in page.content()

    page.goto(url)
    expect(page.get_by_role("button", name="Train all three for a minute each")).to_be_visible(timeout=60_000)
    assert not outside and not refused
    stranger = browser.new_context().new_page()
    stranger.goto(url)
    expect(stranger.get_by_text("asks for the token")).to_be_visible()
    stranger.context.close()
    context.close()


def _is_outside(address: str, lab: str) -> bool:
    return (
        urlsplit(address).scheme in ("http", "https", "ws", "wss") and urlsplit(address).netloc != urlsplit(lab).netloc
    )
