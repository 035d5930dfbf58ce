"""The server's side of pushing and pulling: each is a process of its own, which says how far it is and can be ended at any moment.

What comes from the Hub is opened in that process, and so is torch. The other side is `python -m core.hub`.
"""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import LabError
from core.places import PROJECT

Action = Literal["push", "pull"]
State = Literal["running", "finished", "failed", "cancelled"]
PATIENCE = 5.0
"""Seconds that a cancelled process has to tidy up."""


@dataclass(frozen=True)
class Request:
    """What is asked for: push a run to a repository, or pull a repository at a revision."""

    action: Action
    repo: str
    run: str = ""
    revision: str = ""
    public: bool = False
    own_pictures: bool = False


class Transfer:
    """One push or pull, from its start. May be asked from many threads.

    Attributes:
        request: what was asked for.
        state: how it stands.
        what: what is being done, or the sentence that says why it failed.
        done: bytes of it.
        total: of how many; 0 where it isn't known.
        result: what came of it, by name, once it is finished.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.state: State = "running"
        self.what, self.done, self.total = "Starting", 0, 0
        self.result: dict[str, Any] = {}
        self._is_cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-m", "core.hub"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        threading.Thread(target=self._follow, name=f"hub-{request.action}", daemon=True).start()

    def cancel(self) -> None:
        """Ends it. What was complete stays in the Hub's own cache; nothing half done is seen by anybody."""
        self._is_cancelled = True
        self._process.terminate()

    def _follow(self) -> None:
        process = self._process
        try:
            with process.stdin:
                process.stdin.write(json.dumps(vars(self.request)))
            for text in process.stdout:
                line = json.loads(text)
                self.what = line.get("what", self.what)
                self.done, self.total = line.get("done", self.done), line.get("total", self.total)
                self.result = line.get("result", self.result)
                if "error" in line:
                    self.what = line["error"]
                    self.state = "failed"
        except (OSError, ValueError):
            pass  # it ended in the middle of a word
        finally:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self.state == "failed":
            return
        if self.result:
            self.state = "finished"
        elif self._is_cancelled:
            self.state = "cancelled"
        else:
            self.what = (
                "The process that talks to the Hub ended without a word. Try again; the lab's terminal may say more."
            )
            self.state = "failed"


class Transfers:
    """The pushes and pulls of this server; of each kind one at a time."""

    def __init__(self) -> None:
        self._latest: dict[Action, Transfer] = {}
        self._guard = threading.Lock()

    def start(self, request: Request) -> Transfer:
        """Starts one. Raises LabError while another of its kind goes on."""
        with self._guard:
            running = self._latest.get(request.action)
            if running and running.state == "running":
                raise LabError(
                    f"A {request.action} is going on already, of {running.request.repo}. Wait for its end, or cancel it."
                )
            self._latest[request.action] = Transfer(request)
            return self._latest[request.action]

    def latest(self, action: Action) -> Transfer | None:
        """The one that was started last, whoever did."""
        return self._latest.get(action)

    def forget(self, action: Action) -> None:
        """Takes an ended one off the page."""
        with self._guard:
            if action in self._latest and self._latest[action].state != "running":
                del self._latest[action]
