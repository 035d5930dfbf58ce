"""What a report is made of: sections of sentences, tables, figures and pictures, before anybody decides on HTML or
LaTeX.

Every number says where it comes from, so that a reader, or a test, can look it up:

    RUN/config.json:/training/learning_rate     a value of that file; behind the colon is a JSON pointer (RFC 6901)
    RUN/eval:/3/miou                            of the fourth evaluation in metrics.jsonl
    share RUN/plan.json:/class_pixels/5         a value's share of the list that it stands in
    NAME RUN[ RUN]:/...                         computed from those runs; tests/report_sources.py knows how, by NAME
"""

import time
from dataclasses import dataclass
from typing import Literal

from core.labels import Color


@dataclass(frozen=True)
class Number:
    """A number as it is printed.

    Attributes:
        text: with its unit, where that doesn't stand in the head of its column.
        value: as its source has it.
        source: where it comes from, see above.
        scale: what it was multiplied by before it was rounded, 100 for per cent.
    """

    text: str
    value: float
    source: str
    scale: float = 1.0


@dataclass(frozen=True)
class Ref:
    """A table or figure of the report, by its id; prints as `Table 3`. Nothing is printed where the report lacks it."""

    target: str


@dataclass(frozen=True)
class Cite:
    """Papers, by their keys in `core.report.references`."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """A word of a program, printed in its type."""

    text: str


Part = str | Number | Ref | Cite | Code
Text = tuple[Part, ...]


@dataclass(frozen=True)
class Paragraph:
    """Some sentences.

    Attributes:
        text: of them.
        kind: a note is set apart; a draft is a conclusion that the author has to judge.
        follows: ids of the tables and figures that it is read from.
    """

    text: Text
    kind: Literal["plain", "note", "draft"] = "plain"
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `best` prints in bold."""

    text: Text
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        id: unique in the report, letters, digits and hyphens.
        caption: says what is counted, on what and how.
        columns: heads, with units.
        rows: of as many cells.
        text_columns: indices of the columns that hold text, not numbers, besides the first.
    """

    id: str
    caption: Text
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: tuple[int, ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether it is set smaller, to fit on a page."""
        return len(self.columns) > 7

    def is_text(self, column: int) -> bool:
        """Return whether a column holds text."""
        return column == 0 or column in self.text_columns


@dataclass(frozen=True)
class Drawing:
    """A figure without pixels, in both forms."""

    svg: str
    pdf: bytes


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; `alt` says in words what is to be seen."""

    id: str
    caption: Text
    drawing: Drawing
    alt: str


@dataclass(frozen=True)
class ReportImage:
    """A photograph (JPEG) or a label map (PNG)."""

    data: bytes
    alt: str

    @property
    def suffix(self) -> str:
        return "png" if self.data[:4] == b"\x89PNG" else "jpg"


ImageRows = tuple[tuple[Text, tuple[ReportImage | None, ...]], ...]
"""Rows of what stands before them, and a picture, or None, for each column."""


@dataclass(frozen=True)
class ImageGrid:
    """Rows of pictures under common heads.

    Attributes:
        id: unique in the report.
        caption: of all.
        columns: heads.
        rows: see `ImageRows`.
        key: classes with their colours, in the order of their number.
    """

    id: str
    caption: Text
    columns: tuple[str, ...]
    rows: ImageRows
    key: tuple[tuple[str, Color], ...] = ()


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Blank:
    """Room for the author: a heading, and what might be said there."""

    title: str
    hint: str


Block = Paragraph | Table | Figure | ImageGrid | Commands | Blank


@dataclass(frozen=True)
class Section:
    """A section, or with `level` 2 a part of the one before it."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    level: Literal[1, 2] = 1


@dataclass(frozen=True)
class Report:
    """A whole report; `made` is in seconds since 1970."""

    title: str
    author: str
    course: str
    made: float
    sections: tuple[Section, ...]
    notes: tuple[Text, ...] = ()

    @property
    def date(self) -> str:
        return time.strftime("%d %B %Y", time.localtime(self.made)).lstrip("0")

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(block for section in self.sections for block in section.blocks)

    @property
    def captioned(self) -> dict[str, str]:
        """What each table and figure is called, `Table 3`, by its id."""
        tables = [block.id for block in self.blocks if isinstance(block, Table)]
        figures = [block.id for block in self.blocks if isinstance(block, (Figure, ImageGrid))]
        return {
            block_id: f"{kind} {index}"
            for kind, ids in (("Table", tables), ("Figure", figures))
            for index, block_id in enumerate(ids, start=1)
        }

    @property
    def cited(self) -> tuple[str, ...]:
        """Keys of the papers, in the order in which they are first named."""
        return tuple(
            dict.fromkeys(key for text in self.texts for part in text if isinstance(part, Cite) for key in part.keys)
        )

    @property
    def texts(self) -> tuple[Text, ...]:
        """Every text of the report, captions and cells included, in order."""
        results: list[Text] = list(self.notes)
        for block in self.blocks:
            match block:
                case Paragraph(text):
                    results.append(text)
                case Table():
                    results += [block.caption, *(cell.text for row in block.rows for cell in row)]
                case Figure():
                    results.append(block.caption)
                case ImageGrid():
                    results += [block.caption, *(text for text, _ in block.rows)]
        return tuple(results)
