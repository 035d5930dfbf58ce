"""Processes that outlive the server: in a session of their own, what they say in a file."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from core.places import PROJECT

_children: list[subprocess.Popen[bytes]] = []
"""Processes that this one started: asked now and then how they are, else their dead bodies would stay as zombies."""


def start_detached(
    command: Sequence[str], log: Path, stdin: int | IO[bytes] = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Starts a command in the project's folder, which neither a closed terminal nor the end of this process reaches.

    Args:
        command: program and arguments.
        log: the file that its output is appended to.
        stdin: what it reads; nothing unless something else is named.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    with open(log, "ab") as output:
        child = subprocess.Popen(command, cwd=PROJECT, stdin=stdin, stdout=output, stderr=subprocess.STDOUT, **options)
    _children.append(child)
    return child
