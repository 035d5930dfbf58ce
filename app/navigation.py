"""The script behind every page: one look, one menu, and one way to say what went wrong."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app.auth import go_where_the_link_led, has_signed_in, must_sign_in
from app.fair_share import page_slot
from app.html import show_style
from app.status_chip import show_status
from app.widgets import failed_state
from core.auth import is_read_only
from core.errors import LabError

PAGES = Path(__file__).resolve().parent.parent / "pages"

# A Material symbol would be fetched from Google by the browser.
st.set_page_config(
    page_title="Segmentation lab",
    page_icon=str(Path(__file__).parent / "shared" / "icon.png"),
    layout="wide",
    initial_sidebar_state="auto",
)
show_style(Path(__file__).parent / "style.css")

TITLES = {
    "home": ("Home", "home", ""),
    "data": ("Data", "photo_library", ""),
    "label": ("Label", "brush", ""),
    "train": ("Train", "model_training", ""),
    "runs": ("Runs", "show_chart", ""),
    "compare": ("Compare", "compare", "Masks"),
    "inspect": ("Inspect", "image_search", "Masks"),
    "explain": ("Explain", "visibility", "Masks"),
    "scores": ("Scores", "leaderboard", "Results"),
    "report": ("Report", "description", "Results"),
    "models": ("Models", "account_tree", "More"),
    "sweep": ("Sweep", "tune", "More"),
    "account": ("Account", "person", "More"),
}
"""The menu: each page's title, its icon, and the word under which it stands there; none for what stands by itself."""
if not must_sign_in():
    del TITLES["account"]
OLD_ADDRESSES = {"look": "explain"}
"""Addresses of older versions and the pages that stand there now: links that were sent still open."""
if must_sign_in() and not has_signed_in():
    # The gate let this browser in, and Streamlit knows its cookie from another address.
    failed_state("You are no longer signed in here. Reload this page, by the address that the lab is known by.")
    st.stop()


def _moved() -> None:
    """Open the page that an old address stands for, with everything that the address says."""
    old = st.context.url.rstrip("/").rpartition("/")[2]
    st.switch_page(PAGES / f"{OLD_ADDRESSES[old]}.py", query_params=st.query_params.to_dict())


def _page(name: str) -> StreamlitPage:
    title, icon, _ = TITLES[name]
    return st.Page(PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", url_path=name, default=name == "home")


menu: dict[str, list[StreamlitPage]] = {}
for name, (_, _, group) in TITLES.items():
    menu.setdefault(group, []).append(_page(name))
menu[""] += [st.Page(_moved, url_path=old, visibility="hidden") for old in OLD_ADDRESSES]
page = st.navigation(menu, position="top")
go_where_the_link_led()
if is_read_only():
    st.caption(":material/lock: Read-only: look at everything, change nothing.")
try:
    show_status()
    with page_slot():
        page.run()
except LabError as error:
    failed_state(error)
