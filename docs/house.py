"""Writes the tree in docs/house.md anew, from the first line of each module's docstring: `make house`."""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
HOUSE = PROJECT / "docs" / "house.md"
FOLDERS = ("app", "pages", "core")
WIDTH = 27
"""Column in which what a file is stands."""
LENGTH = 100
"""A longer first sentence is cut at its colon."""
APART = {"synthetic"}
"""Folders with a README of their own."""
START, END = "<!-- tree -->\n", "<!-- end of tree -->"


def tree() -> str:
    """Return the tree of app, pages and core, a line for each folder and module, indented as code."""
    return "".join(line for folder in FOLDERS for line in _lines(PROJECT / folder, 0))


def with_tree(text: str) -> str:
    """Return the document with the tree between its two marks replaced."""
    before, rest = text.split(START)
    return f"{before}{START}\n{tree()}\n{END}{rest.split(END)[1]}"


def _lines(path: Path, depth: int) -> list[str]:
    """Return the lines of a folder: its own, its modules', its folders'. Folders without Python are one line."""
    lines = [_line(f"{path.name}/", path / "__init__.py", depth)]
    if path.name in APART:
        return lines
    for module in sorted(path.glob("*.py")):
        if module.name != "__init__.py":
            lines.append(_line(module.name, module, depth + 1))
    for folder in sorted(each for each in path.iterdir() if each.is_dir()):
        if list(folder.glob("*.py")):
            lines += _lines(folder, depth + 1)
    return lines


def _line(name: str, module: Path, depth: int) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) if module.exists() else ""
    first = re.split(r"(?<=\.)\s", " ".join((docstring or "").split("\n\n")[0].split()))[0].rstrip(".")
    first = first if len(first) <= LENGTH else first.partition(":")[0]
    indented = f"    {'  ' * depth}{name}"
    return f"{indented:<{WIDTH}} {first}".rstrip() + "\n"


if __name__ == "__main__":
    HOUSE.write_text(with_tree(HOUSE.read_text(encoding="utf-8")), encoding="utf-8")
