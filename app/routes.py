"""The read-only routes beside the pages: pictures, doubts, metrics after an offset, reports, and the plotting library.

Custom routes carry no login and no cross-site check of Streamlit's. Hence: whoever must sign in gets nothing before, GET only, every
name matched against a pattern, and a run found by `find_run`, which takes ids and never paths.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from importlib import resources
from inspect import iscoroutinefunction

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app.auth import require_sign_in
from app.services import lazy_maps, media
from core.errors import LabError
from core.paths import runs_folder
from core.report.saved_reports import find_report
from core.runs.metrics_log import read_metrics
from core.runs.notes import RUN_ID
from core.runs.store import find_run

RouteHandler = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]
NAME = re.compile(r"[0-9a-f]{40}")
PICTURE = re.compile(r"[0-9a-f]{40}\.(png|jpg)")
TYPES = {"png": "image/png", "jpg": "image/jpeg"}
SANDBOX = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "frame-ancestors 'self'"
)
"""A report may show itself and open the papers that it cites; it runs nothing and asks nobody."""
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def picture(request: Request) -> Response:
    """A picture of the media store."""
    name = request.path_params["name"]
    data = media().get(name) if PICTURE.fullmatch(name) else None
    if data is None:
        return JSONResponse({"error": "This picture is no longer kept. Reload the page."}, status_code=404)
    return Response(data, media_type=TYPES[name.rsplit(".", 1)[1]], headers=FOR_EVER)


async def doubts(request: Request) -> Response:
    """A map of what a network is unsure of, which is asked now: a second or more, without a thread that waits for it."""
    name, kind = request.path_params["name"], request.path_params["kind"]
    is_name = NAME.fullmatch(name) and kind in ("entropy", "likeliest")
    answer = await run_in_threadpool(lazy_maps().ask, name) if is_name else None
    if answer is None:
        return JSONResponse({"error": "This picture is no longer kept. Reload the page."}, status_code=404)
    try:
        result = await asyncio.shield(asyncio.wrap_future(answer))
    except asyncio.CancelledError:
        return JSONResponse({"error": "You asked for something else meanwhile. Ask again."}, status_code=409)
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return Response(getattr(result, kind), media_type="image/png", headers=FOR_EVER)


def metrics(request: Request) -> Response:
    """The rows of a run's metrics after a byte offset, and how the run stands."""
    run_id = request.path_params["run_id"]
    offset = request.query_params.get("offset", "0")
    if not RUN_ID.fullmatch(run_id) or not re.fullmatch(r"\d{1,15}", offset):
        return JSONResponse({"error": "Not the address of a run."}, status_code=404)
    try:
        run = find_run(run_id, runs_folder())
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    rows, end = read_metrics(run.path, int(offset))
    return JSONResponse({"rows": rows, "offset": end, "state": run.state}, headers={"Cache-Control": "no-store"})


def report(request: Request) -> Response:
    """The page of a report, shut off from the lab that shows it."""
    try:
        result = find_report(request.path_params["report_id"])
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    headers = {
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, max-age=3600",
    }
    return FileResponse(str(result.path / "report.html"), media_type="text/html; charset=utf-8", headers=headers)


def plotly_script(_request: Request) -> Response:
    """Plotly.js, from the installed plotly package."""
    script = resources.files("plotly") / "package_data" / "plotly.min.js"
    return FileResponse(str(script), media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"})


def _guarded(answer: RouteHandler) -> RouteHandler:
    """The same, for those who have signed in."""

    async def asked(request: Request) -> Response:
        refused = require_sign_in(request)
        if refused:
            return refused
        return await (answer(request) if iscoroutinefunction(answer) else run_in_threadpool(answer, request))

    return asked


ROUTES = [
    Route(path, _guarded(answer), methods=["GET"])
    for path, answer in (
        ("/lab/picture/{name}", picture),
        ("/lab/doubts/{name}/{kind}.png", doubts),
        ("/lab/metrics/{run_id}", metrics),
        ("/lab/report/{report_id}", report),
        ("/lab/plotly.js", plotly_script),
    )
]
