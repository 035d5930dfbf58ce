"""The part `tracking` of a config: a switch for each tracker of the table."""

from pydantic import create_model

from core.config.settings import Condition, Part, field
from core.tracking.table import TRACKERS


class _TrackingConfig(Part):
    """Where else the numbers of a run go.

    What a tracker asks for, an address or a key, comes from the environment alone.
    """

    project: str = field(
        "segmentation-lab",
        "Project",
        "MLflow's experiment, and the project at Weights & Biases.",
        only_if=tuple(Condition(f"tracking.{name}") for name, tracker in TRACKERS.items() if tracker.has_projects),
        in_report=False,
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_. -]+$",
    )


TrackingConfig = create_model(
    "TrackingConfig",
    __base__=_TrackingConfig,
    __doc__=_TrackingConfig.__doc__,
    **{
        name: (bool, field(False, tracker.title, tracker.help, level="basic", in_report=False))
        for name, tracker in TRACKERS.items()
    },
)
