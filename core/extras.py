"""Packages that the lab can do without: what each is for, whether it is here, and what to say where it isn't."""

import re
import sys
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from core.errors import LabError
from core.paths import PROJECT
from core.text import join_items

PACKAGES = {"mlflow": "mlflow-skinny"}
"""Packages that are called otherwise than their modules."""


def install_hint(*packages: str) -> str:
    """Say how to install packages, in the ranges that pyproject.toml gives, into the Python that runs the lab."""
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"].values()
    ranges = {re.match(r"[\w-]+", each)[0]: each for group in groups for each in group if isinstance(each, str)}
    # An environment that uv made has no pip of its own.
    installer = f"{Path(sys.executable).as_posix()} -m pip" if is_here("pip") else "uv pip"
    requirements = " ".join(f'"{ranges.get(name, name)}"' for name in packages)
    return f"In the lab's folder, type: {installer} install {requirements}."


def check_packages(title: str, modules: Sequence[str]) -> None:
    """Check that modules can be imported, without importing them.

    Args:
        title: what needs them, "MLflow" or "ONNX files".
        modules: top-level modules.

    Raises:
        LabError: one is missing; the sentence says what to install.
    """
    missing = [PACKAGES.get(module, module) for module in modules if not is_here(module)]
    if missing:
        raise LabError(
            f"{title} need{'' if title.endswith('files') else 's'} {join_items(missing)}, which"
            f" {'is' if len(missing) == 1 else 'are'} not installed. {install_hint(*missing)} Then start the lab again."
        )


def is_here(module: str) -> bool:
    """Return whether a top-level module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
