"""A network as a drawing: from the picture at the left, through every block, to the logits at the right.

Only the blocks are known here, not the families: x is the order of computation, y the stride in octaves. So an FCN becomes
a staircase, a U-Net a U and a ViT a flat line by themselves.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from core.anatomy import Anatomy, Block

PART_COLORS = ("#4269d0", "#2f9e77", "#e0902a", "#d6568f", "#8a5cd1", "#3aa3c9")
"""Of the parts that have parameters, in their order; dark enough on white and light enough on black."""
PLAIN_COLOR = "#8b9198"
"""Of what has no parameters: pooling, dropout, the picture."""

OCTAVE = 66.0
"""Pixels of the drawing between one stride and its double."""
LEFT = 46.0
"""Where the picture stands; the strides are written before it."""
LABEL = 6.0
"""About the width of a letter of a label."""
LABEL_HEIGHT = 27.0
WIDEST = 210.0
"""Of a box, however many modules it stands for."""
SPACIOUS = 900.0
"""A drawing that is narrower than this is drawn with wider gaps, as far as they go."""
GAPS = (24.0, 84.0)

PICTURE = -1


@dataclass(frozen=True)
class _Box:
    """A block, the picture or the logits on the paper; x is its left side and y its middle."""

    column: int
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


def part_colors(anatomy: Anatomy, colors: Sequence[str] = PART_COLORS) -> dict[str, str]:
    """A colour for each part that has parameters, by its name."""
    return {part.name: colors[number % len(colors)] for number, part in enumerate(anatomy.parts)}


def diagram_svg(anatomy: Anatomy, colors: Sequence[str] = PART_COLORS, compact: bool = False) -> str:
    """The drawing as SVG for `st.html`; its strokes and letters take the text's colour through classes of style.css.

    Args:
        anatomy: whose blocks are drawn, each once, with an edge from each of its inputs.
        colors: of the parts, in their order.
        compact: shapes alone, for a small picture beside others.
    """
    boxes = _arrange(anatomy, compact)
    logits = len(anatomy.blocks)
    by_part = part_colors(anatomy, colors)
    drawn = [*_guides(boxes, compact)]
    for source, target in edges(anatomy.blocks):
        skips = boxes[target].column - boxes[source].column > 1
        path = _route(source, target, boxes)
        kind = "lab-edge lab-skip" if skips else "lab-edge"
        drawn.append(f'<path class="{kind}" data-from="{source}" data-to="{target}" d="{path}"></path>')
    height, width = anatomy.size
    drawn.append(_end(boxes[PICTURE], "picture", "picture", (height, width), "The picture", compact))
    for number, block in enumerate(anatomy.blocks):
        drawn.append(_block(number, anatomy.blocks, boxes, by_part.get(block.part, PLAIN_COLOR), compact))
    classes = anatomy.blocks[-1].channels
    last = f"Scores of {classes} classes for every pixel: {interpolation(anatomy) or 'no interpolation is needed'}"
    drawn.append(_end(boxes[logits], "logits", f"{classes} classes", (height, width), last, compact))
    if not compact and interpolation(anatomy):
        box = boxes[logits]
        drawn.append(_text(box.right, box.top - 8, interpolation(anatomy), "end", "lab-quiet"))
    top = min(box.top for box in boxes.values()) - (8 if compact else 24)
    bottom = max(box.bottom for box in boxes.values()) + (8 if compact else LABEL_HEIGHT + 8)
    right = boxes[logits].right + (8 if compact else 30)
    left = boxes[PICTURE].x - 8 if compact else 0.0
    title = html.escape(f"{anatomy.title}: {logits} blocks from the picture to the scores of {classes} classes", quote=True)
    size = "" if compact else f' style="min-width:{right * 0.86:.0f}px;max-width:{right * 1.15:.0f}px"'
    return (
        f'<svg class="lab-diagram{" compact" if compact else ""}" role="img" aria-label="{title}"{size} '
        f'viewBox="{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}">{"".join(drawn)}</svg>'
    )


def edges(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """From where to where something flows, -1 being the picture and `len(blocks)` the logits, to which all goes that no
    other block takes."""
    for number, block in enumerate(blocks):
        for source in block.inputs:
            yield source, number
    for number in _loose_ends(blocks):
        yield number, len(blocks)


def interpolation(anatomy: Anatomy) -> str:
    """What is left to do from the last block's size to the picture's; nothing where they agree."""
    if abs(anatomy.output_stride - 1) >= 0.01:
        return f"bilinear interpolation × {anatomy.output_stride:.2g}"
    last = anatomy.blocks[-1]
    return "" if (last.height, last.width) == anatomy.size else "cropped"


def _loose_ends(blocks: Sequence[Block]) -> list[int]:
    used = {source for block in blocks for source in block.inputs}
    return [number for number in range(len(blocks)) if number not in used]


# ---- where things stand


def _arrange(anatomy: Anatomy, compact: bool) -> dict[int, _Box]:
    """A place for every block by its number, for the picture (-1) and for the logits (their count)."""
    blocks, logits = anatomy.blocks, len(anatomy.blocks)
    height, width = anatomy.size
    ends = Block("", "", "", 1, 1, height, width, 0, ())
    shapes = {PICTURE: ends, **dict(enumerate(blocks)), logits: ends}
    octaves = {number: log2(width / shape.width) for number, shape in shapes.items()}
    heights = {number: max(12.0, 42 - 5 * octave) for number, octave in octaves.items()}
    widths = {number: _box_width(shape) for number, shape in shapes.items()} | {PICTURE: 18.0, logits: 18.0}
    columns = _columns(blocks, octaves)
    members: dict[int, list[int]] = {}
    for number, column in columns.items():
        members.setdefault(column, []).append(number)
    thickest = {column: max(widths[number] for number in numbers) for column, numbers in members.items()}
    free = (SPACIOUS - LEFT - sum(thickest.values())) / len(members)
    gap = min(max(free, GAPS[0]), GAPS[1])
    boxes: dict[int, _Box] = {}
    x, reach = LEFT, {}  # reach: how far to the right the labels at a height go
    for column in sorted(members):
        for number in members[column]:
            side = _label_width(shapes[number]) / 2 - thickest[column] / 2
            for other, right in reach.items():
                if not compact and abs(octaves[other] - octaves[number]) * OCTAVE < LABEL_HEIGHT:
                    x = max(x, right + 6 + max(0.0, side))
        middle = x + thickest[column] / 2
        for number in members[column]:
            boxes[number] = _Box(
                column, middle - widths[number] / 2, octaves[number] * OCTAVE, widths[number], heights[number]
            )
            reach[number] = middle + max(_label_width(shapes[number]), widths[number]) / 2
        x += thickest[column] + gap
    return boxes


def _columns(blocks: Sequence[Block], octaves: dict[int, float]) -> dict[int, int]:
    """The order of computation: every block stands right of its inputs, on the longest path as close to them as it can.

    One that has room stands above or below its like on that path, if it finds a place there, as all scores of an FCN do.
    """
    logits = len(blocks)
    earliest = {PICTURE: 0}
    for number, block in enumerate(blocks):
        earliest[number] = 1 + max((earliest[source] for source in block.inputs), default=0)
    earliest[logits] = 1 + max(earliest.values())
    latest = {logits: earliest[logits]}
    for source, target in sorted(edges(blocks), key=lambda edge: -edge[1]):
        latest[source] = min(latest.get(source, logits + 1), latest[target] - 1)
    columns = {PICTURE: 0, logits: earliest[logits]}
    columns |= {number: earliest[number] for number in range(logits) if earliest[number] == latest[number]}
    for number, block in enumerate(blocks):
        if number in columns:
            continue
        low = 1 + max((columns[source] for source in block.inputs), default=0)
        like = [columns[other] for other in columns if 0 <= other < logits and blocks[other].part == block.part]
        wanted = sum(like) / len(like) if like else (low + latest[number]) / 2

        def cost(column: int, number: int = number, wanted: float = wanted) -> tuple[bool, float]:
            taken = any(columns[other] == column and abs(octaves[other] - octaves[number]) < 0.9 for other in columns)
            return taken, abs(column - wanted)

        columns[number] = min(range(low, latest[number] + 1), key=cost)
    return columns


def _box_width(block: Block) -> float:
    """One slab for a module, thicker for more channels, up to what fits."""
    return min(WIDEST, block.modules * (3 + 1.1 * log2(max(2, block.channels))))


def _label_width(block: Block) -> float:
    return LABEL * len(_size_words((block.height, block.width)))


# ---- edges


def _route(source: int, target: int, boxes: dict[int, _Box]) -> str:
    """The path of an edge with its arrowhead: the calmest way that crosses no box, over the others if it must be."""
    start, end = boxes[source], boxes[target]
    others = [box for number, box in boxes.items() if number not in (source, target)]
    highest = min(start.y, end.y)
    lanes = [start.y, end.y, *(highest - 14 * lift for lift in range(1, 12)), highest + 30]
    if end.column - start.column == 1:
        lanes = [end.y]
    best = min(lanes, key=lambda lane: (_crossings(start, end, lane, others), lanes.index(lane)))
    turn = _turn(start, end)
    x1, y1, x2, y2 = start.right, start.y, end.x - 1, end.y
    path = f"M{x1:.1f} {y1:.1f}"
    path += f"C{x1 + turn / 2:.1f} {y1:.1f} {x1 + turn / 2:.1f} {best:.1f} {x1 + turn:.1f} {best:.1f}"
    path += f"L{x2 - turn:.1f} {best:.1f}"
    path += f"C{x2 - turn / 2:.1f} {best:.1f} {x2 - turn / 2:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return path + f"M{x2 - 4:.1f} {y2 - 3:.1f}L{x2:.1f} {y2:.1f}L{x2 - 4:.1f} {y2 + 3:.1f}"


def _turn(start: _Box, end: _Box) -> float:
    """How many pixels an edge has for climbing to its lane and for leaving it."""
    across = end.x - start.right
    return min(across / 2, 40.0) if end.column - start.column == 1 else min(across / 3, GAPS[0])


def _crossings(start: _Box, end: _Box, lane: float, others: list[_Box]) -> int:
    """How many boxes an edge runs over when it goes along `lane`, its two turns included."""
    turn = _turn(start, end)
    legs = [
        (start.right, start.right + turn, *sorted((start.y, lane))),
        (start.right + turn, end.x - turn, lane, lane),
        (end.x - turn, end.x, *sorted((lane, end.y))),
    ]
    return sum(
        box.x < right and left < box.right and box.top - 4 < low and high < box.bottom + 4
        for box in others
        for left, right, high, low in legs
    )


# ---- what is drawn


def _guides(boxes: dict[int, _Box], compact: bool) -> Iterator[str]:
    """A faint line for each stride that is a power of two."""
    right = max(box.right for box in boxes.values())
    lowest = max(box.y for box in boxes.values()) / OCTAVE
    for octave in range(max(0, ceil(min(box.y for box in boxes.values()) / OCTAVE)), floor(lowest + 0.01) + 1):
        y = octave * OCTAVE
        yield f'<path class="lab-guide" d="M{LEFT - 8:.1f} {y:.1f}H{right + 8:.1f}"></path>'
        if not compact:
            yield _text(LEFT - 14, y + 4, str(2**octave) if octave else "stride 1", "end", "lab-quiet")


def _block(number: int, blocks: Sequence[Block], boxes: dict[int, _Box], color: str, compact: bool) -> str:
    block, box = blocks[number], boxes[number]
    slab = box.width / block.modules
    space = min(2.0, slab / 4) if block.modules > 1 else 0.0
    slabs = "".join(
        f'<rect x="{box.x + module * slab:.1f}" y="{box.top:.1f}" width="{slab - space:.1f}" height="{box.height:.1f}" '
        f'rx="2" fill="{html.escape(color, quote=True)}"></rect>'
        for module in range(block.modules)
    )
    words = f"<title>{html.escape(_block_words(block))}</title>{slabs}"
    if not compact:
        x, anchor = _label_place(number, blocks, boxes)
        words += _text(x, box.bottom + 13, str(block.channels), anchor, "lab-channels")
        words += _text(x, box.bottom + 25, _size_words((block.height, block.width)), anchor, "lab-quiet")
        if block.modules > 1 and " + " not in block.kind and block.modules * slab > 10:
            words += _text(box.x + box.width / 2, box.top - 5, f"× {block.modules}", "middle", "lab-quiet")
    return f'<g class="lab-block" data-block="{number}">{words}</g>'


def _block_words(block: Block) -> str:
    """All that is known about a block, for the one who points at it."""
    several = f"{block.modules} modules: " if block.modules > 1 else ""
    return (
        f"{block.name}\n{several}{block.kind}\n{block.channels} channels of {_size_words((block.height, block.width))}\n"
        f"{block.parameters:,} parameters"
    )


def _label_place(number: int, blocks: Sequence[Block], boxes: dict[int, _Box]) -> tuple[float, str]:
    """Where a label begins and how it is anchored: away from an edge that comes or goes below its box."""
    box = boxes[number]
    comes_from_below = any(boxes[source].y > box.y + 1 for source in blocks[number].inputs)
    goes_down = any(boxes[target].y > box.y + 1 for source, target in edges(blocks) if source == number)
    if goes_down and not comes_from_below:
        return box.right, "end"
    if comes_from_below and not goes_down:
        return box.x, "start"
    return box.x + box.width / 2, "middle"


def _end(box: _Box, kind: str, name: str, size: tuple[int, int], title: str, compact: bool) -> str:
    """The picture or the logits."""
    middle = box.x + box.width / 2
    words = "" if compact else _text(middle, box.bottom + 13, name, "middle", "lab-channels")
    words += "" if compact else _text(middle, box.bottom + 25, _size_words(size), "middle", "lab-quiet")
    return (
        f'<g class="lab-end" data-end="{kind}"><title>{html.escape(title)}</title><rect x="{box.x:.1f}" y="{box.top:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="3"></rect>{words}</g>'
    )


def _text(x: float, y: float, words: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _size_words(size: tuple[int, int]) -> str:
    """Width before height, as on all of the lab's pages."""
    height, width = size
    return f"{width} × {height}"
