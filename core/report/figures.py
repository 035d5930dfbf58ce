"""The figures of a report, drawn with matplotlib as vectors: SVG for the page, PDF for LaTeX.

Numbers in, drawing out.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from core.evaluation.leaderboard import frontier
from core.labels import Color
from core.report.structure import Drawing

WIDTH = 6.3
"""Inches: what an A4 page has between its margins."""
INK, QUIET, FAINT = "#1c2024", "#6b7178", "#e3e3de"
BROKEN = {"color": QUIET, "linewidth": 0.8, "linestyle": (0, (4, 3))}
"""A line that isn't a run's."""
SHORT = 28
"""Letters of a run's name in a legend."""

RAMP = matplotlib.colors.LinearSegmentedColormap.from_list("ink", ["#f7f7f4", "#9db8dc", "#2f62b5", "#16294d"])

STYLE = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "svg.fonttype": "path",
    "svg.hashsalt": "report",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a run may be called $x$
}


@matplotlib.rc_context(STYLE)
def curves_figure(
    losses: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    scores: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    colors: Mapping[str, str],
    unit: str,
) -> Drawing:
    """Training loss and validation mean IoU over the time or the steps that were spent.

    Args:
        losses: by run, times and losses; the loss is smoothed over a fiftieth of the points, the raw one is faint
            behind it.
        scores: by run, times and mean IoU, 0..1.
        colors: by run.
        unit: of the times.
    """
    canvas = Canvas(figsize=(WIDTH, 2.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    for name, (times, values) in losses.items():
        left.plot(times, values, color=colors[name], alpha=0.18, linewidth=0.6)
        left.plot(times, _smooth(values), color=colors[name], label=_short(name))
    for name, (times, values) in scores.items():
        _curve(right, times, values, name, colors)
    left.set(xlabel=unit, ylabel="training loss")
    right.set(xlabel=unit, ylabel="validation mean IoU, %")
    right.set_ylim(bottom=0)
    left.set_xlim(left=0)
    right.set_xlim(left=0)
    _legend(canvas, right if scores else left)
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE)
def bars_figure(
    class_names: Sequence[str], values: Mapping[str, Sequence[float | None]], colors: Mapping[str, str], label: str
) -> Drawing:
    """Return a group of horizontal bars for each class, one for each run; values 0..1, None without a bar."""
    each = 0.8 / max(1, len(values))
    height = len(class_names) * max(0.148, 0.062 * len(values)) + 0.75
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
    axes = canvas.subplots()
    for index, (name, row) in enumerate(values.items()):
        positions = np.arange(len(class_names)) - 0.4 + each * (index + 0.5)
        widths = [0 if value is None else value * 100 for value in row]
        axes.barh(positions, widths, height=each * 0.92, color=colors[name], label=_short(name))
    _name_rows(axes, class_names)
    axes.set(xlabel=label)
    axes.margins(y=0.01)
    if len(values) > 1:
        _legend(canvas, axes)
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE)
def shares_figure(
    class_names: Sequence[str], shares: Mapping[str, Sequence[float]], colors: Sequence[Color]
) -> Drawing:
    """Return share of the pixels of each class on a logarithmic axis, in the class's colour.

    The first list as bars, others as marks.
    """
    canvas = Canvas(figsize=(WIDTH, 0.148 * len(class_names) + 0.7), layout="constrained")
    axes = canvas.subplots()
    names = list(shares)
    first = np.array(shares[names[0]]) * 100
    known = [share * 100 for row in shares.values() for share in row if share > 0]
    floor = 10 ** np.floor(np.log10(min(known, default=1)))
    axes.set_xscale("log")
    axes.barh(
        range(len(class_names)),
        np.maximum(first, floor) - floor,
        left=floor,
        height=0.72,
        color=np.array(colors) / 255,
        edgecolor=QUIET,
        linewidth=0.3,
        label=names[0],
    )
    for name, marker in zip(names[1:], "oD^", strict=False):
        values = np.array(shares[name]) * 100
        present = np.flatnonzero(values > 0)
        axes.plot(values[present], present, marker, color=INK, markersize=3.2, markerfacecolor="white", label=name)
    _name_rows(axes, class_names)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    axes.set(xlabel="share of the labelled pixels, %, logarithmic")
    axes.set_xlim(floor, 100)
    if len(names) > 1:
        handles, text = axes.get_legend_handles_labels()
        by_name = dict(zip(text, handles, strict=True))
        axes.legend([by_name[name] for name in names], names, loc="lower right")
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE | {"axes.grid": False, "xtick.labelsize": 6, "ytick.labelsize": 6})
def confusion_figure(class_names: Sequence[str], matrices: Mapping[str, np.ndarray]) -> Drawing:
    """Confusion matrices (K, K), rows the truth, each adding up to 1 at most; darker is more."""
    columns = min(2, len(matrices))
    rows = -(-len(matrices) // columns)
    size = (WIDTH, rows * WIDTH / 2) if columns == 2 else (4.2, 4.0)
    canvas = Canvas(figsize=size, layout="constrained")
    grid = _grid(canvas, rows, columns, len(matrices))
    for index, (axes, (name, matrix)) in enumerate(zip(grid, matrices.items(), strict=False)):
        axes.pcolormesh(np.sqrt(np.nan_to_num(matrix)), cmap=RAMP, vmin=0, vmax=1, linewidth=0.15, edgecolors="white")
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.set_title(_short(name), loc="left")
        axes.set_xticks(np.arange(len(class_names)) + 0.5, class_names, rotation=90)
        axes.set_yticks(
            np.arange(len(class_names)) + 0.5, class_names if index % columns == 0 else [""] * len(class_names)
        )
        axes.tick_params(length=0, pad=1)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if index % columns == 0:
            axes.set_ylabel("truth")
        axes.set_xlabel("predicted")
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE)
def reliability_figure(
    bins: Mapping[str, tuple[Sequence[float], Sequence[float]]], colors: Mapping[str, str]
) -> Drawing:
    """Return share of right pixels over the mean confidence, bin by bin.

    On the diagonal a network is as sure as it is right.
    """
    canvas = Canvas(figsize=(3.6, 3.0), layout="constrained")
    axes = canvas.subplots()
    axes.plot([0, 100], [0, 100], **BROKEN)
    for name, (sure, right) in bins.items():
        _curve(axes, np.array(sure) * 100, right, name, colors)
    axes.set(xlabel="confidence, %", ylabel="right, %", xlim=(0, 100), ylim=(0, 100))
    axes.set_aspect("equal")
    axes.legend(loc="upper left")
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE | {"xtick.labelsize": 7, "ytick.labelsize": 7})
def robustness_figure(
    kinds: Mapping[str, Mapping[str, Sequence[float | None]]], clean: Mapping[str, float], colors: Mapping[str, str]
) -> Drawing:
    """Return mean IoU over the strength of a corruption, a small plot for each kind.

    Args:
        kinds: by kind, then by run, mean IoU 0..1 at strengths 1 to 5.
        clean: by run, on the frames as they are: strength 0.
        colors: by run.
    """
    columns = min(4, len(kinds))
    rows = -(-len(kinds) // columns)
    canvas = Canvas(figsize=(WIDTH, 1.45 * rows + 0.35), layout="constrained")
    grid = _grid(canvas, rows, columns, len(kinds), sharex=True, sharey=True)
    for axes, (kind, lines) in zip(grid, kinds.items(), strict=False):
        for name, values in lines.items():
            row = [clean[name], *values]
            _curve(axes, range(len(row)), row, name, colors, markersize=2.2, linewidth=1.1)
        axes.set_title(kind, loc="left", pad=3)
        axes.set_xticks(range(6))
    for axes in grid[::columns]:
        axes.set_ylabel("mean IoU, %")
    grid[0].set_ylim(bottom=0)
    canvas.supxlabel("strength, 0 is the frame as it is", fontsize=8)
    _legend(canvas, grid[0])
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE)
def pareto_figure(points: Mapping[str, tuple[float | None, float, float]], colors: Mapping[str, str]) -> Drawing:
    """Return mean IoU against the time of a prediction and against the number of parameters.

    Who is beaten in both is joined by no line.

    Args:
        points: by run, milliseconds, parameters and mean IoU 0..1; without milliseconds, only parameters are drawn.
        colors: by run.
    """
    halves = [(0, 1.0, "ms for one frame, logarithmic"), (1, 1e-6, "parameters, millions, logarithmic")]
    if any(point[0] is None for point in points.values()):
        del halves[0]
    canvas = Canvas(figsize=(WIDTH * len(halves) / 2, 2.5), layout="constrained")
    grid = canvas.subplots(1, len(halves), sharey=True, squeeze=False)[0]
    for axes, (column, scale, title) in zip(grid, halves, strict=True):
        axes.set_xscale("log")
        costs = {name: point[column] * scale for name, point in points.items()}
        front = frontier({name: (costs[name], point[2]) for name, point in points.items()})
        if len(front) > 1:
            scores = [points[name][2] * 100 for name in front]
            axes.plot([costs[name] for name in front], scores, zorder=1, **BROKEN)
        for name, point in points.items():
            axes.plot(costs[name], point[2] * 100, "o", color=colors[name], markersize=6, label=_short(name))
        axes.set(xlabel=title)
        axes.margins(x=0.18, y=0.2)
        axes.minorticks_off()
        ticks = _log_ticks(list(costs.values()))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    grid[0].set_ylabel("mean IoU, %")
    _legend(canvas, grid[-1])
    return drawing_of(canvas)


@matplotlib.rc_context(STYLE)
def distance_figure(
    bands: Sequence[str], values: Mapping[str, Sequence[float | None]], colors: Mapping[str, str]
) -> Drawing:
    """Pixel accuracy by distance from a true boundary; values 0..1 by run, one for each band."""
    canvas = Canvas(figsize=(4.2, 2.4), layout="constrained")
    axes = canvas.subplots()
    for name, row in values.items():
        _curve(axes, range(len(bands)), row, name, colors)
    axes.set_xticks(range(len(bands)), bands)
    axes.set(xlabel="distance from a true boundary, pixels", ylabel="right pixels, %")
    axes.legend(loc="lower right")
    return drawing_of(canvas)


def _log_ticks(values: Sequence[float]) -> list[float]:
    """Round numbers around and between the values."""
    low, high = min(values) / 1.6, max(values) * 1.6
    steps = [mantissa * 10.0**power for power in range(-4, 7) for mantissa in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high]
    return ticks or [min(values)]


def _smooth(values: Sequence[float]) -> np.ndarray:
    """Return a centred mean over a fiftieth of the points, shorter at the ends."""
    series = np.array(values, np.float64)
    reach = max(1, len(series) // 100)
    sums = np.concatenate([[0.0], np.cumsum(series)])
    starts = np.maximum(0, np.arange(len(series)) - reach)
    ends = np.minimum(len(series), np.arange(len(series)) + reach + 1)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _grid(canvas: Canvas, rows: int, columns: int, count: int, **shared: Any) -> np.ndarray:
    """Return the plots of a grid row by row, those after the first `count` hidden."""
    grid = canvas.subplots(rows, columns, squeeze=False, **shared).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return grid


def _curve(
    axes: Axes, x: Sequence[float], values: Sequence[float | None], name: str, colors: Mapping[str, str], **style: float
) -> None:
    """Draw a run's values, 0..1 or None, in per cent, with a dot at each."""
    percent = np.array(values, np.float64) * 100
    axes.plot(x, percent, color=colors[name], label=_short(name), **({"marker": "o", "markersize": 3} | style))


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name rows of bars, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def _legend(canvas: Canvas, axes: Axes) -> None:
    """One line of names above everything, or several where they don't fit."""
    handles, text = axes.get_legend_handles_labels()
    if len(text) < 2:
        return
    max_length = max(len(entry) for entry in text)
    columns = max(1, min(len(text), int(100 / (max_length + 6))))
    canvas.legend(handles, text, loc="outside upper left", ncols=columns)


def _short(name: str) -> str:
    return name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"


def drawing_of(canvas: Canvas) -> Drawing:
    """Return a canvas in both forms. The same numbers give the same bytes."""
    held = {}
    for kind, metadata in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
        target = io.BytesIO()
        canvas.savefig(target, format=kind, metadata=metadata)
        held[kind] = target.getvalue()
    svg = held["svg"].decode()
    return Drawing(svg[svg.index("<svg") :], held["pdf"])
