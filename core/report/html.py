"""The report as one HTML file: styles, vector figures and pictures inside, nothing outside, no script. It prints well on A4.

Whatever was typed is escaped: texts by markupsafe, the rest by Jinja's autoescape. Figures are the only markup that is
let through, and their letters are outlines.
"""

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from core.papers import REFERENCES
from core.report.structure import (
    Blank,
    Cite,
    Code,
    Commands,
    Figure,
    ImageGrid,
    Number,
    Paragraph,
    Ref,
    Report,
    ReportImage,
    Table,
    Text,
)

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {
    Paragraph: "paragraph",
    Table: "table",
    Figure: "figure",
    ImageGrid: "pictures",
    Commands: "commands",
    Blank: "blank",
}
WIDE = 7
"""A table of more columns is set smaller."""


def html_page(report: Report) -> str:
    """Return the whole document."""
    rooms = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cited = {key: index for index, key in enumerate(report.cited, start=1)}
    say = _sayer(report, cited)
    return rooms.get_template("report.html").render(
        report=report,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        say=say,
        kind_of=lambda block: KINDS[type(block)],
        names=report.captioned,
        follows=lambda block: _follows(report, block),
        address=_address,
        svg=_svg,
        is_text=lambda table, column: column == 0 or column in table.text_columns,
        width=lambda table: "wide" if len(table.columns) > WIDE else "",
        references=[(number, REFERENCES[key]) for key, number in cited.items()],
        date=time.strftime("%d %B %Y", time.localtime(report.made)).lstrip("0"),
    )


def _sayer(report: Report, cited: dict[str, int]) -> Callable[[Text], Markup]:
    names = report.captioned

    def say(sentence: Text) -> Markup:
        parts: list[Markup] = []
        for part in sentence:
            match part:
                case Number(text, value, source, scale):
                    parts.append(
                        Markup('<data value="{}" data-scale="{:g}" data-source="{}">{}</data>').format(
                            repr(value), scale, source, text
                        )
                    )
                case Ref(target):
                    if target in names:
                        parts.append(Markup('<a href="#{}">{}</a>').format(target, names[target]))
                case Cite(keys):
                    links = [Markup('<a href="#ref-{}">{}</a>').format(key, cited[key]) for key in keys]
                    parts.append(Markup("[") + Markup(", ").join(links) + Markup("]"))
                case Code(text):
                    parts.append(Markup("<code>{}</code>").format(text))
                case _:
                    parts.append(escape(part))
        return Markup("").join(parts)

    return say


def _follows(report: Report, block: Paragraph) -> list[tuple[str, str]]:
    """Id and name of the tables and figures that a paragraph is read from, as far as the report has them."""
    return [(target, report.captioned[target]) for target in block.follows if target in report.captioned]


def _address(image: ReportImage) -> str:
    kind = "png" if image.suffix == "png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image.data).decode()}"


def _svg(figure: Figure) -> Markup:
    """Return the drawing without matplotlib's comments, in which a run's name would stand; its parts have names that no other
    drawing on the page has, and its words are there for those who can't see it."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", figure.drawing.svg, flags=re.S)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{figure.id}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{figure.id}-", svg)
    return Markup(svg).replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(figure.alt), 1)
