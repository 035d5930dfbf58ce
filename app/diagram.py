"""A network as a drawing: from the picture at the left, through every block, to the logits at the right.

Only the blocks are known here, not the families: x is the order of computation, y the stride in octaves. So an FCN
becomes a staircase, a U-Net a U and a ViT a flat line by themselves.
"""

import html
from collections.abc import Iterator, Sequence
from math import ceil, floor

from core.models.diagram_layout import INPUT, LEFT, LETTER, OCTAVE, Box, arrange, edges, format_size, route
from core.models.summary_types import Block, ModelSummary

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
        drawn.append(f'<path class="{kind}" data-from="{source}" data-to="{target}" d="{path}"></path>')
    for index, block in enumerate(summary.blocks):
        color = _safe(by_part.get(block.part, PLAIN_COLOR))
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
    size = "" if compact else f' style="min-width:{right * 0.86:.0f}px;max-width:{right * 1.15:.0f}px"'
    return (
        f'<svg class="lab-diagram{" compact" if compact else ""}" role="img" aria-label="{_safe(title)}"{size} '
        f'viewBox="{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}">{"".join(drawn)}</svg>'
    )


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
        yield f'<path class="lab-guide" d="M{LEFT - 8:.1f} {y:.1f}H{right + 8:.1f}"></path>'
        if not compact:
            yield _text(LEFT - 14, y + 4, str(2**octave) if octave else "stride 1", "end", "lab-quiet")


def _block(index: int, block: Block, box: Box, color: str, kind: str, compact: bool) -> str:
    slab = box.width / block.modules
    space = min(2.0, slab / 4) if block.modules > 1 else 0.0
    text = f"<title>{_block_text(block)}</title>"
    text += "".join(
        f'<rect x="{box.x + module * slab:.1f}" y="{box.top:.1f}" width="{slab - space:.1f}" height="{box.height:.1f}" '
        f'rx="2" fill="{color}"></rect>'
        for module in range(block.modules)
    )
    if not compact:
        text += _labels(box, str(block.channels), (block.height, block.width), kind)
        text += _above(box, "" if kind else _short_kind(block))
    return f'<g class="lab-block" data-block="{index}">{text}</g>'


def _short_kind(block: Block) -> str:
    """Return how many equal modules a block stands for, or what it is that has nothing to learn."""
    if block.modules > 1:
        return "" if " + " in block.kind else f"× {block.modules}"
    return "" if block.parameters else block.kind


def _above(box: Box, text: str) -> str:
    return _text(_anchor_x(box, box.anchor_above), box.top - 5, text, box.anchor_above, "lab-quiet") if text else ""


def _anchor_x(box: Box, anchor: str) -> float:
    return {"end": box.right, "middle": box.x + box.width / 2, "start": box.x}[anchor]


def _kinds(blocks: Sequence[Block], boxes: dict[int, Box], gap: float) -> list[str]:
    """Return the kind of each block, where there is room to write all of them."""
    fits = all(LETTER * len(block.kind) < boxes[index].width + gap for index, block in enumerate(blocks))
    return [block.kind for block in blocks] if fits else []


def _labels(box: Box, *lines: str | tuple[int, int]) -> str:
    """Return channels, below them the size, and whatever else is said."""
    text = [line if isinstance(line, str) else format_size(line) for line in lines]
    return "".join(
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
    return "\n".join(map(_safe, lines))


def _end(box: Box, kind: str, name: str, size: tuple[int, int], title: str, compact: bool) -> str:
    """Return the picture or the logits."""
    text = "" if compact else _labels(box, name, size)
    return (
        f'<g class="lab-end" data-end="{kind}"><title>{_safe(title)}</title><rect x="{box.x:.1f}" y="{box.top:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="3"></rect>{text}</g>'
    )


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Escaped and on one line: an empty line would end the HTML in Markdown."""
    return html.escape(" ".join(text.split()), quote=True)
