"""What the browser components share: one address for their ES modules, one set of CSS variables, elements and texts.

A component of Streamlit takes one inline script. Ours is `entry.js`, which imports the component's module from
`GET /lab/static/<version>/...`; from there relative imports work, and a browser keeps every file until the version
changes.

`component.js` makes Streamlit's default export of a class, `elements.js` makes DOM elements, `icons.js` the
pictures on buttons, `text.js` words numbers.
Leaves to `app.routes`: the route.
"""

import hashlib
import json
from pathlib import Path

_APP = Path(__file__).resolve().parent.parent


def _read_scripts() -> dict[str, bytes]:
    """Return every script of the components by its path below app/, "viewer/viewer.js"."""
    folders = (_APP / name for name in ("shared", "viewer", "curves", "film", "filmstrip", "run_chips", "drop"))
    paths = sorted(path for folder in folders for path in folder.glob("*.js"))
    return {path.relative_to(_APP).as_posix(): path.read_bytes() for path in paths}


def _version_of(scripts: dict[str, bytes]) -> str:
    """Return 16 hex digits that change with any name or content."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in scripts.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]


SCRIPTS = _read_scripts()
"""All that the route hands out; read once, so that content and version belong together."""
VERSION = _version_of(SCRIPTS)


def script_address(name: str) -> str:
    """Return the address of a script, "viewer/viewer.js". Raises KeyError where there is none."""
    if name not in SCRIPTS:
        raise KeyError(name)
    return f"/lab/static/{VERSION}/{name}"


def entry_script(module: str) -> str:
    """Return the inline script of the component whose class stands in `module`, "viewer/viewer.js"."""
    return f"const MODULE = {json.dumps(script_address(module))};\n{SCRIPTS['shared/entry.js'].decode()}"


def style_sheet(folder: Path, *names: str) -> str:
    """Return the shared style sheet and those in `folder`, in this order, as one."""
    paths = [_APP / "shared" / "tokens.css", *(folder / name for name in names)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
