"""Whether a run should stop early, told from its evaluations alone: nothing else has to be kept over a resume."""

from collections.abc import Sequence
from typing import Literal

from core.runs.metrics_log import EvalRow


def has_stalled(rows: Sequence[EvalRow], watched: Literal["never", "loss", "miou"], patience: int) -> bool:
    """Return whether the last `patience` evaluations brought nothing better than those before.

    Args:
        rows: the eval rows of a run so far, oldest first.
        watched: the validation loss, which should fall, or the mean IoU, which should rise.
        patience: evaluations.
    """
    if watched == "never" or len(rows) <= patience:
        return False
    sign = 1.0 if watched == "miou" else -1.0
    values = [sign * row[watched] for row in rows if row[watched] is not None]
    return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])
