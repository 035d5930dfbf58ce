"""Which parameters learn how fast: every group of the optimizer by hand."""

import pytest
import torch

from core.config import fields_of, read_config
from core.models.build import build_model
from core.models.encoder_table import ENCODER_KINDS, ENCODERS, kind_of
from core.models.encoders import is_plain_vit
from core.models.families import PLAIN
from core.training.optimizer import build_optimizer

CLASSES = 5
NETWORKS = {
    "fcn": {"family": "fcn", "encoder": "test_resnet"},
    "fcn-frozen": {"family": "fcn", "encoder": "test_resnet", "freeze": 1},
    "unet": {"family": "unet", "encoder": "test_vit"},
    "plain": {"family": "unet", "encoder": "plain", "width": 4},
    "vit": {"family": "vit", "encoder": "test_vit"},
    "vit-frozen": {"family": "vit", "encoder": "test_vit", "freeze": 1, "head": "mask"},
}


def made(model, pretrained=False, rules=2, **training):
    """A network, and what the optimizer says of each of its parameters by name: the group that holds it."""
    config = read_config({"model": NETWORKS[model] if isinstance(model, str) else model, "training": training})
    network = build_model(config.model, CLASSES)
    optimizer = build_optimizer(network, config, pretrained, rules)
    held = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    groups = {name: held[id(value)] for name, value in network.named_parameters() if id(value) in held}
    return network, optimizer, groups


@pytest.mark.parametrize("decay", [1.0, 0.7])
@pytest.mark.parametrize("model", NETWORKS)
def test_every_trainable_parameter_is_in_exactly_one_group_and_no_frozen_one(model, decay):
    if decay != 1 and "vit" not in NETWORKS[model]["encoder"]:
        decay = 1.0
    network, optimizer, _ = made(model, layer_decay=decay)
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert len(held) < len(list(network.parameters())) or not NETWORKS[model].get("freeze")


@pytest.mark.parametrize(
    ("family", "encoder", "rules"),
    [
        ("vit", "test_vit", 2),
        ("vit", "test_vit", 1),
        ("vit", "test_vit2", 2),
        ("vit", "vit_tiny_patch16_dinov3_qkvb", 2),
        ("unet", "test_vit", 2),
    ],
)
def test_each_block_learns_at_a_share_of_the_one_above(family, encoder, rules):
    """The last one at a share of the head's rate, as in BEiT's code; at the head's own in a run of before."""
    network, _, groups = made({"family": family, "encoder": encoder}, rules=rules, layer_decay=0.5, learning_rate=0.01)
    blocks = len(network.encoder.blocks)
    for name, group in groups.items():
        if name.startswith("encoder.blocks."):
            above = blocks - 1 - int(name.split(".")[2]) + (rules > 1)
        elif not name.startswith("encoder.") or name.startswith(("encoder.norm.", "encoder.fc_norm.")):
            above = 0
        else:  # patches, positions, tokens: below the first block
            assert name.split(".")[1] in ("patch_embed", "pos_embed", "cls_token", "reg_token"), name
            above = blocks + (rules > 1)
        assert group["base_lr"] == pytest.approx(0.01 * 0.5**above), name
    assert len({group["base_lr"] for group in groups.values()}) == blocks + rules


def test_the_encoder_learns_at_its_own_rate():
    _, _, groups = made("fcn", encoder_lr_scale=0.1, learning_rate=0.01)
    for name, group in groups.items():
        assert group["base_lr"] == pytest.approx(0.001 if name.startswith("encoder.") else 0.01)


CONVNEXT = {"family": "unet", "encoder": "test_convnext"}


@pytest.mark.parametrize(
    ("model", "pretrained", "rules", "share"),
    [
        ("vit", True, 2, 0.01),
        ("vit", True, 1, 0.01),
        ("vit", False, 2, 1),
        ("fcn", True, 2, 1),
        ("unet", True, 2, 0.01),
        ("unet", False, 2, 1),
        ("unet", True, 1, 1),
        (CONVNEXT, True, 2, 0.05),
        (CONVNEXT, True, 1, 1),
    ],
)
def test_a_pretrained_encoder_learns_as_fast_as_suits_its_kind(model, pretrained, rules, share):
    """Whatever family stands on it; a run that began by the first rules goes on by them."""
    _, _, groups = made(model, pretrained, rules, learning_rate=0.01)
    rates = {group["base_lr"] for name, group in groups.items() if name.startswith("encoder.")}
    assert list(rates) == [pytest.approx(0.01 * share)]
    assert {group["base_lr"] for name, group in groups.items() if not name.startswith("encoder.")} == {0.01}


def test_the_kind_of_an_encoder_is_known_by_its_name():
    import timm

    for name in timm.list_models():
        assert kind_of(name) == "vit" or not is_plain_vit(name), name
        if name.startswith(("resnet", "tf_efficientnet", "vgg", "mobilenet", "regnet")):
            assert kind_of(name) == "cnn", name
    kinds = {encoder.name: kind_of(encoder.name) for encoder in ENCODERS}
    assert {name for name, kind in kinds.items() if kind == "vit"} == {
        name for name in kinds if name.startswith("vit_")
    }
    assert (kinds["swinv2_tiny_window8_256"], kinds["convnext_tiny"], kinds[PLAIN]) == ("swin", "convnext", "cnn")


def test_the_form_says_at_which_share_each_kind_learns():
    help_text = fields_of("training")["encoder_lr_scale"].description
    assert all(
        f"{kind.lr_scale:g} for a pretrained {kind.title}" in help_text for kind in list(ENCODER_KINDS.values())[:-1]
    )


@pytest.mark.parametrize("model", ["unet", "vit"])
def test_norms_biases_and_embeddings_are_not_decayed(model):
    network, _, groups = made(model, weight_decay=0.3)
    for name, parameter in network.named_parameters():
        spared = parameter.ndim < 2 or name in ("encoder.pos_embed", "encoder.cls_token")
        assert groups[name]["weight_decay"] == (0 if spared else 0.3), name


@pytest.mark.parametrize("rules", [1, 2])
def test_the_terms_of_a_swin_s_attention_are_not_decayed(rules):
    """As timm's own `no_weight_decay` has it, which its pyramids forget; a run of before goes on decaying them."""
    _, _, groups = made({"family": "unet", "encoder": "swinv2_tiny_window8_256"}, rules=rules, weight_decay=0.3)
    terms = [name for name in groups if "cpb_mlp" in name and name.endswith("weight") or "logit_scale" in name]
    assert len(terms) == 36
    assert {groups[name]["weight_decay"] for name in terms} == ({0.3} if rules == 1 else {0.0})


def test_a_step_moves_what_is_held_and_nothing_else():
    network, optimizer, groups = made("fcn-frozen", learning_rate=0.01, weight_decay=0.5)
    before = {name: value.clone() for name, value in network.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"]
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    (network(images) - 1).square().mean().backward()
    optimizer.step()
    moved = {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}
    assert moved and not {name for name in moved if name.startswith("encoder.")}
    assert moved <= set(groups)
