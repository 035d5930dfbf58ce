"""Where an encoder's first weights come from: a local file, the Hugging Face Hub, or nowhere. Known before torch is.

Only safetensors files are taken: they hold numbers and nothing that runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub import HfApi

from core.config import ModelConfig
from core.encoders import ENCODER_BY_NAME
from core.errors import LabError
from core.places import weights_folder

HUB_FILE = "model.safetensors"
HUB_PATIENCE = 3.0
"""Seconds the Hub may take to answer before `auto` goes on without it."""


@dataclass(frozen=True)
class WeightsSource:
    """Where the weights will be taken from, and the sentence that says so."""

    kind: Literal["file", "hub", "scratch"]
    sentence: str
    path: Path | None = None
    repo: str | None = None

    @property
    def pretrained(self) -> bool:
        return self.kind != "scratch"


def find_weights(model: ModelConfig, hub_repo: str | None = None) -> WeightsSource:
    """Decides where a network's encoder starts from.

    Args:
        model: its `weights` is auto, pretrained, none, or a path.
        hub_repo: repository of the pretrained weights; None looks the encoder up in the lab's own table.

    Raises:
        LabError: `pretrained` can't be had, or the named file isn't one.
    """
    encoder = model.encoder_name
    if model.weights == "none" or encoder == "plain":
        return WeightsSource("scratch", "Starts from scratch: every weight is random.")
    if model.weights not in ("auto", "pretrained"):
        return _named_file(model.weights)
    local = local_weights(encoder)
    if local:
        return WeightsSource("file", f"Starts from pretrained weights in {local.name}.", path=local)
    repo = hub_repo or (ENCODER_BY_NAME[encoder].hub_repo if encoder in ENCODER_BY_NAME else None)
    if repo and hub_has(repo):
        return WeightsSource("hub", f"Starts from pretrained weights, {repo} on the Hugging Face Hub.", repo=repo)
    if model.weights == "pretrained":
        raise LabError(
            f"Pretrained weights for {encoder} can't be had: there is no {encoder}*.safetensors in '{weights_folder()}', and the "
            "Hugging Face Hub doesn't answer. Go online, put the file there, or choose weights 'none'."
        )
    return WeightsSource(
        "scratch",
        f"Starts from scratch: no {encoder}*.safetensors in the weights folder, and the Hugging Face Hub doesn't answer. "
        "It will learn more slowly than from pretrained weights.",
    )


def local_weights(encoder: str) -> Path | None:
    """The file of the weights folder whose name is the encoder's, or begins with it and an underscore or full stop."""
    folder = weights_folder()
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("*.safetensors")):
        if path.stem == encoder or path.name.startswith((f"{encoder}_", f"{encoder}.")):
            return path
    return None


def hub_has(repo: str) -> bool:
    """True when the weights lie in the local Hub cache, or the Hub answers for that repository within a few seconds."""
    if isinstance(huggingface_hub.try_to_load_from_cache(repo, HUB_FILE), str):
        return True
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return False
    try:
        HfApi().model_info(repo, timeout=HUB_PATIENCE)
    except Exception:  # whatever goes wrong on the way there, the answer is the same: it can't be had
        return False
    return True


def fetch_weights(source: WeightsSource) -> Path:
    """The local path of the safetensors file of a source that is not scratch; downloads it where needed.

    Raises:
        LabError: the download failed.
    """
    if source.path:
        return source.path
    assert source.repo, "a source from scratch has nothing to fetch"
    try:
        return Path(huggingface_hub.hf_hub_download(source.repo, HUB_FILE))
    except Exception as error:
        raise LabError(
            f"The weights {source.repo} could not be downloaded from the Hugging Face Hub ({type(error).__name__}). "
            "Try again, or choose weights 'none' to start from scratch."
        ) from error


def _named_file(text: str) -> WeightsSource:
    path = Path(text)
    if path.suffix != ".safetensors":
        raise LabError(
            f"weights is '{text}', but must be auto, pretrained, none, or the path of a .safetensors file. Other formats can carry "
            "programs and are not opened."
        )
    try:
        path = path.expanduser()
        is_file = path.is_file()
    except (OSError, RuntimeError):  # too long a name, or the home of nobody
        is_file = False
    if not is_file:
        raise LabError(f"There is no weights file '{text}'. Check the path, or choose weights 'auto'.")
    return WeightsSource("file", f"Starts from the weights in {path.name}.", path=path.resolve())
