"""Still figures. Rows in, plotly figure out; nothing of Streamlit here."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.config import TrainingConfig
from core.escaping import escape_plotly
from core.text import shorten
from core.training.probe.lr_finder import LrPoint
from core.training.schedule import lr_scale

Color = tuple[int, int, int]

ACCENT: Color = (22, 137, 127)
"""The lab's accent, as in style.css: a figure can't ask the page for it."""

Value = bool | int | float | str

_SCHEDULE_POINTS = 300

_LOW_TO_HIGH = [[0, "#4269d0"], [0.5, "#8f8f94"], [1, "#e0902a"]]
"""Colours of scores, each legible on a light and on a dark page."""
_FADED = 0.45
"""Opacity of the bars of every group but the first."""
_FEW = 8
"""So many different values get a place each, at even distances; more are drawn to scale."""
_TICKS = 4
MAX_LABEL = 24
"""Letters of a class's name beside an axis."""
MAX_COLUMNS = 40
"""More classes side by side are too narrow for their names."""


def class_axis(names: Sequence[str], are_columns: bool = False) -> dict[str, Any]:
    """Return what an axis of classes says: long names are cut there, and whole under the pointer; columns that are too
    many to be read say nothing.
    """
    long = {escape_plotly(name): escape_plotly(shorten(name, MAX_LABEL)) for name in names if len(name) > MAX_LABEL}
    return {"labelalias": long, "showticklabels": not are_columns or len(names) <= MAX_COLUMNS}


def class_shares_figure(
    class_names: Sequence[str], colors: Sequence[Color], shares: Mapping[str, Sequence[float]]
) -> go.Figure:
    """Horizontal bars of each class's share of the labelled pixels, largest first; several groups beside each other.

    Args:
        class_names: K names.
        colors: K colours, red green blue, 0..255.
        shares: K shares, 0..1, by the group's name; the first group gives the order and stands on top.
    """
    groups = list(shares)
    order = sorted(range(len(class_names)), key=lambda index: shares[groups[0]][index])
    figure = go.Figure()
    # Plotly stacks bars of a group upwards, so the first must come last.
    for group in reversed(groups):
        values = [shares[group][class_index] for class_index in order]
        figure.add_bar(
            name=group,
            x=[value * 100 for value in values],
            y=[escape_plotly(class_names[class_index]) for class_index in order],
            orientation="h",
            # The text isn't faded with its bar, and navy is seen on black.
            marker={
                "color": [f"rgb{tuple(colors[class_index])}" for class_index in order],
                "opacity": 1 if group == groups[0] else _FADED,
                "line": {"width": 1, "color": "rgba(128, 128, 128, 0.6)"},
            },
            text=[_percent(value) for value in values],
            textposition="outside",
            textfont={"size": 10},
            constraintext="none",
            cliponaxis=False,
            hovertemplate=f"%{{y}}, {group}: %{{text}}<extra></extra>",
        )
    figure.update_layout(
        height=(10 + 12 * len(groups)) * len(class_names) + 40,
        margin={"l": 0, "r": 60, "t": 8, "b": 24},
        xaxis={"visible": False, "fixedrange": True},
        yaxis={"type": "category", "fixedrange": True, "ticklabelstandoff": 6} | class_axis(class_names),
        bargap=0.35,
        bargroupgap=0.1,
        showlegend=False,
    )
    return figure


def cooccurrence_figure(class_names: Sequence[str], shares: Sequence[Sequence[float]], color: Color) -> go.Figure:
    """Return a heat map of what is seen together: of the frames that show the class of the row, the share that shows
    the column's too.

    Args:
        class_names: K names.
        shares: K rows of K shares, 0..1.
        color: red green blue, 0..255, of a share of 1; a share of 0 is the page itself.
    """
    figure = go.Figure(
        go.Heatmap(
            x=list(map(escape_plotly, class_names)),
            y=list(map(escape_plotly, class_names)),
            z=[[share * 100 for share in row] for row in shares],
            zmin=0,
            zmax=100,
            colorscale=[[0, f"rgba{(*color, 0)}"], [1, f"rgb{color}"]],
            xgap=1,
            ygap=1,
            showscale=False,
            hovertemplate="of the frames with %{y}, %{z:.0f}% show %{x}<extra></extra>",
        )
    )
    labels = {"type": "category", "fixedrange": True, "showgrid": False, "tickmode": "linear"}
    figure.update_layout(
        height=22 * len(class_names) + 120,
        margin={"l": 0, "r": 8, "t": 8, "b": 8},
        xaxis=labels | {"side": "top", "tickangle": -55} | class_axis(class_names, are_columns=True),
        yaxis=labels | {"autorange": "reversed"} | class_axis(class_names),
    )
    return figure


def lr_finder_figure(points: Sequence[LrPoint], suggested: float | None, color: str) -> go.Figure:
    """Return the losses of a learning-rate range test over the rate, which grows by the same factor from step to step.

    Args:
        points: so far.
        suggested: the rate to mark, if there is one yet.
        color: CSS colour of the smoothed loss.
    """
    rates = [point.rate for point in points]
    figure = go.Figure()
    figure.add_scatter(
        x=rates,
        y=[point.loss for point in points],
        mode="markers",
        marker={"size": 4, "color": color, "opacity": _FADED},
        hovertemplate="rate %{x:.1e}<br>loss %{y:.3g}<extra></extra>",
    )
    figure.add_scatter(
        x=rates,
        y=[point.smoothed for point in points],
        mode="lines",
        line={"color": color, "width": 2},
        hovertemplate="rate %{x:.1e}<br>smoothed %{y:.3g}<extra></extra>",
    )
    # The burst at the end would press everything else flat.
    low = 0.9 * min((point.smoothed for point in points), default=0.0)
    high = 1.4 * max((point.smoothed for point in points[:5]), default=1.0)
    if suggested is not None:
        figure.add_scatter(
            x=[suggested, suggested],
            y=[low, high],
            mode="lines",
            line={"color": color, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
        )
    figure.update_layout(
        height=260,
        margin={"l": 48, "r": 12, "t": 8, "b": 40},
        xaxis={
            "type": "log",
            "range": [-6, 0],
            "fixedrange": True,
            "title": "learning rate",
            "exponentformat": "power",
        },
        yaxis={"range": [low, high], "fixedrange": True, "title": "training loss"},
        showlegend=False,
    )
    return figure


def schedule_figure(training: TrainingConfig, color: str) -> go.Figure:
    """Return the learning rate over a run, as its schedule will have it: by epochs, or, where minutes count, by share.

    Args:
        training: length, schedule and highest rate.
        color: CSS colour of the line.
    """
    shares = [(index + 0.5) / _SCHEDULE_POINTS for index in range(_SCHEDULE_POINTS)]
    title, whole = ("share of the training, %", 100.0) if training.minutes else ("epoch", training.epochs)
    rates = [training.learning_rate * lr_scale(training, share, share * training.epochs) for share in shares]
    figure = go.Figure(
        go.Scatter(
            x=[share * whole for share in shares],
            y=rates,
            mode="lines",
            line={"color": color, "width": 2},
            hovertemplate="%{x:.3g}: rate %{y:.3g}<extra></extra>",
        )
    )
    figure.update_layout(
        height=180,
        margin={"l": 56, "r": 12, "t": 8, "b": 40},
        xaxis={"fixedrange": True, "title": title, "rangemode": "tozero"},
        yaxis={"fixedrange": True, "title": "learning rate", "rangemode": "tozero", "exponentformat": "e"},
        showlegend=False,
    )
    return figure


def parallel_figure(
    settings: Mapping[str, Sequence[Value]], scores: Sequence[float], score_name: str, logarithmic: Collection[str] = ()
) -> go.Figure:
    """Parallel coordinates: a line for each trial through its settings, to its score at the right, coloured by that.

    Args:
        settings: N values, by the setting's name.
        scores: N scores, 0..1.
        score_name: of the last axis.
        logarithmic: the settings whose values are shown by their logarithm.
    """
    percent = [score * 100 for score in scores]
    axes = []
    for name, values in settings.items():
        positions, ticks, texts = _axis(values, name in logarithmic)
        axes.append(
            {"label": name, "values": positions, "tickvals": ticks, "ticktext": texts, "range": _ends(positions)}
        )
    axes.append({"label": score_name, "values": percent, "range": _ends(percent)})
    figure = go.Figure(
        go.Parcoords(
            dimensions=axes,
            line={"color": percent, "colorscale": _LOW_TO_HIGH, "cmin": min(percent), "cmax": max(percent)},
            labelfont={"size": 14},
            tickfont={"size": 12},
        )
    )
    figure.update_layout(height=360, margin={"l": 60, "r": 50, "t": 50, "b": 20})
    return figure


def scatter_figure(
    settings: Mapping[str, Sequence[Value]],
    scores: Sequence[float],
    names: Sequence[str],
    color: str,
    score_name: str,
    logarithmic: Collection[str] = (),
) -> go.Figure:
    """Return each setting against the score, one small plot beside the other; a dot for each trial.

    Args:
        settings: N values, by the setting's name.
        scores: N scores, 0..1.
        names: of the N trials.
        color: CSS colour of the dots.
        score_name: of the upright axis.
        logarithmic: the settings whose values are shown by their logarithm.
    """
    columns = min(3, len(settings))
    rows = -(-len(settings) // columns)
    figure = make_subplots(
        rows,
        columns,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=0.28 / rows,
        subplot_titles=list(settings),
    )
    for index, (name, values) in enumerate(settings.items()):
        positions, ticks, texts = _axis(values, name in logarithmic)
        cell = {"row": index // columns + 1, "col": index % columns + 1}
        figure.add_scatter(
            x=positions,
            y=[score * 100 for score in scores],
            mode="markers",
            marker={"color": color, "size": 9, "opacity": 0.85},
            customdata=[
                [escape_plotly(trial), escape_plotly(str(value))] for trial, value in zip(names, values, strict=True)
            ],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}: %{y:.1f}%<extra></extra>",
            **cell,
        )
        figure.update_xaxes(
            tickvals=ticks, ticktext=texts, range=_ends(positions), fixedrange=True, showgrid=False, **cell
        )
    figure.update_yaxes(fixedrange=True, ticksuffix="%")
    figure.update_yaxes(title=score_name, col=1)
    figure.update_layout(height=230 * rows + 40, margin={"l": 0, "r": 8, "t": 40, "b": 8}, showlegend=False)
    return figure


def importance_figure(shares: Mapping[str, float], color: str) -> go.Figure:
    """Horizontal bars of each setting's share of the importance, 0..1, in the order given from the top."""
    figure = go.Figure(
        go.Bar(
            x=[share * 100 for share in shares.values()][::-1],
            y=list(shares)[::-1],
            orientation="h",
            marker={"color": color},
            text=[f"{share:.0%}" for share in shares.values()][::-1],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.update_layout(
        height=36 * len(shares) + 40,
        margin={"l": 0, "r": 60, "t": 8, "b": 8},
        xaxis={"visible": False, "fixedrange": True},
        yaxis={"fixedrange": True, "ticklabelstandoff": 6},
        showlegend=False,
    )
    return figure


def survivors_figure(
    scores: Mapping[str, Sequence[float]], frames: Sequence[int], best: str | None, color: str
) -> go.Figure:
    """Return who came how far: a line for each trial over the rounds, up to the one after which it was dropped.

    Args:
        scores: 0..1, one a round, by the trial's name.
        frames: that were learned from in each round.
        best: name of the trial whose line stands out.
        color: CSS colour of that line.
    """
    figure = go.Figure()
    for name, line in sorted(scores.items(), key=lambda item: item[0] == best):
        figure.add_scatter(
            x=list(range(1, len(line) + 1)),
            y=[score * 100 for score in line],
            name=escape_plotly(name),
            mode="lines+markers",
            line={"color": color if name == best else "rgba(128,128,128,0.55)", "width": 3 if name == best else 1.5},
            hovertemplate=f"{escape_plotly(name)}: %{{y:.1f}}%<extra></extra>",
        )
    figure.update_layout(
        height=340,
        margin={"l": 0, "r": 8, "t": 8, "b": 8},
        xaxis={
            "tickvals": list(range(1, len(frames) + 1)),
            "ticktext": [f"round {index + 1}, {count} frames" for index, count in enumerate(frames)],
            "range": [0.8, len(frames) + 0.2],
            "fixedrange": True,
            "showgrid": False,
        },
        yaxis={"title": "mIoU", "ticksuffix": "%", "fixedrange": True},
        showlegend=False,
    )
    return figure


def labelling_figure(points: Sequence[tuple[float, float, str]], color: str) -> go.Figure:
    """Return what networks learned from labels by the minutes that those took.

    Args:
        points: minutes, mean IoU 0..1, and what is said of it, one a run.
        color: CSS colour of the line.
    """
    points = sorted(points)
    figure = go.Figure()
    figure.add_scatter(
        x=[minutes for minutes, _, _ in points],
        y=[score * 100 for _, score, _ in points],
        text=[escape_plotly(text) for _, _, text in points],
        mode="lines+markers",
        line={"color": color, "width": 2},
        hovertemplate="%{text}: %{y:.1f}%<extra></extra>",
    )
    figure.update_layout(
        height=170,
        margin={"l": 0, "r": 8, "t": 8, "b": 8},
        xaxis={"title": "minutes of work", "rangemode": "tozero", "fixedrange": True, "showgrid": False},
        yaxis={"title": "mIoU", "ticksuffix": "%", "fixedrange": True},
        showlegend=False,
    )
    return figure


def _axis(values: Sequence[Value], logarithmic: bool) -> tuple[list[float], list[float], list[str]]:
    """Return where values stand on an axis, and its ticks with their texts: few or no numbers at even distances, many
    to scale.
    """
    is_numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    known = sorted(set(values)) if is_numeric else sorted(set(values), key=str)
    if not is_numeric or len(known) <= _FEW:
        positions = {value: float(index) for index, value in enumerate(known)}
        return [positions[value] for value in values], list(positions.values()), list(map(_short, known))
    scaled = [math.log10(value) if logarithmic else float(value) for value in values]
    low, high = min(scaled), max(scaled)
    ticks = [low + index * (high - low) / (_TICKS - 1) for index in range(_TICKS)]
    return scaled, ticks, [f"{10**tick if logarithmic else tick:.2g}" for tick in ticks]


def _ends(positions: Sequence[float]) -> list[float]:
    """Return a range that holds all places with some air; one of its own where they are all the same."""
    air = (max(positions) - min(positions)) * 0.06 or 1.0
    return [min(positions) - air, max(positions) + air]


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    if share == 0:
        return "none"
    return f"{share:.1%}" if share >= 0.001 else f"{share:.3%}"
