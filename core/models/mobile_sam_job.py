"""Where the weights of MobileSAM are, and getting them from the Hugging Face Hub as a job. Imports no torch."""

from pathlib import Path

from core.errors import LabError
from core.extras import check_packages, is_here
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.models.weights_source import WeightsSource, cached_weights, fetch_weights, hub_revision, local_weights
from core.paths import weights_folder
from core.progress import ProgressCallback

NAME = "mobile_sam"
"""How the name of its file in the weights folder begins."""
REPO = "nielsr/mobilesam"
"""The authors' weights as safetensors, 41 MB: theirs are a pickle, which is not opened here."""

PACKAGES = ("transformers",)
"""Optional ones that it takes."""


def mobile_sam_weights() -> Path | None:
    """Return the file of the weights on this machine: in the weights folder, else what came from the Hub; None where
    there is none, or a package is missing.
    """
    return (local_weights(NAME) or cached_weights(REPO)) if has_packages() else None


def has_packages() -> bool:
    """Return whether the packages that it takes are installed."""
    return all(map(is_here, PACKAGES))


def ready_mobile_sam() -> Path:
    """Return the file of the weights. Raises LabError where it isn't here, or a package is missing."""
    check_packages("MobileSAM", PACKAGES)
    path = mobile_sam_weights()
    if path is None:
        raise LabError("MobileSAM isn't on this machine yet. Get it on the page Label, or paint superpixels.")
    return path


def start_mobile_sam() -> Job:
    """Start to get them. Raises LabError where they are coming already, or the current user may only look."""
    return kinds.start("mobile-sam", {})


def fetch(_request: Values, progress: ProgressCallback) -> Values:
    """Get them. Raises LabError where the Hub doesn't answer, or they don't arrive."""
    progress("Asking the Hugging Face Hub", 0, 0)
    revision = hub_revision(REPO)
    if revision is None:
        raise LabError(
            f"The Hugging Face Hub doesn't answer. Go online, or put {NAME}.safetensors into '{weights_folder()}':"
            f" it is the file model.safetensors of huggingface.co/{REPO}."
        )
    source = WeightsSource("hub", f"Weights of {REPO}.", repo=REPO, revision=revision)
    path = fetch_weights(source, lambda done, total: progress("Getting MobileSAM", done, total))
    return {"path": str(path)}
