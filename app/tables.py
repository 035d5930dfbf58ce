"""HTML tables of the lab: every cell is escaped unless it is `Html`, which only the functions here make."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.labels import Color
from core.text import format_percent


class Html(str):
    """Text that is HTML already; all other text is escaped where it becomes HTML."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: shown; escaped unless it is `Html`.
        style: CSS class, such as `lab-best` or `lab-quiet`.
        title: shown while the pointer rests on it.
    """

    content: str
    style: str = ""
    title: str = ""


MISSING = Cell("–", "lab-quiet")


def table(
    head: Sequence[str | Cell],
    rows: Sequence[Sequence[str | Cell]],
    total: Sequence[str | Cell] = (),
    style: str = "",
) -> None:
    """Show a table, which scrolls sideways where it is too wide.

    Args:
        head: titles of the columns; empty for none.
        rows: cells, the first of each left-aligned.
        total: a last row that stands apart; empty for none.
        style: another CSS class of the table.
    """
    lines = [_row("th", head)] if head else []
    lines += [_row("td", cells) for cells in rows]
    if total:
        lines.append(_row("td", total, "lab-total"))
    class_attribute = _attribute("class", f"lab-table {style}".strip())
    st.html(f'<div class="lab-scroll"><table{class_attribute}>{"".join(lines)}</table></div>')


def markup(*parts: str) -> Html:
    """Return parts as one piece of HTML; those that aren't `Html` are escaped."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def swatch(color: Color) -> Html:
    """Return a small square in a class's colour."""
    return Html(f'<i class="lab-swatch" style="background:rgb{tuple(color)}"></i>')


def dot(color: str) -> Html:
    """Return a small disc in a run's colour, as CSS has it."""
    return Html(f'<i class="lab-dot" style="background:{html.escape(color)}"></i>')


def bar(share: float, color: str) -> Html:
    """Return a thin bar under a cell's text; share is 0..1."""
    return Html(f'<i class="lab-cellbar" style="width:{share:.1%};background:{html.escape(color)}"></i>')


def badge(text: str, style: str = "", title: str = "") -> Html:
    """Return a word in a frame; `style` is a CSS class that colours it."""
    attributes = _attribute("class", f"lab-badge {style}".strip()) + _attribute("title", title)
    return Html(f"<span{attributes}>{html.escape(text)}</span>")


def run_link(run_id: str, text: str) -> Html:
    """Return a link to a run's curves."""
    return Html(f'<a href="runs?runs={html.escape(run_id)}" target="_self">{html.escape(text)}</a>')


def class_table(
    class_names: Sequence[str],
    colors: Sequence[Color] | None,
    columns: Mapping[str, Sequence[float | None]],
    totals: Mapping[str, float | None],
    dots: Mapping[str, str],
    total_name: str = "mean IoU",
) -> None:
    """Show IoU (or another share, 0..1) per class for several runs.

    The best of each row in bold, None and NaN as a dash.

    Args:
        class_names: names, one a row.
        colors: of the classes, or None where the rows are something else.
        columns: values per class, by the column's title.
        totals: the last row, by the column's title; empty for none.
        dots: colour of each column's run, by the column's title.
        total_name: what the last row is called.
    """
    run_colors = list(dots.values())
    rows = [
        [
            markup(swatch(colors[index]), name) if colors else name,
            *_share_cells([column[index] for column in columns.values()], run_colors),
        ]
        for index, name in enumerate(class_names)
    ]
    total = [total_name, *_share_cells(list(totals.values()), run_colors)] if totals else ()
    table(["", *(markup(dot(dots[title]), title) for title in columns)], rows, total)


def _share_cells(values: list[float | None], colors: list[str]) -> list[Cell]:
    known = [value for value in values if value is not None and value == value]
    best = max(known) if len(known) > 1 and max(known) > 0 else None
    return [
        (
            MISSING
            if value is None or value != value
            else Cell(markup(format_percent(value), bar(value, color)), "lab-best" if value == best else "")
        )
        for value, color in zip(values, colors, strict=True)
    ]


def _row(tag: str, cells: Sequence[str | Cell], style: str = "") -> str:
    parts = []
    for cell in cells:
        cell = cell if isinstance(cell, Cell) else Cell(cell)
        attributes = _attribute("class", cell.style) + _attribute("title", cell.title)
        parts.append(f"<{tag}{attributes}>{markup(cell.content)}</{tag}>")
    return f"<tr{_attribute('class', style)}>{''.join(parts)}</tr>"


def _attribute(name: str, value: str) -> str:
    return f' {name}="{html.escape(value)}"' if value else ""
