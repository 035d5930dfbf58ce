"""The lab's own routes without a server: what they answer, and what they refuse."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from app import routes
from app.routes import ROUTES, metrics
from app.shared import SCRIPTS, VERSION, entry_script, script_address
from core.config import RunConfig
from core.runs.metrics_log import MetricsLog, rows_since
from core.runs.status import update_status
from core.runs.store import create_run


def ask(path: str, method: str = "GET") -> Response:
    """Return what the routes answer, by way of Starlette's own routing."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": []}
    scope |= {"query_string": query.encode(), "http_version": "1.1", "scheme": "http", "server": ("lab", 80)}
    asyncio.run(Starlette(routes=ROUTES)(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Response(body, sent[0]["status"], headers)


def test_a_report_stays_in_no_browser_for_the_next_one_who_signs_in(tmp_path, monkeypatch) -> None:
    (tmp_path / "report.html").write_text("<p>Ann's</p>")
    monkeypatch.setattr(routes, "find_report", lambda _: SimpleNamespace(path=tmp_path))
    reply = routes.report(Request({"type": "http", "path_params": {"report_id": "x"}}))
    assert reply.status_code == 200 and reply.headers["cache-control"] == "private, no-cache"


# ---- scripts


def test_every_script_is_served_for_ever_as_what_it_is() -> None:
    assert {"viewer/viewer.js", "curves/curves.js", "film/film.js", "shared/component.js"} <= set(SCRIPTS)
    for name, data in SCRIPTS.items():
        reply = ask(script_address(name))
        assert (reply.status_code, reply.body) == (200, data), name
        assert reply.headers["content-type"].startswith("text/javascript")
        assert reply.headers["x-content-type-options"] == "nosniff" and "immutable" in reply.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        f"/lab/static/{VERSION}/viewer/nothing.js",
        f"/lab/static/{VERSION}/viewer/__init__.py",
        f"/lab/static/{VERSION}/viewer/viewer.css",
        f"/lab/static/{VERSION}/viewer/../routes.py",
        f"/lab/static/{VERSION}/../../core/runs.py",
        f"/lab/static/{VERSION}//etc/passwd",
        f"/lab/static/{VERSION}/",
        "/lab/static/0000000000000000/viewer/viewer.js",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    reply = ask(path)
    assert reply.status_code == 404 and "immutable" not in reply.headers.get("cache-control", "")


def test_scripts_are_only_read() -> None:
    assert ask(script_address("viewer/viewer.js"), "POST").status_code == 405


def test_the_version_follows_from_every_script() -> None:
    from app.shared import _version_of

    assert _version_of(dict(SCRIPTS)) == VERSION
    assert _version_of(SCRIPTS | {"viewer/view.js": b"// other"}) != VERSION
    assert _version_of({f"x{name}": data for name, data in SCRIPTS.items()}) != VERSION


def test_an_entry_names_its_module() -> None:
    assert f'const MODULE = "/lab/static/{VERSION}/film/film.js";' in entry_script("film/film.js")
    with pytest.raises(KeyError):
        entry_script("film/nothing.js")


# ---- metrics


def row(step: int, kind: str = "train") -> dict:
    return {"kind": kind, "step": step}


@pytest.fixture
def run(lab_folders) -> Path:
    return create_run(RunConfig(), lab_folders.runs)


@pytest.fixture
def log(run: Path):
    log = MetricsLog(run)
    yield log
    log.close()


def fetched(run: Path, offset: int = 0) -> dict:
    reply = metrics(
        Request({"type": "http", "path_params": {"run_id": run.name}, "query_string": f"offset={offset}".encode()})
    )
    assert reply.status_code == 200
    return json.loads(reply.body)


def steps(response: dict) -> list[int]:
    return [row["step"] for row in response["rows"]]


def test_rows_after_an_offset_come_once(run: Path, log: MetricsLog) -> None:
    log.append(row(1))
    first = fetched(run)
    assert steps(first) == [1] and first["reset"] is False
    log.append(row(2))
    second = fetched(run, first["offset"])
    assert steps(second) == [2] and second["reset"] is False
    assert steps(fetched(run, second["offset"])) == []


def test_void_rows_are_never_sent(run: Path, log: MetricsLog) -> None:
    for sent in (row(1), row(2), row(3), row(2, "resume"), row(3)):
        log.append(sent)
    first = fetched(run)
    assert steps(first) == [1, 2, 3] and first["reset"] is False


def test_a_resume_after_the_offset_sends_everything_again(run: Path, log: MetricsLog) -> None:
    for step in (1, 2, 3):
        log.append(row(step))
    offset = fetched(run)["offset"]
    log.append(row(1, "resume"))
    log.append(row(2))
    again = fetched(run, offset)
    assert steps(again) == [1, 2] and again["reset"] is True
    assert [each["kind"] for each in again["rows"]] == ["train", "train"]
    assert steps(fetched(run, again["offset"])) == []
    assert rows_since(run, 0) == (again["rows"], again["offset"], False)


@pytest.mark.parametrize("state", ["finished", "failed", "stopped", "paused"])
def test_an_ended_run_is_final(run: Path, state: str) -> None:
    update_status(run, state=state)
    result = fetched(run)
    assert (result["state"], result["is_final"]) == (state, True)


def test_a_run_without_a_process_is_final_and_a_new_one_is_not(run: Path) -> None:
    assert fetched(run)["is_final"] is False  # queued a moment ago
    update_status(run, state="running")
    result = fetched(run)
    assert (result["state"], result["is_final"]) == ("lost", True)
