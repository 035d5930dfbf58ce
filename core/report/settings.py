"""What a report is asked for with, checked."""

from dataclasses import dataclass, replace

from core.errors import LabError
from core.evaluation.results import EvaluationSettings, list_results, read_metadata
from core.evaluation.staleness import is_stale
from core.runs.store import Run
from core.text import one_line

SECTIONS = {
    "introduction": "Introduction",
    "architectures": "Architectures",
    "methodology": "Methodology",
    "results": "Results",
    "conclusions": "Conclusions",
    "reflections": "Reflections",
    "reproduction": "Reproduction",
}
"""What can be chosen; the references of what was chosen always follow."""
MAX_RUNS = 8
"""More columns than that fit on no page."""
TEXT_LENGTH = 200
SCORED_AS = EvaluationSettings()
"""How the runs of a report are scored: all validation frames, at the training size, whole pictures, the best
checkpoint.
"""


@dataclass(frozen=True)
class ReportSettings:
    """What a report is asked for with.

    Attributes:
        runs: ids, in the order in which they appear.
        title, author, course: what stands on top; may be empty.
        sections: keys of `SECTIONS`.
        pictures: show photographs and masks; None does unless they are of Cityscapes, which may not be passed on.
        robustness: score under corruptions where that wasn't done yet.
    """

    runs: tuple[str, ...]
    title: str = ""
    author: str = ""
    course: str = ""
    sections: tuple[str, ...] = tuple(SECTIONS)
    pictures: bool | None = None
    robustness: bool = False


def why_scored(run: Run) -> str:
    """Return why a report scores a run before it is written, as the rest of "it ..."; empty where it needn't, or
    can't.
    """
    if not run.has_checkpoint("best"):
        return ""
    cards = [metadata for path in list_results(run.path) if (metadata := read_metadata(path))]
    alike = [card for card in cards if card.settings == SCORED_AS]
    if any(not is_stale(run, card) for card in alike):
        return ""
    if alike:
        return "was scored before its checkpoint or its data changed"
    return f"was scored otherwise: {cards[0].settings.description}" if cards else "was not scored yet"


def scoring_seconds(run: Run) -> float | None:
    """Return an estimate of how long scoring a run takes, by an earlier scoring of it; None without one."""
    for path in list_results(run.path):
        card = read_metadata(path)
        if card and card.frames and card.settings.size == SCORED_AS.size:
            return card.seconds / card.frames * max(card.frames, run.plan.get("val_frames", 0))
    return None


def checked_settings(settings: ReportSettings) -> ReportSettings:
    """Return the settings with every text on one line, runs named once, and sections in the order of the document.

    Raises:
        LabError: no run or section is named, or too many or unknown ones, or a text is too long.
    """
    runs = tuple(dict.fromkeys(settings.runs))
    if not runs:
        raise LabError("A report needs at least one run. Choose some.")
    if len(runs) > MAX_RUNS:
        raise LabError(f"These are {len(runs)} runs, but a report has room for {MAX_RUNS}. Leave some out.")
    unknown = [name for name in settings.sections if name not in SECTIONS]
    if unknown or not settings.sections:
        named = f"There is no section '{unknown[0][:40]}'." if unknown else "A report needs at least one section."
        raise LabError(f"{named} Choose among {', '.join(SECTIONS)}.")
    texts = {}
    for name in ("title", "author", "course"):
        text = one_line(getattr(settings, name))
        if len(text) > TEXT_LENGTH:
            raise LabError(f"The {name} has {len(text)} characters, but at most {TEXT_LENGTH} fit. Shorten it.")
        texts[name] = text
    sections = tuple(name for name in SECTIONS if name in settings.sections)
    return replace(settings, runs=runs, sections=sections, **texts)
