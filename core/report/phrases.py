"""Small pieces of which sections are made: texts, cells, rows with the best in bold."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from core.report.report_data import COUNT, Group, NumberFormat, RunSummary
from core.report.structure import Cell, Cite, Number, Paragraph, Part, Text

DASH = "–"
Best = Literal["high", "low", ""]


def text(*parts: Part | Text | None) -> Text:
    """Return parts in a row, texts opened up, None left out."""
    results: list[Part] = []
    for part in parts:
        if isinstance(part, tuple):
            results += part
        elif part is not None:
            results.append(part)
    return tuple(results)


def cite(*keys: str) -> Text:
    """Return a citation with a space before it; nothing without keys."""
    return (" ", Cite(tuple(keys))) if keys else ()


def paragraph(*parts: Part | Text | None) -> Paragraph:
    """Return sentences of the ordinary kind."""
    return Paragraph(text(*parts))


def note(*parts: Part | Text | None) -> Paragraph:
    """Return sentences that are set apart."""
    return Paragraph(text(*parts), "note")


def joined(texts: Sequence[Text], last: str = "and") -> Text:
    """`a`, `a and b`, `a, b and c`, of texts."""
    parts: list[Part] = []
    for index, each in enumerate(texts):
        if index:
            parts.append(f" {last} " if index == len(texts) - 1 else ", ")
        parts += each
    return tuple(parts)


def count_in_words(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun as in a sentence, "one run" or "13 runs"."""
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    word = names[count] if count < len(names) else f"{count:,}"
    return f"{word} {one if count == 1 else many or one + 's'}"


def cell(number: Number | None, best: bool = False) -> Cell:
    """Return a number, or a dash where there is none."""
    return Cell((number,) if number else (DASH,), best)


def text_cell(content: str) -> Cell:
    """Return a cell without a number."""
    return Cell((content,))


def number_row(head: str | Text, numbers: Sequence[Number | None], best: Best = "") -> tuple[Cell, ...]:
    """Return a row of a table; as it is printed, the highest or lowest number is in bold unless all are alike."""
    marked = best_indices(numbers, best)
    first = Cell(head if isinstance(head, tuple) else (head,))
    return (first, *(cell(number, index in marked) for index, number in enumerate(numbers)))


def with_best_in_columns(rows: Sequence[Sequence[Number | None]], best: Sequence[Best]) -> list[list[Cell]]:
    """Return cells of several columns, each with its best in bold."""
    marked = [best_indices([row[column] for row in rows], kind) for column, kind in enumerate(best)]
    return [
        [cell(number, index in marked[column]) for column, number in enumerate(row)] for index, row in enumerate(rows)
    ]


def best_indices(numbers: Sequence[Number | None], best: Best) -> set[int]:
    """Return the indices of the best and of all that print like it; none where all do."""
    known = [number for number in numbers if number]
    if not best or len({number.text for number in known}) < 2:
        return set()
    winner = (max if best == "high" else min)(known, key=lambda number: number.value)
    return {index for index, number in enumerate(numbers) if number and number.text == winner.text}


def setting_text(summary: RunSummary, part: str, name: str) -> Text:
    """Return the value of a setting as a person would write it."""
    value = summary.read("config.json", f"/{part}/{name}")
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, (int, float)):
        return (Number(f"{value:g}", value, f"{summary.run.id}/config.json:/{part}/{name}"),)
    return (str(value),)


def settings_text(summaries: Sequence[RunSummary], part: str, name: str) -> Text:
    """Return a setting's value where all agree, else each value with the runs that have it."""
    return by_value(summaries, lambda summary: setting_text(summary, part, name))


def by_value(summaries: Sequence[RunSummary], describe: Any) -> Text:
    """Return what `describe(summary)` says, once where it is the same of all, else with the names of those of whom it is true."""
    groups: dict[str, tuple[Text, list[str]]] = {}
    for summary in summaries:
        sentence = describe(summary)
        groups.setdefault(plain_text(sentence), (sentence, []))[1].append(summary.label)
    if len(groups) == 1:
        return next(iter(groups.values()))[0]
    return joined([text(value, f" ({', '.join(names)})") for value, names in groups.values()])


def plain_text(parts: Iterable[Part]) -> str:
    """Return a text without sources and citations."""
    return "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in parts)


def columns_of(summaries: Sequence[RunSummary]) -> tuple[str, ...]:
    """Return heads of a column for each run."""
    return tuple(summary.label for summary in summaries)


def frames_text(group: Group) -> Text:
    """`the 106 validation frames`."""
    summary = group.carded[0] if group.carded else group.planned
    if summary is None:
        return ("the validation frames",)
    number = summary.score("/metadata/frames", COUNT) or summary.number("plan.json", "/val_frames")
    return ("the ", number, " validation frames")


def derived(value: float, form: NumberFormat, source: str) -> Number:
    """Return a number that was computed from runs."""
    return Number(form.format(value), value, source, form.scale)
