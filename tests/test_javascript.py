"""The browser code: linted by oxlint, its arithmetic tested by Node's own test runner, and every module served."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _tool(name: str) -> str:
    """Return the path of a tool beside this Python, else of the system's; skip the test without either."""
    result = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if result is None:
        pytest.skip(f"{name} is not installed (requirements-dev.txt)")
    return result


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def test_no_script_has_a_complaint() -> None:
    _run(_tool("oxlint"), "--deny-warnings", "app", "tests/js")


def test_arithmetic_and_protocols_of_the_scripts() -> None:
    tests = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/js").glob("*.test.js"))
    assert tests
    _run(_tool("node"), "--test", *tests)
