"""Copying the photographs of a folder into a label set, as a job."""

from collections.abc import Sequence

from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.labelling.label_set import checked_names, create_label_set, images_in
from core.paths import resolve_data_root
from core.progress import ProgressCallback


def start_label_set(title: str, folder: str, class_names: Sequence[str]) -> Job:
    """Start to make a label set of those photographs of a folder that have no mask; the job's result is its `slug`.

    Raises LabError where the folder or the names can't be right, another one of this person's is being made, or the
    current user may only look.
    """
    checked_names(title, class_names)
    resolve_data_root(folder)
    return kinds.start("label-set", {"title": title, "folder": folder, "classes": list(class_names)})


def copy_images(request: Values, progress: ProgressCallback) -> Values:
    """Do it. Raises LabError as `create_label_set` and `images_in` do."""
    progress("Looking for photographs", 0, 0)
    images = images_in(resolve_data_root(request["folder"]))

    def step(done: int, total: int) -> None:
        progress("Copying photographs", done, total)

    return {"slug": create_label_set(request["title"], images, request["classes"], step).slug}
