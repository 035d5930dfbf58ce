"""The drawing of a network: every block and every edge once, well-formed, safe, and shaped like the family."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from app.diagram import diagram_svg, last_step, part_colors
from core.config import ModelConfig
from core.models.diagram_layout import INPUT, arrange, edges
from core.models.model_summary import describe
from core.models.summary_types import Block, ModelSummary, Part

SIZE = (64, 128)


def summary_of(*blocks: Block, stride: float = 1.0, title: str = "A network") -> ModelSummary:
    """A made-up network at 64 x 128 pixels, each part with as many parameters as its blocks."""
    parts = {block.part: 0 for block in blocks}
    for block in blocks:
        parts[block.part] += block.parameters
    counted = tuple(Part(name, count, count) for name, count in parts.items() if count)
    return ModelSummary(title, SIZE, counted, 10**9, stride, 32, 10**6, 5.0, "fp32", "Nowhere.", blocks)


def block(name: str, stride: int, *inputs: int, modules: int = 1, kind: str = "Conv2d", parameters: int = 10) -> Block:
    """A block of 16 channels at a stride."""
    part = name.split(".")[0]
    return Block(name, kind, part, modules, 16, SIZE[0] // stride, SIZE[1] // stride, parameters, inputs)


HOURGLASS = summary_of(
    block("down.0", 1, INPUT),
    block("down.1", 2, 0, modules=3),
    block("down.2", 4, 1),
    block("up.0", 2, 1, 2),
    block("up.1", 1, 0, 3),
)


def tree(summary: ModelSummary, **how: bool) -> ElementTree.Element:
    """The drawing, read as XML; that fails where it isn't well-formed."""
    return ElementTree.fromstring(diagram_svg(summary, **how))


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def drawn_edges(root: ElementTree.Element, name: str = "lab-edge") -> list[tuple[int, int]]:
    return sorted((int(edge.get("data-from")), int(edge.get("data-to"))) for edge in of_class(root, name))


@pytest.fixture(scope="module")
def described() -> dict[str, ModelSummary]:
    """Real networks by a short name, small or on small pictures."""
    plain = {"family": "unet", "encoder": "plain", "width": 4}
    models = {
        "fcn-8": {"family": "fcn", "encoder": "test_efficientnet"},
        "fcn-32": {"family": "fcn", "encoder": "test_efficientnet", "stride": 32},
        "plain": plain,
        "valid": plain | {"padding": "valid"},
        "unet": {"family": "unet", "encoder": "test_efficientnet"},
        "unet-vit": {"family": "unet", "encoder": "test_vit"},
        "vit": {"family": "vit", "encoder": "test_vit", "head_blocks": 1},
        "vit-pup": {"family": "vit", "encoder": "test_vit", "head": "pup"},
    }
    return {name: describe(ModelConfig(**values), SIZE) for name, values in models.items()}


@pytest.mark.parametrize("compact", [False, True])
def test_every_block_and_every_edge_is_drawn_once(described: dict[str, ModelSummary], compact: bool) -> None:
    for summary in (HOURGLASS, *described.values()):
        root = tree(summary, compact=compact)
        count = len(summary.blocks)
        assert [int(box.get("data-block")) for box in of_class(root, "lab-block")] == list(range(count))
        expected = [(source, index) for index, one in enumerate(summary.blocks) for source in one.inputs]
        assert drawn_edges(root) == sorted([*expected, (count - 1, count)]), summary.title
        assert [end.get("data-end") for end in of_class(root, "lab-end")] == ["picture", "logits"]


def test_a_block_has_a_slab_for_each_module_and_says_all_that_is_known() -> None:
    (several,) = (box for box in of_class(tree(HOURGLASS), "lab-block") if box.get("data-block") == "1")
    assert len(several.findall("rect")) == 3
    assert several.find("title").text == "down.1\n3 modules: Conv2d\n16 channels of 64 × 32\n10 parameters"
    assert [text.text for text in several.findall("text")][:3] == ["16", "64 × 32", "Conv2d"]


def test_names_cannot_leave_their_place() -> None:
    hostile = '</title><script>alert("1")</script>\n\n# heading & "quotes"'
    summary = summary_of(replace(block("a", 2, INPUT), name=hostile, kind=hostile, part="a"), title=hostile)
    svg = diagram_svg(summary)
    root = ElementTree.fromstring(svg)
    assert not [element for element in root.iter() if element.tag not in {"svg", "g", "rect", "path", "text", "title"}]
    assert '<script>alert("1")</script>' in root.find(".//g[@data-block='0']/title").text
    assert "\n\n" not in svg, "an empty line ends the HTML in Markdown"


def test_what_may_be_drawn_may_not_carry_scripts_in_colours() -> None:
    colors = ('red" onload="alert(1)',)
    root = ElementTree.fromstring(diagram_svg(HOURGLASS, colors))
    assert not [element for element in root.iter() if element.get("onload")]


def test_coarser_maps_stand_lower_and_smaller_and_later_blocks_further_right() -> None:
    boxes, _ = arrange(HOURGLASS, compact=False)
    assert boxes[INPUT].y == boxes[0].y < boxes[1].y < boxes[2].y
    assert boxes[2].y > boxes[3].y > boxes[4].y == boxes[5].y
    assert boxes[0].height > boxes[1].height > boxes[2].height
    for source, target in edges(HOURGLASS.blocks):
        assert boxes[source].right < boxes[target].x


def test_nothing_stands_upon_another(described: dict[str, ModelSummary]) -> None:
    for summary in described.values():
        boxes = list(arrange(summary, compact=False)[0].values())
        for index, one in enumerate(boxes):
            for other in boxes[:index]:
                apart = (
                    one.right <= other.x or other.right <= one.x or one.bottom <= other.top or other.bottom <= one.top
                )
                assert apart, (summary.title, one, other)


def test_a_unet_is_a_u_with_a_skip_at_every_level(described: dict[str, ModelSummary]) -> None:
    plain = described["plain"]
    boxes, _ = arrange(plain, compact=False)
    skips = drawn_edges(tree(plain), "lab-skip")
    assert len(skips) == 4
    for source, target in skips:
        assert plain.blocks[source].part == "downs" or plain.blocks[source].kind == "Dropout"
        assert plain.blocks[target].part == "ups"
        assert boxes[source].y == boxes[target].y, "a bridge is level"
    lowest = max(boxes, key=lambda index: boxes[index].y)
    assert min(source for source, _ in skips) < lowest < max(target for _, target in skips)


def test_a_vit_is_flat(described: dict[str, ModelSummary]) -> None:
    boxes, _ = arrange(described["vit"], compact=False)
    assert len({round(boxes[index].y, 3) for index in range(len(described["vit"].blocks))}) == 1
    assert not drawn_edges(tree(described["vit"]), "lab-skip")


def test_a_coarser_stride_leaves_boxes_out(described: dict[str, ModelSummary]) -> None:
    fine, coarse = tree(described["fcn-8"]), tree(described["fcn-32"])
    assert (
        len(of_class(fine, "lab-block")) - len(of_class(coarse, "lab-block")) == 5
    )  # 2 scores, 2 upsamplings, the sum
    assert len(drawn_edges(fine, "lab-skip")) >= 3
    assert drawn_edges(coarse, "lab-skip") == []


def test_the_last_step_is_named(described: dict[str, ModelSummary]) -> None:
    assert last_step(described["fcn-32"]) == "bilinear × 32"
    assert last_step(described["fcn-8"]) == "bilinear × 8"
    assert last_step(described["plain"]) == ""
    assert last_step(described["valid"]) == "cropped"
    assert "bilinear × 8" in [text.text for text in of_class(tree(described["fcn-8"]), "lab-quiet")]


def test_the_small_picture_has_no_words() -> None:
    assert not list(tree(HOURGLASS, compact=True).iter("text"))
    assert list(tree(HOURGLASS).iter("text"))


def test_parts_keep_their_colours() -> None:
    assert part_colors(HOURGLASS, ("red", "blue")) == {"down": "red", "up": "blue"}
    root = ElementTree.fromstring(diagram_svg(HOURGLASS, ("red", "blue")))
    fills = [box.find("rect").get("fill") for box in of_class(root, "lab-block")]
    assert fills == ["red", "red", "red", "blue", "blue"]
