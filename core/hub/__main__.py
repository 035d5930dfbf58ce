"""`python -m core.hub`: one push or pull, as a request in JSON on standard input asks; how far it is and what came of it in JSON lines.

The process of a `Transfer`. It can be ended at any moment, and tidies up what was half done.
"""

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict
from typing import Any

from core.errors import LabError
from core.hub.client import Progress
from core.hub.transfers import Request
from core.places import runs_folder
from core.runs import find_run

SAY_EVERY = 0.2


def carry_out(request: Request, progress: Progress) -> dict[str, Any]:
    """Does what is asked and returns what came of it. Raises LabError."""
    if request.action == "pull":
        from core.hub.pull import pull

        return {"run": pull(request.repo, request.revision, progress=progress).name}
    from core.hub.push import push

    run = find_run(request.run, runs_folder())
    return asdict(push(run, request.repo, request.public, request.own_pictures, progress))


def main() -> int:
    """Reads the request, answers, and returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half done is taken away
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the server's business
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the lines
    said, spoken = "", 0.0

    def say(**line: Any) -> None:
        print(json.dumps(line), file=lines, flush=True)

    def progress(what: str, done: int, total: int) -> None:
        nonlocal said, spoken
        if what != said or done == total or time.monotonic() - spoken > SAY_EVERY:
            said, spoken = what, time.monotonic()
            say(what=what, done=done, total=total)

    try:
        say(result=carry_out(Request(**json.load(sys.stdin)), progress))
        return 0
    except LabError as error:
        say(error=str(error))
        return 42
    except Exception as error:
        traceback.print_exc()
        say(error=f"This went wrong in the lab itself ({type(error).__name__}). Its terminal has the details.")
        return 1


if __name__ == "__main__":
    sys.exit(main())
