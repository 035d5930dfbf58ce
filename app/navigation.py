"""The script behind every page: one look, one menu, and one way to say what went wrong."""

from pathlib import Path

import streamlit as st

from app.people import must_sign_in, sign_in_page
from app.widgets import failed_state
from core.errors import LabError
from core.people import is_read_only

PAGES = Path(__file__).resolve().parent.parent / "pages"

st.set_page_config(
    page_title="Segmentation lab", page_icon=":material/layers:", layout="wide", initial_sidebar_state="collapsed"
)
st.html(f"<style>{(Path(__file__).parent / 'style.css').read_text()}</style>")

if must_sign_in() and not st.user.is_logged_in:
    st.navigation([st.Page(sign_in_page, title="Sign in", icon=":material/login:")], position="hidden").run()
    st.stop()

page = st.navigation(
    [
        st.Page(PAGES / "home.py", title="Home", icon=":material/home:", default=True),
        st.Page(PAGES / "data.py", title="Data", icon=":material/photo_library:"),
        st.Page(PAGES / "models.py", title="Models", icon=":material/account_tree:"),
        st.Page(PAGES / "train.py", title="Train", icon=":material/model_training:"),
        st.Page(PAGES / "runs.py", title="Runs", icon=":material/show_chart:"),
        st.Page(PAGES / "sweep.py", title="Sweep", icon=":material/tune:"),
        st.Page(PAGES / "compare.py", title="Compare", icon=":material/compare:"),
        st.Page(PAGES / "scores.py", title="Scores", icon=":material/leaderboard:"),
        st.Page(PAGES / "inspect.py", title="Inspect", icon=":material/image_search:"),
        st.Page(PAGES / "report.py", title="Report", icon=":material/description:"),
        st.Page(PAGES / "look.py", title="Look inside", icon=":material/visibility:"),
        *([st.Page(PAGES / "account.py", title="Account", icon=":material/person:")] if must_sign_in() else []),
    ],
    position="top",
)
if is_read_only():
    st.caption(":material/lock: Read-only: look at everything, change nothing.")
try:
    page.run()
except LabError as error:
    failed_state(error)
