"""The routes beside the pages: images, uncertainty maps, metrics, reports, scripts, the plotting library; and masks
that are painted, the only ones that something is sent to.

Who asks was let in by `app.auth_middleware`, which also refuses what another site's page sends. Every name is matched
against a pattern or a table, and a run is found by `find_run`, which takes ids and never paths.
"""

import asyncio
import re
from concurrent.futures import Future
from importlib import resources

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app.auth import requester
from app.media import encode_map
from app.services import inference_worker, lazy_maps, media, thumbnails
from app.shared import SCRIPTS, VERSION
from core.auth import acting_as, read_owner, require_owner
from core.errors import LabError
from core.files import parse_json
from core.labelling.label_set import open_label_set
from core.labelling.masks import ChangedElsewhereError, change_mask, read_mask
from core.labelling.patches import PatchError
from core.models.mobile_sam_job import ready_mobile_sam
from core.models.prompts import parse_prompts
from core.paths import runs_folder
from core.report.saved_reports import find_report
from core.runs.metrics_log import rows_since
from core.runs.notes import RUN_ID
from core.runs.status import ACTIVE_STATES
from core.runs.store import find_run

NAME = re.compile(r"[0-9a-f]{40}")
IMAGE_NAME = re.compile(r"[0-9a-f]{40}\.(png|jpg)")
TYPES = {"png": "image/png", "jpg": "image/jpeg"}
SANDBOX = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline';"
    " frame-ancestors 'self'"
)
"""A report may show itself and open the papers that it cites; it runs no script and loads nothing."""
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}

MAX_PATCH_BYTES = 8_000_000
MAX_PROMPT_BYTES = 10_000
FOR_A_MINUTE = {"Cache-Control": "private, max-age=60", "X-Content-Type-Options": "nosniff"}
"""For pictures of files that may be changed."""


def image(request: Request) -> Response:
    """Return an image of the media store."""
    name = request.path_params["name"]
    data = media().get(name) if IMAGE_NAME.fullmatch(name) else None
    if data is None:
        return JSONResponse({"error": "This image is no longer there. Reload the page."}, status_code=404)
    return Response(data, media_type=TYPES[name.rsplit(".", 1)[1]], headers=FOR_EVER)


def thumbnail(request: Request) -> Response:
    """Return a small picture of a frame that a filmstrip shows."""
    name, number = request.path_params["name"], request.path_params["number"]
    is_one = NAME.fullmatch(name) and re.fullmatch(r"\d{1,7}", number)
    data = thumbnails().get(name, int(number)) if is_one else None
    if data is None:
        return JSONResponse({"error": "This image is no longer there. Reload the page."}, status_code=404)
    return Response(data, media_type="image/jpeg", headers=FOR_A_MINUTE)


async def uncertainty(request: Request) -> Response:
    """Return a network's uncertainty map, computed now: a second or more, in which no thread waits."""
    name, kind = request.path_params["name"], request.path_params["kind"]
    is_name = NAME.fullmatch(name) and kind in ("entropy", "likeliest")
    pending = await run_in_threadpool(lazy_maps().ask, name) if is_name else None
    if pending is None:
        return JSONResponse({"error": "This image is no longer there. Reload the page."}, status_code=404)
    try:
        maps = await asyncio.shield(asyncio.wrap_future(pending))
    except asyncio.CancelledError:
        return JSONResponse({"error": "You asked for something else meanwhile. Ask again."}, status_code=409)
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return Response(getattr(maps, kind), media_type="image/png", headers=FOR_EVER)


def metrics(request: Request) -> Response:
    """Return the rows of a run's metrics after a byte offset, and its state.

    rows: those that no resume made void. reset: forget all earlier rows, these are all there are. offset: what to ask
    for next. state: the run's. is_final: no further rows come by themselves; a resume may still bring some.
    """
    run_id = request.path_params["run_id"]
    offset = request.query_params.get("offset", "0")
    if not RUN_ID.fullmatch(run_id) or not re.fullmatch(r"\d{1,15}", offset):
        return JSONResponse({"error": "Not the address of a run."}, status_code=404)
    try:
        run = find_run(run_id, runs_folder())
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    state = run.state  # before the rows: those of a final state are then complete
    rows, end, reset = rows_since(run.path, int(offset))
    response = {"rows": rows, "offset": end, "reset": reset, "state": state, "is_final": state not in ACTIVE_STATES}
    return JSONResponse(response, headers={"Cache-Control": "no-store"})


def report(request: Request) -> Response:
    """Return a report's page, sandboxed from the lab that shows it."""
    try:
        saved = find_report(request.path_params["report_id"])
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    headers = {
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-cache",  # whoever signs in next at this browser sees none
    }
    return FileResponse(str(saved.path / "report.html"), media_type="text/html; charset=utf-8", headers=headers)


def labels(request: Request) -> Response:
    """Return the mask of a frame that is labelled here, as it is now; its revision stands in a header."""
    try:
        mask = read_mask(open_label_set(request.path_params["name"]), request.path_params["frame"])
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Revision": mask.revision}
    return Response(encode_map(mask.labels), media_type="image/png", headers=headers)


async def _body(request: Request, limit: int) -> bytes | None:
    """Return what was sent, None where it has more bytes than that: no more of it is taken."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def paint(request: Request) -> Response:
    """Take a patch of a mask, and answer once it is on the disk."""
    body = await _body(request, MAX_PATCH_BYTES)
    if body is None:
        return JSONResponse({"error": "This stroke is too large. Paint it in parts."}, status_code=413)
    user = requester(request)

    def change() -> Response:
        with acting_as(user):
            try:
                message = parse_json(body)
                label_set = open_label_set(request.path_params["name"])
                frame, patch = request.path_params["frame"], message["patch"]
                mask = change_mask(label_set, frame, patch, str(message["revision"]))
            except ChangedElsewhereError as error:
                return JSONResponse({"error": str(error)}, status_code=409)
            except PatchError as error:
                return JSONResponse({"error": str(error)}, status_code=422)
            except LabError as error:  # a full disk, another's label set: the browser keeps the stroke
                return JSONResponse({"error": str(error)}, status_code=403)
            except (ValueError, KeyError, TypeError):
                return JSONResponse({"error": "This is no stroke. Reload the page."}, status_code=422)
        return JSONResponse({"revision": mask.revision}, headers={"Cache-Control": "no-store"})

    return await run_in_threadpool(change)


async def find_object(request: Request) -> Response:
    """Return which pixels of a frame that is labelled here belong to the object that was clicked: 255, else 0.

    Nothing but "no content" where no click came: the photograph was looked at, so that a click doesn't wait for that.
    """
    body = await _body(request, MAX_PROMPT_BYTES)
    if body is None:
        return JSONResponse({"error": "These are more clicks than an object takes."}, status_code=413)
    user = requester(request)

    def ask() -> "Future[np.ndarray | None]":
        with acting_as(user):
            prompts = parse_prompts(parse_json(body))
            label_set = open_label_set(request.path_params["name"])
            require_owner(read_owner(label_set.root, of_data=True), "This label set")
            image, weights = label_set.image(request.path_params["frame"]), ready_mobile_sam()
            # A click takes back the one before it on this photograph that still waits.
            slot = ("object", user.id, str(image))
            return inference_worker().ask_object(image, weights, prompts, user=user.id, slot=slot)

    try:
        mask = await asyncio.shield(asyncio.wrap_future(await run_in_threadpool(ask)))
    except asyncio.CancelledError:
        return JSONResponse({"error": "You clicked elsewhere meanwhile."}, status_code=409)
    except LabError as error:
        return JSONResponse({"error": str(error)}, status_code=422)
    except ValueError:
        return JSONResponse({"error": "This is no click. Reload the page."}, status_code=422)
    if mask is None:
        return Response(status_code=204)
    data = await run_in_threadpool(lambda: encode_map(mask * np.uint8(255)))
    return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})


async def script(request: Request) -> Response:
    """Return a script of the lab's own components, from memory; a version is immutable, and only today's is there."""
    version, name = request.path_params["version"], request.path_params["name"]
    data = SCRIPTS.get(name) if version == VERSION else None
    if data is None:
        return JSONResponse({"error": "This script is of another release. Reload the page."}, status_code=404)
    return Response(data, media_type="text/javascript", headers=FOR_EVER)


def plotly_script(_request: Request) -> Response:
    """Return Plotly.js from the installed plotly package."""
    path = resources.files("plotly") / "package_data" / "plotly.min.js"
    return FileResponse(str(path), media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"})


ROUTES = [
    Route(path, handler, methods=["GET"])
    for path, handler in (
        ("/lab/picture/{name}", image),
        ("/lab/thumbnail/{name}/{number}.jpg", thumbnail),
        ("/lab/uncertainty/{name}/{kind}.png", uncertainty),
        ("/lab/metrics/{run_id}", metrics),
        ("/lab/report/{report_id}", report),
        ("/lab/static/{version}/{name:path}", script),
        ("/lab/plotly.js", plotly_script),
        ("/lab/labels/{name}/{frame}", labels),
    )
]
ROUTES.append(Route("/lab/labels/{name}/{frame}", paint, methods=["POST"]))
ROUTES.append(Route("/lab/object/{name}/{frame}", find_object, methods=["POST"]))
