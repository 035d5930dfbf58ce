"""Signing in, as Streamlit offers it (OpenID Connect): who looks at a page, and who asks a route."""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from streamlit import config
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx

# Streamlit tells routes of one's own nothing of its sign-in; this reads the cookie as its socket does.
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

from app.widgets import failed_state
from core.auth import SYSTEM_USER, User, build_user
from core.errors import LabError
from core.extras import check_packages

COOKIE = "_streamlit_user"
WANTED = "lab-wanted"
"""Where a browser's tab keeps the address that was asked for before signing in."""
ANONYMOUS = User("nobody", "nobody")
"""A visitor who is not signed in where one must be; owns nothing."""


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


def sign_in_page() -> None:
    """Show what is shown in place of every page to who hasn't signed in."""
    _, middle, _ = st.columns([1, 2, 1])
    middle.space("large")
    with middle.container(border=True):
        st.title("Segmentation lab")
        st.markdown(
            "Sign in to the lab. Everyone who signs in sees every run; your own are yours to stop, rename and delete."
        )
        try:
            check_packages("Signing in", ("authlib", "httpx"))
            if not _auth():
                raise LabError(
                    "Nobody can sign in at the moment: secrets.toml is gone, can't be read, or has no section [auth]"
                    " any more. Tell whoever runs this lab."
                )
        except LabError as error:
            failed_state(error)
            return
        for name in providers() or [""]:
            label = f"Sign in with {name.capitalize()}" if name else "Sign in"
            if st.button(label, key=f"sign-in-{name}", type="primary", icon=":material/login:"):
                st.login(name) if name else st.login()
    # The provider sends everybody back to the first page; the tab itself remembers what was asked for.
    st.html(
        f"<script>sessionStorage.setItem('{WANTED}', location.pathname + location.search)</script>",
        unsafe_allow_javascript=True,
    )


def go_where_the_link_led() -> None:
    """Once after signing in: goes on to the address that led a stranger to the sign-in."""
    if not must_sign_in() or "has-followed-link" in st.session_state:
        return
    st.session_state["has-followed-link"] = True
    st.html(
        "<script>"
        f"const wanted = sessionStorage.getItem('{WANTED}'); sessionStorage.removeItem('{WANTED}');"
        "if (wanted?.startsWith('/') && !wanted.startsWith('//') && wanted !== location.pathname + location.search)"
        "  location.replace(wanted);"
        "</script>",
        unsafe_allow_javascript=True,
    )


def require_sign_in(request: Request) -> Response | None:
    """Return the answer to a route's visitor who is not signed in where one must be, or None."""
    if not must_sign_in():
        return None
    if _claims(request).get("is_logged_in"):
        return None
    return JSONResponse({"error": "Sign in to the lab first."}, status_code=401, headers={"Cache-Control": "no-store"})


def requester(request: Request) -> User:
    """Return who asks a route, of those whom `require_sign_in` lets in."""
    return user_of_claims(_claims(request)) if must_sign_in() else SYSTEM_USER


def _claims(request: Request) -> dict[str, Any]:
    try:
        return json.loads(_get_signed_cookie_with_chunks(request.cookies, COOKIE) or b"{}")
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
    known_as = email if email and checked is True else f"{claims.get('iss')}|{claims.get('sub')}"
    return build_user(str(known_as), str(claims.get("name") or email or ""))
