"""Dry runs and the search for a learning rate as jobs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from core.config import RunConfig, read_config
from core.errors import LabError
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.progress import ProgressCallback
from core.training.probe.dry_run import DryRun, dry_run
from core.training.probe.lr_finder import STEPS, LrPoint, find_lr


def start_dry_run(configs: Sequence[RunConfig]) -> Job:
    """Start to try some runs, one after the other.

    Raises LabError where this person tries something out already, or the current user may only look.
    """
    kinds.check_idle("lr-finder")
    return kinds.start("dry-run", {"configs": [config.model_dump_json() for config in configs]})


def start_lr_finder(config: RunConfig) -> Job:
    """Start the range test of a run.

    Raises LabError where this person tries something out already, or the current user may only look.
    """
    kinds.check_idle("dry-run")
    return kinds.start("lr-finder", {"config": config.model_dump_json()})


def try_out(request: Values, progress: ProgressCallback) -> Iterator[Values]:
    """Yield what is known by then of each run, after each."""
    outcomes: list[Values] = []
    for name in request["configs"]:
        config = read_config(json.loads(name))
        progress(f"Trying {config.model.title}", len(outcomes), len(request["configs"]))
        try:
            outcomes.append(dry_run(config).as_dict())
        except LabError as error:
            outcomes.append({"error": str(error)})
        yield {"outcomes": outcomes}


def run_range_test(request: Values, progress: ProgressCallback) -> Iterator[Values]:
    """Yield the points of the range test so far, after each. Raises LabError as `find_lr` says."""
    config = read_config(json.loads(request["config"]))
    progress(f"The learning rate of {config.model.title} climbs", 0, STEPS)
    points: list[Values] = []
    for point in find_lr(config):
        points.append(asdict(point))
        progress(f"The learning rate of {config.model.title} climbs", len(points), STEPS)
        yield {"points": points}


def read_outcomes(job: Job) -> dict[str, DryRun | str]:
    """Return what a dry run has by now: by the JSON of each run's config, what it will take or why it can't start."""
    outcomes = job.result.get("outcomes", ())
    return {
        name: values["error"] if "error" in values else DryRun.from_dict(values)
        for name, values in zip(job.request["configs"], outcomes, strict=False)
    }


def read_points(job: Job) -> list[LrPoint]:
    """Return the points that a range test has by now."""
    return [LrPoint(**values) for values in job.result.get("points", ())]
