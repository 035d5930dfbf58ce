"""A network as a drawing: from the picture at the left, through every block, to the logits at the right.

Only the blocks are known here, not the families: x is the order of computation, y the stride in octaves. So an FCN
becomes a staircase, a U-Net a U and a ViT a flat line by themselves.
"""

from collections.abc import Iterator, Sequence
from math import ceil, floor

from markupsafe import Markup

from app.html import joined
from core.models.diagram_layout import INPUT, LEFT, LETTER, OCTAVE, Box, arrange, edges, format_size, route
from core.models.summary_types import Block, ModelSummary
from core.text import one_line

PART_COLORS = ("#4269d0", "#2f9e77", "#e0902a", "#d6568f", "#8a5cd1", "#3aa3c9")
"""Of the parts that have parameters, in their order; dark enough on white and light enough on black."""
PLAIN_COLOR = "#8b9198"
"""Of what has no parameters: pooling, dropout, the picture."""


def part_colors(summary: ModelSummary, colors: Sequence[str] = PART_COLORS) -> dict[str, str]:
    """Return a colour for each part that has parameters, by its name."""
    return {part.name: colors[index % len(colors)] for index, part in enumerate(summary.parts)}


def diagram_svg(summary: ModelSummary, colors: Sequence[str] = PART_COLORS, compact: bool = False) -> str:
    """Return the drawing as SVG for `st.markdown`; `st.html` lets none through.

    Strokes and letters take the text's colour through classes of style.css, so light and dark both work.

    Args:
        summary: whose blocks are drawn, each once, with an edge from each of its inputs.
        colors: of the parts, in their order.
        compact: shapes alone, for a small picture beside others.
    """
    boxes, gap = arrange(summary, compact)
    logits = len(summary.blocks)
    by_part = part_colors(summary, colors)
    kinds = [] if compact else _kinds(summary.blocks, boxes, gap)
    drawn = [*_guides(boxes, compact)]
    for source, target in edges(summary.blocks):
        skips = boxes[target].column - boxes[source].column > 1
        kind = "lab-edge lab-skip" if skips else "lab-edge"
        path = route(source, target, boxes)
        edge = Markup('<path class="{}" data-from="{}" data-to="{}" d="{}"></path>')
        drawn.append(edge.format(kind, source, target, path))
    for index, block in enumerate(summary.blocks):
        color = by_part.get(block.part, PLAIN_COLOR)
        drawn.append(_block(index, block, boxes[index], color, kinds[index] if kinds else "", compact))
    num_classes = summary.blocks[-1].channels
    last = f"Scores of {num_classes} classes for every pixel. {_output_text(summary)}"
    drawn.append(_end(boxes[INPUT], "picture", "picture", summary.size, "The picture", compact))
    drawn.append(_end(boxes[logits], "logits", f"{num_classes} classes", summary.size, last, compact))
    if not compact:
        drawn.append(_text(boxes[logits].right, boxes[logits].top - 7, last_step(summary), "end", "lab-quiet"))
    margin = 6 if compact else 26 + 12 * bool(kinds)
    top = min(box.top for box in boxes.values()) - margin
    bottom = max(box.bottom for box in boxes.values()) + margin + (0 if compact else 6)
    right = boxes[logits].right + (6 if compact else 50)
    left = boxes[INPUT].x - 6 if compact else 0.0
    title = f"{summary.title}: {logits} blocks from the picture to the scores of {num_classes} classes"
    svg = Markup(
        '<svg class="lab-diagram{}" role="img" aria-label="{}" style="{}" viewBox="{:.1f} {:.1f} {:.1f} {:.1f}">{}'
        "</svg>"
    )
    style = "" if compact else f"min-width:{right * 0.86:.0f}px;max-width:{right * 1.15:.0f}px"
    view = (left, top, right - left, bottom - top)
    return svg.format(" compact" if compact else "", one_line(title), style, *view, joined(drawn))


def last_step(summary: ModelSummary) -> str:
    """Return what is done to the last block's scores to have one for every pixel; nothing where they are as many."""
    if abs(summary.output_stride - 1) >= 0.01:
        return f"bilinear × {summary.output_stride:.2g}"
    last = summary.blocks[-1]
    return "" if (last.height, last.width) == summary.size else "cropped"


def _output_text(summary: ModelSummary) -> str:
    if abs(summary.output_stride - 1) >= 0.01:
        return f"Bilinear interpolation makes their sides {summary.output_stride:.2g} times as long."
    return "The rim is cropped." if last_step(summary) else "Nothing is interpolated."


# ---- what is drawn


def _guides(boxes: dict[int, Box], compact: bool) -> Iterator[str]:
    """Yield a faint line for each stride that is a power of two."""
    right = max(box.right for box in boxes.values())
    lowest = max(box.y for box in boxes.values()) / OCTAVE
    for octave in range(max(0, ceil(min(box.y for box in boxes.values()) / OCTAVE)), floor(lowest + 0.01) + 1):
        y = octave * OCTAVE
        yield Markup('<path class="lab-guide" d="M{:.1f} {:.1f}H{:.1f}"></path>').format(LEFT - 8, y, right + 8)
        if not compact:
            yield _text(LEFT - 14, y + 4, str(2**octave) if octave else "stride 1", "end", "lab-quiet")


def _block(index: int, block: Block, box: Box, color: str, kind: str, compact: bool) -> str:
    slab = box.width / block.modules
    space = min(2.0, slab / 4) if block.modules > 1 else 0.0
    text = Markup("<title>{}</title>").format(_block_text(block))
    rect = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" fill="{}"></rect>')
    text += joined(
        rect.format(box.x + module * slab, box.top, slab - space, box.height, color) for module in range(block.modules)
    )
    if not compact:
        text += _labels(box, str(block.channels), (block.height, block.width), kind)
        text += _above(box, "" if kind else _short_kind(block))
    return Markup('<g class="lab-block" data-block="{}">{}</g>').format(index, text)


def _short_kind(block: Block) -> str:
    """Return how many equal modules a block stands for, or what it is that has nothing to learn."""
    if block.modules > 1:
        return "" if " + " in block.kind else f"× {block.modules}"
    return "" if block.parameters else block.kind


def _above(box: Box, text: str) -> Markup:
    anchor = box.anchor_above
    return _text(_anchor_x(box, anchor), box.top - 5, text, anchor, "lab-quiet") if text else Markup("")


def _anchor_x(box: Box, anchor: str) -> float:
    return {"end": box.right, "middle": box.x + box.width / 2, "start": box.x}[anchor]


def _kinds(blocks: Sequence[Block], boxes: dict[int, Box], gap: float) -> list[str]:
    """Return the kind of each block, where there is room to write all of them."""
    fits = all(LETTER * len(block.kind) < boxes[index].width + gap for index, block in enumerate(blocks))
    return [block.kind for block in blocks] if fits else []


def _labels(box: Box, *lines: str | tuple[int, int]) -> str:
    """Return channels, below them the size, and whatever else is said."""
    text = [line if isinstance(line, str) else format_size(line) for line in lines]
    return joined(
        _text(
            _anchor_x(box, box.anchor),
            box.bottom + 13 + 12 * row,
            line,
            box.anchor,
            "lab-quiet" if row else "lab-channels",
        )
        for row, line in enumerate(text)
        if line
    )


def _block_text(block: Block) -> str:
    """Return all that is known about a block, for the one who points at it."""
    several = f"{block.modules} modules: " if block.modules > 1 else ""
    size = format_size((block.height, block.width))
    lines = [
        block.name,
        f"{several}{block.kind}",
        f"{block.channels} channels of {size}",
        f"{block.parameters:,} parameters",
    ]
    return "\n".join(map(one_line, lines))


def _end(box: Box, kind: str, name: str, size: tuple[int, int], title: str, compact: bool) -> str:
    """Return the picture or the logits."""
    text = "" if compact else _labels(box, name, size)
    end = Markup(
        '<g class="lab-end" data-end="{}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"'
        ' rx="3"></rect>{}</g>'
    )
    return end.format(kind, one_line(title), box.x, box.top, box.width, box.height, text)


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> Markup:
    label = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return label.format(kind, x, y, anchor, one_line(text))  # an empty line would end the HTML in Markdown
