"""`python -m core.scorecards JOB`: the process that scores; see `core.scorecards.jobs`."""

import sys
from pathlib import Path

from pydantic import TypeAdapter

from core.errors import LabError
from core.places import runs_folder
from core.runner.jobs import Facts, Progress, run_job
from core.runs import find_run
from core.scorecards.card import CardSettings


def score_runs(asked: Facts, progress: Progress) -> Facts:
    """Scores what was asked for; a run that can't be scored doesn't keep the others from it.

    Raises:
        LabError: none of the runs could be scored.
    """
    from core.scorecards.making import make_card, make_robustness
    from core.training.memory import keep_freed_memory

    keep_freed_memory()
    settings = TypeAdapter(CardSettings).validate_python(asked["settings"])
    make = make_robustness if asked["kind"] == "robustness" else make_card
    scored, problems = [], {}
    for place, run_id in enumerate(asked["runs"], start=1):
        which = f"run {place} of {len(asked['runs'])}: " if len(asked["runs"]) > 1 else ""

        def told(what: str, done: int, total: int, which: str = which) -> None:
            progress(f"{which}{what[:1].lower()}{what[1:]}" if which else what, done, total)

        try:
            make(find_run(run_id, runs_folder()), settings, told)
            scored.append(run_id)
        except LabError as error:
            problems[run_id] = str(error)
    if problems and not scored:
        raise LabError(" ".join(problems.values()))
    return {"runs": scored, "problems": problems}


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1]), score_runs))
