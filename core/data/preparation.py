"""Preparing data as a job: drawing streets, painting label maps, examining, counting, keeping frames decoded."""

from typing import Any, Literal

from pydantic import TypeAdapter

from core.config import DatasetConfig
from core.data.annotations.masks import painting
from core.data.cache import build_cache
from core.data.dataset import find_splits, generate_dataset
from core.data.doctor import Report, examine
from core.data.sources import SOURCES
from core.data.statistics import count_frames
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.progress import ProgressCallback

Task = Literal["draw", "paint", "examine", "count", "cache"]
TASKS: dict[Task, str] = {
    "draw": "Drawing street scenes",
    "paint": "Painting the labels",
    "examine": "Examining the frames",
    "count": "Counting the classes",
    "cache": "Keeping decoded frames",
}
_REPORT = TypeAdapter(Report)


def start_preparation(task: Task, config: DatasetConfig, **options: Any) -> Job:
    """Start a task for a data set; each person has one at a time.

    Args:
        task: a name of `TASKS`.
        config: which data.
        options: `split` of what is counted, `kind` of the cache.

    Raises:
        LabError: one of this person's goes on already, or the current user may only look.
    """
    return kinds.start("data", {"task": task, "dataset": config.model_dump(mode="json"), **options})


def report_of(job: Job) -> Report:
    """Return what a finished examination found."""
    return _REPORT.validate_python(job.result["report"])


def prepare(request: Values, progress: ProgressCallback) -> Values:
    """Do the requested task. Raises LabError where the data can't be read or written."""
    config = DatasetConfig.model_validate(request["dataset"])

    def step(done: int, total: int) -> None:
        progress(TASKS[request["task"]], done, total)

    match request["task"]:
        case "draw":
            generate_dataset(config, step)
        case "paint":
            with painting(progress=step):
                find_splits(config)
        case "examine":
            report = examine(
                SOURCES[config.name].root(config.root),
                config.classes,
                config.val_fraction,
                config.group_by,
                progress=step,
            )
            return {"report": _REPORT.dump_python(report, mode="json")}
        case "count":
            dataset, _ = find_splits(config)
            count_frames(dataset, dataset.train if request["split"] == "train" else dataset.val, step)
        case "cache":
            dataset, _ = find_splits(config)
            for frames in (dataset.train, dataset.val):
                if frames:
                    build_cache(dataset, frames, request["kind"], step)
    return {}
