"""Where everything stands in the drawing of a network: columns in the order of computation, heights by the stride.

What it looks like is left to `app.diagram`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

from core.models.summary_types import Block, ModelSummary

OCTAVE = 66.0
"""Pixels of the drawing between one stride and its double."""
LEFT = 62.0
"""Where the picture stands; the strides are written before it."""
LETTER = 5.4
"""About the width of a letter of a label."""
LABEL_HEIGHT = 27.0
WIDEST = 210.0
"""Of a box, however many modules it stands for."""
SPACIOUS = 810.0
"""A drawing that is narrower than this is drawn with wider gaps, as far as they go."""
GAPS = (20.0, 130.0)

INPUT = -1
END = 18.0
"""Width of the picture and of the logits."""


@dataclass(frozen=True)
class Box:
    """A block or an end on the paper; x is its left side and y its middle.

    `anchor` and `anchor_above` say how the words below and above it are anchored.
    """

    column: int
    x: float
    y: float
    width: float
    height: float
    anchor: str
    anchor_above: str

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


def edges(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """From where to where something flows: -1 is the picture, and `len(blocks)` the logits, which the last block
    gives.
    """
    for index, block in enumerate(blocks):
        for source in block.inputs:
            yield source, index
    yield len(blocks) - 1, len(blocks)


# ---- where things stand


def arrange(summary: ModelSummary, compact: bool) -> tuple[dict[int, Box], float]:
    """Return a place for everything that has a number in `edges`, and the gap between two columns."""
    sizes, widths = _sizes(summary)
    octaves = {index: log2(summary.size[1] / width) for index, (_, width) in sizes.items()}
    columns = _columns(summary.blocks, octaves)
    anchors = _anchors(summary.blocks, octaves, columns)
    anchors_above = _anchors_above(summary.blocks, octaves)
    members: dict[int, list[int]] = {}
    for index, column in columns.items():
        members.setdefault(column, []).append(index)
    thickest = {column: max(widths[index] for index in indices) for column, indices in members.items()}
    gap = min(max((SPACIOUS - LEFT - sum(thickest.values())) / len(members), GAPS[0]), GAPS[1])
    boxes: dict[int, Box] = {}
    x, reached = LEFT, {}
    for column in sorted(members):
        middle = x + thickest[column] / 2
        for index in members[column]:
            left, _ = _label_reach(widths[index], anchors[index], sizes[index])
            for other, end in reached.items():  # labels at about the same height
                if not compact and abs(octaves[other] - octaves[index]) * OCTAVE < LABEL_HEIGHT:
                    middle = max(middle, end + 10 - left)
        for index in members[column]:
            reached[index] = middle + _label_reach(widths[index], anchors[index], sizes[index])[1]
            height = max(12.0, 42 - 5 * octaves[index])
            boxes[index] = Box(
                column, middle - widths[index] / 2, octaves[index] * OCTAVE, widths[index], height,
                anchors[index], anchors_above[index],
            )  # fmt: skip
        x = middle + thickest[column] / 2 + gap
    return boxes, gap


def _sizes(summary: ModelSummary) -> tuple[dict[int, tuple[int, int]], dict[int, float]]:
    """Height and width in cells, and width on the paper, of everything that has a number in `edges`."""
    blocks = summary.blocks
    ends = (INPUT, len(blocks))
    sizes = {level: summary.size for level in ends}
    sizes |= {index: (block.height, block.width) for index, block in enumerate(blocks)}
    return sizes, dict.fromkeys(ends, END) | {index: _box_width(block) for index, block in enumerate(blocks)}


def _label_reach(width: float, anchor: str, size: tuple[int, int]) -> tuple[float, float]:
    """Return how far box and label go to the left and to the right of the box's middle."""
    label = LETTER * len(format_size(size))
    left = {"end": width / 2 - label, "middle": -label / 2, "start": -width / 2}[anchor]
    return min(left, -width / 2), max(left + label, width / 2)


def _anchors(blocks: Sequence[Block], octaves: dict[int, float], columns: dict[int, int]) -> dict[int, str]:
    """Return labels stand below their boxes, on the side where no edge passes.

    An edge passes there that comes from below or goes down, or that does so above or below others of the same column.
    """
    falls, rises = _slopes(blocks, octaves)
    anchors = {}
    for index, octave in octaves.items():
        lower = [other for other in octaves if columns[other] == columns[index] and octaves[other] > octave]
        on_left = any(target == index for _, target in rises) or any(target in lower for _, target in falls)
        on_right = any(source == index for source, _ in falls) or any(source in lower for source, _ in rises)
        anchors[index] = "middle" if on_left == on_right else "end" if on_right else "start"
    return anchors


def _anchors_above(blocks: Sequence[Block], octaves: dict[int, float]) -> dict[int, str]:
    """Return words above a box go to the side where no edge comes from above or goes up."""
    falls, rises = _slopes(blocks, octaves)
    fallen, rising = {target for _, target in falls}, {source for source, _ in rises}
    return {
        index: "middle" if (index in fallen) == (index in rising) else "end" if index in rising else "start"
        for index in octaves
    }


def _slopes(blocks: Sequence[Block], octaves: dict[int, float]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the edges that go down, and those that go up."""
    steps = [(octaves[target] - octaves[source], (source, target)) for source, target in edges(blocks)]
    return [edge for step, edge in steps if step > 0.05], [edge for step, edge in steps if step < -0.05]


def _columns(blocks: Sequence[Block], octaves: dict[int, float]) -> dict[int, int]:
    """Return the order of computation: every block stands right of its inputs, on the longest path as close to them as
    it can.

    One that has room stands above or below its like on that path, if it finds a place there, as all scores of an FCN
    do.
    """
    earliest = {column_index: 0 for column_index in octaves}
    for source, target in sorted(edges(blocks), key=lambda edge: edge[1]):
        earliest[target] = max(earliest[target], earliest[source] + 1)
    latest = {index: max(earliest.values()) for index in octaves}
    for source, target in sorted(edges(blocks), key=lambda edge: -edge[1]):
        latest[source] = min(latest[source], latest[target] - 1)
    columns = {index: earliest[index] for index in octaves if earliest[index] == latest[index]} | {INPUT: 0}
    for index, block in enumerate(blocks):
        if index in columns:
            continue
        low = 1 + max((columns[source] for source in block.inputs), default=0)
        like = [columns[other] for other in columns if 0 <= other < len(blocks) and blocks[other].part == block.part]
        ideal = sum(like) / len(like) if like else (low + latest[index]) / 2

        def cost(column: int, end: int = index, ideal: float = ideal) -> tuple[bool, float]:
            taken = any(columns[other] == column and abs(octaves[other] - octaves[end]) < 0.9 for other in columns)
            return taken, abs(column - ideal)

        columns[index] = min(range(low, latest[index] + 1), key=cost)
    return columns


def _box_width(block: Block) -> float:
    """Return one slab for a module, thicker for more channels, up to what fits."""
    return min(WIDEST, block.modules * (3 + 1.1 * log2(max(2, block.channels))))


# ---- edges


def route(source: int, target: int, boxes: dict[int, Box]) -> str:
    """Return the path of an edge: the calmest way that crosses no box, over the others if it must be."""
    start, end = boxes[source], boxes[target]
    x1, y1, x2, y2 = start.right, start.y, end.x - 1, end.y
    head = f"M{x2 - 4:.1f} {y2 - 3:.1f}L{x2:.1f} {y2:.1f}L{x2 - 4:.1f} {y2 + 3:.1f}"
    if end.column - start.column == 1:
        middle = (x1 + x2) / 2
        return f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}{head}"
    others = [box for index, box in boxes.items() if index not in (source, target)]
    highest = min(y1, y2)
    lanes = [y1, y2, *(highest - 14 * lift for lift in range(1, 12))]
    lane = min(lanes, key=lambda lane: (_crossings(start, end, lane, others), lanes.index(lane)))
    bend = _bend(start, end)
    return (
        f"M{x1:.1f} {y1:.1f}C{x1 + bend / 2:.1f} {y1:.1f} {x1 + bend / 2:.1f} {lane:.1f} {x1 + bend:.1f} {lane:.1f}"
        f"L{x2 - bend:.1f} {lane:.1f}"
        f"C{x2 - bend / 2:.1f} {lane:.1f} {x2 - bend / 2:.1f} {y2:.1f} {x2:.1f} {y2:.1f}{head}"
    )


def _bend(start: Box, end: Box) -> float:
    """Return how many pixels an edge has for climbing to its lane, and for leaving it."""
    return min((end.x - start.right) / 3, GAPS[0])


def _crossings(start: Box, end: Box, lane: float, others: list[Box]) -> int:
    """Return how many boxes an edge runs over when it goes along `lane`, its two turns included."""
    bend = _bend(start, end)
    legs = [
        (start.right, start.right + bend, *sorted((start.y, lane))),
        (start.right + bend, end.x - bend, lane, lane),
        (end.x - bend, end.x, *sorted((lane, end.y))),
    ]
    return sum(
        box.x < right and left < box.right and box.top - 4 < low and high < box.bottom + 4
        for box in others
        for left, right, high, low in legs
    )


def format_size(size: tuple[int, int]) -> str:
    """Width before height, as on all of the lab's pages."""
    height, width = size
    return f"{width} × {height}"
