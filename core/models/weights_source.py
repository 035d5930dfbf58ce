"""Where an encoder's first weights come from: a local file, the Hugging Face Hub, or nowhere. Known before torch is.

Only safetensors files are taken: they hold numbers and nothing that runs.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub import HfApi

from core.auth import current_user
from core.config import ModelConfig
from core.errors import LabError
from core.models.encoder_table import ENCODER_BY_NAME
from core.models.hub_client import MAX_WEIGHTS_BYTES, Listing, fetch
from core.paths import resolve_data_file, weights_folder
from core.progress import CountCallback

HUB_FILE = "model.safetensors"
HUB_PATIENCE = 3.0
"""Seconds the Hub may take to answer before `auto` goes on without it."""
HUB_NAME = re.compile(r"hub:(\w[\w.-]*/\w[\w.-]*)@([0-9a-f]{40})")
"""How `weights` names a file of the Hub: the repository and the full revision, so that it means the same for ever."""


@dataclass(frozen=True)
class WeightsSource:
    """Where the weights will be taken from, and the sentence that says so. `revision` has 40 hexadecimal digits."""

    kind: Literal["file", "hub", "scratch"]
    sentence: str
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None

    @property
    def pretrained(self) -> bool:
        return self.kind != "scratch"


def find_weights(model: ModelConfig, hub_repo: str | None = None) -> WeightsSource:
    """Decide where a network's encoder starts from.

    Args:
        model: its `weights` is auto, pretrained, none, a path, or hub:OWNER/NAME@REVISION.
        hub_repo: repository of the pretrained weights; None looks the encoder up in the lab's own table.

    Raises:
        LabError: `pretrained` can't be had, or the named file isn't one.
    """
    encoder = model.encoder_name
    if model.weights == "none" or encoder == "plain":
        return WeightsSource("scratch", "Starts from scratch: every weight is random.")
    if model.weights.startswith("hub:"):
        return _named_revision(model.weights)
    if model.weights not in ("auto", "pretrained"):
        return _named_file(model.weights)
    local = local_weights(encoder)
    if local:
        return WeightsSource("file", f"Starts from pretrained weights in {local.name}.", path=local)
    repo = hub_repo or (ENCODER_BY_NAME[encoder].hub_repo if encoder in ENCODER_BY_NAME else None)
    revision = hub_revision(repo) if repo else None
    if revision:
        return _from_hub(repo, revision)
    if not repo:
        missing = "the lab knows no repository of it on the Hugging Face Hub"
    elif huggingface_hub.constants.HF_HUB_OFFLINE:
        missing = "the Hugging Face Hub is switched off by HF_HUB_OFFLINE"
    else:
        missing = "the Hugging Face Hub doesn't answer"
    if model.weights == "pretrained":
        hint = "Put the file there" if not repo else "Go online, put the file there"
        raise LabError(
            f"Pretrained weights for {encoder} can't be had: there is no {encoder}*.safetensors in"
            f" '{weights_folder()}', and {missing}. {hint}, or choose weights 'none'."
        )
    return WeightsSource(
        "scratch",
        f"Starts from scratch: no {encoder}*.safetensors in the weights folder, and {missing}. "
        "It will learn more slowly than from pretrained weights.",
    )


def local_weights(encoder: str) -> Path | None:
    """Return the file of the weights folder whose name is the encoder's, or begins with it and an underscore or full
    stop.
    """
    folder = weights_folder()
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("*.safetensors")):
        if path.stem == encoder or path.name.startswith((f"{encoder}_", f"{encoder}.")):
            return path
    return None


def hub_revision(repo: str) -> str | None:
    """Return the revision that a repository's weights are taken at: that in the local Hub cache, else the newest that
    the Hub names within a few seconds, else None. It is pinned from here on: what was looked up is what is
    downloaded.
    """
    cached = _cached_revision(repo)
    if cached:
        return cached
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return None
    try:
        return HfApi().model_info(repo, timeout=HUB_PATIENCE).sha
    except Exception:  # whatever goes wrong on the way there, the answer is the same: it can't be had
        return None


def cached_weights(repo: str) -> Path | None:
    """Return the weights of a repository in the local Hub cache, the newest that were looked up there; None where
    there are none.
    """
    revision = _cached_revision(repo)
    return _cached_file(repo, revision) if revision else None


def _cached_revision(repo: str) -> str | None:
    main = huggingface_hub.try_to_load_from_cache(repo, HUB_FILE)
    if isinstance(main, str):
        return Path(main).parent.name
    # What was downloaded by its revision is there, but no branch points to it.
    folder = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots"
    results = sorted(folder.glob(f"*/{HUB_FILE}"), key=lambda path: path.lstat().st_mtime)
    return results[-1].parent.name if results else None


def fetch_weights(source: WeightsSource, progress: CountCallback | None = None) -> Path:
    """Return the local path of the safetensors file of a source that is not scratch; downloads it where needed.

    Args:
        source: from `find_weights`.
        progress: called with bytes done and bytes in all while it downloads.

    Raises:
        LabError: the file is too large for any network here or for the disk, or the download failed.
    """
    if source.path:
        return source.path
    assert source.repo and source.revision, "a source from scratch has nothing to fetch"
    if cached := _cached_file(source.repo, source.revision):
        return cached  # without the Hub
    listing = Listing(source.repo, source.revision, frozenset({HUB_FILE}), is_private=False)

    def report(_what: str, done: int, total: int) -> None:
        if progress:
            progress(done, total)

    try:
        blob = fetch(listing, HUB_FILE, MAX_WEIGHTS_BYTES, report)
    except LabError as error:
        raise LabError(
            f"The weights {source.repo} could not be downloaded from the Hugging Face Hub. {error} Or choose weights"
            " 'none' to start from scratch."
        ) from None
    return _cached_file(source.repo, source.revision) or blob


def _cached_file(repo: str, revision: str) -> Path | None:
    """Return the weights of a repository in the local Hub cache, by their own name there, or None."""
    result = huggingface_hub.try_to_load_from_cache(repo, HUB_FILE, revision=revision)
    return Path(result) if isinstance(result, str) else None


def _from_hub(repo: str, revision: str) -> WeightsSource:
    sentence = f"Starts from pretrained weights, {repo} on the Hugging Face Hub at revision {revision[:8]}."
    return WeightsSource("hub", sentence, repo=repo, revision=revision)


def _named_revision(text: str) -> WeightsSource:
    named = HUB_NAME.fullmatch(text)
    if not named:
        raise LabError(
            f"weights is '{text}', but a file of the Hugging Face Hub is named hub:OWNER/NAME@REVISION, with all 40"
            " digits of the revision: a shorter one, or a branch, can come to mean something else."
        )
    return _from_hub(*named.groups())


def _named_file(text: str) -> WeightsSource:
    path = Path(text)
    if path.suffix != ".safetensors":
        raise LabError(
            f"weights is '{text}', but must be auto, pretrained, none, or the path of a .safetensors file. Other"
            " formats can carry programs and are not opened."
        )
    if not current_user().is_admin:
        path = resolve_data_file(text, "weights file")  # what lies elsewhere isn't theirs to ask for
    try:
        path = path.expanduser()
        is_file = path.is_file()
    except (OSError, RuntimeError):  # too long a name, or no such home
        is_file = False
    if not is_file:
        raise LabError(f"There is no weights file '{text}'. Check the path, or choose weights 'auto'.")
    return WeightsSource("file", f"Starts from the weights in {path.name}.", path=path.resolve())
