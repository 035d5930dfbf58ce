"""HTML of the pages: pieces are `Markup`, whose `format` and `join` escape all that isn't; only literals become it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import streamlit as st
from markupsafe import Markup


def show(html: Markup, container: Any = st) -> None:
    """Show a piece of HTML on the page or in a container. Raises TypeError for text that nothing has escaped."""
    _check(html)
    container.html(html)


def show_drawing(html: Markup) -> None:
    """Show HTML with an SVG in it, which `st.html` would take away; it must hold no empty line."""
    _check(html)
    st.markdown(html, unsafe_allow_html=True)


def show_script(html: Markup) -> None:
    """Put a script of ours into the page."""
    _check(html)
    st.html(html, unsafe_allow_javascript=True)


def show_style(path: Path) -> None:
    """Put a style sheet of ours into the page."""
    st.html(path)


def joined(parts: Iterable[str]) -> Markup:
    """Return parts as one piece; those that aren't `Markup` are escaped."""
    return Markup("").join(parts)


def _check(html: Markup) -> None:
    if not isinstance(html, Markup):
        raise TypeError("What is shown as HTML must be Markup: build it with Markup('...').format(...).")
