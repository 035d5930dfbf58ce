"""What is said about a network: every figure against arithmetic done by hand."""

import pytest
import torch
from torch import nn

from core.config import ModelConfig
from core.errors import LabError
from core.hardware import Hardware
from core.models import model_summary as describing
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.models.diagram_blocks import trace_blocks
from core.models.model_summary import activation_bytes, describe, output_stride, receptive_field

CLASSES = 5
FP32 = Hardware(torch.device("cpu"), None, 1, 0, "On the CPU, in fp32.")
BF16 = Hardware(torch.device("cpu"), torch.bfloat16, 1, 0, "On the CPU, in bf16.")

NETWORKS = {
    "fcn-8s": ModelConfig(encoder="test_resnet"),
    "fcn-32s": ModelConfig(encoder="test_resnet", stride=32, freeze=1),
    "unet": ModelConfig(family="unet", encoder="test_resnet"),
    "unet-finest": ModelConfig(family="unet", encoder="test_convnext", score_levels="finest"),
    "unet-vit": ModelConfig(family="unet", encoder="test_vit"),
    "plain": ModelConfig(family="unet", encoder="plain", width=4, depth=2),
    "plain-valid": ModelConfig(family="unet", encoder="plain", width=4, depth=2, padding="valid"),
    "vit": ModelConfig(family="vit", encoder="test_vit"),
    "vit-mask": ModelConfig(family="vit", encoder="test_vit", head="mask", freeze=1),
}


def image_of(height, width):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=NETWORKS)
def described(request):
    """A config, its network and what is said about it at 64 x 96."""
    torch.manual_seed(0)
    config = NETWORKS[request.param]
    return config, build_model(config, CLASSES), describe(config, (64, 96), CLASSES, FP32)


def test_parts_add_up_to_the_network(described):
    config, model, summary = described
    assert summary.parameters == sum(parameter.numel() for parameter in model.parameters())
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert sum(part.trainable for part in summary.parts) == learning
    for part in summary.parts:
        assert part.trainable == (0 if config.freeze == 1 and part.name == "encoder" else part.parameters)


def test_what_was_asked_for_is_told(described):
    config, _, summary = described
    assert (summary.title, summary.size) == (config.title, (64, 96))
    assert (summary.precision, summary.hardware) == ("fp32", FP32.sentence)
    assert 0 < summary.milliseconds < 10_000


def test_blocks_lead_from_the_picture_to_the_logits(described):
    _, model, summary = described
    blocks = summary.blocks
    assert blocks[0].inputs == (-1,)
    assert all(-1 <= source < index for index, block in enumerate(blocks) for source in block.inputs)
    used = {source for block in blocks for source in block.inputs}
    assert used == {-1, *range(len(blocks) - 1)}, "every block but the last feeds another one"
    assert blocks[-1].channels == CLASSES
    assert 96 / blocks[-1].width == summary.output_stride


def test_blocks_are_named_apart_and_hold_every_parameter_once(described):
    _, model, summary = described
    modules = dict(model.named_modules())
    own = [block for block in summary.blocks if block.kind != "Sum"]
    assert all(block.name in modules and block.part == block.name.split(".")[0] for block in own)
    named = [block.name for block in own if block.parameters]  # pooling and dropout are one module used at every level
    assert len(named) == len(set(named))
    # A ViT's positions and class token are in no module of their own.
    loose = sum(
        parameter.numel() for name, parameter in model.named_parameters() if name.count(".") == 1 and "encoder" in name
    )
    assert sum(block.parameters for block in own) == summary.parameters - loose


# ---- figures by hand


@pytest.mark.parametrize(
    ("config", "stride"),
    [
        (ModelConfig(encoder="test_resnet", stride=8), 8),
        (ModelConfig(encoder="test_resnet", stride=16), 16),
        (ModelConfig(encoder="test_resnet", stride=32), 32),
        (ModelConfig(family="unet", encoder="plain", width=4), 1),
        (ModelConfig(family="unet", encoder="plain", width=4, padding="valid"), 1),
        (ModelConfig(family="unet", encoder="test_resnet"), 2),
        (ModelConfig(family="unet", encoder="test_convnext"), 4),
        (ModelConfig(family="vit", encoder="test_vit"), 16),
        (ModelConfig(family="vit", encoder="test_vit", head="pup"), 1),
        (ModelConfig(family="vit", encoder="eva02_tiny_patch14_224"), 14),
    ],
    ids=lambda value: value.title if isinstance(value, ModelConfig) else "",
)
def test_the_output_stride_is_the_same_for_every_size(config, stride):
    model = build_model(config, CLASSES).eval()
    assert output_stride(model, image_of(64, 96), FP32) == output_stride(model, image_of(97, 161), FP32) == stride


def test_flops_of_a_small_unet_are_those_of_its_convolutions():
    config = ModelConfig(family="unet", encoder="plain", width=4, depth=1, norm="none")
    expected = 64 * 9 * (3 * 4 + 4 * 4)  # first level, 8 x 8
    expected += 16 * 9 * (4 * 8 + 8 * 8)  # second level, 4 x 4
    expected += 16 * 4 * (8 * 4)  # transposed: each of 16 pixels makes four
    expected += 64 * 9 * (8 * 4 + 4 * 4) + 64 * 4 * CLASSES
    assert describe(config, (8, 8), CLASSES, FP32).flops == 2 * expected


def test_flops_of_a_vit_are_those_of_its_projections_and_its_attention():
    config = ModelConfig(family="vit", encoder="vit_tiny_patch16_224")
    tokens, width = 4 * 8 + 1, 192
    block = tokens * (3 + 1 + 4 + 4) * width**2 + 2 * tokens**2 * width  # q k v, out, MLP; scores and their sum
    expected = 32 * 16 * 16 * 3 * width + 12 * block + 32 * 4 * width * CLASSES
    assert describe(config, (64, 128), CLASSES, FP32).flops == 2 * expected


class TwoLayers(SegmentationModel):
    """Two convolutions with a ReLU between."""

    def __init__(self) -> None:
        super().__init__(CLASSES, mean=(0.5,) * 3, std=(0.25,) * 3, multiple=1)
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, CLASSES, 1)

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(images)))


def test_a_convolution_keeps_its_input_for_the_backward_pass():
    """The ReLU's result is the second convolution's input: it is kept once. bf16 keeps half; its copies of the weights don't count."""
    model, image = TwoLayers(), image_of(20, 30)
    assert activation_bytes(model, image, FP32) == 20 * 30 * (3 + 8) * 4
    assert activation_bytes(model, image, BF16) == 20 * 30 * (3 + 8) * 2


def test_measuring_leaves_the_network_as_it_was():
    model = build_model(NETWORKS["unet"], CLASSES).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    activation_bytes(model, image_of(64, 64), FP32)
    trace_blocks(model, image_of(64, 64))
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def unet_field(depth, folder):
    """Pixels that a plain U-Net's logit at `place` sees: its way backwards along the deepest path, an interval at a time."""
    low = high = folder
    for _ in range(depth):  # up: two 3x3 convolutions, then a pixel of half the resolution
        low, high = (low - 2) // 2, (high + 2) // 2
    for _ in range(depth):  # down: two 3x3 convolutions, then two pixels
        low, high = (low - 2) * 2, (high + 2) * 2 + 1
    return high + 2 - (low - 2) + 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_field_of_a_plain_unet_is_that_of_its_deepest_path(depth, padding):
    config = ModelConfig(family="unet", encoder="plain", width=4, depth=depth, padding=padding)
    assert receptive_field(build_model(config, CLASSES)) == unet_field(depth, 1024) == (18, 44, 92, 188)[depth - 1]


@pytest.mark.parametrize(("fc_width", "paper"), [(64, 404), (0, 212)])
def test_the_field_of_fcn32s_is_the_papers_and_a_cell(fc_width, paper, monkeypatch):
    """404 is fc7's field in the paper, 212 that of pool5; bilinear upsampling mixes in the neighbour, 32 pixels further."""
    expected, stride = 1, 1
    for convolutions in (2, 2, 3, 3, 3):
        expected += 2 * convolutions * stride + stride  # 3x3 each, and a 2x2 pooling
        stride *= 2
    assert expected + (6 * stride if fc_width else 0) == paper
    monkeypatch.setattr(describing, "MAX_FIELD", 512)  # a shorter strip is enough, and quicker
    model = build_model(ModelConfig(encoder="vgg16", stride=32, fc_width=fc_width), CLASSES)
    assert receptive_field(model) == paper + 32


def test_a_field_beyond_the_strip_is_the_whole_picture(monkeypatch):
    monkeypatch.setattr(describing, "MAX_FIELD", 128)
    assert receptive_field(build_model(ModelConfig(family="unet", encoder="plain", width=4), CLASSES)) is None


@pytest.mark.parametrize("head", ["linear", "mask"])
def test_a_vit_sees_the_whole_picture(head):
    assert receptive_field(build_model(ModelConfig(family="vit", encoder="test_vit", head=head), CLASSES)) is None


# ---- the diagram


def diagram(config):
    """Name of each block, and the names of what goes into it."""
    blocks = trace_blocks(build_model(config, CLASSES).eval(), image_of(64, 96))
    names = [block.name for block in blocks]
    return {block.name: [names[source] for source in block.inputs if source >= 0] for block in blocks}, blocks


def test_a_unet_on_an_encoder_joins_every_level():
    inputs, blocks = diagram(NETWORKS["unet"])
    shapes = {block.name: (block.channels, block.height, block.width) for block in blocks}
    assert inputs["ups.0"] == ["norms.3", "dropout"] and inputs["dropout"] == ["norms.4"]
    for level in (1, 2, 3):
        assert inputs[f"ups.{level}"] == [f"norms.{3 - level}", f"ups.{level - 1}"]
        assert shapes[f"ups.{level}"][1:] == shapes[f"norms.{3 - level}"][1:] == (4 * 2**level, 6 * 2**level)
    assert inputs["logits"] == [f"scores.{level}" for level in range(5)]
    assert [inputs[f"scores.{level}"] for level in range(5)] == [["dropout"], *([f"ups.{level}"] for level in range(4))]


def test_a_plain_unet_joins_every_level():
    blocks = trace_blocks(
        build_model(ModelConfig(family="unet", encoder="plain", width=4), CLASSES).eval(), image_of(64, 96)
    )
    ups = [block for block in blocks if block.part == "ups"]
    assert len(ups) == 4
    for up in ups:
        skip, deep = (blocks[source] for source in up.inputs)
        assert (skip.channels, skip.height, skip.width) == (up.channels, up.height, up.width)
        assert (deep.channels, deep.height, deep.width) == (2 * up.channels, up.height // 2, up.width // 2)
    assert blocks[-1].name == "classifier" and (blocks[-1].height, blocks[-1].width) == (64, 96)


def test_an_fcn_fuses_from_coarse_to_fine():
    inputs, blocks = diagram(NETWORKS["fcn-8s"])
    shapes = {block.name: (block.channels, block.height, block.width) for block in blocks}
    assert inputs["upsamples.1"] == ["scores.2"]
    assert inputs["upsamples.0"] == ["upsamples.1", "scores.1"]
    assert sorted(inputs["logits"]) == ["scores.0", "upsamples.0"]
    assert shapes["logits"] == (CLASSES, 8, 12)
    assert [shapes[f"scores.{level}"][1:] for level in range(3)] == [(8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        ("test_vit", (64, 4, 6)),
        ("vit_tiny_patch16_dinov3_qkvb", (192, 4, 6)),  # five tokens have no place in the grid
        ("eva02_tiny_patch14_224", (192, 5, 7)),  # 64 x 96 is padded to 70 x 98
    ],
)
def test_rows_of_equal_blocks_are_one_box(encoder, shape):
    _, blocks = diagram(ModelConfig(family="vit", encoder=encoder, head_blocks=1))
    assert [block.part for block in blocks] == ["encoder", "encoder", "head"]
    patches, row, _ = blocks
    assert patches.kind == "PatchEmbed" and patches.modules == 1, "the patches stand by themselves"
    assert "Block" in row.kind and row.modules > 6
    assert (patches.channels, patches.height, patches.width) == (row.channels, row.height, row.width) == shape


def test_a_head_of_four_blocks_is_drawn_with_a_line_from_each():
    _, blocks = diagram(ModelConfig(family="vit", encoder="vit_tiny_patch16_224"))
    patches, row, *last, norm, head = blocks
    assert row.modules >= 8 and len(last) in (3, 4) and head.part == "head"
    assert {blocks[index] for index in norm.inputs} >= {*last}, "the norm, and so the head, stands behind all of them"


def test_maps_with_channels_last_are_shown_like_any_other():
    _, blocks = diagram(ModelConfig(family="unet", encoder="swinv2_tiny_window8_256"))
    stages = [block for block in blocks if block.part == "encoder"]
    assert [block.channels for block in stages] == [96, 96, 192, 384, 768]
    assert [block.height for block in stages] == [16, 16, 8, 4, 2]


def test_an_unknown_network_is_not_described():
    with pytest.raises(LabError, match="'resnet81'.*resnet18"):
        describe(ModelConfig(encoder="resnet81"))
