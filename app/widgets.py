"""Small pieces that several pages show: pickers of runs, runs on cards, and what stands where there is nothing to
show.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence

import streamlit as st
from markupsafe import Markup

from app.html import joined, show
from app.tables import badge, dot
from core.config import all_fields, setting_of
from core.errors import LabError, storage_sentence
from core.escaping import escape_markdown
from core.runs.metrics_log import minutes_trained
from core.runs.store import Run, best_miou
from core.text import format_duration, plural

LONG_BEGINNING = 16
"""Letters with which all names begin, from which on they are left out."""
RUN_COLORS = (
    "#4269d0",
    "#e0902a",
    "#d6568f",
    "#2f9e77",
    "#8a5cd1",
    "#c4552d",
    "#3aa3c9",
    "#8f6a45",
    "#6b8e23",
    "#7f8894",
)


def run_colors(runs: Sequence[Run]) -> dict[str, str]:
    """Return a colour for every run of the lab, by age, so that a run has the same colour on every page."""
    oldest_first = sorted(run.id for run in runs)
    return {run_id: RUN_COLORS[index % len(RUN_COLORS)] for index, run_id in enumerate(oldest_first)}


def run_label(run: Run) -> str:
    """Return a run in one line, for pickers: name or network, time of launch, best score.

    No two have the same, or a picker mixes them up.
    """
    miou = best_miou(run.path)
    when = f"{run.id[4:6]}-{run.id[6:8]} {run.id[9:11]}:{run.id[11:13]}"
    return f"{run.name} · {when} · {run.id[-4:]}" + ("" if miou is None else f" · mIoU {miou:.1%}")


def run_name(run: Run) -> str:
    """Return a run's name or network, and the four letters that tell it from its twins: short enough for the head of a
    column.
    """
    return f"{run.name} · {run.id[-4:]}"


def short_names(runs: Sequence[Run]) -> dict[str, str]:
    """Return the names of runs that are shown together, by id, as short as they can be told apart.

    `FCN-8s` and `U-Net` where the encoder is the same, the encoder where the network is; two of one name have the last
    four letters of their id behind its beginning. Words with which long names all begin are left out: what differs
    would be cut off. One alone keeps its whole name.
    """
    if len(runs) == 1:
        return {runs[0].id: runs[0].name}
    names = _distinct_names(runs)
    shared = os.path.commonprefix(list(names.values()))
    shared = shared[: shared.rfind(" ") + 1]
    if len(shared) < LONG_BEGINNING:
        return names
    return {run_id: f"… {name[len(shared) :]}" for run_id, name in names.items()}


def _distinct_names(runs: Sequence[Run]) -> dict[str, str]:
    parts = {run.id: run.name.split(" · ") for run in runs}
    depth = max((len(each) for each in parts.values()), default=0)
    for count in range(1, depth + 1):
        firsts = {run_id: each[:count] for run_id, each in parts.items()}
        if len({tuple(each) for each in firsts.values()}) == len(runs):
            shared = [part for part in firsts[runs[0].id] if all(part in each for each in firsts.values())]
            return {
                run_id: " · ".join(part for part in each if part not in shared) or " · ".join(each)
                for run_id, each in firsts.items()
            }
    names = [run.name for run in runs]
    beginnings = [each[0] for each in parts.values()]
    return {
        run.id: f"{first} · {run.id[-4:]}"
        if names.count(run.name) > 1
        else first
        if beginnings.count(first) == 1
        else run.name
        for run, first in zip(runs, beginnings, strict=True)
    }


def pick_runs(label: str, runs: Mapping[str, Run], default: Sequence[str], limit: int) -> list[str]:
    """Draw a picker of several runs, in the order of their launch.

    What is picked stands in the page's address, to be shared, and is where another page's picker of that label begins.

    Args:
        label: of the widget.
        runs: what can be picked, by id.
        default: ids picked at first, where the address names none.
        limit: how many can be picked.
    """
    key = f"picked-{label}"
    wishes = (st.query_params.get_all("runs"), st.session_state.get(f"last-{key}", ()), default)
    begin = next((known for wish in wishes if (known := [run_id for run_id in wish if run_id in runs])), [])
    if key in st.session_state:
        # Streamlit knows options by their labels, and a label changes with the score: hence each time anew. What was
        # launched from here is looked at, and what was deleted is not.
        also = st.session_state.pop(f"also-{label}", [])
        known = [run_id for run_id in dict.fromkeys((*st.session_state[key], *also)) if run_id in runs]
        st.session_state[key] = known[-limit:]
    chosen = sorted(
        st.multiselect(
            label,
            list(runs),
            default=None if key in st.session_state else begin[:limit],
            format_func=lambda run_id: run_label(runs[run_id]) if run_id in runs else run_id,
            max_selections=limit,
            key=key,
        )
    )
    st.session_state[f"last-{key}"] = chosen
    if sorted(st.query_params.get_all("runs")) != chosen:  # another order is the bench's own
        st.query_params["runs"] = chosen
    return chosen


def recall(name: str, options: Sequence[str], default: str) -> None:
    """Set the widget of this key to what it has, or the address says, or this or another page last had under that name,
    where that is an option.

    Not by `bind`, which writes an option's label into the address, and forgets it where the options depend on other
    widgets.
    """
    wishes = (st.session_state.get(name), st.query_params.get(name), st.session_state.get(f"last-{name}"), default)
    # Streamlit forgets a widget that a page doesn't show: what it had is kept under a name of its own.
    st.session_state[name] = st.session_state[f"last-{name}"] = next(wish for wish in wishes if wish in options)


def pick_also(label: str, *run_ids: str) -> None:
    """Add runs to what is picked in the picker of that label, when it is drawn next."""
    st.session_state[f"also-{label}"] = list(run_ids)


def with_equal_classes(chosen: Sequence[str], runs: Mapping[str, Run]) -> list[str]:
    """Return those of the chosen runs that tell the same classes apart as the first.

    The page says which were left out, and why.
    """
    same = [run_id for run_id in chosen if runs[run_id].class_names == runs[chosen[0]].class_names]
    if len(same) < len(chosen):
        others = ", ".join(escape_markdown(run_name(runs[run_id])) for run_id in chosen if run_id not in same)
        st.caption(
            f"Left out: {others}. Only runs with the same classes can be shown together, here the "
            f"{len(runs[chosen[0]].class_names)} of {escape_markdown(run_name(runs[chosen[0]]))}."
        )
    return same


def latest_of_each_family(runs: Mapping[str, Run]) -> list[str]:
    """Return the newest run of each family, given runs by id, newest first."""
    latest: dict[str, str] = {}
    for run_id, run in runs.items():
        latest.setdefault(run.config.model.family, run_id)
    return list(latest.values())


def empty_state(
    title: str, text: str, action: str = "", icon: str = ":material/model_training:", page: str = ""
) -> bool:
    """Show that there is nothing to show yet: why, what to do, and the button for it.

    Args:
        title, text: plain text.
        action: the button's label; no button where it is empty.
        icon: the button's.
        page: name of the page that the button opens; where none is named the caller does what it says.

    Returns:
        True where the button was pressed.
    """
    show(Markup('<div class="lab-state"><h3>{}</h3><p>{}</p></div>').format(title, text))
    if not action:
        return False
    _, middle, _ = st.columns([2, 2, 2])
    pressed = middle.button(action, type="primary", width="stretch", icon=icon)
    if pressed and page:
        st.switch_page(f"../pages/{page}.py")
    return pressed


def failed_state(error: LabError | str) -> None:
    """Show a sentence about what went wrong, in place of what can't be shown.

    What was typed may stand in it: nothing in it is formatted. Settings are called as the form calls them.
    """
    st.error(escape_markdown(with_labels(str(error))), icon=":material/error:")


def with_labels(sentence: str) -> str:
    """Return a sentence with the labels of the form for the names of settings: `training.batch_size is 0` is for those
    who type a command.
    """
    titles = {f"{part}.{name}": setting_of(part, name).title for part, name in all_fields()}
    return re.sub(r"\b[a-z]+\.[a-z_]+\b", lambda match: titles.get(match[0], match[0]), sentence)


def show_fault(error: Exception) -> bool:
    """Put a sentence in place of what a page could not show; the traceback of a fault goes to the terminal alone."""
    if isinstance(error, OSError) and (sentence := storage_sentence(error)):
        error = LabError(sentence)
    if not isinstance(error, LabError):
        logging.getLogger("lab").error("A page failed.", exc_info=error)
        error = LabError(
            f"This page ran into a fault of the lab ({type(error).__name__}). Reload it; if the fault stays, the"
            " terminal in which the lab runs has the details."
        )
    failed_state(error)
    return True


FAILURE_LABELS = {
    "memory": "out of memory",
    "gpu-memory": "out of GPU memory",
    "diverged": "diverged",
    "data": "data",
    "disk": "disk full",
    "killed": "killed",
    "user": "failed",
    "fault": "fault of the lab",
    "": "failed",
}
"""What stands on a failed run's card, by its failure."""


def run_card(run: Run, color: str, position: int = 0) -> None:
    """Show one run as a card: its state, how far it is, time left, best score, and the sentence when something is
    wrong.

    Args:
        run: to show.
        color: the run's own.
        position: how many runs go before it, or jobs of its cluster, while it is queued.
    """
    status = run.status
    state = run.state
    share = min(1.0, status.step / status.steps_total) if status.steps_total else 0.0
    metadata = []
    if state == "queued":
        who, start = ("job", "waits for its nodes") if status.job else ("run", "starts now")
        metadata.append(f"waits for {plural(position, who)} before it" if position else start)
    elif state == "running" and status.phase not in ("training", "scoring"):
        metadata.append(status.phase or "starting")
    if status.steps_total:
        metadata.append(f"step {status.step} of {status.steps_total}")
    if state == "running" and status.phase == "scoring":
        metadata.append("scoring the validation frames")
    elif state == "running" and status.seconds_left is not None:
        metadata.append(f"about {format_duration(status.seconds_left)} left")
    if not run.is_active and (minutes := minutes_trained(run.path)):
        metadata.append(f"trained for {format_duration(60 * minutes)}")
    miou = best_miou(run.path)
    if miou is not None:
        metadata.append(f"best mIoU {miou:.1%}")
    sentence = status.error or run.problem
    if state == "lost" and run.config is not None:
        sentence = (
            "The training stopped unexpectedly: the machine was switched off, or its processes were killed, or the disk"
            " was full. Resume it to go on."
        )
    if run.notes.name:
        metadata.insert(0, run.title)
    if run.owner:
        metadata.append(f"by {run.owner}")
    ending = FAILURE_LABELS[status.failure] if state == "failed" else state
    title = joined([dot(color), run.name])
    rows = [badge(tag) for tag in run.notes.tags]
    status_card(title, badge(ending, state), share, color, metadata, sentence, rows, run.id)


def status_card(
    title: Markup,
    state: Markup,
    share: float,
    color: str,
    metadata: Sequence[str],
    sentence: str | None,
    tags: Sequence[Markup],
    footer: str,
) -> None:
    """Show how something long stands: a run or a sweep.

    Args:
        title: its name.
        state: its state, as a badge.
        share: done, 0..1.
        color: of the bar, as CSS has it.
        metadata: short facts, side by side.
        sentence: what is wrong; empty for nothing.
        tags: badges below.
        footer: its id.
    """
    card = Markup(
        '<article class="lab-card"><header><span>{}</span>{}</header><div class="lab-bar"><i'
        ' style="width:{:.1%};background:{}"></i></div><div class="lab-facts">{}</div>{}{}<small>{}</small></article>'
    )
    facts = joined(Markup("<span>{}</span>").format(item) for item in metadata)
    text = Markup("<p>{}</p>").format(sentence) if sentence else ""
    below = Markup("<div>{}</div>").format(Markup(" ").join(tags)) if tags else ""
    show(card.format(title, state, share, color, facts, text, below, footer))
