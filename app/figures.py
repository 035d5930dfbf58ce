"""Still figures. Rows in, plotly figure out; nothing of Streamlit here."""

from collections.abc import Sequence

import plotly.graph_objects as go


def class_shares_figure(
    classes: Sequence[str], colors: Sequence[tuple[int, int, int]], shares: Sequence[float]
) -> go.Figure:
    """Horizontal bars of each class's share of the labelled pixels, largest first.

    Args:
        classes: K names.
        colors: K colours, red green blue, 0..255.
        shares: K shares, 0..1.
    """
    order = sorted(range(len(classes)), key=lambda number: shares[number])
    figure = go.Figure(
        go.Bar(
            x=[shares[number] * 100 for number in order],
            y=[classes[number] for number in order],
            orientation="h",
            marker={"color": [f"rgb{tuple(colors[number])}" for number in order], "line": {"width": 0}},
            text=[_percent(shares[number]) for number in order],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.update_layout(
        height=26 * len(classes) + 40,
        margin={"l": 0, "r": 60, "t": 8, "b": 24},
        xaxis={"visible": False, "fixedrange": True},
        yaxis={"fixedrange": True, "ticklabelstandoff": 6},
        bargap=0.35,
        showlegend=False,
    )
    return figure


def _percent(share: float) -> str:
    if share == 0:
        return "none"
    return f"{share:.1%}" if share >= 0.001 else f"{share:.3%}"
