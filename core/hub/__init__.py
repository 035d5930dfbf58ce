"""The Hugging Face Hub: runs pushed as models, models pulled as runs, and three lines that load one outside of the lab.

    from core.hub import load_model
    model = load_model("user/name")
    labels = model.predict(image).labels  # image and labels: uint8 (H, W, 3) and (H, W)

Nothing that comes from there is executed: two files are taken, safetensors and JSON, and both are checked in full. The
token is huggingface_hub's own affair, from `HF_TOKEN` or `hf auth login`; the lab keeps none.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.inference.predictor import Predictor


def load_model(name: str | Path, revision: str = "") -> "Predictor":
    """Return a network of the Hub, or of a run folder, ready to predict on the best device here.

    Args:
        name: OWNER/NAME on the Hub, or the path of a run folder.
        revision: branch, tag or commit on the Hub; the newest where none is named. Once loaded by its commit, all 40
            digits of it, a network is loaded again without the Hub.

    Raises:
        LabError: there is no such network, it can't be had, or it isn't what a network of this lab is.
    """
    # Torch takes seconds to import, and the server never does.
    from core.hub.pull import pull
    from core.inference.predictor import Predictor
    from core.paths import cache_folder

    return Predictor(Path(name) if Path(name).is_dir() else pull(str(name), revision, cache_folder() / "hub"))


__all__ = ["load_model"]
