"""The kinds of background jobs, in one table, and the verbs that all of them share.

A kind's own checks stand beside its work, in one `start_...` function: core.report.job, core.evaluation.job,
core.export.job, core.hub.job, core.data.preparation, core.data.unpacking_job, core.data.download_job,
core.inference.pseudo_label_job, core.evaluation.soup_job, core.training.probe.job, core.models.mobile_sam_job,
core.labelling.label_set_job. Everything else goes through `latest`, `stop` and `is_stopping` below. The table names its
work by import path and imports none of it, so that neither the server nor a page loads torch.

Sweeps are no jobs: they have a driver of their own (core.sweeps.driver), because theirs is another life cycle. A sweep
is resumed after it was stopped or killed and stands in the list of sweeps for good, where a job is started anew and
forgotten with the next one.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Literal

from core.auth import current_user
from core.jobs import engine
from core.jobs.engine import NICENESS, Job, Values, Work
from core.paths import cache_folder


@dataclass(frozen=True)
class JobKind:
    """What is known of a kind of job.

    Attributes:
        title: of the work, as after "... was stopped".
        work: `module:function`, called in the job's process, see `core.jobs.engine.run_job`.
        after_stop: the sentence of what is left of a job that was stopped.
        unit: what `done` and `total` count: bytes, steps, or a scale of its own that nothing is read off but the share.
        in_run_folder: its jobs lie beside the file that they make in a run's folder, which each call names; else they
            lie in the cache folder.
        for_each_person: each person has one at a time, where of other kinds one goes on in the whole lab.
        ends_while_silent: stopped also where it waits for another computer and doesn't call `progress`, which may be
            for long.
        niceness: how far it stands back behind trainings and pages; 0 where it measures what a training would take.
    """

    title: str
    work: str
    after_stop: str
    unit: Literal["bytes", "steps", "share"] = "steps"
    in_run_folder: bool = False
    for_each_person: bool = False
    ends_while_silent: bool = False
    niceness: int = NICENESS


JOBS: dict[str, JobKind] = {
    "report": JobKind(
        "Writing the report",
        "core.report.job:write",
        "Scores that were made by then are kept.",
        unit="share",
    ),
    "evaluation": JobKind("Scoring", "core.evaluation.job:evaluate", "What was done until then is kept."),
    "export": JobKind(
        "Making the file", "core.export.job:export", "Nothing was written; an earlier file stays.", in_run_folder=True
    ),
    "data": JobKind(
        "Preparing the data",
        "core.data.preparation:prepare",
        "Frames that were decoded until then are kept, anything else begins anew.",
        for_each_person=True,
    ),
    "unpack": JobKind(
        "Unpacking", "core.data.unpacking_job:unpack", "Nothing of it was kept; drop it again.", for_each_person=True
    ),
    "pseudo-labels": JobKind(
        "Labelling photographs",
        "core.inference.pseudo_label_job:label",
        "No mask was kept.",
        for_each_person=True,
    ),
    "label-set": JobKind(
        "Copying photographs", "core.labelling.label_set_job:copy_images", "None was kept.", for_each_person=True
    ),
    "average": JobKind(
        "Averaging weights", "core.evaluation.soup_job:average", "No run was made.", for_each_person=True
    ),
    "dry-run": JobKind(
        "The dry run",
        "core.training.probe.job:try_out",
        "What was measured until then is kept.",
        for_each_person=True,
        ends_while_silent=True,
        niceness=0,
    ),
    "lr-finder": JobKind(
        "The search for a learning rate",
        "core.training.probe.job:run_range_test",
        "Nothing is suggested from a part of the curve.",
        for_each_person=True,
        ends_while_silent=True,
    ),
    "download": JobKind(
        "Getting Cityscapes",
        "core.data.download_job:download_packages",
        "What has been fetched is kept: start again, and it goes on from there.",
        unit="bytes",
    ),
    "mobile-sam": JobKind(
        "Getting MobileSAM",
        "core.models.mobile_sam_job:fetch",
        "It isn't here yet; start again.",
        unit="bytes",
        ends_while_silent=True,
    ),
    "push": JobKind(
        "Sharing the run",
        "core.hub.job:push_run",
        "Nothing was published; an empty repository may be there now.",
        unit="bytes",
        ends_while_silent=True,
    ),
    "pull": JobKind(
        "Bringing the run",
        "core.hub.job:pull_run",
        "Nothing of it is among the runs.",
        unit="bytes",
        ends_while_silent=True,
    ),
}


Kind = Literal[*JOBS]


def jobs_folder(kind: Kind, folder: Path | None = None, owner: str | None = None) -> Path:
    """Return where the jobs of a kind lie.

    Args:
        kind: of jobs.
        folder: named for the kinds that live in a run's folder, and for no others.
        owner: of the job, where it isn't the one who is asking.
    """
    if JOBS[kind].in_run_folder != (folder is not None):
        raise ValueError(f"{kind}: {folder}")
    if folder:
        return folder
    shared = cache_folder() / "jobs" / kind
    if not JOBS[kind].for_each_person:
        return shared
    person = current_user().id if owner is None else owner
    return shared / sha256(person.encode()).hexdigest()[:16]


def start(kind: Kind, request: Values, folder: Path | None = None, secret: bytes = b"") -> Job:
    """Start a job, see `core.jobs.engine.start_job`. Raises LabError where no more may go on."""
    return engine.start_job(kind, request, jobs_folder(kind, folder), secret)


def latest(kind: Kind, folder: Path | None = None) -> Job | None:
    """Return the job of a kind that was started last, or None."""
    return engine.latest_job(jobs_folder(kind, folder))


def check_idle(kind: Kind, folder: Path | None = None) -> None:
    """Raise LabError where a job of a kind goes on."""
    engine.check_none_runs(jobs_folder(kind, folder))


def stop(kind: Kind, job: Job, folder: Path | None = None) -> None:
    """Ask a job to stop. Raises LabError where it is another user's."""
    engine.stop_job(jobs_folder(kind, folder, job.owner), job)


def is_stopping(kind: Kind, job: Job, folder: Path | None = None) -> bool:
    """Return whether a job was asked to stop."""
    return engine.is_stopping(jobs_folder(kind, folder, job.owner), job)


def load_work(kind: Kind) -> Work:
    """Import what does the work of a kind, and torch with it where it needs that."""
    module, _, function = JOBS[kind].work.partition(":")
    return getattr(import_module(module), function)
