"""Runs: how each stands, its curves as they grow, what it sees at every evaluation, and its log."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from app.curves import Curve, curves
from app.exporting import export_panel
from app.film import run_film
from app.forms import fields_form
from app.run_details import log_view, notes_view, repeats_view, settings_view
from app.run_health_panel import run_health_panel
from app.run_table import run_table, together
from app.sharing import bring_panel, share_panel
from app.tables import class_table
from app.trash_panel import delete_runs, trash_panel, undo_panel
from app.widgets import empty_state, failed_state, pick_also, pick_runs, run_card, run_colors, run_label, run_name
from core import runner
from core.auth import is_read_only, may_change
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.models.families import NOT_TRAINED
from core.paths import runs_folder
from core.runs.metrics_log import evaluations
from core.runs.notes import NAME_LENGTH, NOTE_LENGTH, TAG_COUNT, write_notes
from core.runs.status import requested
from core.runs.store import Run, list_runs, read_run

PICKER = "Runs to look at"
OFTEN_CHANGED = ["learning_rate", "batch_size", "minutes", "epochs", "seed", "loss", "optimizer", "schedule"]
"""Training fields that the dialog for the same run again offers."""
MAX_CHOSEN = 10
FILTER_FROM = 9
"""With so many runs a filter is offered."""


@st.fragment(run_every=1.0)
def states(ids: list[str], colors: dict[str, str]) -> None:
    """Show the chosen runs as cards, each with what can be done with it; the whole page again where a plan was made."""
    runs = [read_run(runs_folder() / run_id) for run_id in ids]
    if planned(runs) != st.session_state.get("planned"):
        st.rerun()  # only now are the names of the classes known
    with st.grid(3, min_column_width=300, key="live-runs"):
        for run in runs:
            if not run.path.is_dir():
                continue  # deleted meanwhile
            with st.container(gap="xsmall"):
                run_card(run, colors[run.id], runner.queue_position(run) if run.state == "queued" else 0)
                with st.container(horizontal=True, gap="xsmall"):
                    if is_read_only():
                        continue
                    is_mine = may_change(run.owner)
                    try:
                        if not run.is_active:
                            ended_buttons(run, is_mine)
                        elif is_mine:
                            active_buttons(run)
                    except LabError as error:
                        st.toast(escape_markdown(str(error)), icon=":material/error:")  # outlives the next tick
                    if is_mine:
                        dialog_button("notes", run, "", ":material/edit:", "Name, tags and note")


def planned(runs: Iterable[Run]) -> list[str]:
    """Return the ids of the runs whose classes are known, since they have a plan."""
    return [run.id for run in runs if run.plan]


def active_buttons(run: Run) -> None:
    """Show what can be done with a run that waits or trains. Raises LabError when it can't be done after all."""
    request = requested(run.path)
    if request == "requeue":
        request = None  # its cluster's wish, not a person's
    if run.state == "queued" and not run.status.job:
        for step, label, icon in ((-1, "Up", ":material/arrow_upward:"), (1, "Down", ":material/arrow_downward:")):
            if st.button("", key=f"{label}-{run.id}", icon=icon, help=f"{label} in the queue."):
                runner.move(run.path, step)
    if not request and st.button(
        "Pause",
        key=f"pause-{run.id}",
        icon=":material/pause:",
        help="Writes a checkpoint; the next in the queue begins.",
    ):
        runner.pause(run.path)
    text = {"stop": "Stopping after this step", "pause": "Pausing after this step", None: "Stop"}
    if st.button(
        text[request],
        key=f"stop-{run.id}",
        disabled=request is not None,
        icon=":material/stop:",
        help="Writes a checkpoint first.",
    ):
        runner.stop(run.path)
    if request and st.button(
        "End it now",
        key=f"stop-now-{run.id}",
        icon=":material/cancel:",
        help=f"Waits {runner.STOP_SECONDS:g} seconds for its checkpoint, then ends the training without one.",
    ):
        with st.spinner("Waiting for its checkpoint"):
            runner.stop_now(run.path)


def ended_buttons(run: Run, is_mine: bool) -> None:
    """Show what can be done with a run that has ended. Raises LabError when it can't be done after all."""
    if run.config:
        if (
            is_mine
            and run.state != "finished"
            and st.button("Resume", key=f"resume-{run.id}", icon=":material/resume:")
        ):
            runner.resume(run.path)
        suggested_change = run.status.suggested_change if run.state == "failed" else {}
        label = f"Try again with {change_text(suggested_change)}"
        if suggested_change and st.button(
            label, key=f"retry-{run.id}", icon=":material/healing:", help="A new run, else the same."
        ):
            open_run(runner.clone(run.path, suggested_change).name)
        if run.config.model.family not in NOT_TRAINED:
            dialog_button("again", run, "Same again", ":material/content_copy:", "A new run, with what you change.")
            if run.has_checkpoint("best") and st.button(
                "Train on from here",
                key=f"start-{run.id}",
                icon=":material/redo:",
                help="A new run that starts from this network, on these data or on others.",
            ):
                st.session_state.pop("begun-with", None)
                st.switch_page("../pages/train.py", query_params={"start": run.id})
        if run.has_checkpoint("best") and st.button(
            "Teach another", key=f"teach-{run.id}", icon=":material/school:", help="A new run learns what it sees too."
        ):
            st.session_state.pop("begun-with", None)
            st.switch_page("../pages/train.py", query_params={"teacher": run.id})
    if is_mine and st.button("", key=f"delete-{run.id}", icon=":material/delete:", help="Delete"):
        delete_runs([run])
        st.rerun(scope="app")


def change_text(suggested_change: dict[str, dict[str, Any]]) -> str:
    """Return what a remedy changes, as a person would say it."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value:g}" if isinstance(value, int | float) else f"{name.replace('_', ' ')} {value}"
        for fields in suggested_change.values()
        for name, value in fields.items()
    )


def dialog_button(dialog: str, run: Run, label: str, icon: str, help: str) -> None:
    """Draw a button that opens a dialog about a run, over the whole page: the cards are drawn again each second."""
    if st.button(label, key=f"{dialog}-{run.id}", icon=icon, help=help):
        st.session_state["dialog"] = (dialog, run.id)
        st.rerun(scope="app")


def close_dialog() -> None:
    """Forget the dialog that is open."""
    st.session_state.pop("dialog", None)


def open_run(run_id: str) -> None:
    """Show a run that was launched from here beside the others."""
    open_runs([run_id])


def open_runs(run_ids: Sequence[str]) -> None:
    """Show runs that were launched from here beside the others."""
    if run_ids:
        pick_also(PICKER, *run_ids)
        close_dialog()
        st.rerun(scope="app")


@st.dialog("Same again", width="large", on_dismiss=close_dialog)
def again(run: Run) -> None:
    """Ask what shall be different, and launch a run like this one."""
    st.caption(escape_markdown(run_label(run)))
    values = fields_form("training", OFTEN_CHANGED, run.config.training.model_dump(), f"again-{run.id}")
    st.caption(
        "With 0 minutes, epochs count. Everything else stays as it was; to change other settings, start a new run on"
        " the page Train."
    )
    if st.button("Start", type="primary", key="start-again", icon=":material/play_arrow:"):
        try:
            path = runner.clone(run.path, {"training": values})
        except LabError as error:
            failed_state(error)
            return
        open_run(path.name)


@st.dialog("Name, tags and note", on_dismiss=close_dialog)
def annotate(run: Run) -> None:
    """Ask what a run shall be called."""
    notes = run.notes
    tags = sorted({tag for other in list_runs(runs_folder()) for tag in other.notes.tags})
    name = st.text_input("Name", notes.name, max_chars=NAME_LENGTH, placeholder=run.title, key=f"name-{run.id}")
    chosen = st.multiselect(
        "Tags", tags, default=list(notes.tags), accept_new_options=True, max_selections=TAG_COUNT, key=f"tags-{run.id}"
    )
    note = st.text_area("Note", notes.note, max_chars=NOTE_LENGTH, height=160, key=f"note-{run.id}")
    if st.button("Save", type="primary", key="save-notes"):
        try:
            write_notes(run.path, replace(notes, name=name, tags=tuple(chosen), note=note))
        except (LabError, OSError) as error:
            failed_state(error if isinstance(error, LabError) else f"This can't be saved: {error.strerror}.")
            return
        close_dialog()
        st.rerun(scope="app")


@st.fragment(run_every=3.0)
def scores(runs: list[str], focus: str, names: dict[str, str], colors: dict[str, str]) -> None:
    """IoU per class at the latest evaluation of each run that tells the same classes apart as the one in focus."""
    columns, totals, dots = {}, {}, {}
    shown = read_run(runs_folder() / focus)
    others = [run_id for run_id in runs if read_run(runs_folder() / run_id).class_names != shown.class_names]
    for run_id in runs:
        rows = evaluations(runs_folder() / run_id)
        if rows and run_id not in others:
            columns[names[run_id]] = rows[-1]["iou"]
            totals[names[run_id]] = rows[-1]["miou"]
            dots[names[run_id]] = colors[run_id]
    if columns:
        class_table(shown.class_names, shown.colors, columns, totals, dots)
        st.caption(
            "Intersection over union on the validation frames, at the latest evaluation. A dash: neither there nor"
            " predicted."
        )
    else:
        st.caption("No evaluation yet. The first one comes after a part of the training.")
    if others:
        st.caption(
            f"{', '.join(escape_markdown(names[run_id]) for run_id in others)}: tells other classes apart. Look closer"
            " at it to see them."
        )


@st.fragment(run_every=3.0)
def moved_data(run: Run) -> None:
    """Draw widgets that tell where a run's data lie now, where they aren't at their place any more."""
    if run.config is None or run.is_active:
        return
    config = run.config.dataset
    if not SOURCES[config.name].root_title or SOURCES[config.name].is_here(config.root):
        return
    st.warning(
        f"The data of this run aren't at {escape_markdown(config.root)} any more. It can be looked at, but not resumed"
        " or scored."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        root = st.text_input("Folder in which they lie now", key=f"moved-{run.id}")
        if st.button("Take this folder", key="take-folder", disabled=not root or not may_change(run.owner)):
            try:
                runner.move_data(run.path, root)
            except LabError as error:
                failed_state(error)
            else:
                st.rerun()


def choose_runs(ids: list[str]) -> None:
    """Pick the runs that were chosen in the table; with none, what was picked stays."""
    if ids:
        st.session_state[f"picked-{PICKER}"] = ids[:MAX_CHOSEN]


# page layout
st.title("Runs")
undo_panel(PICKER)
everyone = list_runs(runs_folder())
if not everyone:
    text = "Train a network, and its curves will grow here while it learns."
    empty_state("No run yet", text, "Train a network", page="train")
    bring_panel(open_run)
    trash_panel(PICKER)
    st.stop()
by_id = {run.id: run for run in everyone}
colors = run_colors(everyone)
default = [run.id for run in everyone if run.is_active] or [everyone[0].id]
on_offer = by_id
if len(everyone) >= FILTER_FROM:
    query = st.text_input(
        "Filter",
        key="filter",
        placeholder="words of a name, a note, a network or a state; #tag",
        help="The runs on offer below have all of these words. What is picked already stays.",
    )
    picked = st.query_params.get_all("runs") or default
    on_offer = {run_id: run for run_id, run in by_id.items() if run_id in picked or run.matches(query)}
    if query:
        matching = sum(run.matches(query) for run in everyone)
        st.caption(f"{matching} of {len(everyone)} runs")
if len(on_offer) > 1:
    with st.expander(f"All {len(on_offer)} runs", expanded=True, icon=":material/table_rows:"):
        run_table(list(on_offer.values()), choose_runs)
chosen = pick_runs(PICKER, on_offer, default, limit=MAX_CHOSEN)
opened = st.session_state.get("dialog")
if opened and opened[1] in by_id:
    {"again": again, "notes": annotate}[opened[0]](by_id[opened[1]])
if not chosen:
    st.caption("Choose one or several runs.")
    bring_panel(open_run)
    trash_panel(PICKER)
    st.stop()
names = {run_id: run_name(by_id[run_id]) for run_id in chosen}
st.session_state["planned"] = planned(by_id[run_id] for run_id in chosen)
states(chosen, colors)
if len(chosen) > 1:
    together([by_id[run_id] for run_id in chosen], PICKER)
class_sets = {by_id[run_id].class_names for run_id in chosen if by_id[run_id].plan}
curves(
    [Curve(run_id, names[run_id], colors[run_id]) for run_id in chosen],
    key="curves",
    class_names=class_sets.pop() if len(class_sets) == 1 else (),  # one number means two things in two numberings
)
focus = chosen[0]
if len(chosen) > 1:
    focus = st.segmented_control(
        "Look closer at",
        chosen,
        format_func=lambda run_id: escape_markdown(names[run_id]),
        default=chosen[0],
        required=True,
        key="focus",
    )
run_health_panel(focus)
moved_data(by_id[focus])
film, classes, repeats, settings, log, share = st.tabs(
    ["What it sees", "Per class", "Repeats", "Settings", "Log", "Share"]
)
with film:
    notes_view(by_id[focus])
    run_film(focus)
with classes:
    scores(chosen, focus, names, colors)
with repeats:
    open_runs(repeats_view(by_id[focus], everyone))
with settings:
    if by_id[focus].config:
        settings_view([by_id[focus], *(by_id[run_id] for run_id in chosen if run_id != focus)], names)
with log:
    log_view(read_run(runs_folder() / focus))
with share:
    share_panel(focus)
    export_panel(focus)
bring_panel(open_run)
trash_panel(PICKER)
