"""Small pieces of which sections are made: texts, cells, rows with the best in bold."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from core.report.report_data import COUNT, Group, NumberFormat, RunSummary
from core.report.structure import Cell, Cite, Number, Paragraph, Part, Table, Text
from core.text import join_items

DASH = "–"
Best = Literal["high", "low", ""]
Content = Number | Text | str | None
"""What a cell may show; None is a dash."""
Column = tuple[str, Callable[[RunSummary], Content], Best | Literal["text"]]
"""A column of a table of runs: its head, what stands in it, and which of its numbers is the best, or that it is
text.
"""


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


def spell_count(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun as in a sentence, "one run" or "13 runs"."""
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    spelled = names[count] if count < len(names) else f"{count:,}"
    return f"{spelled} {one if count == 1 else many or one + 's'}"


def capitalized(sentence: str) -> str:
    """Return a text with a capital at its start, and the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def cell(content: Content, best: bool = False) -> Cell:
    """Return a cell with a number or a text, or a dash where there is none."""
    return Cell(content if isinstance(content, tuple) else (DASH if content is None else content,), best)


def cells(*contents: Content) -> tuple[Cell, ...]:
    """Return a row of a table."""
    return tuple(map(cell, contents))


def number_row(
    head: str | Text, numbers: Sequence[Number | None], best: Best = "", *between: Content
) -> tuple[Cell, ...]:
    """Return a row of a table; as it is printed, the highest or lowest number is in bold unless all are alike.

    Args:
        head: of the row.
        numbers: that are compared.
        best: which of them is in bold.
        between: cells that come before the numbers.
    """
    marked = best_indices(numbers, best)
    return (*cells(head, *between), *(cell(number, index in marked) for index, number in enumerate(numbers)))


def table_of_runs(
    table_id: str, caption: Text, head: str, summaries: Sequence[RunSummary], columns: Sequence[Column]
) -> Table:
    """Return a table with a row for each run, the best of each column in bold; `head` is that of the runs' names."""
    columns = [(head, lambda summary: summary.label, ""), *columns]
    by_column = []
    for _, read, best in columns:
        contents = [read(summary) for summary in summaries]
        marked = best_indices(contents, best)
        by_column.append([cell(content, index in marked) for index, content in enumerate(contents)])
    rows = tuple(zip(*by_column, strict=True))
    text_columns = tuple(index for index, (_, _, kind) in enumerate(columns) if kind == "text")
    return Table(table_id, caption, tuple(title for title, _, _ in columns), rows, text_columns)


def best_indices(contents: Sequence[Content], best: str) -> set[int]:
    """Return the indices of the best number and of all that print like it; none where all do."""
    numbers = [content for content in contents if isinstance(content, Number)]
    if best not in ("high", "low") or len({number.text for number in numbers}) < 2:
        return set()
    winner = (max if best == "high" else min)(numbers, key=lambda number: number.value).text
    return {index for index, content in enumerate(contents) if isinstance(content, Number) and content.text == winner}


def setting_text(summary: RunSummary, part: str, name: str) -> Text:
    """Return the value of a setting as a person would write it."""
    value = summary.read("config.json", f"/{part}/{name}")
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, (int, float)):
        return (Number(f"{value:g}", value, f"{summary.run.id}/config.json:/{part}/{name}"),)
    return (str(value),)


def settings_text(summaries: Sequence[RunSummary], name: str, part: str = "training") -> Text:
    """Return a setting's value where all agree, else each value with the runs that have it."""
    return by_value(summaries, lambda summary: setting_text(summary, part, name))


def by_value(summaries: Sequence[RunSummary], describe: Callable[[RunSummary], Text]) -> Text:
    """Return what `describe(summary)` says, once where it is the same of all, else with the names of those of whom it
    is true.
    """
    groups: dict[str, tuple[Text, list[str]]] = {}
    for summary in summaries:
        sentence = describe(summary)
        groups.setdefault(plain_text(sentence), (sentence, []))[1].append(summary.label)
    if len(groups) == 1:
        return next(iter(groups.values()))[0]
    return joined([text(value, f" ({', '.join(names)})") for value, names in groups.values()])


def sentences_by_value(summaries: Sequence[RunSummary], describe: Callable[[RunSummary], Text]) -> Text:
    """Return the whole sentence that `describe(summary)` makes, with a full stop and a space; where runs differ one for
    each value, with the names of those of whom it is true.
    """
    groups: dict[str, tuple[Text, list[str]]] = {}
    for summary in summaries:
        sentence = describe(summary)
        groups.setdefault(plain_text(sentence), (sentence, []))[1].append(summary.label)
    if len(groups) == 1:
        return text(next(iter(groups.values()))[0], ". ")
    return text(*(text(f"{join_items(names)}: ", sentence, ". ") for sentence, names in groups.values()))


def plain_text(parts: Iterable[Part]) -> str:
    """Return a text without sources and citations."""
    return "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in parts)


def columns_of(summaries: Sequence[RunSummary]) -> tuple[str, ...]:
    """Return heads of a column for each run."""
    return tuple(summary.label for summary in summaries)


def frames_text(group: Group) -> Text:
    """`the 106 validation frames`."""
    summary = group.evaluated[0] if group.evaluated else group.planned
    if summary is None:
        return ("the validation frames",)
    number = summary.score("/metadata/frames", COUNT) or summary.number("plan.json", "/val_frames")
    return ("the ", number, " validation frames")


def derived(value: float, number_format: NumberFormat, source: str) -> Number:
    """Return a number that was computed from runs."""
    return Number(number_format.format(value), value, source, number_format.scale)


def reprinted(number: Number, number_format: NumberFormat) -> Number:
    """Return the same number in another format."""
    return derived(number.value, number_format, number.source)
