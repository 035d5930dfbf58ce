"""The bench on which Compare, Inspect and Explain stand: pictures as large as the window, and beside them, in a dock
that can be folded away, what is chosen.
"""

import streamlit as st
from markupsafe import Markup

from app.drop import drop_anywhere
from app.html import show
from app.uploads import CARRIED, file_widget


def open_bench(title: str) -> None:
    """Let the page use all of the window, and show its name in the dock beside it. A picture that is dropped or pasted
    anywhere is taken by the page's widget for files.
    """
    show(Markup('<div class="lab-bench"></div>'))
    drop_anywhere()
    st.sidebar.title(title)


def upload_expander() -> None:
    """Show a widget for pictures of one's own on a page that has none; with one, the page Inspect shows it."""
    with st.expander("A picture of your own", icon=":material/image_search:"):
        if files := file_widget("bench-upload"):
            st.session_state[CARRIED] = files
            st.switch_page("../pages/inspect.py")
