"""HTML tables of the lab, and the small pieces in their cells: every cell is escaped unless it is `Markup`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from app.html import joined, show
from core.labels import Color
from core.text import format_percent


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: shown; escaped unless it is `Markup`.
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
    show(
        Markup('<div class="lab-scroll" tabindex="0"><table{}>{}</table></div>').format(class_attribute, joined(lines))
    )


def swatch(color: Color) -> Markup:
    """Return a small square in a class's colour."""
    return Markup('<i class="lab-swatch" style="background:rgb{}"></i>').format(tuple(color))


def dot(color: str) -> Markup:
    """Return a small disc in a run's colour, as CSS has it."""
    return Markup('<i class="lab-dot" style="background:{}"></i>').format(color)


def bar(share: float, color: str) -> Markup:
    """Return a thin bar under a cell's text; share is 0..1."""
    return Markup('<i class="lab-cellbar" style="width:{:.1%};background:{}"></i>').format(share, color)


def badge(text: str, style: str = "", title: str = "") -> Markup:
    """Return a word in a frame; `style` is a CSS class that colours it."""
    attributes = _attribute("class", f"lab-badge {style}".strip()) + _attribute("title", title)
    return Markup("<span{}>{}</span>").format(attributes, text)


def run_link(run_id: str, text: str) -> Markup:
    """Return a link to a run's curves."""
    return Markup('<a href="runs?runs={}" target="_self">{}</a>').format(run_id, text)


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
            joined([swatch(colors[index]), name]) if colors else name,
            *_share_cells([column[index] for column in columns.values()], run_colors),
        ]
        for index, name in enumerate(class_names)
    ]
    total = [total_name, *_share_cells(list(totals.values()), run_colors)] if totals else ()
    table(["", *(joined([dot(dots[title]), title]) for title in columns)], rows, total)


def _share_cells(values: list[float | None], colors: list[str]) -> list[Cell]:
    known = [value for value in values if value is not None and value == value]
    best = max(known) if len(known) > 1 and max(known) > 0 else None
    return [
        (
            MISSING
            if value is None or value != value
            else Cell(joined([format_percent(value), bar(value, color)]), "lab-best" if value == best else "")
        )
        for value, color in zip(values, colors, strict=True)
    ]


def _row(tag: str, cells: Sequence[str | Cell], style: str = "") -> Markup:
    parts = []
    for cell in cells:
        cell = cell if isinstance(cell, Cell) else Cell(cell)
        attributes = _attribute("class", cell.style) + _attribute("title", cell.title)
        parts.append(Markup("<{0}{1}>{2}</{0}>").format(tag, attributes, cell.content))
    return Markup("<tr{}>{}</tr>").format(_attribute("class", style), joined(parts))


def _attribute(name: str, value: str) -> Markup:
    return Markup(' {}="{}"').format(name, value) if value else Markup("")
