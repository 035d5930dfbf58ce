"""Evaluating runs as a job: any number of them, one after the other, or one run's archive for the benchmark server."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from pydantic import TypeAdapter

from core.errors import LabError
from core.evaluation.results import EvaluationSettings
from core.evaluation.submission_archives import Split
from core.jobs import kinds
from core.jobs.engine import Job, Values
from core.paths import runs_folder
from core.progress import ProgressCallback
from core.runs.store import Run, find_run

Task = Literal["scores", "robustness"]


def start_evaluation(run_ids: Sequence[str], settings: EvaluationSettings, task: Task = "scores") -> Job:
    """Start to evaluate runs one after the other. Raises LabError while another evaluation goes on.

    The job's result names the `runs` that were evaluated, and the `problems` of the others by run.
    """
    return kinds.start("evaluation", {"runs": list(run_ids), "settings": asdict(settings), "task": task})


def start_submission(run_id: str, split: Split, settings: EvaluationSettings) -> Job:
    """Start to make a run's archive for the benchmark server; of the settings only how frames are shown counts.

    Raises:
        LabError: an evaluation or another archive is under way.
    """
    request = {"runs": [run_id], "settings": asdict(settings), "task": "submission", "split": split}
    return kinds.start("evaluation", request)


def evaluate(request: Values, progress: ProgressCallback) -> Values:
    """Do the requested task for each run; one that can't be evaluated doesn't keep the others from it.

    Raises:
        LabError: none of the runs could be evaluated.
    """
    from core.training.malloc import keep_freed_memory

    keep_freed_memory()
    count = len(request["runs"])
    done_runs, problems = [], {}
    for index, run_id in enumerate(request["runs"]):
        which = f"run {index + 1} of {count}: " if count > 1 else ""

        def part_progress(what: str, done: int, total: int, index: int = index, which: str = which) -> None:
            # Runs of one job have about as many frames, so that the share of all of them is known from the first on.
            progress(f"{which}{what[:1].lower()}{what[1:]}" if which else what, index * total + done, count * total)

        try:
            _evaluate_one(find_run(run_id, runs_folder()), request, part_progress)
            done_runs.append(run_id)
        except LabError as error:
            problems[run_id] = str(error)
    if problems and not done_runs:
        raise LabError(" ".join(problems.values()))
    return {"runs": done_runs, "problems": problems}


def _evaluate_one(run: Run, request: Values, progress: ProgressCallback) -> None:
    from core.evaluation.evaluate_run import evaluate_robustness, evaluate_run
    from core.evaluation.make_submission import make_submission

    settings = TypeAdapter(EvaluationSettings).validate_python(request["settings"])
    match request["task"]:
        case "robustness":
            evaluate_robustness(run, settings, progress)
        case "submission":
            make_submission(run, request["split"], None, settings.options, settings.checkpoint, progress)
        case _:
            evaluate_run(run, settings, progress)
