"""No one holds up the others: who signed in has so many requests, pages and clicks at a time; more of them wait."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth import has_sign_in_cookie, must_sign_in, requester
from core.auth import current_user

MAX_REQUESTS = 4
"""That are answered at a time; the next wait."""
MAX_WAITING = 100
"""More are refused."""
MAX_SOCKETS = 20
"""Open pages."""
MAX_RUNNING = 2
"""Pages that are being made at a time; the next wait."""
MESSAGES_PER_SECOND, MAX_BURST = 4.0, 40.0
"""What pages ask for, by clicks and by themselves: each message runs a page or a part of one."""


_page_slots: dict[str, BoundedSemaphore] = defaultdict(lambda: BoundedSemaphore(MAX_RUNNING))
_page_slots_lock = Lock()


@contextmanager
def page_slot() -> Iterator[None]:
    """Wait until fewer than `MAX_RUNNING` other pages of the current user are being made."""
    if not must_sign_in():
        yield
        return
    with _page_slots_lock:
        slot = _page_slots[current_user().id]
    with slot:
        yield


class FairShareMiddleware:
    """ASGI middleware behind `AuthMiddleware`. Without sign-in there is one user, whom nothing here bounds."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._shares: dict[str, _Share] = defaultdict(_Share)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Who hasn't signed in reaches nothing but the way to do so: were they one person, one of them could close it.
        connection = HTTPConnection(scope) if scope["type"] in ("http", "websocket") and must_sign_in() else None
        if connection is None or not has_sign_in_cookie(connection):
            await self._app(scope, receive, send)
            return
        share = self._shares[requester(connection).id]
        if scope["type"] == "websocket":
            await share.serve_socket(self._app, scope, receive, send)
        else:
            await share.handle_request(self._app, scope, receive, send)


class _Share:
    """What one person uses of the server."""

    def __init__(self) -> None:
        self._requests = asyncio.Semaphore(MAX_REQUESTS)
        self._waiting = 0
        self._sockets = 0
        self._messages = MAX_BURST
        self._counted = time.monotonic()

    async def handle_request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in its turn, or refuse it where too many wait."""
        if self._waiting >= MAX_WAITING:
            sentence = f"You asked for more than {MAX_WAITING} things at once. Close some pages, and try again."
            await JSONResponse({"error": sentence}, 429, {"Retry-After": "5"})(scope, receive, send)
            return
        self._waiting += 1
        try:
            async with self._requests:
                await app(scope, receive, send)
        finally:
            self._waiting -= 1

    async def serve_socket(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a page's socket, whose messages come through no faster than one person clicks."""
        if self._sockets >= MAX_SOCKETS:
            await send({"type": "websocket.close", "code": 1008})
            return

        async def paced() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                await asyncio.sleep(self._take_message())
            return message

        self._sockets += 1
        try:
            await app(scope, paced, send)
        finally:
            self._sockets -= 1

    def _take_message(self) -> float:
        """Count a message; returns for how many seconds it waits."""
        now = time.monotonic()
        self._messages = min(MAX_BURST, self._messages + (now - self._counted) * MESSAGES_PER_SECOND) - 1
        self._counted = now
        return max(0.0, -self._messages / MESSAGES_PER_SECOND)
