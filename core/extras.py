"""Packages that the lab can do without: what each is for, whether it is here, and what to say where it isn't."""

import sys
from importlib.util import find_spec
from pathlib import Path

from core.errors import LabError

EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("ONNX files", ("onnx", "onnxscript", "onnxruntime")),
    "tensorboard": ("TensorBoard event files", ("tensorboard",)),
    "mlflow": ("MLflow", ("mlflow",)),
    "wandb": ("Weights & Biases", ("wandb",)),
    "sign-in": ("Signing in", ("authlib", "httpx")),
}
"""What each extra is called, and the modules that it takes. `requirements-extras.txt` names the packages that bring them."""

PACKAGES = {"mlflow": "mlflow-skinny"}
"""Packages that are called otherwise than their modules."""


INSTALL = f"In the lab's folder, type: {Path(sys.executable).as_posix()} -m pip install -r requirements-extras.txt."
"""How to get every extra into the Python that runs the lab."""


def check_extra(name: str) -> None:
    """Looks whether an extra is here; nothing is imported.

    Raises:
        LabError: it isn't; the sentence says what to install.
    """
    title, modules = EXTRAS[name]
    missing = [PACKAGES.get(module, module) for module in modules if not _is_here(module)]
    if missing:
        raise LabError(
            f"{title} need{'' if title.endswith('files') else 's'} {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            f"not installed. {INSTALL} Then start the lab again."
        )


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
