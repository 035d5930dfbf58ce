"""A stand-in for the Hugging Face Hub: as much of its HTTP API as huggingface_hub needs to push and to pull, and its ways to fail.

Repositories live in memory. `Hub.faults` says what goes wrong, request by request; `Hub.requests` is what was asked.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_aSecretThatNobodyMaySee"
READ_ONLY = "hf_aTokenThatMayOnlyRead"
LFS_SUFFIXES = (".safetensors", ".png", ".bin")


@dataclass
class Repo:
    """A repository: who may see it, its commits, oldest first, each with all of its files, and its tags."""

    is_private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, files: dict[str, bytes]) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}{time.time_ns()}".encode()).hexdigest()
        self.commits[sha] = files
        return sha

    def find(self, revision: str) -> str | None:
        revision = self.tags.get(revision, self.head if revision == "main" else revision)
        return revision if revision in self.commits else None


@dataclass
class Fault:
    """What goes wrong with requests whose method and path match a pattern, the first `times` times."""

    pattern: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": "as the test wants"}'
    hang: float = 0.0
    break_after: int = -1
    times: int = 10**6


class Hub:
    """The server, on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.reset()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reset(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.store: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []
        self.bodies: list[bytes] = []
        self.over = threading.Event()

    def add(self, name: str, files: dict[str, bytes], private: bool = False) -> Repo:
        repo = self.repos.setdefault(name, Repo(private))
        repo.commit(dict(files))
        return repo

    def ranges(self) -> list[str]:
        """The ranges of bytes that were asked for."""
        return [header for _, _, header in self.requests if header]

    def paths(self, method: str) -> list[str]:
        return [path for requests, path, _ in self.requests if requests == method]

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass

    # ---- which request it is

    def _respond(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if self.command == "POST":
            self.hub.bodies.append(body)
        fault = self._fault(f"{self.command} {path}")
        if fault and fault.hang:
            self.hub.over.wait(fault.hang)
        if fault and fault.status:
            self._send(fault.status, fault.body, fault.headers)
            return
        self._extra = fault.headers if fault else {}
        self._break_after = fault.break_after if fault else -1
        for pattern, response in _ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                response(self, *match.groups(), body=body)
                return
        self._send(404, b"{}")

    def _fault(self, request: str) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times > 0 and re.search(fault.pattern, request):
                fault.times -= 1
                return fault
        return None

    # ---- what is answered

    def create(self, body: bytes) -> None:
        if not self._may_write():
            return
        requests = json.loads(body)
        name = f"{requests['organization']}/{requests['name']}"
        url = {"url": f"{self.hub.address}/{name}"}
        if name in self.hub.repos:
            self._json(url | {"error": "You already created this model repo"}, 409)
            return
        self.hub.add(name, {".gitattributes": b""}, private=requests.get("visibility") == "private")
        self._json(url)

    def validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        try:
            head = yaml.safe_load(content.split("---")[1])
            problems = [] if isinstance(head, dict) else [{"message": "no metadata"}]
        except (yaml.YAMLError, IndexError) as error:
            problems = [{"message": str(error)}]
        self._json({"errors": problems, "warnings": []}, 400 if problems else 200)

    def info(self, name: str, revision: str | None, body: bytes) -> None:
        repo = self._visible(name)
        if repo is None:
            return
        sha = repo.find(revision or "main")
        if sha is None:
            self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [{"rfilename": path} for path in repo.commits[sha]]
        self._json({"id": name, "sha": sha, "private": repo.is_private, "siblings": siblings})

    def preupload(self, name: str, _revision: str, body: bytes) -> None:
        if not self._may_write():
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def batch(self, _name: str, body: bytes) -> None:
        objects = [
            {"oid": each["oid"], "size": each["size"]}
            | (
                {}
                if each["oid"] in self.hub.store
                else {"actions": {"upload": {"href": f"{self.hub.address}/lfs/{each['oid']}"}}}
            )
            for each in json.loads(body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def put(self, oid: str, body: bytes) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunked()
        if hashlib.sha256(body).hexdigest() != oid:
            self._send(400, b'{"error": "other bytes than announced"}')
            return
        self.hub.store[oid] = body
        self._json({})

    def commit(self, name: str, _revision: str, body: bytes) -> None:
        if not self._may_write():
            return
        repo = self.hub.repos[name]
        lines = [json.loads(line) for line in body.splitlines()]
        if lines[0]["value"].get("parentCommit") not in (None, repo.head):
            self._json({"error": "A commit has happened since"}, 412)
            return
        files = dict(repo.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.store[value["oid"]]
        sha = repo.commit(files)
        self._json({"commitUrl": f"{self.hub.address}/{name}/commit/{sha}", "commitOid": sha})

    def resolve(self, name: str, revision: str, path: str, body: bytes) -> None:
        repo = self._visible(name)
        if repo is None:
            return
        sha = repo.find(revision)
        data = repo.commits[sha].get(path) if sha else None
        if data is None:
            code = "EntryNotFound" if sha else "RevisionNotFound"
            self._send(404, b"{}", {"X-Error-Code": code} | ({"X-Repo-Commit": sha} if sha else {}))
            return
        headers = {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        requests = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(requests[1]) if requests else 0
        if requests:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if requests else 200, data[start:], headers)

    # ---- how it is sent

    def _visible(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in (TOKEN, READ_ONLY):
            self._send(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif repo is None or (repo.is_private and not token):
            self._send(404 if token else 401, b"{}", {"X-Error-Code": "RepoNotFound"})
        else:
            return repo
        return None

    def _may_write(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == TOKEN:
            return True
        if token == READ_ONLY:
            self._json({"error": "You don't have the rights to create a model under this namespace"}, 403)
        else:
            self._send(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        return False

    def _chunked(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, values: Any, status: int = 200) -> None:
        self._send(status, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        sent = {"Content-Length": str(len(body))} | (headers or {}) | getattr(self, "_extra", {})
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = getattr(self, "_break_after", -1)
        self.wfile.write(body if cut < 0 else body[:cut])
        if cut >= 0:
            self.close_connection = True


_NAME = r"([^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate),
    (rf"GET /api/models/{_NAME}(?:/revision/(.+))?", _Handler.info),
    (rf"POST /api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/([0-9a-f]{64})", _Handler.put),
    (rf"POST /api/models/{_NAME}/commit/(.+)", _Handler.commit),
    (rf"(?:GET|HEAD) /{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
)
