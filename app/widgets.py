"""Small pieces that several pages show: states, runs on cards, tables of classes."""

import html
import re
from collections.abc import Mapping, Sequence

import streamlit as st

from core.errors import LabError
from core.runs.store import Run, best_miou

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
    """A colour for every run of the lab, by age, so that a run keeps its colour wherever and beside whomever it appears."""
    oldest_first = sorted(run.id for run in runs)
    return {run_id: RUN_COLORS[index % len(RUN_COLORS)] for index, run_id in enumerate(oldest_first)}


def run_label(run: Run) -> str:
    """A run in one line, for pickers: name or network, time of launch, best score. No two have the same, or a picker mixes them up."""
    miou = best_miou(run.path)
    when = f"{run.id[4:6]}-{run.id[6:8]} {run.id[9:11]}:{run.id[11:13]}"
    return f"{run.name} · {when} · {run.id[-4:]}" + ("" if miou is None else f" · mIoU {miou:.1%}")


def run_name(run: Run) -> str:
    """A run's name or network, and the four letters that tell it from its twins: short enough for the head of a column."""
    return f"{run.name} · {run.id[-4:]}"


def plain(text: str) -> str:
    """Text that somebody typed, for where Streamlit takes Markdown: shown as it is, without formatting, links or pictures."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])", r"\\\1", text)


def pick_runs(label: str, runs: Mapping[str, Run], default: Sequence[str], most: int) -> list[str]:
    """A picker of several runs, in the order of their launch. What is picked stands in the page's address, to be shared.

    Args:
        label: of the widget.
        runs: what can be picked, by id.
        default: ids picked at first, where the address names none.
        most: how many can be picked.
    """
    named = [run_id for run_id in st.query_params.get_all("runs") if run_id in runs]
    key = f"picked-{label}"
    if key in st.session_state:
        # Streamlit knows options by their labels, and a label changes with the score: hence each time anew. What was launched from
        # here is looked at, and what was deleted is not.
        also = st.session_state.pop(f"also-{label}", [])
        known = [run_id for run_id in (*st.session_state[key], *also) if run_id in runs]
        st.session_state[key] = known[-most:]
    chosen = sorted(
        st.multiselect(
            label,
            list(runs),
            default=None if key in st.session_state else (named or list(default))[:most],
            format_func=lambda run_id: run_label(runs[run_id]) if run_id in runs else run_id,
            max_selections=most,
            key=key,
        )
    )
    st.query_params["runs"] = chosen
    return chosen


def recall(name: str, options: Sequence[str], default: str) -> None:
    """Sets the widget of this key to what the session last had or the address says, where that is an option.

    Not by `bind`, which writes an option's label into the address, and forgets it where the options depend on other widgets.
    """
    wishes = (st.session_state.get(name), st.query_params.get(name), default)
    st.session_state[name] = next(wish for wish in wishes if wish in options)


def pick_also(label: str, run_id: str) -> None:
    """Adds a run to what is picked in the picker of that label, when it is drawn next."""
    st.session_state[f"also-{label}"] = [run_id]


def with_equal_classes(chosen: Sequence[str], runs: Mapping[str, Run]) -> list[str]:
    """Those of the chosen runs that tell the same classes apart as the first; the page says which were left out, and why."""
    same = [run_id for run_id in chosen if runs[run_id].classes == runs[chosen[0]].classes]
    if len(same) < len(chosen):
        others = ", ".join(plain(run_name(runs[run_id])) for run_id in chosen if run_id not in same)
        st.caption(
            f"Left out: {others}. Only runs with the same classes can be shown together, here the "
            f"{len(runs[chosen[0]].classes)} of {plain(run_name(runs[chosen[0]]))}."
        )
    return same


def latest_of_each_family(runs: Mapping[str, Run]) -> list[str]:
    """The newest run of each family, given runs by id, newest first."""
    latest: dict[str, str] = {}
    for run_id, run in runs.items():
        latest.setdefault(run.config.model.family, run_id)
    return list(latest.values())


def empty_state(title: str, text: str) -> None:
    """What a page shows when there is nothing to show: why, and what to do. Put the button for it right below."""
    st.html(f'<div class="lab-state"><h3>{html.escape(title)}</h3><p>{html.escape(text)}</p></div>')


def failed_state(error: LabError | str) -> None:
    """A sentence about what went wrong, in place of what can't be shown. It may hold what somebody typed: nothing in it is formatted."""
    st.error(plain(str(error)), icon=":material/error:")


FAILURE_WORDS = {
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


def size_words(count: float) -> str:
    """Bytes as a person would say them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def share_words(share: float) -> str:
    """A share, 0..1, in per cent; a dash for NaN, where there is nothing to take a share of."""
    return "–" if share != share else f"{share:.1%}"


def time_words(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def run_card(run: Run, color: str, position: int = 0) -> None:
    """One run as a card: its state, how far it is, time left, best score, and the sentence when something is wrong.

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
        who, turn = ("job", "waits for its nodes") if status.job else ("run", "starts now")
        metadata.append(f"waits for {position} {who}{'s' if position != 1 else ''} before it" if position else turn)
    elif state == "running" and status.phase not in ("training", "scoring"):
        metadata.append(status.phase or "starting")
    if status.steps_total:
        metadata.append(f"step {status.step} of {status.steps_total}")
    if state == "running" and status.seconds_left is not None:
        metadata.append(f"about {time_words(status.seconds_left)} left")
    if status.ended and status.started:
        metadata.append(f"took {time_words(status.ended - status.started)}")
    miou = best_miou(run.path)
    if miou is not None:
        metadata.append(f"best mIoU {miou:.1%}")
    sentence = status.error or run.problem
    if state == "lost" and run.config is not None:
        sentence = "The training stopped unexpectedly: the machine was switched off, or its processes were killed, or the disk was full. Resume it to go on."
    if run.notes.name:
        metadata.insert(0, run.title)
    if run.owner:
        metadata.append(f"by {run.owner}")
    badge = FAILURE_WORDS[status.failure] if state == "failed" else state
    tags = "".join(f'<span class="lab-badge">{html.escape(tag)}</span> ' for tag in run.notes.tags)
    st.html(
        f'<article class="lab-card"><header><span><i class="lab-dot" style="background:{color}"></i>{html.escape(run.name)}</span>'
        f'<span class="lab-badge {state}">{badge}</span></header>'
        f'<div class="lab-bar"><i style="width:{share:.1%};background:{color}"></i></div>'
        f'<div class="lab-facts">{"".join(f"<span>{html.escape(fact)}</span>" for fact in metadata)}</div>'
        + (f"<p>{html.escape(sentence)}</p>" if sentence else "")
        + (f"<div>{tags}</div>" if tags else "")
        + f"<small>{run.id}</small></article>"
    )


def class_table(
    classes: Sequence[str],
    colors: Sequence[tuple[int, int, int]] | None,
    columns: Mapping[str, Sequence[float | None]],
    totals: Mapping[str, float | None],
    dots: Mapping[str, str],
    total_name: str = "mean IoU",
) -> None:
    """IoU (or another share, 0..1) per class for several runs; the best of each row in bold, None and NaN as a dash.

    Args:
        classes: names, one a row.
        colors: of the classes, or None where the rows are something else.
        columns: values per class, by the column's title.
        totals: the last row, by the column's title; empty for none.
        dots: colour of each column's run, by the column's title.
        total_name: what the last row is called.
    """
    head = "".join(
        f'<th><i class="lab-dot" style="background:{dots[title]}"></i>{html.escape(title)}</th>' for title in columns
    )
    rows = []
    for index, name in enumerate(classes):
        values = [column[index] for column in columns.values()]
        mark = swatch(colors[index]) if colors else ""
        rows.append(f"<tr><td>{mark}{html.escape(name)}</td>{_cells(values, list(dots.values()))}</tr>")
    if totals:
        cells = _cells(list(totals.values()), list(dots.values()))
        rows.append(f'<tr class="lab-total"><td>{html.escape(total_name)}</td>{cells}</tr>')
    st.html(f'<div class="lab-scroll"><table class="lab-table"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>')


def swatch(color: tuple[int, int, int]) -> str:
    """HTML of a small square in a class's colour."""
    return f'<i class="lab-swatch" style="background:rgb{tuple(color)}"></i>'


def _cells(values: list[float | None], colors: list[str]) -> str:
    known = [value for value in values if value is not None and value == value]
    best = max(known) if len(known) > 1 and max(known) > 0 else None
    cells = []
    for value, color in zip(values, colors, strict=True):
        if value is None or value != value:
            cells.append('<td class="lab-quiet">–</td>')
            continue
        mark = ' class="lab-best"' if value == best else ""
        bar = f'<i class="lab-cellbar" style="width:{value:.1%};background:{color}"></i>'
        cells.append(f"<td{mark}>{value:.1%}{bar}</td>")
    return "".join(cells)
