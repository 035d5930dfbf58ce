"""Text of people and files, made harmless for what it goes into: one function a target.

HTML has Jinja's autoescape in reports and `markupsafe.Markup` on pages (`app.html`); LaTeX has `core.report.latex.tex`,
which lets known letters through alone; a shell has `shlex`.
"""

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&=^])")
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
JOINER = "\N{WORD JOINER}"


def escape_markdown(text: str) -> str:
    """Return a text as Markdown that shows it as it is.

    Streamlit makes links of addresses even where their letters are escaped, so something invisible comes between.
    """
    lines = (line.strip() for line in text.splitlines())  # four blanks before a line would make it code
    return _MARKS.sub(r"\\\1", _LINKS.sub(JOINER, "\n".join(lines)))


def escape_plotly(text: str) -> str:
    """Return a text for a Plotly figure, which reads some HTML, `%{` as a place for a value, and `$` as LaTeX."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")
    return f"{JOINER}{escaped}" if text.startswith("$") else escaped


def csv_cell(text: str) -> str:
    """Return a text for a cell of a CSV, with ' before what a spreadsheet would run as a formula.

    See https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text[:1] in tuple("=+-@\t\r\n＝＋－＠") else text
