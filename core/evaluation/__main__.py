"""`python -m core.evaluation JOB`: the process that scores; see `core.evaluation.jobs`."""

import sys
from pathlib import Path

from pydantic import TypeAdapter

from core.errors import LabError
from core.evaluation.results import EvaluationSettings
from core.jobs.engine import Facts, Progress, run_job
from core.paths import runs_folder
from core.runs.store import Run, find_run


def score_runs(asked: Facts, progress: Progress) -> Facts:
    """Does what was asked for with each run; one that can't be scored doesn't keep the others from it.

    Raises:
        LabError: none of the runs could be scored.
    """
    from core.training.malloc import keep_freed_memory

    keep_freed_memory()
    count = len(asked["runs"])
    scored, problems = [], {}
    for index, run_id in enumerate(asked["runs"]):
        which = f"run {index + 1} of {count}: " if count > 1 else ""

        def told(what: str, done: int, total: int, place: int = index, which: str = which) -> None:
            # Runs of one job have about as many frames, so that the share of all of them is known from the first on.
            progress(f"{which}{what[:1].lower()}{what[1:]}" if which else what, place * total + done, count * total)

        try:
            _make(find_run(run_id, runs_folder()), asked, told)
            scored.append(run_id)
        except LabError as error:
            problems[run_id] = str(error)
    if problems and not scored:
        raise LabError(" ".join(problems.values()))
    return {"runs": scored, "problems": problems}


def _make(run: Run, asked: Facts, progress: Progress) -> None:
    from core.evaluation.evaluate_run import evaluate_robustness, evaluate_run
    from core.evaluation.make_submission import make_submission

    settings = TypeAdapter(EvaluationSettings).validate_python(asked["settings"])
    match asked["kind"]:
        case "robustness":
            evaluate_robustness(run, settings, progress)
        case "submission":
            make_submission(run, asked["split"], None, settings.options, settings.checkpoint, progress)
        case _:
            evaluate_run(run, settings, progress)


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1]), score_runs))
