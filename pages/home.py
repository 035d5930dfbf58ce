"""Home: what there is, what runs now, and the next step."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from markupsafe import Markup

from app.datasets import begin_with
from app.film import newest_mask
from app.html import show
from app.images import colors_address, image_address
from app.widgets import failed_state, run_card, run_colors
from core import runner
from core.config import read_config, with_preset
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.labels import CITYSCAPES_19
from core.models.families import FAMILIES
from core.paths import runs_folder
from core.runs.store import Run, list_runs

HERO = (0, 210)
"""Seed and number of the street that greets."""
MAX_DATA = 4
"""Data sets that are offered to go on with."""


@st.cache_data(show_spinner=False)
def hero_scene() -> tuple:
    """Photograph and target of the greeting street, drawn at twice the data set's size."""
    from core.synthetic import draw_scene

    scene = draw_scene(*HERO, size=(512, 1024))
    return scene.image, CITYSCAPES_19.lookup[scene.label_ids]


def hero() -> None:
    """Show the greeting street, its labels breathing over it."""
    image, target = hero_scene()
    address = image_address(image, f"hero-{HERO}")
    colors = colors_address(target, CITYSCAPES_19.palette, "hero", HERO)
    figure = Markup(
        '<figure class="lab-hero"><img src="{}" alt="A generated street scene"><img src="{}" alt="Its mask: every pixel'
        ' has the colour of its class"><figcaption>A generated street and its ground truth</figcaption></figure>'
    )
    show(figure.format(address, colors))


def train_all_three() -> None:
    """Launch the three families on the generated streets, which the first of them draws; they are watched from here."""
    for family in FAMILIES:
        runner.launch(read_config(with_preset({"model": {"family": family}}, "taste")), runs_folder())
    st.rerun()


@st.fragment(run_every=2.0)
def recent_runs() -> None:
    """Show the runs that are under way, or else the latest ones, each with the newest mask of its first frame."""
    everyone = list_runs(runs_folder())
    if any(run.has_checkpoint("best") for run in everyone) and not scored:
        st.rerun()  # there are masks to compare now: the page leads there
    colors = run_colors(everyone)
    active = [run for run in everyone if run.is_active]
    # What was launched together stays together until the last of it has ended.
    shown = sorted(everyone[: max(3, len(active))], key=lambda run: run.id) if active else everyone[:3]
    st.subheader("Running now" if active else "Latest runs")
    with st.grid(3, min_column_width=300, key="live-runs"):
        for run in shown[:6]:
            with st.container(gap="xsmall"):
                show(newest_mask(run))
                run_card(run, colors[run.id], runner.queue_position(run) if run.state == "queued" else 0)


def known_data(runs: Sequence[Run]) -> None:
    """Show the data sets that runs learned from, newest first: each goes on where they were."""
    sets = {
        (run.config.dataset.name, run.config.dataset.root): run.config.dataset for run in reversed(runs) if run.config
    }
    here = [data for data in reversed(sets.values()) if SOURCES[data.name].is_here(data.root)][:MAX_DATA]
    if not here:
        return
    st.subheader("Train again on")
    with st.container(horizontal=True):
        for number, data in enumerate(here):
            label = Path(data.root).name if data.root else SOURCES[data.name].title
            if st.button(
                escape_markdown(label),
                icon=":material/photo_library:",
                help=escape_markdown(data.root) or None,
                key=f"data-{number}",
            ):
                begin_with({name: getattr(data, name) for name in ("name", "root", "bands", "classes")})
                st.switch_page("../pages/train.py")


# page layout
runs = list_runs(runs_folder())
scored = [run for run in runs if run.has_checkpoint("best")]
text, right = st.columns([4, 8], gap="large", vertical_alignment="center")
with right:
    hero()
with text:
    st.title("Segmentation lab")
    lead = Markup(
        '<p class="lab-lead">Train an FCN, a U-Net and a Vision Transformer on street scenes, watch them learn, '
        "and lay their masks side by side over the same picture. On this machine, without an account.</p>"
    )
    show(lead)
    if st.button(
        "Train all three for a minute each", type="primary" if not scored else "secondary", icon=":material/play_arrow:"
    ):
        try:
            train_all_three()
        except LabError as error:
            failed_state(error)
    if st.button("Open pictures of your own", icon=":material/folder_open:"):
        st.session_state["dataset-name"], st.session_state["folder-root"] = "folder", ""
        st.switch_page("../pages/data.py")
    if scored:
        st.page_link("../pages/compare.py", label="Compare their masks", icon=":material/compare:")
        st.page_link("../pages/inspect.py", label="Try a photo of your own street", icon=":material/image_search:")
    else:
        st.page_link("../pages/train.py", label="Choose data, network and length yourself", icon=":material/tune:")
        st.page_link("../pages/data.py", label="Look at the data first", icon=":material/photo_library:")
if runs:
    recent_runs()
    known_data(runs)
    st.page_link("../pages/runs.py", label="All runs and their curves", icon=":material/show_chart:")
