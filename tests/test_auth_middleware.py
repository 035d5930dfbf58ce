"""Who must sign in, by what name people are known, and what strangers get of the server's own addresses."""

import asyncio
import json

import pytest
import streamlit as st
from starlette.responses import Response
from streamlit import config
from streamlit.auth_util import get_signing_secret
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from app.auth import COOKIE, check_sign_in, must_sign_in, providers, user_of_claims
from app.auth_middleware import AuthMiddleware
from app.services import check_uploads, uploads
from core.errors import LabError

AUTH = '[auth]\nredirect_uri = "http://x/oauth2callback"\ncookie_secret = "0123456789abcdef"\nclient_id = "lab"\n'


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """`secrets(text)`: what secrets.toml says from now on; None for no such file. As in a lab that starts anew."""
    path = tmp_path / "secrets.toml"
    before = config.get_option("secrets.files")
    config.set_option("secrets.files", [str(path)])
    monkeypatch.delenv("SEGLAB_ADMINS", raising=False)
    must_sign_in.cache_clear()

    def write(text):
        path.unlink(missing_ok=True) if text is None else path.write_text(text)
        st.secrets._reset()

    write(None)
    yield write
    config.set_option("secrets.files", before)
    st.secrets._reset()
    must_sign_in.cache_clear()


def test_who_must_sign_in_follows_from_the_file(secrets):
    assert not must_sign_in()
    must_sign_in.cache_clear()
    secrets("[other]\na = 1\n")
    assert not must_sign_in()
    must_sign_in.cache_clear()
    secrets(AUTH)
    assert must_sign_in()


@pytest.mark.parametrize("broken", [AUTH + "client_secret = no quotes\n", "\udcff", None, "", "[other]\na = 1\n"])
def test_a_file_that_breaks_or_goes_away_opens_nothing(secrets, broken):
    secrets(AUTH)
    assert must_sign_in()
    secrets(broken and broken.encode("utf-8", "replace").decode())
    assert must_sign_in() and providers() == []

    def page():
        from app.auth import sign_in_page

        sign_in_page()

    shown = AppTest.from_function(page).run()
    assert not shown.exception and not shown.button and "Nobody can sign in at the moment" in shown.error[0].value


@pytest.mark.parametrize("broken", [AUTH + "client_secret = no quotes\n", "auth = \n"])
def test_a_file_that_cant_be_read_lets_nobody_in(secrets, broken):
    secrets(broken)
    for _ in range(2):
        with pytest.raises(LabError, match="secrets.toml.* can't be read"):
            must_sign_in()


def test_a_lab_with_admins_does_not_start_without_sign_in(secrets, monkeypatch):
    check_sign_in()
    monkeypatch.setenv("SEGLAB_ADMINS", "eve@x.org")
    with pytest.raises(LabError, match="SEGLAB_ADMINS names admins, but nobody signs in"):
        check_sign_in()
    must_sign_in.cache_clear()
    secrets(AUTH)
    check_sign_in()


CLAIMS = {"iss": "https://id.example.org", "sub": "42", "email": "Eve@X.org", "provider": "default"}
OWN_NAME = "https://id.example.org|42"


@pytest.mark.parametrize(
    ("verified", "known_as"),
    [
        ({"email_verified": True}, "eve@x.org"),
        ({}, OWN_NAME),
        *[({"email_verified": message}, OWN_NAME) for message in (None, False, 0, 1, "", "false", "true")],
    ],
)
def test_an_address_counts_when_the_provider_says_that_it_checked_it(secrets, monkeypatch, verified, known_as):
    monkeypatch.setenv("SEGLAB_ADMINS", "eve@x.org")
    secrets(AUTH)
    result = user_of_claims(CLAIMS | verified)
    assert result.id == known_as and result.is_admin == (known_as == "eve@x.org")
    monkeypatch.setenv("SEGLAB_ADMINS", OWN_NAME)
    assert user_of_claims(CLAIMS | verified).is_admin == (known_as == OWN_NAME)


def test_a_provider_can_be_trusted_with_addresses(secrets):
    secrets(AUTH + "trust_email = true\n")
    assert user_of_claims(CLAIMS).id == "eve@x.org"
    assert user_of_claims(CLAIMS | {"email": ""}).id == OWN_NAME
    assert user_of_claims(CLAIMS | {"email_verified": False}).id == OWN_NAME
    secrets(AUTH + "trust_email = 'yes'\n")
    assert user_of_claims(CLAIMS).id == OWN_NAME
    secrets(AUTH + "[auth.entra]\ntrust_email = true\n[auth.other]\nclient_id = 'x'\n")
    assert user_of_claims(CLAIMS | {"provider": "entra"}).id == "eve@x.org"
    for other in ("other", "default", None):
        assert user_of_claims(CLAIMS | {"provider": other}).id == OWN_NAME, other


# ---- what strangers get of Streamlit's own addresses

UPLOAD = "/_stcore/upload_file/session/made-up"


async def _arrived(scope, receive, send):
    await Response("arrived")(scope, receive, send)


def ask(method, path, person_claims=None):
    """Status of an answer, and its text; through the door, as one who has signed in with those claims or as a stranger."""
    headers = []
    if person_claims:
        cookie = create_signed_value(get_signing_secret(), COOKIE, json.dumps(person_claims | {"is_logged_in": True}))
        headers = [(b"cookie", f"{COOKIE}={cookie.decode()}".encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError("nobody reads what a stranger sends")

    asyncio.run(AuthMiddleware(_arrived)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("prefix", ["", "/base", "/"])
def test_strangers_send_no_files(secrets, method, prefix):
    secrets(AUTH)
    assert ask(method, prefix + UPLOAD)[0] == 401
    assert ask(method, prefix + UPLOAD, CLAIMS) == (200, "arrived")


def test_strangers_get_no_files_but_what_the_sign_in_needs(secrets):
    secrets(AUTH)
    assert ask("GET", "/media/abc.png")[0] == 401
    assert ask("GET", "/media/abc.png", CLAIMS)[0] == 200
    for path in ("/", "/static/js/index.js", "/_stcore/health", "/oauth2callback", "/auth/login"):
        assert ask("GET", path)[0] == 200, path


def test_a_lab_without_sign_in_is_open(secrets):
    assert ask("PUT", UPLOAD)[0] == ask("GET", "/media/abc.png")[0] == 200


def test_files_are_counted_where_they_arrive(secrets, monkeypatch):
    uploads.cache_clear()
    monkeypatch.setenv("SEGLAB_MAX_UPLOADS", "2")
    secrets(AUTH)
    ann, bob = CLAIMS | {"sub": "ann"}, CLAIMS | {"sub": "bob"}
    assert [ask("PUT", UPLOAD, ann)[0] for _ in range(3)] == [200, 200, 429]
    assert "used the 2 uploads of this hour" in ask("PUT", UPLOAD, ann)[1]
    assert ask("DELETE", UPLOAD, ann)[0] == ask("PUT", UPLOAD, bob)[0] == 200
    check_uploads(user_of_claims(bob))
    with pytest.raises(LabError, match="used the 2 uploads"):
        check_uploads(user_of_claims(ann))
    uploads.cache_clear()
