"""Reflections: headings for the author, with what might be said under each."""

from core.report.report_data import ReportData
from core.report.structure import Blank, Section


def reflections(data: ReportData) -> list[Section]:
    """Return the section."""
    blanks = (
        Blank("What was expected, and what came", "Which results did you expect before the first run, and which surprised you? Why?"),
        Blank("What the pictures show", "Which mistakes would matter on a street? Are they the ones that mean IoU counts most?"),
        Blank("What was chosen, and what else could have been", "Which settings did you choose by measurement, which by habit, which for want of time?"),
        Blank("How far this can be trusted", "Frames, seeds, size of the pictures, generated or real scenes: what would have to be repeated?"),
        Blank("What would come next", "With one more week, or one more machine, what would you try first, and what result would change your mind?"),
    )  # fmt: skip
    return [Section("reflections", "Reflections", blanks)]
