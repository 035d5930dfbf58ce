"""An MLflow server: a run of an experiment, its settings as parameters, its numbers in batches.

Where the server is, and who asks, comes from the environment alone (MLFLOW_TRACKING_URI and its like), and is written
nowhere. MLflow: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient

from core.runs.store import Run
from core.tracking.points import Point
from core.tracking.tracker import Progress, TrackerError

METRICS_PER_BATCH = 1000
"""Numbers that the server takes at once (MLflow's own limit); a row of the lab has less than 50."""
PARAMS_PER_BATCH = 100
"""The same for parameters."""
VALUE_LENGTH = 500
"""Characters of a parameter's value that every server takes."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""MLflow's own settings where the environment doesn't say otherwise: this process tries again by itself."""

T = TypeVar("T")


class MLflowRun:
    """A `Tracker` of one run, whose MLflow run is begun where there is none yet."""

    batch = 20

    def __init__(self, run: Run, progress: Progress) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        self._client = MlflowClient()
        if not progress.id:
            progress.id = _request(lambda: self._begin(run))
        self._id = progress.id
        _request(lambda: self._client.update_run(self._id, status="RUNNING"))

    def _begin(self, run: Run) -> str:
        project = run.config.tracking.project
        experiment = self._client.get_experiment_by_name(project)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(project)
        # An answer that was lost on its way may have left a run already; and what is told twice here is the same.
        result = self._client.search_runs([experiment_id], f"tags.`seglab.run` = '{run.id}'", max_results=1)
        begun = result[0] if result else None
        if begun is None:
            start = int((run.status.started or run.status.created) * 1000)
            tags = {"seglab.run": run.id}
            begun = self._client.create_run(experiment_id, start_time=start, tags=tags, run_name=run.name)
        settings = [
            Param(f"{part}.{name}", str(value)[:VALUE_LENGTH])
            for part, fields in run.config.model_dump().items()
            for name, value in fields.items()
        ]
        for start in range(0, len(settings), PARAMS_PER_BATCH):
            self._client.log_batch(begun.info.run_id, params=settings[start : start + PARAMS_PER_BATCH])
        return begun.info.run_id

    def send(self, points: Sequence[Point]) -> None:
        metrics = [
            Metric(_safe(name), value, int(point.time * 1000), point.step)
            for point in points
            for name, value in point.values.items()
        ]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            part = metrics[start : start + METRICS_PER_BATCH]
            _request(partial(self._client.log_batch, self._id, metrics=part))

    def close(self, finished: bool) -> None:
        _request(lambda: self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED"))


open_tracker = MLflowRun


def _request(question: Callable[[], T]) -> T:
    """Ask the server. What an error of MLflow says may hold the server's address, password included: it is not
    repeated.
    """
    try:
        return question()
    except Exception as error:
        status = _status_of(error)
        if status in (401, 403):
            raise TrackerError(
                "the server refuses whoever MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN says we are"
            ) from None
        if status:
            raise TrackerError(f"the server answers with {status}") from None
        raise TrackerError(f"the server doesn't answer as it should ({type(error).__name__})") from None


def _status_of(error: Exception) -> int | None:
    """Return the HTTP status with which a server refused; None where there was no answer, for which MLflow says 500."""
    if not isinstance(error, MlflowException):
        return None
    status = error.get_http_status_code()
    return status if isinstance(error, RestException) or status < 500 else None


def _safe(name: str) -> str:
    """Return a metric's name as MLflow takes it: letters, digits, and `_-. :/`."""
    return "".join(sign if sign.isalnum() or sign in "_-. :/" else "_" for sign in name)
