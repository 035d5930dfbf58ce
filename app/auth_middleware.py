"""The guard before the addresses at which Streamlit takes and hands out files: they ask for no sign-in of their own.

Leaves pages to `app.navigation` and the lab's own addresses to `app.routes`.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth import requester, require_sign_in
from app.services import count_upload
from core.errors import LabError

UPLOADS = "/_stcore/upload_file/"
GUARDED = (UPLOADS, "/media/")


class AuthMiddleware:
    """ASGI middleware: unauthenticated requests neither send nor get files, and no user sends more than
    `SEGLAB_MAX_UPLOADS` an hour.

    What is refused has not been read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = _refuse(Request(scope)) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)


def _refuse(request: Request) -> Response | None:
    path = request.scope["path"]  # as the routes see it: a lab may stand below another address
    if not any(guarded in path for guarded in GUARDED):
        return None
    refused = require_sign_in(request)
    if refused is None and request.method == "PUT" and UPLOADS in path:
        try:
            count_upload(requester(request))
        except LabError as error:
            return JSONResponse({"error": str(error)}, status_code=429)
    return refused
