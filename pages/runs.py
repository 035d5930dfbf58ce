"""Runs: how each stands, its curves as they grow, what it sees at every evaluation, and its log."""

from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from app.curves import Curve, curves
from app.datasets import TITLES, open_again
from app.pictures import colors_address, file_digest, photo_address, truth_of
from app.widgets import class_table, empty_state, failed_state, pick_runs, run_card, run_colors, run_name
from core import runner
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.errors import LabError
from core.places import runs_folder
from core.runs import evaluations, list_runs, read_run

LOG_TAIL = 20_000
"""Bytes of a log that are shown."""


@st.fragment(run_every=1.0)
def states(ids: list[str], colors: dict[str, str]) -> None:
    """The chosen runs as cards, each with the one thing that can be done with it."""
    with st.grid(3, min_column_width=300):
        for run_id in ids:
            with st.container():
                run = read_run(runs_folder() / run_id)
                run_card(run, colors[run_id], runner.queue_position(run) if run.state == "queued" else 0)
                try:
                    if run.is_active:
                        asked = (run.path / "request.json").exists()
                        if st.button(
                            "Stopping after this step" if asked else "Stop",
                            key=f"stop-{run_id}",
                            disabled=asked,
                            icon=":material/stop:",
                            help="Writes a checkpoint first.",
                        ):
                            runner.stop(run.path)
                    elif (
                        run.state != "finished"
                        and run.config
                        and st.button("Resume", key=f"resume-{run_id}", icon=":material/resume:")
                    ):
                        runner.resume(run.path)
                except LabError as error:
                    st.toast(str(error), icon=":material/error:")  # outlives the next tick


@st.fragment(run_every=3.0)
def scores(runs: list[str], focus: str, names: dict[str, str], colors: dict[str, str]) -> None:
    """IoU per class at the latest evaluation of each run that tells the same classes apart as the one in focus."""
    columns, totals, dots = {}, {}, {}
    shown = read_run(runs_folder() / focus)
    others = [run_id for run_id in runs if read_run(runs_folder() / run_id).classes != shown.classes]
    for run_id in runs:
        rows = evaluations(runs_folder() / run_id)
        if rows and run_id not in others:
            columns[names[run_id]] = rows[-1]["iou"]
            totals[names[run_id]] = rows[-1]["miou"]
            dots[names[run_id]] = colors[run_id]
    if columns:
        class_table(shown.classes, shown.colors, columns, totals, dots)
        st.caption(
            "Intersection over union on the validation frames, at the latest evaluation. A dash: neither there nor predicted."
        )
    else:
        st.caption("No evaluation yet. The first one comes after a part of the training.")
    if others:
        st.caption(
            f"{', '.join(names[run_id] for run_id in others)}: tells other classes apart. Look closer at it to see them."
        )


@st.fragment(run_every=3.0)
def samples(run_id: str) -> None:
    """The same validation frames at every evaluation."""
    run = read_run(runs_folder() / run_id)
    steps = (
        sorted(path.name for path in (run.path / "samples").glob("[0-9]*")) if (run.path / "samples").is_dir() else []
    )
    if not steps or not run.config:
        st.caption("The first masks come with the first evaluation.")
        return
    if len(steps) > 1:
        newest = st.session_state.get(f"newest-{run_id}")
        if newest != steps[-1]:
            # A new evaluation moves the slider on, unless the user went back to look at an earlier one.
            if newest is None or st.session_state.get(f"step-{run_id}") == newest:
                st.session_state[f"step-{run_id}"] = steps[-1]
            st.session_state[f"newest-{run_id}"] = steps[-1]
        step = st.select_slider(
            "Evaluation at step", steps, format_func=lambda name: str(int(name)), key=f"step-{run_id}"
        )
    else:
        step = steps[0]
    try:
        dataset = open_again(run.config.dataset)
        folder = run.path / "samples" / step
        figures = [
            figure(folder / f"{frame.id}.png", dataset, frame) for frame in dataset.val if sampled(frame, folder)
        ]
    except (LabError, OSError) as error:
        failed_state(f"These frames can't be shown. {error}")
        return
    st.html(f'<div class="lab-frames">{"".join(figures)}</div>')


def sampled(frame: Frame, folder: Path) -> bool:
    """True when an evaluation's folder has a mask of this frame; the newest one may still be growing."""
    return (folder / f"{frame.id}.png").is_file()


def figure(mask: Path, dataset: Dataset, frame: Frame) -> str:
    """HTML of a frame under a saved mask. Raises LabError or OSError when one of the two can't be read."""
    image, _, digest = truth_of(frame, dataset.space)
    colors = colors_address(np.asarray(Image.open(mask)), dataset.space.palette, "sample", file_digest(mask))
    return f'<figure><img src="{photo_address(image, digest)}" alt="{frame.id}"><img src="{colors}" alt="its mask"></figure>'


@st.fragment(run_every=3.0)
def details(run_id: str) -> None:
    """What was asked for, what was decided here, and the log."""
    run = read_run(runs_folder() / run_id)
    if run.config:
        facts = [
            f"{TITLES[run.config.dataset.name]}, {run.config.dataset.annotations} labels, {run.config.dataset.width} x {run.config.dataset.height} pixels."
        ]
        if run.plan:
            facts += [
                run.plan.get("weights", ""),
                run.plan.get("hardware", ""),
                f"{run.plan.get('parameters', 0) / 1e6:.1f} million parameters.",
            ]
        st.caption(" ".join(facts))
        with st.expander("Configuration"):
            st.json(run.config.model_dump(), expanded=True)
    with st.expander("Log", expanded=False):
        try:
            data = (run.path / "train.log").read_bytes()[-LOG_TAIL:]
            st.code(data.decode(errors="replace") or "The log is empty so far.", language=None, height=320)
        except OSError:
            st.caption("There is no log yet.")


# page layout
st.title("Runs")
everyone = list_runs(runs_folder())
if not everyone:
    empty_state("No run yet", "Train a network, and its curves will grow here while it learns.")
    _, middle, _ = st.columns([2, 2, 2])
    if middle.button("Train a network", type="primary", width="stretch", icon=":material/model_training:"):
        st.switch_page("../pages/train.py")
    st.stop()
by_id = {run.id: run for run in everyone}
colors = run_colors(everyone)
default = [run.id for run in everyone if run.is_active] or [everyone[0].id]
chosen = pick_runs("Runs to look at", by_id, default, most=10)
if not chosen:
    st.caption("Choose one or several runs.")
    st.stop()
names = {run_id: run_name(by_id[run_id]) for run_id in chosen}
states(chosen, colors)
told_apart = {by_id[run_id].classes for run_id in chosen}
curves(
    [Curve(run_id, names[run_id], colors[run_id]) for run_id in chosen],
    key="curves",
    classes=told_apart.pop() if len(told_apart) == 1 else (),  # one number means two things in two numberings
)
focus = chosen[0]
if len(chosen) > 1:
    focus = st.segmented_control(
        "Look closer at", chosen, format_func=names.get, default=chosen[0], required=True, key="focus"
    )
pictures, table = st.columns([7, 5], gap="large")
with pictures:
    st.subheader("What it sees")
    samples(focus)
    details(focus)
with table:
    st.subheader("Per class")
    scores(chosen, focus, names, colors)
