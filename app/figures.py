"""Still figures. Rows in, plotly figure out; nothing of Streamlit here."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

Color = tuple[int, int, int]

_FADED = 0.45
"""Opacity of the bars of every group but the first."""


def class_shares_figure(
    classes: Sequence[str], colors: Sequence[Color], shares: Mapping[str, Sequence[float]]
) -> go.Figure:
    """Horizontal bars of each class's share of the labelled pixels, largest first; several groups beside each other.

    Args:
        classes: K names.
        colors: K colours, red green blue, 0..255.
        shares: K shares, 0..1, by the group's name; the first group gives the order and stands on top.
    """
    groups = list(shares)
    order = sorted(range(len(classes)), key=lambda number: shares[groups[0]][number])
    figure = go.Figure()
    # Plotly stacks bars of a group upwards, so the first must come last.
    for group in reversed(groups):
        values = [shares[group][number] for number in order]
        figure.add_bar(
            name=group,
            x=[value * 100 for value in values],
            y=[classes[number] for number in order],
            orientation="h",
            marker={"color": [f"rgb{tuple(colors[number])}" for number in order], "line": {"width": 0}},
            opacity=1 if group == groups[0] else _FADED,
            text=[_percent(value) for value in values],
            textposition="outside",
            textfont={"size": 10},
            constraintext="none",
            cliponaxis=False,
            hovertemplate=f"%{{y}}, {group}: %{{text}}<extra></extra>",
        )
    figure.update_layout(
        height=(10 + 12 * len(groups)) * len(classes) + 40,
        margin={"l": 0, "r": 60, "t": 8, "b": 24},
        xaxis={"visible": False, "fixedrange": True},
        yaxis={"fixedrange": True, "ticklabelstandoff": 6},
        bargap=0.35,
        bargroupgap=0.1,
        showlegend=False,
    )
    return figure


def cooccurrence_figure(classes: Sequence[str], shares: Sequence[Sequence[float]], color: Color) -> go.Figure:
    """A heat map of what is seen together: of the frames that show the class of the row, the share that shows the column's too.

    Args:
        classes: K names.
        shares: K rows of K shares, 0..1.
        color: red green blue, 0..255, of a share of 1; a share of 0 is the page itself.
    """
    figure = go.Figure(
        go.Heatmap(
            x=list(classes),
            y=list(classes),
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
    figure.update_layout(
        height=22 * len(classes) + 120,
        margin={"l": 0, "r": 8, "t": 8, "b": 8},
        xaxis={"fixedrange": True, "side": "top", "tickangle": -55, "showgrid": False, "tickmode": "linear"},
        yaxis={"fixedrange": True, "autorange": "reversed", "showgrid": False, "tickmode": "linear"},
    )
    return figure


def _percent(share: float) -> str:
    if share == 0:
        return "none"
    return f"{share:.1%}" if share >= 0.001 else f"{share:.3%}"
