"""Files that a reader sees whole: the old content or the new, never half of one."""

import os
import threading
from pathlib import Path


def write_atomically(path: Path, text: str, durable: bool = False) -> None:
    """Replace a text file so that a reader sees the old one or the new one. `durable` also survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full disk half a file only makes it fuller
        raise
