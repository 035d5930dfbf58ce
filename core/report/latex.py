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
import time
import unicodedata
import zipfile
from collections.abc import Iterator

from core.papers import bibliography
from core.report.structure import (
    Blank,
    Block,
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
    Section,
    Table,
    Text,
)

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

PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{mathptmx}
\usepackage[scaled=0.9]{helvet}
\usepackage{courier}
\usepackage[margin=24mm]{geometry}
\usepackage{graphicx}
\usepackage{booktabs}
\usepackage{array}
\usepackage[table]{xcolor}
\usepackage{caption}
\usepackage{float}
\usepackage[hidelinks]{hyperref}
\captionsetup{font=small,labelfont=bf}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.5em plus 0.15em}
\setlength{\emergencystretch}{3em}
% What is wider than the page is scaled down to it.
\newsavebox{\fittedbox}
\newcommand{\fitted}[1]{\sbox{\fittedbox}{#1}\ifdim\wd\fittedbox>\linewidth\resizebox{\linewidth}{!}{\usebox{\fittedbox}}\else\usebox{\fittedbox}\fi}
\newcommand{\swatch}[1]{\textcolor[RGB]{#1}{\rule{0.7em}{0.7em}}}
"""
PLACE = "H"
"""Where it is said: a figure that drifts leaves its heading alone on another page."""
WORDS_WIDTH = 34
"""Letters after which words in a cell are broken into lines."""


def latex_archive(report: Report) -> bytes:
    """Return the ZIP. The same report gives the same files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in latex_files(report):
            archive.writestr(name, data)
    return held.getvalue()


def latex_files(report: Report) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file."""
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
                for name, image in _images(block):
                    yield name, image.data


def tex(text: str) -> str:
    """Return a text as LaTeX prints it, whatever stands in it; letters that pdflatex doesn't know become their code."""
    results = []
    for letter in unicodedata.normalize("NFC", text):
        if letter in _SPECIAL:
            results.append(_SPECIAL[letter])
        elif letter in _LETTERS:
            results.append(letter)
        elif letter.isspace():
            results.append(" ")
        else:
            results.append(rf"\texttt{{U+{ord(letter):04X}}}")
    return "".join(results)


def tex_code(text: str) -> str:
    """Return a text in the type of programs: no ligature of hyphens or quotes, and a line may break behind any slash or dot."""
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
        head = "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in row[0].text)
        for title, cell in zip(table.columns, row, strict=True):
            for part in cell.text:
                if isinstance(part, Number):
                    # A spreadsheet would run a name that begins like a formula.
                    safe = f"'{head}" if head[:1] in "=+-@" else head
                    rows.writerow([safe, title, part.text, repr(part.value), f"{part.scale:g}", part.source])
    return held.getvalue()


def _document(report: Report) -> str:
    parts = [PREAMBLE, rf"\hypersetup{{pdftitle={{{tex(report.title)}}},pdfauthor={{{tex(report.author)}}}}}"]
    parts.append(rf"\title{{{tex(report.title)}}}")
    author = r"\\ ".join(tex(line) for line in (report.author, report.course) if line)
    parts.append(rf"\author{{{author}}}")
    parts.append(rf"\date{{{time.strftime('%d %B %Y', time.localtime(report.made)).lstrip('0')}}}")
    parts.append("\\begin{document}\n\\maketitle\n")
    if report.notes:
        items = "\n".join(rf"\item {_tex_of(note, report)}" for note in report.notes)
        parts.append(f"\\begin{{small}}\\begin{{itemize}}\n{items}\n\\end{{itemize}}\\end{{small}}\n")
    for section in report.sections:
        parts += _section(section, report)
    if report.cited:
        parts.append("\\bibliographystyle{unsrt}\n\\bibliography{references}\n")
    parts.append("\\end{document}\n")
    return "\n".join(parts)


def _section(section: Section, report: Report) -> Iterator[str]:
    command = "section" if section.level == 1 else "subsection"
    yield f"\\{command}{{{tex(section.title)}}}\\label{{sec:{section.id}}}\n"
    for block in section.blocks:
        yield _block(block, report)


def _block(block: Block, report: Report) -> str:
    match block:
        case Paragraph():
            return _paragraph(block, report)
        case Table():
            caption = rf"\caption{{{_tex_of(block.caption, report)}}}\label{{{block.id}}}"
            size = r"\small" if len(block.columns) <= 7 else r"\footnotesize"
            body = rf"\fitted{{\input{{tables/{block.id}}}}}"
            return f"\\begin{{table}}[{PLACE}]\n\\centering{size}\n{caption}\n{body}\n\\end{{table}}\n"
        case Figure():
            caption = rf"\caption{{{_tex_of(block.caption, report)}}}\label{{{block.id}}}"
            body = rf"\fitted{{\includegraphics{{figures/{block.id}}}}}"
            return f"\\begin{{figure}}[{PLACE}]\n\\centering\n{body}\n{caption}\n\\end{{figure}}\n"
        case ImageGrid():
            return _image_grid(block, report)
        case Commands():
            lines = "\\par\n".join(tex_code(line) for line in block.lines)
            return f"\\begin{{quote}}\\footnotesize\\raggedright\n{lines}\n\\end{{quote}}\n"
        case Blank():
            return f"\\subsection*{{{tex(block.title)}}}\n\\textit{{{tex(block.hint)}}}\n\\vspace{{3em}}\n"


def _paragraph(block: Paragraph, report: Report) -> str:
    text = _tex_of(block.text, report)
    follows = [target for target in block.follows if target in report.captioned]
    if follows:
        text += f" ({', '.join(_reference(target, report) for target in follows)})"
    match block.kind:
        case "note":
            return f"\\begin{{quote}}\\small {text}\\end{{quote}}\n"
        case "draft":
            return f"\\begin{{itemize}}\\item {text}\\end{{itemize}}\n"
    return f"{text}\n"


def _image_grid(block: ImageGrid, report: Report) -> str:
    """Return rows of pictures, three across; what stands before a row goes above it."""
    lines = []
    across = 2 if len(block.columns) == 4 else min(3, len(block.columns))
    width = f"{0.985 / across:.4f}\\linewidth"
    names = {(row, column): name for row, column, name, _ in _placed(block)}
    for row, (label, images) in enumerate(block.rows):
        lines.append(rf"\parbox{{\linewidth}}{{\raggedright\footnotesize {_tex_of(label, report)}}}\\[2pt]")
        for start in range(0, len(images), across):
            cells = []
            for column in range(start, min(start + across, len(images))):
                head = rf"{{\scriptsize {tex(block.columns[column])}}}"
                image = (
                    rf"\includegraphics[width={width}]{{{names[row, column]}}}"
                    if images[column]
                    else rf"\parbox{{{width}}}{{\centering\scriptsize none}}"
                )
                cells.append(rf"\shortstack{{{image}\\ {head}}}")
            lines.append(r"\hfill ".join(cells) + r"\hspace*{\fill}\\[3pt]")
    key = " ".join(rf"\mbox{{\swatch{{{','.join(map(str, color))}}}~{tex(name)}}}\quad" for name, color in block.key)
    if key:
        lines.append(rf"\parbox{{\linewidth}}{{\raggedright\scriptsize {key}}}\\")
    caption = rf"\caption{{{_tex_of(block.caption, report)}}}\label{{{block.id}}}"
    body = "\n".join(lines)
    return f"\\begin{{figure}}[{PLACE}]\n\\raggedright\n{body}\n{caption}\n\\end{{figure}}\n"


def _placed(block: ImageGrid) -> Iterator[tuple[int, int, str, ReportImage]]:
    for row, (_, images) in enumerate(block.rows):
        for column, image in enumerate(images):
            if image:
                yield row, column, f"images/{block.id}-{row + 1}-{column + 1}.{image.suffix}", image


def _images(block: ImageGrid) -> Iterator[tuple[str, ReportImage]]:
    for _, _, name, image in _placed(block):
        yield name, image


def _tabular(table: Table, report: Report) -> str:
    """Return the table itself with booktabs' rules. Long words are broken into lines, so that no column takes the page."""
    plain = [
        [_tex_of(cell.text, report) if not cell.best else rf"\textbf{{{_tex_of(cell.text, report)}}}" for cell in row]
        for row in table.rows
    ]
    kinds = []
    for column in range(len(table.columns)):
        longest = max((len(row[column]) for row in plain), default=0)
        is_text = column == 0 or column in table.text_columns
        narrow = "p{14em}" if column == 0 else "p{22em}"
        kinds.append(
            (rf">{{\raggedright\arraybackslash}}{narrow}" if longest > WORDS_WIDTH else "l") if is_text else "r"
        )
    heads = [_head(title, column == 0 or column in table.text_columns) for column, title in enumerate(table.columns)]
    rows = "\n".join(f"{' & '.join(row)} \\\\" for row in plain)
    return (
        f"\\begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}\n\\toprule\n{' & '.join(heads)} \\\\\n\\midrule\n{rows}\n"
        "\\bottomrule\n\\end{tabular}%\n"
    )


def _head(title: str, is_text: bool) -> str:
    """Return a head in several lines where it is long."""
    lines, line = [], ""
    for word in title.split():
        if line and len(line) + len(word) > 12:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    lines.append(line)
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
