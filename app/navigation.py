"""The script behind every page: one look, one menu, and one way to say what went wrong."""

from pathlib import Path

import streamlit as st

from app.auth import go_where_the_link_led, has_signed_in, must_sign_in, sign_in_page
from app.widgets import failed_state
from core.auth import is_read_only
from core.errors import LabError

PAGES = Path(__file__).resolve().parent.parent / "pages"

st.set_page_config(
    page_title="Segmentation lab", page_icon=":material/layers:", layout="wide", initial_sidebar_state="collapsed"
)
st.html(f"<style>{(Path(__file__).parent / 'style.css').read_text()}</style>")

TITLES = {
    "home": ("Home", "home"),
    "data": ("Data", "photo_library"),
    "models": ("Models", "account_tree"),
    "train": ("Train", "model_training"),
    "runs": ("Runs", "show_chart"),
    "sweep": ("Sweep", "tune"),
    "compare": ("Compare", "compare"),
    "scores": ("Scores", "leaderboard"),
    "inspect": ("Inspect", "image_search"),
    "report": ("Report", "description"),
    "explain": ("Explain", "visibility"),
    "account": ("Account", "person"),
}
if not must_sign_in():
    del TITLES["account"]
is_stranger = must_sign_in() and not has_signed_in()

# A stranger finds the same addresses, so that a link that was sent to them is still there once they have signed in.
page = st.navigation(
    [
        st.Page(
            sign_in_page if is_stranger else PAGES / f"{name}.py",
            title="Sign in" if is_stranger else title,
            icon=f":material/{icon}:",
            url_path=name,
            default=name == "home",
        )
        for name, (title, icon) in TITLES.items()
    ],
    position="hidden" if is_stranger else "top",
)
if is_stranger:
    page.run()
    st.stop()
go_where_the_link_led()
if is_read_only():
    st.caption(":material/lock: Read-only: look at everything, change nothing.")
try:
    page.run()
except LabError as error:
    failed_state(error)
