"""What a run was asked for, what was decided on this machine, and what it wrote: below its curves."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import streamlit as st

from app.html import joined
from app.tables import swatch, table
from app.widgets import failed_state
from core import runner
from core.auth import is_read_only
from core.config import MAX_FOLDS, differences, setting_of
from core.data.folds import check_folds
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.models.families import NOT_TRAINED
from core.runs.lineage import lineage
from core.runs.repeats import NO_FOLD_LEFT, Repeats, Spread, folds_of, repeats_of, summarize_repeats
from core.runs.store import Run
from core.text import plural

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


def repeats_view(run: Run, everyone: Sequence[Run]) -> list[str]:
    """Show what the runs that differ from a run in the seed alone, or in the fold, come to together, and offer more of
    them.

    Returns the ids of those that were launched.
    """
    if run.config is None or run.config.model.family in NOT_TRAINED:
        st.caption("A network that isn't trained here has no repeats.")
        return []
    seeds = repeats_of(run, everyone)
    summary = summarize_repeats(seeds)
    if summary is None:
        st.caption("Once this run has finished, it can be repeated here with other seeds, or scored on other frames.")
        return []
    _summary(summary, seeds, "it covers what another seed changes, not what other frames would.")
    for several in folds_of(run, everyone).values():
        if over_folds := summarize_repeats(several, "fold"):
            _summary(over_folds, several, "it is too narrow, since any two folds learn from most of the same frames.")
    if is_read_only():
        return []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = int(st.number_input("More seeds", 1, 20, 2, key=f"seeds-count-{run.id}", width=140))
        if st.button(f"Train {plural(count, 'more run')}", key=f"seeds-{run.id}", icon=":material/casino:"):
            return _launched(lambda: runner.repeat(run.path, count))
        folds = int(
            st.number_input(
                "Folds",
                2,
                MAX_FOLDS,
                run.config.dataset.folds or 5,
                key=f"folds-count-{run.id}",
                width=140,
                help="All labelled frames in so many parts. A run each is scored on one of them, which it hasn't seen.",
            )
        )
        if st.button("Train for each fold", key=f"folds-{run.id}", icon=":material/view_column:"):
            return _launched(lambda: _cross_validate(run, folds))
    return []


def _cross_validate(run: Run, folds: int) -> list[Path]:
    with st.spinner("Counting the classes of each fold"):
        for sentence in check_folds(run.config.dataset, folds):
            st.toast(escape_markdown(sentence), icon=":material/warning:", duration="long")
    paths = runner.cross_validate(run.path, folds)
    if not paths:
        st.toast(NO_FOLD_LEFT, icon=":material/info:")
    return paths


def _launched(launch: Callable[[], list[Path]]) -> list[str]:
    try:
        return [path.name for path in launch()]
    except LabError as error:
        failed_state(error)
        return []


def _summary(summary: Repeats, runs: Sequence[Run], covers: str) -> None:
    """Show the score of repeats with what is chance in it, and each class's."""
    st.markdown(f"**{escape_markdown(summary.sentence)}**")
    under_way = sum(other.is_active for other in runs)
    if under_way:
        st.caption(f"{plural(under_way, 'more run')} of this recipe under way.")
    if summary.miou.count > 1:
        first = summary.runs[0]
        rows = [
            (joined([swatch(color), name]), *_figures(spread))
            for name, color, spread in zip(first.class_names, first.colors, summary.iou, strict=True)
        ]
        table(("", "mean ± deviation", "95 % interval"), [*rows, ("mean IoU", *_figures(summary.miou))])
        st.caption(
            f"Scores of {', '.join(escape_markdown(other.id) for other in summary.runs)}, each by itself at its best"
            f" evaluation. The interval is that of the mean, by Student's t: {covers}"
        )


def _figures(spread: Spread | None) -> tuple[str, str]:
    """Return a spread of shares in percent, and its interval; dashes where there is none."""
    if spread is None:
        return "–", "–"
    mean, deviation, low, high = (100 * value for value in (spread.mean, spread.deviation, spread.low, spread.high))
    return f"{mean:.1f} ± {deviation:.1f} %", f"{low:.1f} to {high:.1f} %"


def notes_view(run: Run) -> None:
    """Show what was written about a run, and which runs it comes from; nothing where there is neither."""
    if run.notes.note:
        st.text(run.notes.note)
    if run.notes.parent:
        st.caption(f"Cloned from {escape_markdown(run.notes.parent)}.")
    for ancestor in lineage(run):
        child, older = ("It" if ancestor.child.id == run.id else ancestor.child.name), ancestor.run
        where = older.name if older else f"run {ancestor.run_id}, which isn't here any more"
        st.caption(escape_markdown(f"{child} {ancestor.verb} {where}."))


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
