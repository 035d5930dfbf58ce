"""The drawing of a network for paper: the same arrangement as on the page Models, drawn with matplotlib."""

import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from core.models.diagram_layout import INPUT, LEFT, OCTAVE, Box, arrange, edges, format_size, route
from core.models.summary_types import ModelSummary
from core.report.figures import INK, QUIET, STYLE, WIDTH, drawing_of
from core.report.structure import Drawing

PART_COLORS = ("#4269d0", "#2f9e77", "#e0902a", "#d6568f", "#8a5cd1", "#3aa3c9")
PLAIN_COLOR = "#8b9198"
LETTERS = 10.5
"""Height of a letter in units of the arrangement, where a drawing is as wide as it was arranged for."""


@matplotlib.rc_context(STYLE)
def network_figure(model_summary: ModelSummary) -> Drawing:
    """Return the network from the picture at the left to the scores at the right; height is the stride in octaves."""
    boxes, _ = arrange(model_summary, compact=False)
    logits = len(model_summary.blocks)
    colors = {part.name: PART_COLORS[index % len(PART_COLORS)] for index, part in enumerate(model_summary.parts)}
    left, right = 0.0, max(box.right for box in boxes.values()) + 44
    top, bottom = (min(box.top for box in boxes.values()) - 24, max(box.bottom for box in boxes.values()) + 34)
    inch = WIDTH / (right - left)
    points = max(4.8, 72 * inch * LETTERS)
    canvas = Canvas(figsize=(WIDTH, (bottom - top) * inch))
    axes = canvas.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.axis("off")
    dotted = {"color": QUIET, "linewidth": 0.4, "linestyle": (0, (2, 4)), "alpha": 0.5}
    for octave in range(int(max(box.y for box in boxes.values()) / OCTAVE + 0.01) + 1):
        axes.plot([LEFT - 8, right - 20], [octave * OCTAVE] * 2, **dotted)
        text = str(2**octave) if octave else "stride 1"
        axes.text(LEFT - 14, octave * OCTAVE, text, ha="right", va="center", fontsize=points, color=QUIET)
    for source, target in edges(model_summary.blocks):
        skips = boxes[target].column - boxes[source].column > 1
        color, width = ("#0f766e", 0.9) if skips else (QUIET, 0.7)
        path = _path(route(source, target, boxes))
        axes.add_patch(PathPatch(path, facecolor="none", edgecolor=color, linewidth=width))
    for index, block in enumerate(model_summary.blocks):
        box = boxes[index]
        slab = box.width / block.modules
        space = min(2.0, slab / 4) if block.modules > 1 else 0.0
        color = colors.get(block.part, PLAIN_COLOR)
        for module in range(block.modules):
            corner = (box.x + module * slab, box.top)
            axes.add_patch(Rectangle(corner, slab - space, box.height, facecolor=color, alpha=0.88, linewidth=0))
        _label(axes, box, str(block.channels), points, 0, INK)
        _label(axes, box, format_size((block.height, block.width)), points * 0.86, 1, QUIET)
    for index, text in ((INPUT, "picture"), (logits, f"{model_summary.blocks[-1].channels} classes")):
        box = boxes[index]
        corner, frame = (box.x, box.top), {"facecolor": "#ecece8", "edgecolor": QUIET, "linewidth": 0.6}
        axes.add_patch(Rectangle(corner, box.width, box.height, **frame))
        _label(axes, box, text, points, 0, INK)
        _label(axes, box, format_size(model_summary.size), points * 0.86, 1, QUIET)
    return drawing_of(canvas)


def network_alt(model_summary: ModelSummary) -> str:
    """Return the drawing in words."""
    steps = "; ".join(
        f"{block.name}: {block.modules} x {block.kind}, {block.channels} channels of"
        f" {format_size((block.height, block.width))}"
        for block in model_summary.blocks
    )
    return f"{model_summary.title}, {len(model_summary.blocks)} blocks from the picture to the scores. {steps}."


def _label(axes: Axes, box: Box, text: str, points: float, row: int, color: str) -> None:
    x, align = {
        "end": (box.right, "right"),
        "middle": (box.x + box.width / 2, "center"),
        "start": (box.x, "left"),
    }[box.anchor]
    axes.text(x, box.bottom + 3 + 11 * row, text, ha=align, va="top", fontsize=points, color=color)


def _path(svg: str) -> Path:
    """Return a path of `core.models.diagram_layout.route`, which knows M, C and L."""
    corners: list[tuple[float, float]] = []
    codes: list[int] = []
    kinds = {"M": [Path.MOVETO], "L": [Path.LINETO], "C": [Path.CURVE4] * 3}
    for letter, coordinates in re.findall(r"([MCL])([^MCL]+)", svg):
        values = [float(coordinate) for coordinate in coordinates.split()]
        points = list(zip(values[::2], values[1::2], strict=True))
        corners += points
        codes += kinds[letter] * (len(points) // len(kinds[letter]))
    return Path(corners, codes)
