"""The report as LaTeX: a ZIP that compiles with pdflatex and bibtex as they come with any TeX distribution.

main.tex               the document
tables/ID.tex          each table alone, to be \\input anywhere with booktabs
tables/ID.csv          the same numbers in full, each with its source
figures/ID.pdf         each figure as a vector drawing
images/ID-ROW-COLUMN   photographs and masks
references.bib         the papers that are cited
"""

import csv
import io
import textwrap
import unicodedata
import zipfile
from collections.abc import Iterator
from functools import partial

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.escaping import csv_cell
from core.papers import bibliography
from core.report.html import TEMPLATES
from core.report.phrases import plain_text
from core.report.structure import Cite, Code, Figure, ImageGrid, Number, Ref, Report, Table, Text

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "'": "'", "`": r"\textasciigrave{}",
    "\N{MINUS SIGN}": r"$-$", "×": r"$\times$", "±": r"$\pm$", "·": r"\textperiodcentered{}", "–": "--", "—": "---", "…": r"\dots{}",
    "’": "'", "‘": "`", "“": "``", "”": "''", "°": r"\textdegree{}", "µ": r"\textmu{}", "→": r"$\to$", "≤": r"$\le$", "≥": r"$\ge$",
    "\N{NO-BREAK SPACE}": "~",
    # Behind a line's end or an item they would begin an argument.
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
_LETTERS = frozenset(
    chr(code)
    for code in [*range(0x20, 0x7F), *range(0xC0, 0x180)]
    if chr(code) not in "×÷ĸŉſ" and chr(code) not in "ĦħŦŧĿŀŊŋĲĳ"
)
"""What pdflatex sets as it stands with T1 fonts and UTF-8."""

TEXT_WIDTH = 34
"""Letters after which words in a cell are broken into lines."""


def latex_archive(report: Report) -> bytes:
    """Return the ZIP. The same report gives the same files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in latex_files(report):
            archive.writestr(name, data)
    return held.getvalue()


def _readme(cites: bool) -> str:
    """Return how the archive becomes a PDF, for whoever opens it."""
    commands = ["pdflatex main", *(["bibtex main", "pdflatex main"] if cites else []), "pdflatex main"]
    lines = [
        "A report of the segmentation lab as LaTeX. To make main.pdf, with TeX Live or MiKTeX, in this folder:",
        "",
        *(f"    {command}" for command in commands),
        "",
        "On Overleaf, upload the ZIP as a new project. tables/ holds each table, also as CSV; figures/ each figure.",
    ]
    return "\n".join(lines) + "\n"


def latex_files(report: Report) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file."""
    yield "README.txt", _readme(bool(report.cited)).encode()
    yield "main.tex", _document(report).encode()
    if report.cited:
        yield "references.bib", bibliography(report.cited).encode()
    for block in report.blocks:
        match block:
            case Table():
                yield f"tables/{block.id}.tex", _tabular(block, report).encode()
                yield f"tables/{block.id}.csv", table_csv(block).encode()
            case Figure():
                yield f"figures/{block.id}.pdf", block.drawing.pdf
            case ImageGrid():
                for row, (_, images) in enumerate(block.rows):
                    for column, image in enumerate(images):
                        if image:
                            yield _image_name(block, row, column), image.data


def tex(text: str) -> str:
    """Return a text as LaTeX prints it, whatever stands in it; letters that pdflatex doesn't know become their code."""
    return "".join(map(_tex_letter, unicodedata.normalize("NFC", text)))


def _tex_letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter in _LETTERS:
        return letter
    return " " if letter.isspace() else rf"\texttt{{U+{ord(letter):04X}}}"


def tex_code(text: str) -> str:
    """Return a text in the type of programs: no ligature of hyphens or quotes, and a line may break behind any slash or
    dot.
    """
    result = tex(text).replace("--", "-{}-").replace("'", r"\textquotesingle{}").replace(",,", ",{},")
    for mark in ("/", ".", r"\_", "="):
        result = result.replace(mark, rf"{mark}\allowbreak{{}}")
    return rf"\texttt{{{result}}}"


def table_csv(table: Table) -> str:
    """Return every number of a table in full: row, column, what is printed, value and source."""
    held = io.StringIO()
    rows = csv.writer(held, lineterminator="\n")
    rows.writerow(["row", "column", "printed", "value", "scale", "source"])
    for row in table.rows:
        head = csv_cell(plain_text(row[0].text))
        for title, cell in zip(table.columns, row, strict=True):
            for part in cell.text:
                if isinstance(part, Number):
                    fields = (part.text, repr(part.value), f"{part.scale:g}")
                    rows.writerow([head, csv_cell(title), *fields, csv_cell(part.source)])
    return held.getvalue()


def _document(report: Report) -> str:
    environment = Environment(  # noqa: S701 - LaTeX, whose letters are let through by a list
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        # Braces and per cent signs are LaTeX's own.
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters.update(
        tex=tex, code=tex_code, say=partial(_tex_of, report=report), kind=lambda block: type(block).__name__
    )
    template = environment.get_template("report.tex")
    return template.render(report=report, reference=partial(_reference, report=report), image_name=_image_name)


def _image_name(grid: ImageGrid, row: int, column: int) -> str:
    return f"images/{grid.id}-{row + 1}-{column + 1}.{grid.rows[row][1][column].suffix}"


def _tabular(table: Table, report: Report) -> str:
    """Return the table itself with booktabs' rules.

    Long words are broken into lines, so that no column takes the page.
    """
    plain = [
        [_tex_of(cell.text, report) if not cell.best else rf"\textbf{{{_tex_of(cell.text, report)}}}" for cell in row]
        for row in table.rows
    ]
    kinds = []
    for column in range(len(table.columns)):
        if not table.is_text(column):
            kinds.append("r")
        elif max((len(row[column]) for row in plain), default=0) > TEXT_WIDTH:
            kinds.append(rf">{{\raggedright\arraybackslash}}p{{{14 if column == 0 else 22}em}}")
        else:
            kinds.append("l")
    heads = [_head(title, table.is_text(column)) for column, title in enumerate(table.columns)]
    rows = "\n".join(f"{' & '.join(row)} \\\\" for row in plain)
    return (
        f"\\begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}\n\\toprule\n{' & '.join(heads)} \\\\\n\\midrule\n{rows}\n"
        "\\bottomrule\n\\end{tabular}%\n"
    )


def _head(title: str, is_text: bool) -> str:
    """Return a head in several lines where it is long."""
    lines = textwrap.wrap(title, 13, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return tex(title)
    broken = " \\\\ ".join(map(tex, lines))
    return rf"\shortstack[{'l' if is_text else 'r'}]{{{broken}}}"


def _reference(target: str, report: Report) -> str:
    kind = report.captioned[target].split()[0]
    return rf"{kind}~\ref{{{target}}}"


def _tex_of(sentence: Text, report: Report) -> str:
    parts = []
    for part in sentence:
        match part:
            case Number(text):
                parts.append(tex(text.replace(" ", "\N{NO-BREAK SPACE}")))
            case Ref(target):
                if target in report.captioned:
                    parts.append(_reference(target, report))
            case Cite(keys):
                if parts and parts[-1].endswith(" "):
                    parts[-1] = f"{parts[-1][:-1]}~"
                parts.append(rf"\cite{{{','.join(keys)}}}")
            case Code(text):
                parts.append(tex_code(text))
            case _:
                parts.append(tex(part))
    return "".join(parts)
