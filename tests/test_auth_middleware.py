"""Who must sign in, by what name people are known, and what strangers get of the server's own addresses."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import streamlit as st
from starlette.responses import Response
from streamlit import config
from streamlit.auth_util import get_signing_secret
from streamlit.web.server.starlette.starlette_app import create_streamlit_routes
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from app.auth import COOKIE, check_sign_in, must_sign_in, providers, sign_in_links, user_of_claims
from app.auth_middleware import AuthMiddleware
from app.folder_picker import MAX_UPLOAD_BYTES
from app.routes import ROUTES
from app.services import check_uploads, keep_uploads_small, max_upload_size, uploaded_mb, uploads
from app.start_token import address as printed_address
from app.start_token import cookie_name, start_token, token_file
from core.auth import build_user
from core.errors import LabError
from core.paths import PROJECT

ROOT = Path(__file__).resolve().parents[1]
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
AUTH = f'[auth]\nredirect_uri = "http://x/oauth2callback"\ncookie_secret = "{SECRET}"\nclient_id = "lab"\n'


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """`secrets(text)`: what secrets.toml says from now on; None for no such file. As in a lab that starts anew."""
    path = tmp_path / "secrets.toml"
    before = config.get_option("secrets.files")
    config.set_option("secrets.files", [str(path)])
    monkeypatch.delenv("SEGLAB_ADMINS", raising=False)
    must_sign_in.cache_clear()

    def write(text):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
            path.chmod(0o600)
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
    with pytest.raises(LabError, match="Nobody can sign in at the moment"):
        sign_in_links()


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


# ---- the gate

UPLOAD = "/_stcore/upload_file/session/made-up"
HOST = "127.0.0.1:8501"
TOKEN = "a-token-of-this-test-42"
PATHS = (
    "/",
    "/runs",
    "/static/js/index.js",
    "/media/abc.png",
    "/lab/plotly.js",
    "/_stcore/metrics",
    "/_stcore/host-config",
    "/no/such",
)


@pytest.fixture
def token(monkeypatch, secrets):
    """A lab without sign-in that asks for `TOKEN`."""
    monkeypatch.setenv("SEGLAB_TOKEN", TOKEN)
    start_token.cache_clear()
    yield TOKEN
    start_token.cache_clear()


@pytest.fixture
def sign_in(secrets):
    start_token.cache_clear()
    secrets(AUTH)
    size, where = config.get_option("server.maxUploadSize"), config.get_where_defined("server.maxUploadSize")
    keep_uploads_small()  # as the server does when it starts
    yield
    config.set_option("server.maxUploadSize", size, where)
    start_token.cache_clear()


def test_a_file_is_small_where_people_sign_in_and_as_large_as_a_data_set_where_not(token):
    where = str(PROJECT / ".streamlit" / "config.toml")
    assert config.get_where_defined("server.maxUploadSize") == where
    try:
        for source, expected in ((where, 20), ("environment variable", 1000)):
            config.set_option("server.maxUploadSize", 1000, source)
            assert (
                max_upload_size(5_000 * 10**6) == 1000 >= MAX_UPLOAD_BYTES // 10**6 and max_upload_size(7 * 10**6) == 7
            )
            keep_uploads_small()
            assert max_upload_size(5_000 * 10**6) == expected
    finally:
        config.set_option("server.maxUploadSize", 1000, where)


async def _arrived(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await Response("arrived")(scope, receive, send)


def ask(method, path, person_claims=None, cookies=None, query="", kind="http", **headers):
    """Status, text and headers of an answer of the gate; as one who has signed in with those claims, or as a stranger."""
    cookies = dict(cookies or {})
    if person_claims:
        signed = create_signed_value(get_signing_secret(), COOKIE, json.dumps(person_claims | {"is_logged_in": True}))
        cookies[COOKIE] = signed.decode()
    given = {"host": HOST, "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} | headers
    sent_headers = [(name.encode(), value.encode("latin-1")) for name, value in given.items() if value]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": sent_headers, "scheme": "http"}
    scope |= {"method": method} if kind == "http" else {"subprotocols": []}
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError("nobody reads what a stranger sends")

    asyncio.run(AuthMiddleware(_arrived)(scope, receive, send))
    if kind == "websocket":
        return sent[0]["type"]
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], sent[1]["body"].decode(), answer


def opens_a_socket(**options):
    return ask("GET", "/_stcore/stream", kind="websocket", **options) == "websocket.accept"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [*PATHS, UPLOAD, "//media/x", "/base/media/x", "/oauth2callback", "/auth/login"])
def test_without_the_token_nothing_is_answered_and_with_it_everything(token, method, path):
    assert ask(method, path)[0] == ask(method, path, cookies={cookie_name(): "x" + TOKEN})[0] == 401
    assert ask(method, path, cookies={cookie_name(): ""}, query="token=")[0] == 401
    assert ask(method, path, cookies={"seglab_token_1": TOKEN})[0] == 401, "another lab's"
    assert ask(method, path, cookies={cookie_name(): TOKEN})[0] == 200


def test_the_token_in_the_address_becomes_a_cookie_that_no_script_and_no_other_site_gets(token):
    status, _, headers = ask("GET", "/runs", query=f"runs=a%20b&token={TOKEN}&runs=c")
    assert (status, headers["location"]) == (303, "/runs?runs=a+b&runs=c") and headers["cache-control"] == "no-store"
    cookie = headers["set-cookie"]
    assert (
        cookie.startswith(f"{cookie_name()}={TOKEN};") and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    )
    for method, query in (("GET", "token=wrong"), ("PUT", f"token={TOKEN}"), ("GET", f"TOKEN={TOKEN}")):
        status, body, headers = ask(method, "/", query=query, accept="text/html")
        assert status == 401 and "set-cookie" not in headers and TOKEN not in body
    assert "asks for the token" in ask("GET", "/", accept="text/html")[1]


def test_a_socket_needs_the_token_and_a_page_of_this_address(token):
    known = {"cookies": {cookie_name(): TOKEN}}
    assert opens_a_socket(**known, origin=f"http://{HOST}") and opens_a_socket(**known)
    assert not opens_a_socket(origin=f"http://{HOST}")
    for origin in (
        "http://localhost:9999",
        "http://127.0.0.1",
        "http://127.0.0.1:8502",
        "null",
        "http://evil.example",
        f"ftp://{HOST}",
        f"http://{HOST}@evil.example",
    ):
        assert not opens_a_socket(**known, origin=origin), origin
        assert ask("PUT", UPLOAD, **known, origin=origin)[0] == 403, origin


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "[::1"]
)
def test_a_name_that_points_here_and_is_not_the_labs_is_refused(token, host):
    known = {"cookies": {cookie_name(): TOKEN}}
    for path in (*PATHS, "/_stcore/health", UPLOAD):
        assert ask("GET", path, **known, host=host)[0] == 421, path
    assert not opens_a_socket(**known, host=host, origin=f"http://{host}")
    assert ask("GET", "/", **known, host="localhost:8501")[0] == 200


def test_every_answer_says_who_may_frame_and_feed_it(token):
    for status, _, headers in (
        ask("GET", "/"),
        ask("GET", "/", cookies={cookie_name(): TOKEN}),
        ask("GET", "/", host="evil"),
    ):
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy and "default-src 'self'" in policy and "http" not in policy, status
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"


def test_the_token_of_an_account_is_kept_for_itself_alone(secrets, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["main.py"])
    monkeypatch.delenv("SEGLAB_TOKEN", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def fresh():
        start_token.cache_clear()
        return start_token()

    first = fresh()
    assert len(first) >= 32 and fresh() == first and token_file().stat().st_mode & 0o777 == 0o600
    token_file().chmod(0o644)
    second = fresh()
    assert second != first and token_file().stat().st_mode & 0o777 == 0o600, "others may have read it"
    token_file().write_text("")
    assert len(fresh()) >= 32
    token_file().unlink()
    (tmp_path / "elsewhere").write_text("x" * 40)
    token_file().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="isn't a file of this account"):
        fresh()
    for given in ("short", "x" * 20 + ";", "ü" * 20, "a b" * 10):
        monkeypatch.setenv("SEGLAB_TOKEN", given)
        with pytest.raises(LabError, match="SEGLAB_TOKEN must have 16 letters"):
            fresh()
    monkeypatch.setattr("sys.argv", ["main.py", "--no-token"])
    assert fresh() == "" and ask("GET", "/media/abc.png")[0] == 200 and opens_a_socket(origin=f"http://{HOST}")
    assert not opens_a_socket(origin="http://localhost:9999"), "another page still may not"
    start_token.cache_clear()


@pytest.mark.skipif(os.name != "posix", reason="no modes of files")
def test_what_the_server_makes_is_private(tmp_path):
    script = "import os, app.main; print(oct(os.umask(0)))"
    environment = os.environ | {"SEGLAB_TOKEN": TOKEN, "SEGLAB_CHECKPOINTS": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip().endswith("0o77"), done.stderr


def test_the_address_that_is_printed_opens_the_lab(token, monkeypatch):
    assert start_token() == token
    for address, expected in (
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
        (None, "localhost"),
    ):
        monkeypatch.setattr("app.start_token.config.get_option", {"server.address": address, "server.port": 8501}.get)
        assert printed_address() == f"http://{expected}:8501/?token={TOKEN}"


# ---- the gate where people sign in


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", [*PATHS, UPLOAD, f"/base{UPLOAD}", f"/{UPLOAD}", "/lab/metrics/x", "/auth/login/x"])
def test_strangers_get_nothing_but_the_way_to_sign_in(sign_in, method, path):
    assert ask(method, path)[0] == 401
    assert ask(method, path, CLAIMS)[0] == 200
    forged = {COOKIE: "eyJpc19sb2dnZWRfaW4iOnRydWV9.x.y"}
    assert ask(method, path, cookies=forged)[0] == ask(method, path, query=f"token={TOKEN}")[0] == 401


def test_strangers_open_no_socket(sign_in):
    assert not opens_a_socket(origin=f"http://{HOST}") and opens_a_socket(person_claims=CLAIMS, origin=f"http://{HOST}")
    assert not opens_a_socket(person_claims=CLAIMS, origin="http://localhost:9999")


def test_a_stranger_is_shown_the_providers_and_sent_to_the_one_of_choice(sign_in, secrets):
    pytest.importorskip("authlib")
    for path in ("/oauth2callback", "/auth/login", "/auth/logout", "/_stcore/health"):
        assert ask("GET", path)[0] == 200, path
    status, body, headers = ask("GET", "/runs", accept="text/html")
    assert status == 401 and "Sign in to the lab" in body and "?sign-in=default" in body
    status, _, headers = ask("GET", "/runs", query="sign-in=default", accept="text/html")
    assert status == 303 and headers["location"].startswith("/auth/login?provider=")
    secrets(AUTH + "[auth.uni]\nclient_id = 'x'\n[auth.\"<b>\"]\nclient_id = 'x'\n")
    body = ask("GET", "/", accept="text/html")[1]
    assert "Sign in with Uni" in body and "<b>" not in body
    secrets(None)
    assert "Nobody can sign in at the moment" in ask("GET", "/", accept="text/html")[1]


def test_the_name_that_people_are_sent_back_to_is_the_labs(sign_in, secrets):
    assert ask("GET", "/", CLAIMS, host="lab.example.org")[0] == 421
    secrets(AUTH.replace("http://x/", "https://lab.example.org/"))
    assert ask("GET", "/", CLAIMS, host="lab.example.org")[0] == 200
    assert opens_a_socket(person_claims=CLAIMS, host="lab.example.org", origin="https://lab.example.org")
    assert ask("GET", "/", CLAIMS, host="other.example.org")[0] == 421


@pytest.mark.parametrize("secret", ["...", "", "short", "0123456789abcdef", "a" * 64, "ab" * 32])
def test_a_cookie_secret_that_can_be_guessed_keeps_the_lab_from_starting(secrets, secret):
    secrets(AUTH.replace(SECRET, secret))
    with pytest.raises(LabError, match="who guesses it is any admin"):
        check_sign_in()


@pytest.mark.skipif(os.name != "posix", reason="no modes of files")
def test_a_secrets_file_that_others_can_read_keeps_the_lab_from_starting(secrets, tmp_path):
    secrets(AUTH)
    check_sign_in()
    for mode in (0o644, 0o640, 0o604):
        (tmp_path / "secrets.toml").chmod(mode)
        with pytest.raises(LabError, match="can be read by other accounts"):
            check_sign_in()


def test_two_people_are_never_one(monkeypatch):
    monkeypatch.setenv("SEGLAB_ADMINS", "mark@x.org, https://idp|adm, Ann@X.org")
    assert build_user("mark@x.org").is_admin and build_user("MARK@X.org").is_admin and build_user("ann@x.org").is_admin
    for other in ("mar\u212a@x.org", "https://idp|ADM", "https://IDP|adm", "mark@x.org ", "m\u0430rk@x.org"):
        user = build_user(other)
        assert not user.is_admin and user.id not in ("mark@x.org", "https://idp|adm"), other
    assert build_user("https://idp|adm").is_admin


def test_an_address_with_other_letters_than_ascii_is_not_taken_for_checked(secrets):
    secrets(AUTH)
    claims = CLAIMS | {"email": "mar\u212a@x.org", "email_verified": True}
    assert user_of_claims(claims).id == OWN_NAME


def test_files_are_counted_where_they_arrive(sign_in, monkeypatch):
    uploads.cache_clear()
    monkeypatch.setenv("SEGLAB_MAX_UPLOADS", "2")
    ann, bob = CLAIMS | {"sub": "ann"}, CLAIMS | {"sub": "bob"}
    assert [ask("PUT", UPLOAD, ann)[0] for _ in range(3)] == [200, 200, 429]
    assert "used the 2 uploads of this hour" in ask("PUT", UPLOAD, ann)[1]
    assert ask("DELETE", UPLOAD, ann)[0] == ask("PUT", UPLOAD, bob)[0] == 200
    check_uploads(user_of_claims(bob))
    with pytest.raises(LabError, match="used the 2 uploads"):
        check_uploads(user_of_claims(ann))
    uploads.cache_clear()


def test_files_are_counted_in_megabytes_too(sign_in, monkeypatch):
    uploads.cache_clear()
    uploaded_mb.cache_clear()
    monkeypatch.setenv("SEGLAB_MAX_UPLOAD_MB", "30")
    ann, bob = CLAIMS | {"sub": "ann"}, CLAIMS | {"sub": "bob"}
    sizes = ["16000000", "16000000", "14000000", "1"]
    answers = [ask("PUT", UPLOAD, ann, **{"content-length": size}) for size in sizes]
    assert [status for status, *_ in answers] == [200, 429, 200, 429]
    assert "used the 30 MB of uploads of this hour" in answers[-1][1]
    assert [ask("PUT", UPLOAD, bob)[0] for _ in range(2)] == [200, 429]  # who doesn't say how large takes the most
    uploads.cache_clear()
    uploaded_mb.cache_clear()


# ---- who gets an answer where, as docs/security.md has it


def documented():
    """The table of addresses in docs/security.md: path to who gets an answer."""
    rows = re.findall(r"^\| (`/.*?) \| .* \| (.*) \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    return {path: who for paths, who in rows for path in re.findall("`(/[^`]*)`", paths)}


def routes():
    """The server's routes: path to methods, empty for a socket's."""
    everything = [*create_streamlit_routes(MagicMock()), *ROUTES]
    found = {}
    for route in everything:
        if path := getattr(route, "path", ""):
            found.setdefault(path, set()).update(getattr(route, "methods", None) or ())
    return found


def test_every_route_has_a_row_and_every_row_a_route():
    assert routes().keys() == documented().keys()


def test_every_route_answers_whom_the_table_names_and_nobody_else(sign_in, monkeypatch):
    for path, methods in routes().items():
        address = re.sub(r"\{.*?\}", "x", path)
        is_open = documented()[path].startswith("everyone")
        if not methods:
            assert opens_a_socket(person_claims=CLAIMS) and not opens_a_socket()
        for method in methods:
            assert (ask(method, address)[0] == 200) == is_open, (method, path)
            assert ask(method, address, CLAIMS)[0] == 200, (method, path)
            assert ask(method, address, CLAIMS, host="evil.example")[0] == 421, (method, path)
            if method not in ("GET", "HEAD", "OPTIONS"):
                assert ask(method, address, CLAIMS, origin="http://evil.example")[0] == 403, (method, path)


def test_without_sign_in_every_route_but_one_needs_the_token(token):
    for path, methods in routes().items():
        address = re.sub(r"\{.*?\}", "x", path)
        for method in methods:
            assert (ask(method, address)[0] == 200) == (path == "/_stcore/health"), (method, path)
            assert ask(method, address, cookies={cookie_name(): TOKEN})[0] == 200, (method, path)
