"""What a network sees, against computations by hand: features, attention, receptive field, and that nothing stays behind."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from core.config import ModelConfig, TrainingConfig
from core.data.dataset import open_dataset
from core.errors import LabError
from core.hardware import choose_hardware
from core.inference.explain import (
    MAX_CHANNELS,
    Explainer,
    attention_maps,
    box_side,
    effective_field,
    feature_maps,
    heat_map,
    special_tokens,
)
from core.inference.recording import as_attention, cell_at, record
from core.inference.worker import InferenceWorker
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.runs.store import read_run

CLASSES = 5
VIT = ModelConfig(family="vit", encoder="test_vit")  # 2 heads, patches of 16
DINOV3 = ModelConfig(family="vit", encoder="vit_tiny_patch16_dinov3_qkvb")  # rotary positions, 4 register tokens
MASK = ModelConfig(family="vit", encoder="test_vit", head="mask")
VALID = ModelConfig(family="unet", encoder="plain", width=4, depth=2, padding="valid", norm="none")


def built(config: ModelConfig) -> SegmentationModel:
    torch.manual_seed(0)
    return build_model(config, CLASSES).eval()


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


# ---- features


@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (ModelConfig(encoder="test_resnet"), "scores.0"),
        (ModelConfig(encoder="vgg11", fc_width=0), "encoder.features_0"),  # an activation in place stands behind it
        (ModelConfig(family="unet", encoder="plain", width=4), "ups.1"),
    ],
)
def test_a_feature_map_is_what_came_out_of_the_layer(config, layer):
    model, images, got = built(config), noise(64, 96), []
    hook = model.get_submodule(layer).register_forward_hook(lambda _module, _args, result: got.append(result.clone()))
    with torch.no_grad():
        model(images)
    hook.remove()
    features = record(model, images).features[layer]
    assert torch.equal(features, got[0][0])
    shown = feature_maps(record(model, images), layer, (0.5, 0.5)).maps[0]
    mean = got[0][0].abs().mean(dim=0).repeat_interleave(64 // features.shape[1], 0)
    mean = mean.repeat_interleave(96 // features.shape[2], 1).numpy()
    assert shown.values.shape == (64, 96)
    assert shown.low == 0 and shown.high == pytest.approx(mean.max(), rel=1e-6)
    assert np.abs(shown.values / 255 * shown.high - mean).max() <= shown.high / 255


def test_the_channels_are_those_that_stand_out_at_the_pixel():
    model, images = built(ModelConfig(encoder="test_resnet")), noise(64, 96)
    recording = record(model, images)
    layer = next(name for name, maps in recording.features.items() if maps.shape[0] > 2 * MAX_CHANNELS)
    maps = recording.features[layer].numpy()
    row, column = int(0.7 * maps.shape[1]), int(0.3 * maps.shape[2])
    flat = maps.reshape(len(maps), -1)
    surplus = (maps[:, row, column] - flat.mean(1)) / flat.std(1)
    order = np.argsort(-surplus)[:MAX_CHANNELS]
    explanation = feature_maps(recording, layer, (0.3, 0.7))
    assert [shown.title for shown in explanation.maps[1:]] == [f"Channel {index}" for index in order]
    assert [shown.note for shown in explanation.maps[1:]] == [f"{surplus[number]:+.1f} σ" for number in order]
    strongest = explanation.maps[1]
    assert (strongest.low, strongest.high) == pytest.approx((maps[order[0]].min(), maps[order[0]].max()))
    assert f"{len(maps)} channels" in explanation.metadata


def test_a_channel_that_never_changes_stands_out_nowhere():
    model = built(ModelConfig(encoder="test_resnet"))  # its score layers begin at zero
    explanation = feature_maps(record(model, noise(64, 64)), "scores.0", (0.5, 0.5))
    assert {shown.note for shown in explanation.maps[1:]} == {"+0.0 σ"}
    assert all((shown.values == 0).all() for shown in explanation.maps)


@pytest.mark.parametrize("config", [VIT, DINOV3])
def test_tokens_become_maps_without_class_and_register_tokens(config):
    model, images = built(config), noise(64, 96)
    recording = record(model, images)
    with torch.no_grad():
        tokens = model.encoder.forward_intermediates(
            (images - model.mean) / model.std, indices=[1], norm=False, intermediates_only=True
        )
    assert torch.allclose(recording.features["encoder.blocks.1"], tokens[0][0], atol=1e-5)
    assert recording.features["encoder.patch_embed"].shape == (model.encoder.embed_dim, 4, 6)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(family="unet", encoder="swinv2_tiny_window8_256"),
        ModelConfig(family="unet", encoder="test_vit"),
        ModelConfig(family="vit", encoder="test_vit", head="pup", grad_checkpointing=True),
        ModelConfig(encoder="test_convnext", stride=16),
    ],
)
def test_layers_of_any_network_lie_over_the_whole_picture(config):
    model, images = built(config), noise(100, 140)  # no multiple of anything
    recording = record(model, images)
    assert len(recording.features) >= 5
    for name in recording.features:
        assert all(shown.values.shape == (100, 140) for shown in feature_maps(recording, name, (0.9, 0.9)).maps)
        rows, columns = recording.features[name].shape[1:]
        assert recording.frame[0] / rows == recording.frame[1] / columns == recording.strides[name]


def test_without_padding_cells_still_lie_where_their_pixels_are():
    model, images = built(VALID), noise(64, 96)
    recording = record(model, images)
    assert [recording.strides[name] for name in ("downs.0.0", "downs.1.0", "downs.2.0", "ups.0", "ups.1")] == [
        1,
        2,
        4,
        2,
        1,
    ]
    changed = images.clone()
    changed[..., 40, 30] += 1
    for name, reach in (("downs.0.0", 1), ("downs.1.0", 6)):
        before, after = recording.features[name], record(model, changed).features[name]
        rows, columns = (before != after).any(dim=0).nonzero().unbind(1)
        row, column = cell_at(recording, (30.5 / 96, 40.5 / 64), before.shape[1:], recording.strides[name])
        assert (rows - row).abs().max() <= reach and (columns - column).abs().max() <= reach
        assert row in rows and column in columns


# ---- attention


@pytest.mark.parametrize("config", [VIT, DINOV3, MASK], ids=["absolute", "rotary", "mask head"])
def test_attention_is_the_softmax_that_timm_computes_by_itself(config):
    model, images = built(config), noise(64, 96)
    recording = record(model, images)
    blocks = {name: model.get_submodule(name) for name in recording.attention}
    assert len(blocks) == len(model.encoder.blocks) + (2 if config.head == "mask" else 0)
    full: dict[str, torch.Tensor] = {}
    for name, block in blocks.items():
        block.attn.fused_attn = False  # its slow path hands the softmax to the dropout
        block.attn.attn_drop.register_forward_pre_hook(
            lambda _module, args, name=name: full.__setitem__(name, args[0][0])
        )
    with torch.no_grad():
        model(images)
    for name, attention in recording.attention.items():
        for patch in (0, 13, 23):
            weights = attention.weights(patch)
            assert torch.allclose(weights.sum(dim=1), torch.ones(len(weights)), atol=1e-5)
            assert torch.allclose(weights, full[name][:, attention.first + patch], atol=1e-5)


def test_attention_maps_are_laid_over_the_picture():
    model, images = built(DINOV3), noise(64, 96)
    recording = record(model, images)
    special = special_tokens(model, recording, "encoder.blocks.2")
    assert special == ("class token",) + ("register token",) * 4
    explanation = attention_maps(recording, "encoder.blocks.2", (40 / 96, 20 / 64), special)
    weights = recording.attention["encoder.blocks.2"].weights(1 * 6 + 2)  # row 1, column 2 of 4 x 6 patches
    assert [shown.title for shown in explanation.maps] == ["Mean of 3 heads", "Head 1", "Head 2", "Head 3"]
    head = explanation.maps[2]
    patches = weights[1, 5:].reshape(4, 6)
    assert head.low == 0 and head.high == pytest.approx(float(patches.max()))
    assert head.note == f"{float(patches.sum()):.0%} on patches"
    read = (head.values[::16, ::16] / 255.0) ** head.power * head.high
    assert np.allclose(read, patches, atol=head.high / 100)
    assert (head.values == head.values[::16, ::16].repeat(16, 0).repeat(16, 1)).all()
    mean = weights.mean(dim=0)
    assert f"{float(mean[0]):.1%} goes to the class token and {float(mean[1:5].sum()):.1%}" in explanation.metadata


def test_segmenters_class_embeddings_are_named_and_left_out():
    model = built(MASK)
    recording = record(model, noise(64, 96))
    assert special_tokens(model, recording, "head.blocks.0") == ("class embedding",) * CLASSES
    assert recording.attention["head.blocks.0"].first == 0
    explanation = attention_maps(recording, "head.blocks.0", (0, 0), ("class embedding",) * CLASSES)
    assert f"goes to {CLASSES} class embeddings" in explanation.metadata


def test_a_mask_is_part_of_the_softmax_and_windows_are_no_attention():
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 1, 2, 7, 8)
    allowed = torch.rand(7, 7) > 0.4
    allowed.fill_diagonal_(True)
    listened = as_attention(queries, keys, values, allowed, scale=0.5, grid=(2, 3), patches_last=True)
    products = (queries[0] @ keys[0].transpose(1, 2) * 0.5).masked_fill(~allowed, -torch.inf)
    assert torch.allclose(listened.weights(4), products.softmax(dim=-1)[:, 5], atol=1e-6)
    windows = queries.expand(4, -1, -1, -1)
    assert as_attention(windows, windows, windows, grid=(2, 3), patches_last=True) is None
    coarser = keys[:, :, :3]
    assert as_attention(queries, coarser, coarser, grid=(2, 3), patches_last=True) is None
    swin = built(ModelConfig(family="unet", encoder="swinv2_tiny_window8_256"))
    assert record(swin, noise(128, 128)).attention == {}


def test_attention_is_heard_where_timm_was_told_to_compute_it_slowly():
    model, images = built(VIT), noise(32, 32)
    heard = record(model, images).attention
    for block in model.encoder.blocks:
        block.attn.fused_attn = False
    assert record(model, images).attention.keys() == heard.keys()
    assert all(block.attn.fused_attn is False for block in model.encoder.blocks)


# ---- receptive field


class Convolutions(SegmentationModel):
    """So many convolutions of 3x3, without anything between them."""

    def __init__(self, count: int) -> None:
        super().__init__(2, mean=(0.5,) * 3, std=(0.25,) * 3, multiple=1)
        self.layers = nn.Sequential(*(nn.Conv2d(3 if not n else 4, 4, 3, padding=1) for n in range(count)))

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def test_the_field_of_one_convolution_is_its_kernel():
    torch.manual_seed(0)
    model, images = Convolutions(1).eval(), noise(20, 30)
    field, winner = effective_field(model, images, (12.5 / 30, 9.5 / 20))
    with torch.no_grad():
        assert winner == int(model(images)[0, :, 9, 12].argmax())
    kernel = model.layers[0].weight[winner].detach().abs().sum(dim=0) / 0.25
    assert torch.allclose(field[8:11, 11:14], kernel)
    assert field.sum() == pytest.approx(float(kernel.sum()), rel=1e-5)


def test_the_field_of_three_convolutions_lies_within_seven_pixels():
    torch.manual_seed(0)
    field, _ = effective_field(Convolutions(3).eval(), noise(20, 30), (12.5 / 30, 9.5 / 20))
    rows, columns = field.nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 12, 9, 15)
    assert box_side(field, (9, 12), share=1 - 1e-9) == 7
    assert box_side(field, (9, 12)) in (5, 7), "the rim holds less than its share of pixels"


def test_the_box_holds_what_it_says():
    field = torch.zeros(20, 30)
    field[10, 10], field[10, 12], field[3, 10] = 90, 5, 5
    assert box_side(field, (10, 10), share=0.9) == 1
    assert box_side(field, (10, 10), share=0.95) == 5
    assert box_side(field, (10, 10), share=0.96) == 15
    corner = torch.zeros(20, 30)
    corner[19, 29] = 1
    assert box_side(corner, (0, 0)) == 59


def test_the_field_needs_no_gradient_of_a_parameter_and_leaves_none():
    for config in (VIT, VALID, ModelConfig(encoder="test_resnet")):
        model = built(config)
        before = hooks_of(model)
        with torch.no_grad():
            effective_field(model, noise(64, 64), (0.5, 0.5))
        record(model, noise(64, 64))
        assert hooks_of(model) == before
        assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
        assert not any(maps.requires_grad for maps in record(model, noise(64, 64)).features.values())


def test_no_hook_stays_where_the_network_fails():
    model = built(VIT)
    before = hooks_of(model)
    model.head.register_parameter("weight", nn.Parameter(torch.zeros(1, 1)))
    with pytest.raises(RuntimeError):
        record(model, noise(32, 32))
    assert hooks_of(model) == before


def test_bytes_stand_for_the_values():
    values = torch.tensor([[-2.0, 0.0], [1.0, 6.0]])
    even = heat_map("", "", values)
    assert (even.low, even.high) == (-2, 6)
    assert even.values.tolist() == [[0, 64], [96, 255]]
    rooted = heat_map("", "", values.clamp(min=0), low=0.0, power=2.0)
    assert rooted.values.tolist() == [[0, 0], [round(255 * 6**-0.5), 255]]
    assert heat_map("", "", torch.full((2, 2), 3.0)).values.tolist() == [[0, 0], [0, 0]]


# ---- a run


@pytest.fixture(scope="module")
def explainer(trained_run):
    return Explainer(trained_run, choose_hardware(TrainingConfig(precision="fp32", device="cpu", threads=1)))


@pytest.fixture
def image(lab_folders, trained_run):
    dataset = open_dataset(read_run(trained_run).config.dataset)
    return dataset.image(dataset.val[0])


def test_a_run_says_what_can_be_looked_at(explainer):
    assert list(explainer.layers) == ["features", "field"]
    assert explainer.layers["features"][0] == "downs.0.0" and explainer.layers["features"][-1] == "classifier"
    assert explainer.layers["field"] == ()


def test_what_is_not_there_is_a_sentence(explainer, image):
    with pytest.raises(LabError, match="no attention"):
        explainer.explain(image, (0.5, 0.5), "attention", "downs.0.0")
    with pytest.raises(LabError, match=r"no layer 'nothing'.*downs\.0\.0, "):
        explainer.explain(image, (0.5, 0.5), "features", "nothing")


def test_another_picture_is_looked_at_anew_and_the_same_one_is_not(explainer, image, monkeypatch):
    from core.inference import explain as explain_module

    passes = []
    monkeypatch.setattr(explain_module, "record", lambda *given: passes.append(1) or record(*given))
    first = explainer.explain(image, (0.5, 0.5), "features", "ups.0")
    passes.clear()
    again = explainer.explain(image, (0.5, 0.5), "features", "ups.0")
    explainer.explain(image, (0.1, 0.9), "features", "classifier")
    assert passes == []
    other = explainer.explain(255 - image, (0.5, 0.5), "features", "ups.0")
    assert passes == [1]
    assert (first.maps[0].values == again.maps[0].values).all()
    assert (first.maps[0].values != other.maps[0].values).any()


def test_a_large_picture_is_seen_at_the_training_size_and_measured_in_its_own_pixels(explainer, image):
    small = explainer.explain(image, (0.4, 0.6), "field")
    large = explainer.explain(image.repeat(4, 0).repeat(4, 1), (0.4, 0.6), "field")
    assert (small.maps[0].values == large.maps[0].values).all()
    side = int(small.metadata.split("square of ")[1].split()[0])
    assert (
        f"square of {4 * side} pixels a side ({side} of the network's own, which is given 128 × 64)" in large.metadata
    )
    assert small.maps[0].values.max() == 255 and (small.maps[0].low, small.maps[0].high) == (0, 1)


def test_sizes_stand_in_one_order_and_no_square_is_larger_than_the_picture(explainer, image, monkeypatch):
    layer = explainer.explain(image, (0.4, 0.6), "features", "downs.2.0").metadata
    (cells, pixels) = [tuple(map(int, pair)) for pair in re.findall(r"(\d+) × (\d+) (?:cells|of the|pixels)", layer)][
        :2
    ]
    assert cells[0] > cells[1], "128 × 64 is width before height, so are its cells"
    monkeypatch.setattr("core.inference.explain.box_side", lambda field, point: max(field.shape))
    whole = explainer.explain(image, (0.4, 0.6), "field").metadata
    assert "nearly the whole picture" in whole and "square of" not in whole


def test_every_corner_can_be_asked_about(explainer, image):
    for point in ((0.0, 0.0), (1.0, 1.0), (0.999999, 0.0)):
        assert explainer.explain(image, point, "field").maps
        assert explainer.explain(image, point, "features", "downs.4.0").maps


def test_the_process_answers_as_the_network_does(explainer, trained_run, image):
    worker = InferenceWorker()
    try:
        assert worker.layers(trained_run) == explainer.layers
        explanation = worker.explain(trained_run, image, (0.4, 0.6), "field")
        here = explainer.explain(image, (0.4, 0.6), "field")
        assert explanation.metadata == here.metadata and explanation.milliseconds > 0
        assert np.abs(explanation.maps[0].values.astype(int) - here.maps[0].values).max() <= 1
        with pytest.raises(LabError, match="no attention"):
            worker.explain(trained_run, image, (0.4, 0.6), "attention", "x")
    finally:
        worker.close()
