"""No function, class or variable that nothing reads: vulture, told which names tables load by import path."""

import re
import tomllib

from vulture import Vulture

from core.paths import PROJECT


def test_nothing_is_written_that_nothing_reads():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["lab"]["dead-code"]
    paths = [path for folder in ("core", "app", "pages", "benchmarks") for path in (PROJECT / folder).rglob("*.py")]
    # A table names what it builds as "module:name".
    loaded = {name for path in paths for name in re.findall(r'"[a-z_.]+:(\w+)"', path.read_text(encoding="utf-8"))}
    vulture = Vulture(ignore_names=[*settings["read-elsewhere"], *loaded], ignore_decorators=["@*_validator"])
    vulture.scavenge([str(path) for path in paths])
    unused = [
        f"{item.filename}:{item.first_lineno}: {item.name}" for item in vulture.get_unused_code(min_confidence=60)
    ]
    assert not unused, "\n".join(unused)
