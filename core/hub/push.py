"""From a run folder to a repository of the Hub, in one commit: weights, config.json, model card, and pictures that may
be shown.
"""

import io
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from safetensors import safe_open

from core.auth import require_owner
from core.errors import LabError
from core.hub.card import best_evaluation, model_card
from core.hub.published import FORMAT, MAX_BYTES, published_text, read_json
from core.hub.pull import CONFIG, WEIGHTS
from core.hub.sample_images import sample_images
from core.hub.unpacking import unfilled_model
from core.models.families import NOT_TRAINED
from core.models.hub_client import Listing, checked_repo, explain_errors, fetch, fetch_listing
from core.progress import ProgressCallback
from core.runs.store import Run
from core.training.checkpoint import Checkpoint, read_checkpoint

CARD = "README.md"


@dataclass(frozen=True)
class Pushed:
    """Where a run is now: the repository, its address, the commit, and whether others can see it."""

    repo: str
    address: str
    commit: str
    is_private: bool


def push(run: Run, repo: str, public: bool, own_images: bool, progress: ProgressCallback) -> Pushed:
    """Publish the best checkpoint of a run. Pushed again, it is a new commit of the same repository.

    Args:
        run: with a best checkpoint.
        repo: OWNER/NAME; made where it isn't there yet.
        public: everyone may see it; else its owner and those they invite.
        own_images: sample pictures of a data set of one's own may be shown.
        progress: called with the bytes.

    Raises:
        LabError: nobody is logged in, the run is another's or has no checkpoint, the repository is another model's, or
            the Hub refuses.
    """
    repo = checked_repo(repo)
    if run.config is None:
        raise LabError(f"Run {run.id} can't be pushed. {run.problem}")
    if run.config.model.family in NOT_TRAINED:
        raise LabError(
            f"Run {run.id} is a network of others, which is on the Hub already, or several networks as one. Push one of"
            " your own."
        )
    require_owner(run.owner, f"Run {run.id}")
    with explain_errors(repo):
        token = get_token()
    if not token:
        raise LabError(
            "Nobody is logged in to the Hugging Face Hub on this machine. Type 'hf auth login' in a terminal, or start"
            " the lab with HF_TOKEN set. The lab itself never asks for a token and keeps none."
        )
    progress(f"Writing the card of {repo}", 0, 0)
    checkpoint = read_checkpoint(run.path, "best")
    try:
        with CountedFile(checkpoint.path / WEIGHTS, progress) as weights:
            images = sample_images(run, own_images)
            files = {
                CONFIG: _config_text(run, checkpoint).encode(),
                CARD: model_card(run, repo, tuple(images)).encode(),
                **images,
            }
            if read_checkpoint(run.path, "best") != checkpoint:
                raise LabError(f"Run {run.id} found a better checkpoint at this very moment. Push it again.")
            return _send(run, repo, public, weights, files, progress)
    except OSError as error:
        raise LabError(f"'{checkpoint.path / WEIGHTS}' can't be read: {error.strerror}. Take another run.") from None


def _send(
    run: Run, repo: str, public: bool, weights: "CountedFile", files: dict[str, bytes], progress: ProgressCallback
) -> Pushed:
    api = HfApi()
    progress(f"Making {repo}", 0, 0)
    with explain_errors(repo, writes=True):
        api.create_repo(repo, private=not public, exist_ok=True)
    listing = fetch_listing(repo)
    _refuse_if_taken(listing, public, progress)
    weights.what = "Reading the weights"
    with explain_errors(repo, writes=True):
        added = [CommitOperationAdd(WEIGHTS, weights)]
        added += [CommitOperationAdd(name, data) for name, data in files.items()]
        weights.what = "Sending the weights"
        commit = api.create_commit(
            repo, added, commit_message=f"{run.title}, step {run.status.step}", parent_commit=listing.commit
        )
        address, oid = f"{api.endpoint}/{repo}", commit.oid
    return Pushed(repo, address, oid, listing.is_private)


def _refuse_if_taken(listing: Listing, public: bool, progress: ProgressCallback) -> None:
    """Refuse a repository that is another model's, or seen by others than was requested."""
    if not public and not listing.is_private:
        raise LabError(
            f"{listing.repo} is there already and everyone can see it. Push to another name, or say that everyone may"
            " see the run."
        )
    if CONFIG in listing.names or WEIGHTS in listing.names:
        values = read_json(fetch(listing, CONFIG, MAX_BYTES, progress), listing.repo) if CONFIG in listing.names else {}
        if values.get("format") != FORMAT:
            raise LabError(
                f"{listing.repo} holds another model already, which would be overwritten. Push to another name."
            )


def _config_text(run: Run, checkpoint: Checkpoint) -> str:
    config, class_names, colors = checkpoint.config, checkpoint.class_names, checkpoint.colors
    with safe_open(checkpoint.path / WEIGHTS, framework="np") as file:
        mean, std = (file.get_tensor(name).ravel().tolist() for name in ("mean", "std"))
    preprocessing = {
        "channels": "RGB",
        "range": [0, 1],
        "mean": mean,
        "std": std,
        "height": config.shown_size[0],
        "width": config.shown_size[1],
        "multiple": unfilled_model(config, len(class_names), run.id).multiple,
    }
    row = best_evaluation(run)
    return published_text(
        config, class_names, colors, checkpoint.step, checkpoint.best_miou, row, preprocessing, checkpoint.fitted
    )


class CountedFile(io.BufferedReader):
    """A file that tells how much of it was read.

    Given a file, the client takes the plain way to the Hub's store, on which bytes
    can be counted and a refusal heard."""

    def __init__(self, path: Path, progress: ProgressCallback) -> None:
        super().__init__(io.FileIO(path))
        self.what = "Reading the weights"
        self._size = path.stat().st_size
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._progress(self.what, self.tell(), self._size)
        return data
