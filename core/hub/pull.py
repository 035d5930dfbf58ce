"""From a repository of the Hub to a run folder that looks like one trained here, once all of it has been checked."""

import os
from pathlib import Path

from core.auth import require_write
from core.data.sources import SOURCES
from core.errors import LabError, writing
from core.hub.origin import Origin, find_origin, read_origin
from core.hub.published import MAX_BYTES as CONFIG_BYTES
from core.hub.published import read_json, read_published
from core.labels import CITYSCAPES_19
from core.models.hub_client import COMMIT, MAX_WEIGHTS_BYTES, Listing, checked_repo, fetch, fetch_listing
from core.paths import data_folder, runs_folder
from core.progress import ProgressCallback, no_progress
from core.runs.store import list_runs

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"


def pull(repo: str, revision: str = "", folder: Path | None = None, progress: ProgressCallback = no_progress) -> Path:
    """Bring a published network here as a finished run.

    What came before from the same commit is taken again, without the Hub where the commit was named in full.

    Args:
        repo: OWNER/NAME.
        revision: branch, tag or commit; the newest where none is named.
        folder: that shall hold the run; the lab's own where none is named.
        progress: called with the bytes.

    Returns:
        The run folder.

    Raises:
        LabError: the lab is read-only, it can't be had, or it isn't what a network of this lab is. Nothing of it stays
            then but what is in the Hub's own cache.
    """
    require_write()
    repo, revision = checked_repo(repo), revision.strip()
    folder = folder or runs_folder()
    if COMMIT.fullmatch(revision) and (known := find_origin(list_runs(folder), Origin(repo, revision))):
        return known.path
    progress(f"Looking up {repo}", 0, 0)
    listing = fetch_listing(repo, revision)
    origin = Origin(repo, listing.commit)
    if known := find_origin(list_runs(folder), origin):
        return known.path
    _refuse_without_files(listing)
    config = fetch(listing, CONFIG, CONFIG_BYTES, progress)
    values = read_json(config, repo)
    # Torch takes seconds to import; whatever the Hub refuses is said before.
    if "model_type" in values and "format" not in values:
        from core.hub.transformers_models import convert_weights, read_transformers_config

        preprocessor = {}
        if PREPROCESSOR in listing.names:
            preprocessor = read_json(fetch(listing, PREPROCESSOR, CONFIG_BYTES, progress), repo)
        published = read_transformers_config(
            values, preprocessor, repo, root_for("cityscapes", CITYSCAPES_19.class_names)
        )
        put_weights = convert_weights
    else:
        published, put_weights = read_published(values, repo, root_for), None
    weights = fetch(listing, WEIGHTS, MAX_WEIGHTS_BYTES, progress)
    progress("Checking every number", 0, 0)
    from core.hub.unpacking import make_run, put_own

    with writing(folder):
        return make_run(origin, published, weights, folder, put_weights or put_own)


def root_for(name: str, class_names: tuple[str, ...]) -> str:
    """Return the folder of such data on this machine: that of the newest run that learned on it, else where the lab
    would look for it.
    """
    source = SOURCES.get(name)
    if source is None or not source.root_title:
        return ""
    for run in list_runs(runs_folder()):
        is_such = run.config is not None and run.config.dataset.name == name and read_origin(run.path) is None
        if is_such and (source.sharing != "ask" or run.class_names == class_names):
            return run.config.dataset.root
    return os.environ.get(source.root_variable, "") or str(data_folder() / name)


def _refuse_without_files(listing: Listing) -> None:
    missing = {CONFIG, WEIGHTS} - listing.names
    if WEIGHTS in missing and listing.pickles:
        raise LabError(
            f"{listing.repo} holds its weights as {listing.pickles[0][:80]} only, a format that can carry programs: it"
            " was not fetched. Ask its owner for a model.safetensors."
        )
    if missing:
        raise LabError(
            f"{listing.repo} has no {' and no '.join(sorted(missing))}, so it can't be brought here: the lab takes"
            " networks that were pushed from a lab like this one, and SegFormer or Mask2Former trained for Cityscapes."
            " Check the name, or the revision."
        )
