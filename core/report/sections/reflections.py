"""Reflections: headings for the author, with what might be said under each."""

from core.report.report_data import ReportData
from core.report.sections.introduction import is_of_streets
from core.report.structure import Blank, Section


def reflections(data: ReportData) -> list[Section]:
    """Return the section."""
    where = "on a street" if all(is_of_streets(group) for group in data.groups) else "in use"
    scenes = "generated or real scenes" if any(is_of_streets(group) for group in data.groups) else "scenes of one kind"
    blanks = (
        Blank("What was expected, and what came", "Which results did you expect before the first run, and which surprised you? Why?"),
        Blank("What the pictures show", f"Which mistakes would matter {where}? Are they the ones that mean IoU counts most?"),
        Blank("What was chosen, and what else could have been", "Which settings did you choose by measurement, which by habit, which for want of time?"),
        Blank("How far this can be trusted", f"Frames, seeds, size of the pictures, {scenes}: what would have to be repeated?"),
        Blank("What would come next", "With one more week, or one more machine, what would you try first, and what result would change your mind?"),
    )  # fmt: skip
    return [Section("reflections", "Reflections", blanks)]
