"""The trackers on offer, each a line of a table: other places where the numbers of a run may go."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackerEntry:
    """A tracker.

    Attributes:
        title: its name.
        module: where its `open_tracker(run, progress)` is; imported in the tracker's own process alone.
        help: what it does and what it takes from the environment, for the form.
        packages: modules that it needs, see `core.extras`.
        needs: environment variable that must name its server, or empty.
        has_projects: `tracking.project` names its project.
    """

    title: str
    module: str
    help: str
    packages: tuple[str, ...]
    needs: str = ""
    has_projects: bool = False


TRACKERS: dict[str, TrackerEntry] = {
    "tensorboard": TrackerEntry(
        "TensorBoard",
        "core.tracking.event_files",
        "Write TensorBoard event files into the run's folder.",
        ("tensorboard",),
    ),
    "mlflow": TrackerEntry(
        "MLflow",
        "core.tracking.mlflow_server",
        "Tell an MLflow server; MLFLOW_TRACKING_URI in the environment says which.",
        ("mlflow",),
        needs="MLFLOW_TRACKING_URI",
        has_projects=True,
    ),
    "wandb": TrackerEntry(
        "Weights & Biases",
        "core.tracking.weights_and_biases",
        "Tell Weights & Biases; WANDB_API_KEY in the environment or `wandb login` says who you are.",
        ("wandb",),
        has_projects=True,
    ),
}
"""`tracking.NAME` in a config switches one on."""
