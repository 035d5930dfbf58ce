"""What a run was asked for, what was decided on this machine, and what it wrote: below its curves."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app.tables import table
from core.config import differences, setting_of
from core.data.sources import SOURCES
from core.escaping import escape_markdown
from core.runs.store import Run

LOG_TAIL = 20_000
"""Bytes of a log that are shown."""


def settings_view(runs: Sequence[Run], names: Mapping[str, str]) -> None:
    """Show in which settings runs differ, then each one's whole configuration.

    Args:
        runs: the one in focus first.
        names: of the runs, by id.
    """
    focus, *others = [run for run in runs if run.config]
    changed = dict.fromkeys(name for other in others for name in differences(focus.config, other.config))
    if others and changed:
        st.caption("In these settings they differ:")
        table(
            ["", *(names[run.id] for run in (focus, *others))],
            [
                [setting_of(*name.split(".")).title, *(_value(run, name) for run in (focus, *others))]
                for name in changed
            ],
        )
    elif others:
        st.caption("They have the same settings.")
    st.caption(_decided(focus))
    for run in (focus, *others):
        with st.expander(f"Configuration of {escape_markdown(names[run.id])}" if others else "Configuration"):
            st.json(run.config.model_dump(), expanded=True)


def notes_view(run: Run) -> None:
    """Show what was written about a run, and which run it was cloned from; nothing where there is neither."""
    if run.notes.note:
        st.text(run.notes.note)
    if run.notes.parent:
        st.caption(f"Cloned from {escape_markdown(run.notes.parent)}.")


def log_view(run: Run) -> None:
    """Show the end of a run's log."""
    try:
        data = (run.path / "train.log").read_bytes()[-LOG_TAIL:]
        st.code(data.decode(errors="replace") or "The log is empty so far.", language=None, height=320)
    except OSError:
        st.caption("There is no log yet.")


def _value(run: Run, name: str) -> str:
    part, field = name.split(".")
    return str(getattr(getattr(run.config, part), field))


def _decided(run: Run) -> str:
    """Return a run's data, weights and hardware in sentences."""
    data = run.config.dataset
    sentences = [f"{SOURCES[data.name].title}, {data.annotations} labels, {data.width} x {data.height} pixels."]
    if run.plan:
        sentences += [
            escape_markdown(run.plan.get("weights", "")),
            escape_markdown(run.plan.get("hardware", "")),
            f"{run.plan.get('parameters', 0) / 1e6:.1f} million parameters.",
        ]
    if run.status.job:
        sentences.append(f"Job {escape_markdown(run.status.job)} on the cluster.")
    return " ".join(sentences)
