"""The panels before a run: the dry run, which tells what it will take, and the test that finds a learning rate."""

import time
from collections.abc import Sequence

import streamlit as st

from app.figures import ACCENT, lr_finder_figure
from app.forms import set_later
from app.job_panel import show_job, try_start
from app.tables import table
from app.widgets import failed_state
from core.config import RunConfig
from core.escaping import escape_markdown
from core.jobs.engine import Job
from core.jobs.kinds import latest
from core.text import format_bytes, format_duration
from core.training.probe.dry_run import DryRun, SuggestedChange, change_text
from core.training.probe.job import read_outcomes, read_points, start_dry_run, start_lr_finder
from core.training.probe.lr_finder import STEPS, suggest_lr

COLOR = f"rgb{ACCENT}"
"""The lab's accent, as CSS."""


def dry_run_panel(configs: Sequence[RunConfig], key: str) -> None:
    """Draw a button that tries some runs, what is known of each, and a button for every change that would mend
    something.

    What the last dry run told stays until a config changes. It is a job: the page goes on meanwhile.

    Args:
        configs: of the runs, in the order in which they stand on the page.
        key: prefix of the widgets' keys.
    """
    job = latest("dry-run")
    names = [config.model_dump_json() for config in configs]
    st.button(
        "Dry run",
        icon=":material/timer:",
        help="Two steps and a validation batch of each network at full size, to tell what the training will take.",
        disabled=not configs or bool(job and job.is_active),
        key=f"{key}-start",
        on_click=try_start,
        args=("dry-run", lambda: start_dry_run(configs)),
    )
    is_of_these = bool(job) and not set(names).isdisjoint(job.request["configs"])

    def draw(job: Job) -> None:
        _costs(configs, read_outcomes(job))

    if show_job("dry-run", job if is_of_these or (job and job.is_active) else None, draw=draw) or not is_of_these:
        return
    outcomes = read_outcomes(job)
    if _costs(configs, outcomes):
        at = time.strftime("%d %B, %H:%M", time.localtime(job.updated))
        st.caption(f"Measured on {at}, with random weights, beside whatever else this machine was doing then.")
    for position, (config, name) in enumerate(zip(configs, names, strict=True)):
        outcome = outcomes.get(name)
        if isinstance(outcome, str):
            failed_state(f"{config.model.title}: {outcome}")
        for index, problem in enumerate(outcome.problems if isinstance(outcome, DryRun) else ()):
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

    The last test's curve stays until a setting of it changes. It is a job: the page goes on meanwhile.

    Args:
        config: of the run; its data, crops, network and optimizer are the test's.
        key: prefix of the widgets' keys.
    """
    # The rate and its schedule are what is sought: they may change without making the curve void.
    tested = config.model_copy(
        update={"training": config.training.model_copy(update={"learning_rate": 1e-3, "schedule": "one-cycle"})}
    )
    job = latest("lr-finder")
    st.button(
        "Find a learning rate",
        icon=":material/query_stats:",
        help=(
            f"Up to {STEPS} steps with a rate that climbs from 0.000001 to 1; about as long as so many steps of the"
            " training."
        ),
        disabled=bool(job and job.is_active),
        key=f"{key}-start",
        on_click=try_start,
        args=("lr-finder", lambda: start_lr_finder(tested)),
    )
    is_of_this = bool(job) and job.request["config"] == tested.model_dump_json()

    def draw(job: Job) -> None:
        _curve(job, None, key)

    if show_job("lr-finder", job if is_of_this or (job and job.is_active) else None, draw=draw) or not is_of_this:
        return
    if job.state != "finished":
        return
    suggestion = suggest_lr(read_points(job))
    _curve(job, suggestion.rate, key)
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


def _curve(job: Job, rate: float | None, key: str) -> None:
    """Draw the losses of a range test over its rates, the suggested one marked."""
    figure = lr_finder_figure(read_points(job), rate, COLOR)
    st.plotly_chart(figure, key=f"{key}-figure", config={"displayModeBar": False})


def _take(suggested_change: SuggestedChange) -> None:
    """Have the page's widgets show a change before it is drawn again."""
    for part, fields in suggested_change.items():
        for name, value in fields.items():
            set_later(part, name, value)


def _costs(configs: Sequence[RunConfig], outcomes: dict[str, DryRun | str]) -> bool:
    """Draw a row for each run that was tried; returns whether there is one."""
    lines = []
    for config in configs:
        result = outcomes.get(config.model_dump_json())
        if not isinstance(result, DryRun):
            continue
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
        lines.append((config.model.title, *cells))
    if lines:
        table(("", "Memory", "Pass over the data", "In all", "On disk"), lines)
    return bool(lines)
