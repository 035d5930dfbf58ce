"""The temperature of a run's network, as its checkpoints hold it; `core.training.temperature` fits it.

Nothing here imports torch: pages show it.
"""

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from core.files import parse_json
from core.runs.store import checkpoint_path

MIN, MAX = 0.1, 10.0


class ReliabilityBin(BaseModel, frozen=True):
    """Pixels of about one confidence: how many, how sure the network is of them, and the share that is right, 0..1."""

    pixels: int = Field(ge=0)
    confidence: float | None = Field(ge=0, le=1)
    accuracy: float | None = Field(ge=0, le=1)


class Reliability(BaseModel, frozen=True):
    """A reliability diagram, and the expected calibration error 0..1 that it comes to; None without pixels."""

    ece: float | None = Field(ge=0, le=1)
    bins: tuple[ReliabilityBin, ...] = Field(max_length=100)


class FittedTemperature(BaseModel, frozen=True):
    """What logits are divided by, and how calibrated validation pixels are without it and with it."""

    temperature: float = Field(ge=MIN, le=MAX)
    before: Reliability
    after: Reliability


def read_temperature(run: Path) -> FittedTemperature | None:
    """Return the temperature of a run's best checkpoint; None where none was fitted. One small read."""
    folder = checkpoint_path(run, "best")
    try:
        values = parse_json((folder / "state.json").read_bytes()) if folder else {}
        return FittedTemperature.model_validate(values["calibration"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
