"""A run whose data folder was moved or renamed: where it lies now is told once, and the run goes on, is scored and
exported.
"""

from pathlib import Path

from core.auth import require_owner
from core.data.frames import data_digest
from core.data.sources import SOURCES
from core.errors import LabError, writing
from core.files import write_atomically
from core.runner.device_lock import queue_lock
from core.runs.store import read_plan, read_run


def move_data(path: Path, root: str) -> None:
    """Write down where a run's data lie now, if they are the same data.

    Args:
        path: the run's folder.
        root: the folder of the data, as it is typed.

    Raises:
        LabError: the run is another's or active, the folder can't be opened, or it holds other data than the run
            learned from.
    """
    from core.data.dataset import open_dataset  # brings OpenCV, which nothing else of the queue needs

    with writing(path), queue_lock(path.parent):
        run = read_run(path)
        require_owner(run.owner, f"Run {run.id}")
        if run.config is None:
            raise LabError(run.problem)
        if run.is_active:
            raise LabError(f"Run {run.id} is {run.state}. Stop it before its data are moved.")
        if not SOURCES[run.config.dataset.name].root_title:
            raise LabError(f"Run {run.id} learned on generated streets, which lie in no folder of one's own.")
        dataset = open_dataset(run.config.dataset.model_copy(update={"root": root}), for_training=True)
        plan = read_plan(path)
        frames = plan.get("train_frames"), plan.get("val_frames")
        if plan and frames != (len(dataset.train), len(dataset.val)):
            raise LabError(
                f"'{root}' has {len(dataset.train)} training and {len(dataset.val)} validation frames, but the run"
                f" learned from {frames[0]} and was scored on {frames[1]}: these are other data."
            )
        if plan.get("data") and plan["data"] != data_digest((*dataset.shown, *dataset.val)):
            raise LabError(
                f"'{root}' holds other photographs or masks than the run learned from. Name the folder of the same"
                " data."
            )
        config = run.config.model_copy(
            update={"dataset": run.config.dataset.model_copy(update={"root": str(dataset.root)})}
        )
        write_atomically(path / "config.json", config.model_dump_json(indent=2))
