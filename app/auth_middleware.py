"""The one gate before everything that the server answers, pages, files and sockets alike: what isn't let in is refused.

In this order: the name that the lab was called by (a web page may point a name of its own at this machine), the page
that asks (its origin, port included), and who asks: signed in, or with the start token. What is refused has not been
read.
"""

from contextlib import suppress
from urllib.parse import parse_qsl, urlencode, urlsplit

from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnected
from streamlit import config
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from app.auth import (
    ALWAYS_OPEN,
    NEXT_PAGE_KEY,
    SIGN_IN,
    has_sign_in_cookie,
    must_sign_in,
    redirect_host,
    requester,
    sign_in_address,
    sign_in_links,
)
from app.html import joined
from app.services import count_upload
from app.start_token import COOKIE_SECONDS, cookie_name, has_token, is_known, start_token
from core.errors import LabError

UPLOADS = "/_stcore/upload_file/"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEALTH = "/_stcore/health"
CONTENT_POLICY = {
    "default-src": "'self'",
    # Streamlit draws its pages with scripts and styles in the page.
    "script-src": "'self' 'unsafe-inline' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "frame-ancestors": "'self'",
}
"""No page loads from, sends to or stands in the frame of another site."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "; ".join(f"{kind} {sources}" for kind, sources in CONTENT_POLICY.items()),
}
"""Of every answer that sets none of its own."""
NO_STORE = {"Cache-Control": "no-store"}


class AuthMiddleware:
    """ASGI middleware: who isn't let in gets nothing and opens no socket, and no user sends more than
    `SEGLAB_MAX_UPLOADS` files or `SEGLAB_MAX_UPLOAD_MB` an hour.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        refused = _refuse(connection)
        if scope["type"] == "websocket":
            if refused:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the client sees 403
            else:
                with suppress(WebSocketDisconnected):  # a browser that went away is no fault of the lab
                    await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (refused or self._app)(scope, receive, with_headers)


def _refuse(connection: HTTPConnection) -> Response | None:
    """Return the answer to who isn't let in, or None."""
    scope = connection.scope
    method = scope.get("method", "GET")
    host = connection.headers.get("host", "")
    if not _is_called(host):
        return _plain(
            421,
            f"This lab isn't called '{host[:100]}'. Open it by the address that it printed when it was started, or add"
            " that name to STREAMLIT_SERVER_ALLOWED_HOSTS.",
        )
    if (scope["type"] == "websocket" or method not in SAFE_METHODS) and not _is_from_here(connection, host):
        return _plain(403, "Another page asked for this. Only the lab's own pages may.")
    path = _path_of(scope)
    if path == HEALTH:
        return None
    if must_sign_in():
        refused = None if path in ALWAYS_OPEN or has_sign_in_cookie(connection) else _ask_to_sign_in(connection)
    else:
        refused = _take_token(connection)
    if refused is None and method == "PUT" and UPLOADS in path:
        try:
            count_upload(requester(connection), _upload_size(connection))
        except LabError as error:
            return JSONResponse({"error": str(error)}, status_code=429)
    return refused


def _upload_size(connection: HTTPConnection) -> int:
    """Return how many bytes a request says that it brings; of one that doesn't say, as many as the server takes."""
    length = connection.headers.get("content-length", "")
    return int(length) if length.isdecimal() else int(config.get_option("server.maxUploadSize")) * 2**20


def _is_called(host: str) -> bool:
    """Return whether the lab answers to a name: what `server.allowedHosts` lists, and where people are sent back to
    after signing in.
    """
    return is_host_allowed(host) or (bool(host) and host.lower() == redirect_host())


def _is_from_here(connection: HTTPConnection, host: str) -> bool:
    """Return whether a request comes from a page of this very address, port included, or from no page at all."""
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and parts.netloc.lower() == host.lower()


def _path_of(scope: Scope) -> str:
    """Return the path of a request as the routes see it: a lab may stand below another address."""
    base = "/" + str(config.get_option("server.baseUrlPath") or "").strip("/")
    path = scope["path"]
    return path[len(base) :] or "/" if base != "/" and f"{path}/".startswith(f"{base}/") else path


def _take_token(connection: HTTPConnection) -> Response | None:
    """Let in who has the token. Who brings it in the address gets it as a cookie, and the address without it."""
    token = connection.query_params.get("token")
    if start_token() and token is not None and is_known(token) and connection.scope.get("method") == "GET":
        rest = urlencode([pair for pair in parse_qsl(connection.url.query) if pair[0] != "token"])
        response = RedirectResponse(connection.url.path + (f"?{rest}" if rest else ""), 303, NO_STORE)
        response.set_cookie(
            cookie_name(), start_token(), max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="strict"
        )
        return response
    if has_token(connection):
        return None
    if not _wants_a_page(connection):
        return JSONResponse({"error": "Open the lab with its token first."}, status_code=401, headers=NO_STORE)
    wrong = Markup("<p><b>That was not the token.</b></p>") if token else ""
    form = Markup(
        """{}<p>This lab asks for the token that was printed when it was started, in the terminal, behind
        <code>?token=</code>. This browser is then remembered.</p>
        <form><input name="token" type="password" autocomplete="off" aria-label="Token" required autofocus>
        <button>Open the lab</button></form>"""
    )
    return _page(form.format(wrong))


def _ask_to_sign_in(connection: HTTPConnection) -> Response:
    if not _wants_a_page(connection):
        return JSONResponse({"error": "Sign in to the lab first."}, status_code=401, headers=NO_STORE)
    try:
        links = sign_in_links()
        if SIGN_IN in connection.query_params:
            return RedirectResponse(sign_in_address(connection.query_params[SIGN_IN]), 303, NO_STORE)
    except LabError as error:
        return _page(Markup("<p>{}</p>").format(error))
    buttons = joined(Markup('<p><a href="{}">{}</a></p>').format(href, label) for label, href in links)
    # The provider sends everybody back to the first page; the tab itself remembers what was asked for.
    body = Markup(
        "<p>Sign in to the lab. Everyone who signs in sees every run; your own are yours to stop, rename and"
        " delete.</p>{}<script>sessionStorage.setItem('{}', location.pathname + location.search)</script>"
    )
    return _page(body.format(buttons, NEXT_PAGE_KEY))


def _wants_a_page(connection: HTTPConnection) -> bool:
    return connection.scope.get("method") == "GET" and "text/html" in connection.headers.get("accept", "")


def _page(body: Markup) -> Response:
    style = Markup("""
    :root { color-scheme: light dark }
    body { font: 16px/1.5 system-ui, sans-serif; max-width: 30em; margin: 18vh auto 0; padding: 0 1.2em;
           color: light-dark(#1c2024, #e6e6e1); background: light-dark(#fbfbf8, #14171a) }
    input, button, a { font: inherit }
    input { width: 100%; box-sizing: border-box; padding: .55em .7em; border-radius: 8px; background: transparent;
            border: 1px solid light-dark(#dcdcd4, #3a4045); color: inherit }
    button, p > a { display: inline-block; margin-top: .8em; padding: .5em 1em; border: 0; border-radius: 8px;
                    background: light-dark(#0f766e, #2aa89b); color: light-dark(#fff, #0c1f1d);
                    text-decoration: none; cursor: pointer }
    """)
    page = Markup(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Segmentation lab</title><style>{}</style><h1>Segmentation lab</h1>{}</html>"
    )
    return HTMLResponse(page.format(style, body), 401, NO_STORE)


def _plain(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=NO_STORE)
