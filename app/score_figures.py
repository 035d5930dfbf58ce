"""Still figures of scores. Plain values in, plotly figure out; nothing of Streamlit here."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.figures import ACCENT, class_axis
from core.escaping import escape_plotly
from core.evaluation.bootstrap import Comparison
from core.evaluation.metrics.calibration import Calibration
from core.runs.fitted_temperature import FittedTemperature

_GRAY = "rgba(128,128,128,0.6)"
_NO_MARGIN = {"l": 0, "r": 8, "t": 8, "b": 8}
_MIN_LABELED = 0.005
"""A smaller share of a row isn't written into its cell."""
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
KIND_COLORS = ("#4269d0", "#e0902a", "#d6568f", "#2f9e77", "#8a5cd1", "#c4552d", "#3aa3c9")


def confusion_figure(rows: Sequence[str], columns: Sequence[str], shares: np.ndarray, counts: np.ndarray) -> go.Figure:
    """Return a confusion matrix that can be zoomed and clicked: a point of the second trace carries (row, column).

    Args:
        rows: R names of true classes.
        columns: C names of predicted ones.
        shares: float64 (R, C), 0..1, NaN where there is nothing; the darkness grows with the root, so that a hundredth
            is seen.
        counts: int64 (R, C), pixels, to be read under the pointer.
    """
    known = np.nan_to_num(shares)
    row_names, column_names = class_axis(rows), class_axis(columns, are_columns=True)
    rows, columns = list(map(escape_plotly, rows)), list(map(escape_plotly, columns))
    figure = go.Figure(
        go.Heatmap(
            x=columns,
            y=rows,
            z=np.sqrt(known),
            zmin=0,
            zmax=1,
            text=[[f"{100 * share:.0f}" if share >= _MIN_LABELED else "" for share in row] for row in known],
            texttemplate="%{text}",
            textfont={"size": 10},
            colorscale=[[0, f"rgba{(*ACCENT, 0)}"], [1, f"rgb{ACCENT}"]],
            xgap=1,
            ygap=1,
            showscale=False,
            hoverinfo="skip",
        )
    )
    cells = [(row, column) for row in range(len(rows)) for column in range(len(columns))]
    # A heat map doesn't tell that it was clicked: an unseen square on each cell does, and reads out under the pointer.
    figure.add_scatter(
        x=[columns[column] for _, column in cells],
        y=[rows[row] for row, _ in cells],
        mode="markers",
        marker={
            "symbol": "square-open",
            "size": 22,
            "color": "#c8452f",
            "line": {"width": 2},
            "opacity": 0,
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        customdata=[[row, column, int(counts[row, column]), 100 * known[row, column]] for row, column in cells],
        hovertemplate="%{y} seen as %{x}<br>%{customdata[3]:.2f} %, %{customdata[2]:,} pixels<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        height=27 * len(rows) + 110,
        margin=_NO_MARGIN,
        dragmode="zoom",
        hovermode="closest",
        xaxis={
            "type": "category",
            "side": "top",
            "tickangle": -55,
            "showgrid": False,
            "tickmode": "linear",
            "range": [-0.5, len(columns) - 0.5],
        }
        | column_names,
        yaxis={"type": "category", "showgrid": False, "tickmode": "linear", "range": [len(rows) - 0.5, -0.5]}
        | row_names,
    )
    return figure


def reliability_figure(
    results: Mapping[str, Calibration],
    colors: Mapping[str, str],
    fitted: Mapping[str, FittedTemperature] = {},
) -> go.Figure:
    """Return the reliability diagram over how many pixels are how sure; a line and bars for each run, by its name.

    Args:
        results: of the runs.
        colors: theirs.
        fitted: temperatures, of those that have one: a dashed line shows how they were without it.
    """
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.04)
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": _GRAY, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=1,
    )
    for name, calibration in results.items():
        figure.add_scatter(
            x=100 * calibration.confidence,
            y=100 * calibration.accuracy,
            name=escape_plotly(name),
            mode="lines+markers",
            line={"color": colors[name], "width": 2},
            marker={"size": 6},
            hovertemplate=f"{escape_plotly(name)}<br>%{{x:.0f}} % sure, %{{y:.1f}} % right<extra></extra>",
            row=1,
            col=1,
        )
        if name in fitted:
            bins = [
                (100 * each.confidence, 100 * each.accuracy)
                for each in fitted[name].before.bins
                if each.confidence is not None and each.accuracy is not None
            ]
            figure.add_scatter(
                x=[confidence for confidence, _ in bins],
                y=[accuracy for _, accuracy in bins],
                mode="lines",
                line={"color": colors[name], "width": 1, "dash": "dash"},
                showlegend=False,
                hoverinfo="skip",
                row=1,
                col=1,
            )
        middles = 50 * (calibration.edges[1:] + calibration.edges[:-1])
        figure.add_bar(
            x=middles,
            y=100 * calibration.pixels / max(1, calibration.pixels.sum()),
            marker={"color": colors[name], "line": {"width": 0}},
            showlegend=False,
            hovertemplate=f"{escape_plotly(name)}<br>%{{y:.1f}} % of the pixels<extra></extra>",
            row=2,
            col=1,
        )
    figure.update_xaxes(range=[0, 101], fixedrange=True)
    figure.update_xaxes(title="confidence, %", row=2, col=1)
    figure.update_yaxes(fixedrange=True, rangemode="tozero")
    figure.update_yaxes(title="right, %", range=[0, 101], row=1, col=1)
    figure.update_yaxes(title="pixels, %", row=2, col=1)
    figure.update_layout(height=460, margin=_NO_MARGIN, legend=_LEGEND, bargap=0.1)
    return figure


def distance_figure(
    bands: Mapping[str, Sequence[float | None]], names: Sequence[str], colors: Mapping[str, str], title: str
) -> go.Figure:
    """Return a score, 0..1, by distance from a true boundary: a line for each run, by its name."""
    figure = go.Figure()
    for name, values in bands.items():
        figure.add_scatter(
            x=list(names),
            y=[None if value is None else 100 * value for value in values],
            name=escape_plotly(name),
            mode="lines+markers",
            line={"color": colors[name], "width": 2},
            hovertemplate=f"{escape_plotly(name)}<br>%{{x}} pixels: %{{y:.1f}} %<extra></extra>",
        )
    figure.update_layout(
        height=320,
        margin=_NO_MARGIN,
        legend=_LEGEND,
        xaxis={"title": "pixels from a true boundary", "fixedrange": True, "type": "category"},
        yaxis={"title": title, "ticksuffix": " %", "fixedrange": True, "rangemode": "tozero"},
    )
    return figure


def interval_figure(comparisons: Mapping[str, Comparison], colors: Mapping[str, str]) -> go.Figure:
    """Return differences of mean IoU in points with their 95 % intervals, from the top.

    What can't be told from 0 is pale.
    """
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": _GRAY, "width": 1.5})
    for name, comparison in reversed(list(comparisons.items())):
        middle = 100 * comparison.difference
        figure.add_scatter(
            x=[middle],
            y=[escape_plotly(name)],
            mode="markers",
            marker={"size": 11, "color": colors[name]},
            opacity=1 if comparison.is_certain else 0.5,
            # Negative where the difference lies outside of its interval: the bar is drawn beside the dot then.
            error_x={
                "type": "data",
                "array": [100 * comparison.high - middle],
                "arrayminus": [middle - 100 * comparison.low],
                "thickness": 2,
                "width": 6,
            },
            hovertemplate=(
                f"{middle:+.1f} points, {100 * comparison.low:+.1f} to {100 * comparison.high:+.1f}<extra></extra>"
            ),
            showlegend=False,
        )
    figure.update_layout(
        height=70 + 44 * len(comparisons),
        margin=_NO_MARGIN,
        xaxis={"title": "points of mean IoU", "fixedrange": True, "zeroline": False},
        yaxis={"fixedrange": True, "type": "category", "ticklabelstandoff": 6},
    )
    return figure


def frames_figure(
    ids: Sequence[str], one: Sequence[float], other: Sequence[float], names: tuple[str, str], color: str
) -> go.Figure:
    """Return each frame's mean IoU, 0..1, with A against that with B.

    A point carries the frame's id and can be clicked.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": _GRAY, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=[100 * value for value in other],
        y=[100 * value for value in one],
        mode="markers",
        marker={"size": 9, "color": color, "opacity": 0.7},
        unselected={"marker": {"opacity": 0.35}},
        customdata=[[frame] for frame in ids],
        hovertemplate="%{customdata[0]}<br>%{y:.1f} % against %{x:.1f} %<extra></extra>",
        showlegend=False,
    )
    upper = min(100.0, 105 * max([*one, *other], default=1.0))
    axis = {"range": [0, upper], "fixedrange": True, "ticksuffix": " %"}
    figure.update_layout(
        height=420,
        margin=_NO_MARGIN,
        hovermode="closest",
        xaxis=axis | {"title": escape_plotly(names[1])},
        yaxis=axis | {"title": escape_plotly(names[0])},
    )
    return figure


def pareto_figure(
    points: Mapping[str, tuple[float, float]],
    front: Sequence[str],
    names: Mapping[str, str],
    colors: Mapping[str, str],
    titles: tuple[str, str],
) -> go.Figure:
    """Return scores, 0..1, over costs: a point for each run, by its id, and a line through those on the front."""
    figure = go.Figure()
    figure.add_scatter(
        x=[points[run][0] for run in front],
        y=[100 * points[run][1] for run in front],
        mode="lines",
        line={"color": _GRAY, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
        showlegend=False,
    )
    dearest = max((cost for cost, _ in points.values()), default=1.0) or 1.0
    for run, (cost, score) in points.items():
        figure.add_scatter(
            x=[cost],
            y=[100 * score],
            mode="markers+text",
            text=[escape_plotly(names[run])],
            textposition=f"top {_side(cost / dearest)}",
            textfont={"size": 11},
            cliponaxis=False,
            marker={"size": 13, "color": colors[run], "opacity": 1 if run in front else 0.5},
            hovertemplate=f"{escape_plotly(names[run])}<br>%{{y:.1f}} % at %{{x:.3g}}<extra></extra>",
            showlegend=False,
        )
    costs, scores = zip(*points.values(), strict=True) if points else ((1.0,), (1.0,))
    air = max(0.04, 0.25 * (max(scores) - min(scores)))
    figure.update_layout(
        height=420,
        margin=_NO_MARGIN | {"r": 24},
        xaxis={"title": titles[0], "fixedrange": True, "range": [0, 1.15 * max(costs)]},
        yaxis={
            "title": titles[1],
            "ticksuffix": " %",
            "fixedrange": True,
            "range": [100 * max(0.0, min(scores) - air), 100 * min(1.05, max(scores) + air)],
        },
    )
    return figure


def _side(share: float) -> str:
    """On which side of a point at that share of the width its name has room on a phone, too."""
    return "right" if share < 0.25 else "left" if share > 0.75 else "center"


def robustness_figure(miou: Mapping[str, Mapping[int, float | None]], relative: bool) -> go.Figure:
    """Return mean IoU under corruptions over their strength, 0 to 5, resolution loss by itself at the right.

    Args:
        miou: 0..1 by kind and strength; "none" and 0 for the frames as they are.
        relative: as a share of that instead.
    """
    clean = miou["none"][0]
    whole = clean if relative and clean else 1.0
    lost = [kind for kind in miou if kind == "resolution"]
    others = [kind for kind in miou if kind not in ("none", "resolution")]
    figure = make_subplots(
        1,
        2 if lost and others else 1,
        shared_yaxes=True,
        column_widths=[0.66, 0.34] if lost and others else None,
        horizontal_spacing=0.05,
        subplot_titles=[title for title, kinds in (("corruptions", others), ("resolution loss", lost)) if kinds],
    )
    for index, kind in enumerate([*others, *lost]):
        strengths = {0: clean, **miou[kind]}
        figure.add_scatter(
            x=list(strengths),
            y=[None if value is None else 100 * value / whole for value in strengths.values()],
            name=kind,
            mode="lines+markers",
            line={"color": KIND_COLORS[index % len(KIND_COLORS)], "width": 2, "dash": DASHES[index // 7]},
            marker={"size": 5},
            hovertemplate=f"{kind}, strength %{{x}}: %{{y:.1f}} %<extra></extra>",
            showlegend=kind != "resolution",
            row=1,
            col=2 if kind in lost and others else 1,
        )
    figure.update_xaxes(title="strength", fixedrange=True, dtick=1, range=[-0.2, 5.2])
    figure.update_yaxes(fixedrange=True, rangemode="tozero", ticksuffix=" %")
    figure.update_yaxes(title="of the score as it is" if relative else "mIoU", col=1)
    figure.update_layout(height=340, margin=_NO_MARGIN | {"t": 28}, legend=_LEGEND | {"y": -0.2, "yanchor": "top"})
    return figure


_LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
