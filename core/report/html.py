"""The report as one HTML file: styles, vector figures and pictures inside, nothing outside, no script.

It prints well on A4.

Whatever was typed is escaped: texts by markupsafe, the rest by Jinja's autoescape. Figures are the only markup that is
let through, and their letters are outlines.
"""

import base64
import re
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from core.papers import REFERENCES
from core.report.structure import Cite, Code, Figure, Number, Ref, Report, ReportImage, Text

TEMPLATES = Path(__file__).parent / "templates"


def html_page(report: Report) -> str:
    """Return the whole document."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cited = {key: index for index, key in enumerate(report.cited, start=1)}
    return environment.get_template("report.html").render(
        report=report,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        say=partial(_markup, names=report.captioned, cited=cited),
        kind_of=lambda block: type(block).__name__,
        names=report.captioned,
        address=_address,
        svg=_svg,
        references=[(index, REFERENCES[key]) for key, index in cited.items()],
    )


def _markup(sentence: Text, names: dict[str, str], cited: dict[str, int]) -> Markup:
    """Return a text, given what tables and figures are called, and the places of papers in the list of references."""
    parts: list[Markup] = []
    for part in sentence:
        match part:
            case Number(text, value, source, scale):
                template = Markup('<data value="{}" data-scale="{:g}" data-source="{}">{}</data>')
                parts.append(template.format(repr(value), scale, source, text))
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


def _address(image: ReportImage) -> str:
    kind = "png" if image.suffix == "png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image.data).decode()}"


def _svg(figure: Figure) -> Markup:
    """Return the drawing without matplotlib's comments, in which a run's name would stand.

    Its parts have names that no other
    drawing on the page has, and its words are there for those who can't see it."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", figure.drawing.svg, flags=re.S)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{figure.id}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{figure.id}-", svg)
    return Markup(svg).replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(figure.alt), 1)  # noqa: S704 - matplotlib's, its letters drawn as outlines
