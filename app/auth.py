"""Signing in, as Streamlit offers it (OpenID Connect): who looks at a page, and who asks a route."""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import streamlit as st
from markupsafe import Markup
from starlette.requests import HTTPConnection
from streamlit import config
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.user_info import generate_login_redirect_url

# Streamlit tells routes of one's own nothing of its sign-in; this reads the cookie as its socket does.
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

from app.html import show_script
from core.auth import ANONYMOUS, SYSTEM_USER, User, build_user
from core.errors import LabError
from core.extras import check_packages
from core.text import one_line

COOKIE = "_streamlit_user"
NEXT_PAGE_KEY = "lab-wanted"
"""Where a browser's tab keeps the address that was asked for before signing in."""
SIGN_IN = "sign-in"
"""What an address says for which provider a stranger wants to sign in with."""
ALWAYS_OPEN = ("/auth/login", "/auth/logout", "/oauth2callback")
"""Streamlit's own addresses on the way to a provider and back."""
MIN_SECRET, MIN_DIFFERENT = 32, 10
"""Letters that a cookie secret must have, and how many different ones."""


@cache
def must_sign_in() -> bool:
    """Return True where a provider is configured in `.streamlit/secrets.toml`.

    Read once in the life of the server: a file that is being edited, or lost, must not open the lab to strangers.

    Raises:
        LabError: the file is there and can't be read, so that it isn't known.
    """
    try:
        return bool(st.secrets.get("auth"))
    except (OSError, ValueError) as error:
        # Streamlit raises the same for no file and for one that it can't parse.
        files = config.get_option("secrets.files")
        if isinstance(error, StreamlitSecretNotFoundError) and not any(map(os.path.lexists, files)):
            return False
        raise LabError(
            f"The file secrets.toml, which says whether people must sign in, can't be read: {error}. Mend it, and start"
            " the lab again."
        ) from None


def check_sign_in() -> None:
    """Raise LabError where the lab must not start: the sign-in can't be read, or is missing though there are admins to
    sign in.
    """
    if not must_sign_in() and os.environ.get("SEGLAB_ADMINS", "").strip():
        raise LabError(
            "SEGLAB_ADMINS names admins, but nobody signs in: .streamlit/secrets.toml has no section [auth]. Add it as "
            "docs/server.md says, or start the lab without SEGLAB_ADMINS."
        )
    if must_sign_in():
        _check_secrets()


def _check_secrets() -> None:
    """Raise LabError where anybody could sign a cookie of their own: the secret is missing, short, or read by others.

    Without a secret Streamlit makes one for each start, which is safe.
    """
    secret = _auth().get("cookie_secret")
    if secret is not None and (len(str(secret)) < MIN_SECRET or len(set(str(secret))) < MIN_DIFFERENT):
        raise LabError(
            f"The cookie_secret in secrets.toml has {len(str(secret))} letters, {len(set(str(secret)))} of them"
            f" different: who guesses it is any admin. Make one of {MIN_SECRET} at least: python -c 'import secrets;"
            " print(secrets.token_hex(32))'"
        )
    for path in map(Path, config.get_option("secrets.files")):
        if os.name == "posix" and path.is_file() and path.stat().st_mode & 0o077:
            raise LabError(
                f"'{path}' can be read by other accounts of this machine, who could then sign in as anybody. Type:"
                f" chmod 600 '{path}'"
            )


def signed_in() -> User:
    """Return who looks at the page that is being drawn; the lab without sign-in, and for the server's own threads."""
    if not must_sign_in() or get_script_run_ctx(suppress_warning=True) is None:
        return SYSTEM_USER
    return user_of_claims(st.user.to_dict()) if has_signed_in() else ANONYMOUS


def has_signed_in() -> bool:
    """Return True where the visitor of the page that is being drawn has signed in."""
    return st.user.to_dict().get("is_logged_in") is True  # the attribute is missing where secrets.toml is lost


def providers() -> list[str]:
    """Return the names of the providers that can be chosen among; empty where there is one without a name."""
    return [name for name, value in _auth().items() if hasattr(value, "keys")]


def _auth() -> Mapping[str, Any]:
    """Return what secrets.toml says of signing in at this moment.

    Empty where it was lost or broken since the lab started.
    """
    try:
        return st.secrets.get("auth", {})
    except (OSError, ValueError):
        return {}


def sign_in_links() -> list[tuple[str, str]]:
    """Return what each provider is called on the page for who hasn't signed in, and the address that leads to it.

    Raises:
        LabError: nobody can sign in at the moment.
    """
    check_packages("Signing in", ("authlib", "httpx"))
    if not _auth():
        raise LabError(
            "Nobody can sign in at the moment: secrets.toml is gone, can't be read, or has no section [auth] any more."
            " Tell whoever runs this lab."
        )
    if not providers():
        return [("Sign in", f"?{SIGN_IN}=default")]
    return [(f"Sign in with {name.capitalize()}", f"?{SIGN_IN}={quote(name)}") for name in providers()]


def sign_in_address(name: str) -> str:
    """Return where the browser of who wants to sign in is sent. It holds for two minutes."""
    return generate_login_redirect_url(name if name in providers() else "default")


def redirect_host() -> str:
    """Return the host, with its port, to which providers send people back; "" without sign-in."""
    uri = _auth().get("redirect_uri") if must_sign_in() else ""
    return urlsplit(str(uri or "")).netloc.lower()


def go_where_the_link_led() -> None:
    """Once after signing in: goes on to the address that led a stranger to the sign-in."""
    if not must_sign_in() or "has-followed-link" in st.session_state:
        return
    st.session_state["has-followed-link"] = True
    script = Markup(
        "<script>"
        "const wanted = sessionStorage.getItem('{0}'); sessionStorage.removeItem('{0}');"
        "if (wanted?.startsWith('/') && !wanted.startsWith('//') && wanted !== location.pathname + location.search)"
        "  location.replace(wanted);"
        "</script>"
    )
    show_script(script.format(NEXT_PAGE_KEY))


def has_sign_in_cookie(connection: HTTPConnection) -> bool:
    """Return whether a request or a socket comes from a browser that has signed in."""
    return _claims(connection).get("is_logged_in") is True


def requester(connection: HTTPConnection) -> User:
    """Return who asks, of those whom `app.auth_middleware` lets in."""
    return user_of_claims(_claims(connection)) if must_sign_in() else SYSTEM_USER


def _claims(connection: HTTPConnection) -> dict[str, Any]:
    try:
        return json.loads(_get_signed_cookie_with_chunks(connection.cookies, COOKIE) or b"{}")
    except ValueError:
        return {}


def user_of_claims(claims: Mapping[str, Any]) -> User:
    """Return who signed in, by e-mail address where the provider has checked it.

    Else by the name that is the provider's own.

    Anyone can write another's address into an account that nobody checks. Where a provider says nothing of that,
    secrets.toml can: `trust_email = true` in its section.
    """
    email = claims.get("email")
    checked = claims.get("email_verified")
    if checked is None:
        checked = _auth().get(claims.get("provider"), _auth()).get("trust_email")
    # Letters that look alike make two addresses look like one.
    is_known = bool(email) and checked is True and str(email).isascii()
    known_as = email if is_known else f"{claims.get('iss')}|{claims.get('sub')}"
    known_as = str(known_as) if str(known_as).isprintable() else ascii(known_as)
    return build_user(known_as, one_line(str(claims.get("name") or email or "")))
