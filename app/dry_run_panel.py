"""The panels before a run: the dry run, which tells what it will take, and the test that finds a learning rate."""

from collections.abc import Iterable, Sequence

import streamlit as st

from app.figures import ACCENT, lr_finder_figure
from app.forms import set_later
from app.tables import table
from app.widgets import failed_state
from core.config import RunConfig
from core.errors import LabError
from core.escaping import escape_markdown
from core.text import format_bytes, format_duration
from core.training.probe.dry_run import DryRun, SuggestedChange, change_text, dry_run
from core.training.probe.lr_finder import STEPS, LrPoint, find_lr, suggest_lr

DRAWN_EVERY = 3
"""Steps of the learning-rate finder between two drawings."""

COLOR = f"rgb{ACCENT}"
"""The lab's accent, as CSS."""


def dry_run_panel(configs: Sequence[RunConfig], key: str) -> None:
    """Draw a button that tries some runs, what was found of each, and a button for every change that would mend
    something.

    What was found stays until a config changes. Each dry run is a process of its own, one after the other.

    Args:
        configs: of the runs, in the order in which they stand on the page.
        key: prefix of the widgets' keys.
    """
    result: dict[str, DryRun | str] = st.session_state.setdefault(f"{key}-found", {})
    request = [config.model_dump_json() for config in configs]
    if st.button(
        "Dry run",
        icon=":material/timer:",
        help="Two steps and a validation batch of each network at full size, to tell what the training will take.",
        disabled=not configs,
        key=f"{key}-start",
    ):
        result.clear()
        for config, name in zip(configs, request, strict=True):
            with st.spinner(f"Trying {config.model.title}"):
                try:
                    result[name] = dry_run(config)
                except LabError as error:
                    result[name] = str(error)
    shown = [(index, configs[index], result[name]) for index, name in enumerate(request) if name in result]
    rows = [(config.model.title, outcome) for _, config, outcome in shown if isinstance(outcome, DryRun)]
    if rows:
        _table(rows)
        st.caption("Measured with random weights, beside whatever else this machine is doing now.")
    for position, config, outcome in shown:
        if isinstance(outcome, str):
            failed_state(f"{config.model.title}: {outcome}")
            continue
        for index, problem in enumerate(outcome.problems):
            st.warning(escape_markdown(f"{config.model.title}: {problem.sentence}"), icon=":material/warning:")
            if problem.suggested_change:
                st.button(
                    f"Take {change_text(problem.suggested_change)}",
                    key=f"{key}-take-{position}-{index}",
                    on_click=_take,
                    args=(problem.suggested_change,),
                )


def lr_finder_panel(config: RunConfig, key: str) -> None:
    """Draw a button that runs the learning-rate range test, its curve as it grows, and a button that takes what it
    suggests.

    Args:
        config: of the run; its data, crops, network and optimizer are the test's.
        key: prefix of the widgets' keys.
    """
    # The rate and its schedule are what is sought: they may change without making the curve void.
    same = config.model_copy(
        update={"training": config.training.model_copy(update={"learning_rate": 1e-3, "schedule": "one-cycle"})}
    ).model_dump_json()
    start = st.button(
        "Find a learning rate",
        icon=":material/query_stats:",
        help=(
            f"Up to {STEPS} steps with a rate that climbs from 0.000001 to 1; about as long as so many steps of the"
            " training."
        ),
        key=f"{key}-start",
    )
    slot = st.empty()
    if start:
        st.session_state.pop(f"{key}-curve", None)
        try:
            with st.spinner(f"The learning rate of {config.model.title} climbs"):
                points = _draw(find_lr(config), slot, key)
            st.session_state[f"{key}-curve"] = (same, points)
        except LabError as error:
            failed_state(error)
    named, points = st.session_state.get(f"{key}-curve", ("", []))
    if named != same:
        return
    suggestion = suggest_lr(points)
    slot.plotly_chart(
        lr_finder_figure(points, suggestion.rate, COLOR), key=f"{key}-figure", config={"displayModeBar": False}
    )
    st.caption(escape_markdown(suggestion.sentence))
    if suggestion.rate is not None:
        st.caption(
            f"The form has {config.training.learning_rate:g}. The lab's own networks were measured with its defaults,"
            " so this is for other networks and data, or for a loss that jumps."
        )
        st.button(
            f"Take {suggestion.rate:g}",
            key=f"{key}-take",
            on_click=set_later,
            args=("training", "learning_rate", suggestion.rate),
        )


def _draw(points: Iterable[LrPoint], slot: st.delta_generator.DeltaGenerator, key: str) -> list[LrPoint]:
    drawn: list[LrPoint] = []
    for point in points:
        drawn.append(point)
        if len(drawn) % DRAWN_EVERY == 0:
            slot.plotly_chart(
                lr_finder_figure(drawn, None, COLOR),
                key=f"{key}-figure-{len(drawn)}",
                config={"displayModeBar": False},
            )
    return drawn


def _take(suggested_change: SuggestedChange) -> None:
    """Have the page's widgets show a change before it is drawn again."""
    for part, fields in suggested_change.items():
        for name, value in fields.items():
            set_later(part, name, value)


def _table(rows: Sequence[tuple[str, DryRun]]) -> None:
    lines = []
    for title, result in rows:
        cost = result.cost
        cells = (
            (
                f"{format_bytes(cost.memory_bytes)} of {format_bytes(cost.memory_free_bytes)} free",
                format_duration(cost.seconds_per_epoch),
                f"{format_duration(cost.seconds_total)}, {cost.steps} steps",
                format_bytes(cost.checkpoint_bytes),
            )
            if cost
            else ("more than there is", "–", "–", "–")
        )
        lines.append((title, *cells))
    table(("", "Memory", "Pass over the data", "In all", "On disk"), lines)
