"""Sweeps: many ordinary runs that differ in a few settings, proposed by Optuna, queued one after the other, and
compared.
"""

from core.sweeps.space import Range, SweepConfig, read_spec
from core.sweeps.sweep import (
    Sweep,
    delete_sweep,
    find_sweep,
    list_sweeps,
    read_sweep,
    resume_sweep,
    start_sweep,
    stop_sweep,
)

__all__ = [
    "Range",
    "Sweep",
    "SweepConfig",
    "delete_sweep",
    "find_sweep",
    "list_sweeps",
    "read_spec",
    "read_sweep",
    "resume_sweep",
    "start_sweep",
    "stop_sweep",
]
