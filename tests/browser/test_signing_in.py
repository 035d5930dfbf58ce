"""Two people in two browsers: each sees everything, and changes what is theirs; who hasn't signed in gets nothing."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from browser.conftest import free_port
from playwright.sync_api import expect

from core.config import read_config
from core.runs.status import update_status
from core.runs.store import create_run

pytest.importorskip("authlib", reason="Authlib is not installed (make test)")
from browser.identity import IdentityProvider

ROOT = Path(__file__).resolve().parents[2]
ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"


@pytest.fixture(scope="module")
def provider():
    server = IdentityProvider((ANN, BOB, EVE))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(folder / "data"),
        "SEGLAB_DATA_ROOTS": str(folder),
        "SEGLAB_ADMINS": EVE,
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture(scope="module")
def lab(serve_app, provider, environment, tmp_path_factory):
    port = free_port()
    secrets = tmp_path_factory.mktemp("secrets") / "secrets.toml"
    secrets.write_text(provider.secrets_toml(f"http://127.0.0.1:{port}"))
    secrets.chmod(0o600)
    return serve_app(ROOT / "app" / "main.py", environment, port=port, options=["--secrets.files", str(secrets)])


@pytest.fixture
def runs(environment, monkeypatch):
    """A finished run of Ann's, and one of the lab's own."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = Path(environment["SEGLAB_CHECKPOINTS"])
    result = []
    for owner in (ANN, ""):
        monkeypatch.setenv("SEGLAB_USER", owner)
        result.append(create_run(read_config({}), folder))
        update_status(result[-1], state="stopped", step=3, steps_total=9, ended=1.0, started=0.5)
    monkeypatch.delenv("SEGLAB_USER")
    return result


def sign_in(browser, lab, email):
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(lab)
    show_who_one_is(page, email)
    expect(page.get_by_role("heading", name="Segmentation lab")).to_be_visible(timeout=20_000)
    return page


def show_who_one_is(page, email):
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("link", name=email).click()


def see_runs(page, lab, wait_for_app, *runs):
    page.goto(f"{lab}/runs?" + "&".join(f"runs={run.name}" for run in runs))
    expect(page.get_by_text(runs[-1].name).first).to_be_visible(timeout=20_000)


def test_a_link_leads_a_stranger_through_the_sign_in_to_its_page(browser, lab, runs):
    other_user = browser.new_context().new_page()
    link = f"{lab}/runs?runs={runs[1].name}"
    other_user.goto(link)
    expect(other_user.get_by_text("Sign in to the lab")).to_be_visible(timeout=20_000)
    expect(other_user.get_by_text("Page not found")).to_have_count(0)
    show_who_one_is(other_user, BOB)
    expect(other_user.get_by_text(runs[1].name).first).to_be_visible(timeout=20_000)
    assert other_user.url == link
    other_user.context.close()


def test_strangers_get_nothing_and_two_people_keep_what_is_theirs(browser, lab, runs, environment, wait_for_app):
    anns, labs = runs
    addresses = ["/lab/plotly.js", f"/lab/metrics/{anns.name}", f"/lab/picture/{'0' * 40}.png"]
    for address in addresses:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(lab + address)
        assert refused.value.code == 401, address
    upload = f"{lab}/_stcore/upload_file/session/made-up"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(upload, b"anything", method="PUT"))
    assert refused.value.code == 401
    other_user = browser.new_context().new_page()
    other_user.goto(f"{lab}/runs?runs={anns.name}")
    expect(other_user.get_by_text("Sign in to the lab")).to_be_visible(timeout=20_000)
    assert anns.name not in other_user.content()
    forged = urllib.request.Request(
        lab + addresses[1], headers={"Cookie": "_streamlit_user=eyJpc19sb2dnZWRfaW4iOnRydWV9.x.y"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(forged)
    assert refused.value.code == 401

    ann, bob, eve = (sign_in(browser, lab, email) for email in (ANN, BOB, EVE))
    for page in (ann, bob, eve):
        see_runs(page, lab, wait_for_app, anns, labs)
        assert page.request.get(lab + addresses[1]).status == 200
        assert page.request.put(upload, data=b"anything").status in (400, 403), (
            "Streamlit's own answer: no such session"
        )
    expect(ann.get_by_text(f"by {ANN}")).to_be_visible()
    expect(ann.get_by_role("button", name=re.compile("^Resume"))).to_have_count(1)
    expect(bob.get_by_role("button", name=re.compile("^Resume"))).to_have_count(0)
    expect(bob.get_by_role("button", name=re.compile("Same again"))).to_have_count(2)
    expect(eve.get_by_role("button", name=re.compile("^Resume"))).to_have_count(2)

    ann.goto(f"{lab}/account")
    expect(ann.get_by_text(ANN).first).to_be_visible(timeout=20_000)
    ann.get_by_role("button", name="Sign out").click()
    expect(ann.get_by_text("Sign in to the lab")).to_be_visible(timeout=20_000)
    assert ann.request.get(lab + addresses[1]).status == 401

    for who, run, text in (
        (BOB, anns, f"belongs to {ANN}"),
        (BOB, labs, "belongs to the lab"),
        (ANN, labs, "belongs to the lab"),
        (ANN, anns, ""),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "core", "runs", "delete", run.name],
            cwd=ROOT,
            env={**os.environ, **environment, "SEGLAB_USER": who},
            capture_output=True,
            text=True,
        )
        assert done.returncode == (42 if text else 0) and text in done.stderr, done
        assert run.is_dir() == bool(text)
