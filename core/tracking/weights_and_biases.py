"""Weights & Biases: a run of a project.

Its key comes from the environment or from `wandb login`, and is written nowhere here.

With WANDB_MODE=offline, files are left in `wandb/` of the run's folder, which `wandb sync` sends later.
W&B: https://docs.wandb.ai/ref/python/
"""

import os
from collections.abc import Sequence

import wandb

from core.runs.store import Run
from core.tracking.points import Point
from core.tracking.tracker import Progress, TrackerError

START_SECONDS = 30.0


class WandbRun:
    """A `Tracker` of one run."""

    batch = 100

    def __init__(self, run: Run, _progress: Progress) -> None:
        # Read by its helper processes too: nothing about this machine, its code or its repository goes along.
        os.environ |= {"WANDB_DISABLE_GIT": "true", "WANDB_DISABLE_CODE": "true", "WANDB_SILENT": "true"}
        settings = wandb.Settings(
            console="off",
            init_timeout=START_SECONDS,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
        )
        try:
            self._run = wandb.init(
                project=run.config.tracking.project,
                id=run.id,
                name=run.name,
                config=run.config.model_dump(),
                dir=run.path,
                resume="allow",
                reinit="finish_previous",
                settings=settings,
            )
            for prefix in ("train", "val"):
                self._run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/step")
        except Exception as error:  # its errors are many, and may name addresses
            raise TrackerError(
                f"it can't be begun ({type(error).__name__}); WANDB_API_KEY or `wandb login` says who you are,"
                " WANDB_MODE=offline keeps files instead"
            ) from None

    def send(self, points: Sequence[Point]) -> None:
        try:
            for point in points:
                # Its own step can't go back, and rows of both kinds may wait for each other: hence a step as a number
                # of each kind.
                prefix = next(iter(point.values)).split("/")[0]
                self._run.log(point.values | {f"{prefix}/step": point.step})
        except Exception as error:
            raise TrackerError(f"it takes nothing more ({type(error).__name__})") from None

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


open_tracker = WandbRun
