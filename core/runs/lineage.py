"""Which runs a network comes from: those that it went on from or was taught by, and what these come from."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.config import ITSELF, OF_RUN
from core.errors import LabError
from core.runs.store import Run, find_run

MAX_ANCESTORS = 20
"""So many are told."""


@dataclass(frozen=True)
class Ancestor:
    """A run that another one comes from.

    Attributes:
        verb: what the younger one did: "went on from", "was taught by".
        child: the younger run.
        run_id: of the older one, as the younger one's settings have it.
        run: the older one; None where it isn't here any more.
    """

    verb: str
    child: Run
    run_id: str
    run: Run | None


def lineage(run: Run) -> tuple[Ancestor, ...]:
    """Return the runs that a run comes from, the nearest first, as far as their folders are here."""
    ancestors: list[Ancestor] = []
    waiting = [run]
    while waiting and len(ancestors) < MAX_ANCESTORS:
        for ancestor in _parents(waiting.pop(0)):
            known = {run.path, *(other.run.path for other in ancestors if other.run)}
            ancestors.append(ancestor)
            if ancestor.run and ancestor.run.path not in known:
                waiting.append(ancestor.run)
    return tuple(ancestors)


def _parents(run: Run) -> Iterator[Ancestor]:
    if run.config is None:
        return
    weights, teacher = run.config.model.weights, run.config.training.teacher
    named = {"went on from": weights.removeprefix(OF_RUN) if weights.startswith(OF_RUN) else ""}
    named["was taught by"] = "" if teacher == ITSELF else teacher
    for verb, run_id in named.items():
        if run_id:
            try:
                older = find_run(run_id, run.path.parent)
            except LabError:
                older = None
            yield Ancestor(verb, run, run_id, older)
