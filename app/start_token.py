"""The start token of a lab without sign-in, as Jupyter has one: whoever reaches the port must also know it.

Loopback is not private: other accounts of the machine reach it, and so does any web page through the browser. The
token stands in the address that the lab prints and opens; the browser keeps it in a cookie from then on.
"""

import hmac
import os
import secrets
import stat
import sys
import webbrowser
from functools import cache
from pathlib import Path
from threading import Timer

from starlette.requests import HTTPConnection
from streamlit import config

from app.auth import must_sign_in
from core.errors import LabError

NO_TOKEN = "--no-token"  # noqa: S105 - an argument of the command line
"""The argument that opens the lab to everybody who reaches its port."""
VARIABLE = "SEGLAB_TOKEN"
MIN_LENGTH = 16
COOKIE_SECONDS = 365 * 86400


@cache
def start_token() -> str:
    """Return the token that every request must bring; "" where people sign in, or none is asked for.

    Read once in the life of the server: `SEGLAB_TOKEN`, else the one that this account was given at its first start, so
    that bookmarks and open tabs go on after the next.

    Raises:
        LabError: the given one is too short, or the kept one can't be written or may be read by others.
    """
    if must_sign_in() or NO_TOKEN in sys.argv:
        return ""
    value = os.environ.get(VARIABLE, "").strip()
    if value:
        if len(value) < MIN_LENGTH or not value.isascii() or not value.replace("-", "").replace("_", "").isalnum():
            raise LabError(f"{VARIABLE} must have {MIN_LENGTH} letters or digits at least, so that nobody guesses it.")
        return value
    return _saved_token()


def token_file() -> Path:
    """Return where the token of this account is kept."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "segmentation-lab" / "token"


def _saved_token() -> str:
    try:
        path = token_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode) or (hasattr(os, "getuid") and about.st_uid != os.getuid()):
                raise LabError(f"'{path}' isn't a file of this account. Delete it, and start the lab again.") from None
            if os.name == "posix" and about.st_mode & 0o077:
                path.unlink()  # others may have read it
                return _saved_token()
            saved = path.read_text(encoding="ascii").strip()
            if len(saved) < MIN_LENGTH:
                path.unlink()
                return _saved_token()
            return saved
        token = secrets.token_urlsafe(24)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        return token
    except (OSError, RuntimeError, ValueError) as error:
        raise LabError(
            f"The lab's start token can't be kept ({error}). Name one in {VARIABLE}, or start with {NO_TOKEN} where"
            " nobody else uses this machine."
        ) from None


def cookie_name() -> str:
    """Return what the browser keeps the token under: cookies know hosts and no ports, and several labs may run."""
    return f"seglab_token_{config.get_option('server.port')}"


def is_known(token: str | None) -> bool:
    """Return whether a text is the token, in a time that tells nothing of it."""
    return hmac.compare_digest((token or "").encode("utf-8", "replace"), start_token().encode())


def has_token(connection: HTTPConnection) -> bool:
    """Return whether a request or a socket comes from a browser that was given the token, or none is asked for."""
    return not start_token() or is_known(connection.cookies.get(cookie_name()))


def address() -> str:
    """Return the address that opens the lab."""
    host, port = config.get_option("server.address"), config.get_option("server.port")
    host = "localhost" if host in (None, "", "0.0.0.0", "::") else host  # noqa: S104 - no name that a browser opens
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    token = start_token()
    return f"http://{host}:{port}/{base}" + (f"?token={token}" if token else "")


def announce() -> None:
    """Print the address that opens the lab, and open it where somebody sits before this machine."""
    print(f"\n  Segmentation lab\n  {address()}\n", flush=True)
    if not start_token() and not must_sign_in():
        print(
            "  No token is asked for: every account and every program of this machine can use the lab as you.\n",
            flush=True,
        )
    # Streamlit would open the address without the token: .streamlit/config.toml tells it not to.
    is_explicit = (
        "command-line" in config.get_where_defined("server.headless") or "STREAMLIT_SERVER_HEADLESS" in os.environ
    )
    has_screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if has_screen and not (is_explicit and config.get_option("server.headless")):
        Timer(1.0, webbrowser.open, [address()]).start()  # once the server listens
