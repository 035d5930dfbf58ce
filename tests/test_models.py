"""One contract for every network: any size in, the same size out, whatever the family, the encoder and the options."""

import copy
import shutil
import sys

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from core.config import ModelConfig
from core.errors import LabError
from core.models.base import mirror
from core.models.build import build_model
from core.models.encoder_table import ENCODERS
from core.models.encoders import hub_repo_of
from core.models.families import FAMILIES, FamilyEntry

CLASSES = 7
FOURTH = """
from torch import nn
from core.models.base import SegmentationModel


class Pixelwise(SegmentationModel):
    def __init__(self, config, classes):
        super().__init__(classes, mean=(0.5,) * 3, std=(0.25,) * 3, multiple=4)
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, classes, 1)

    def segment(self, images):
        return self.head(self.encoder(images))


build = Pixelwise
"""
"""A family that the lab doesn't have: the contract must take it as it is."""

# timm's test_* networks are whole, but tiny: options are tried on them, structures on the encoders that the lab offers.
NETWORKS = {
    "fcn-8s": ModelConfig(encoder="resnet18"),
    "fcn-16s": ModelConfig(stride=16),
    "fcn-32s": ModelConfig(encoder="convnext_atto", stride=32),
    "fcn-vgg16-fc64": ModelConfig(encoder="vgg16", fc_width=64, dropout=0.5),
    "fcn-d6": ModelConfig(encoder="test_resnet", dilated_head=True),
    "fcn-head": ModelConfig(encoder="test_resnet", head_only=True),
    "fcn-frozen": ModelConfig(encoder="test_resnet", freeze=1),
    "unet-lite0": ModelConfig(family="unet"),
    "unet-swin": ModelConfig(family="unet", encoder="swinv2_tiny_window8_256"),
    "unet-vit": ModelConfig(family="unet", encoder="vit_tiny_patch16_224"),
    "unet-transposed-group": ModelConfig(family="unet", encoder="test_resnet", upsample="transposed", norm="group"),
    "unet-bilinear-none": ModelConfig(family="unet", encoder="test_convnext", upsample="bilinear", norm="none"),
    "unet-finest": ModelConfig(family="unet", encoder="test_efficientnet", score_levels="finest", dropout=0.3),
    "unet-frozen": ModelConfig(family="unet", encoder="test_resnet", freeze=1),
    "unet-half-frozen": ModelConfig(family="unet", encoder="test_efficientnet", freeze=0.5),
    "unet-vit-frozen": ModelConfig(family="unet", encoder="test_vit", freeze=1),
    "plain": ModelConfig(family="unet", encoder="plain", width=4),
    "plain-valid": ModelConfig(family="unet", encoder="plain", width=4, padding="valid", norm="none", dropout=0.5),
    "plain-valid-depth-1": ModelConfig(family="unet", encoder="plain", width=4, depth=1, padding="valid"),
    "plain-valid-depth-3": ModelConfig(family="unet", encoder="plain", width=4, depth=3, padding="valid"),
    "plain-depth-2-nearest": ModelConfig(
        family="unet", encoder="plain", width=8, depth=2, norm="group", upsample="nearest"
    ),
    "vit-tiny": ModelConfig(family="vit", encoder="vit_tiny_patch16_224"),
    "vit-one-block": ModelConfig(family="vit", encoder="test_vit", head_blocks=1),
    "vit-pup": ModelConfig(family="vit", encoder="test_vit", head="pup"),
    "vit-mask": ModelConfig(family="vit", encoder="test_vit", head="mask"),
    "vit-resampled": ModelConfig(family="vit", encoder="test_vit", patch_size=8),
    "vit-drop-path": ModelConfig(family="vit", encoder="test_vit", drop_path=0.2),
    "vit-checkpointing": ModelConfig(family="vit", encoder="test_vit", grad_checkpointing=True),
    "vit-frozen": ModelConfig(family="vit", encoder="test_vit", freeze=1, grad_checkpointing=True, head="mask"),
    "vit-dinov3": ModelConfig(family="vit", encoder="vit_tiny_patch16_dinov3_qkvb"),
    "vit-registers": ModelConfig(family="vit", encoder="vit_dwee_patch16_reg1_gap_256"),
    "vit-patch-14-average": ModelConfig(family="vit", encoder="eva02_tiny_patch14_224"),
    "vit-pooled-by-attention": ModelConfig(family="vit", encoder="test_vit3"),
    "vit-patch-8": ModelConfig(family="vit", encoder="vit_small_patch8_224"),
    "vit-patch-32": ModelConfig(family="vit", encoder="vit_small_patch32_224"),
    "a-fourth-family": ModelConfig.model_construct(family="fourth", encoder="own"),
}

SAME_GRAPH = {
    "fcn-16s": "fcn-8s",
    "fcn-frozen": "fcn-8s",
    "unet-frozen": "unet-transposed-group",
    "unet-vit": "unet-vit-frozen",
    "plain-valid-depth-1": "plain-valid",
    "plain-valid-depth-3": "plain-valid",
    "vit-tiny": "vit-checkpointing",
    "vit-drop-path": "vit-checkpointing",
    "vit-frozen": "vit-mask",
    "vit-registers": "vit-checkpointing",
    "vit-patch-14-average": "vit-dinov3",
    "vit-patch-8": "vit-checkpointing",
    "vit-patch-32": "vit-checkpointing",
}
"""Networks that differ from another one in sizes or only while they train. Tracing takes seconds, so these were traced once,
without a fault, and are left out here."""


def images(batch=1, height=97, width=161, seed=0):
    """Noise on a ramp, 0..1, of a size that no stride divides."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, width).expand(batch, 3, height, width)
    return (ramp + torch.rand(batch, 3, height, width, generator=generator)) / 2


def train_two_steps(model):
    """FCN's score layers and a ResNet's last normalisations begin at zero: what lies behind them learns from the third step on."""
    model.train()
    target = torch.randint(0, CLASSES, (2, 64, 64), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(images(2, 64, 64)), target).backward()
        optimizer.step()
    optimizer.zero_grad()


@pytest.fixture(scope="module")
def fourth(tmp_path_factory):
    """A fourth family: one file, one line in the table."""
    folder = tmp_path_factory.mktemp("family")
    (folder / "fourth_family.py").write_text(FOURTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(FAMILIES, "fourth", FamilyEntry("Fourth", "fourth_family", "own"))
        yield
    sys.modules.pop("fourth_family", None)


@pytest.fixture(scope="module", params=NETWORKS, ids=str)
def trained(request, fourth):
    """A network after two steps, its config, and a copy of its first state. Tests leave its weights as they are."""
    torch.manual_seed(0)
    config = NETWORKS[request.param]
    model = build_model(config, CLASSES)
    assert model.training
    before = copy.deepcopy(model.state_dict())
    train_two_steps(model)
    return model, config, before


def test_logits_have_the_images_size_whatever_it_is(trained):
    model, *_ = trained
    model.eval()
    with torch.no_grad():
        for height, width in ((97, 161), (64, 96), (33, 17), (5, 3), (1, 1)):
            logits = model(images(1, height, width))
            assert logits.shape == (1, CLASSES, height, width)
            assert logits.dtype == torch.float32
            assert torch.isfinite(logits).all()
            assert logits.std() > 0


def test_gradients_of_single_odd_images_reach_every_trainable_parameter(trained):
    model, *_ = trained
    state = copy.deepcopy(model.state_dict())
    model.train()
    torch.manual_seed(0)
    target = torch.randint(0, CLASSES, (1, 97, 161), generator=torch.Generator().manual_seed(2))
    for seed in range(2):  # what was dropped for the first may get its gradient from the second
        F.cross_entropy(model(images(seed=seed)), target).backward()
    without = {name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0}
    model.zero_grad()
    model.load_state_dict(state)
    assert without == {name for name, value in model.named_parameters() if not value.requires_grad}


def test_two_steps_changed_what_is_trainable_and_only_that(trained):
    model, config, before = trained
    state = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], state[name])}
    if config.freeze == 1:
        assert not {name for name in changed if name.startswith("encoder.")}
    heads = {
        name for name, value in model.named_parameters() if value.requires_grad and not name.startswith("encoder.")
    }
    assert heads & changed
    assert not {"mean", "std"} & changed


def test_a_frozen_encoder_keeps_weights_and_statistics_while_the_rest_learns(trained):
    model, config, _ = trained
    if model.encoder is None:
        assert config.encoder == "plain"
        with pytest.raises(AssertionError, match="nothing to freeze"):
            model.freeze_encoder()
        return
    model = copy.deepcopy(model)
    model.freeze_encoder()
    before = copy.deepcopy(model.state_dict())
    train_two_steps(model)
    assert model.training and not any(module.training for module in model.encoder.modules())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}
    assert changed and not {name for name in changed if name.startswith("encoder.")}


@pytest.mark.parametrize("encoder", ["test_resnet", "test_efficientnet", "vgg11", "test_convnext"])
def test_a_frozen_share_is_the_first_layers_of_a_pyramid_and_no_gradient_goes_through_them(encoder):
    model = build_model(ModelConfig(family="unet", encoder=encoder, freeze=0.5), CLASSES)
    before = copy.deepcopy(model.state_dict())
    train_two_steps(model)
    changed = [name for name, value in model.state_dict().items() if not torch.equal(before[name], value)]
    names = [name for name, _ in model.named_parameters() if name.startswith("encoder.")]
    learning = [name for name in names if model.get_parameter(name).requires_grad]
    assert 0 < len(learning) < len(names) and learning == names[-len(learning) :]
    assert learning[-1] in changed
    fixed = set(names) - set(learning)
    assert not fixed & set(changed)
    stems = {name.rpartition(".")[0] for name in fixed}
    assert not {name for name in changed if name.rpartition(".")[0] in stems}, "statistics of a frozen layer moved"


def test_a_frozen_share_of_a_vit_holds_its_patches_positions_and_first_blocks_and_drops_no_path_there():
    model = build_model(ModelConfig(family="vit", encoder="test_vit", freeze=0.6, drop_path=0.5), CLASSES)
    blocks = [all(not value.requires_grad for value in block.parameters()) for block in model.encoder.blocks]
    assert blocks[0] and not blocks[-1]
    assert not model.encoder.pos_embed.requires_grad and not model.encoder.patch_embed.proj.weight.requires_grad
    assert not any(module.training for module in model.encoder.blocks[0].modules())
    assert all(module.training for module in model.encoder.blocks[-1].modules())
    model.eval().train()
    assert not model.encoder.blocks[0].training and model.encoder.blocks[-1].training


def test_evaluation_is_deterministic_and_an_image_is_the_same_alone_and_in_a_batch(trained):
    model, *_ = trained
    model.eval()
    with torch.no_grad():
        pair = images(2)
        first = model(pair)
        assert torch.equal(first, model(pair))
        alone = torch.cat([model(pair[:1]), model(pair[1:])])
    assert torch.allclose(first, alone, atol=1e-4 * first.abs().max().item())


def test_bf16_is_close_to_fp32(trained):
    model, *_ = trained
    model.eval()
    with torch.no_grad():
        exact = model(images())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(images()).float()
    # bf16 keeps 8 bits, 0.4 % a rounding; over the layers of a network this grows to a few per cent of the logits' spread.
    apart = (rough - exact).norm() / (exact - exact.mean()).norm()
    assert 0 < apart < 0.06
    # Where another class wins, the two were as close as that.
    lost = exact.amax(1) - exact.gather(1, rough.argmax(1, keepdim=True)).squeeze(1)
    assert lost.max() <= 2 * (rough - exact).abs().max()


def test_safetensors_bring_back_the_same_network(trained, tmp_path):
    model, config, _ = trained
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.manual_seed(99)
    other = build_model(config, CLASSES)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    model.eval(), other.eval()
    with torch.no_grad():
        assert torch.equal(model(images()), other(images()))


def test_mean_and_std_are_part_of_the_network(trained):
    model, *_ = trained
    names = dict(model.named_buffers())
    assert names["mean"].shape == names["std"].shape == (1, 3, 1, 1)
    assert (names["std"] > 0).all()


TRACED = [name for name in NETWORKS if name not in SAME_GRAPH]
KINDS = ("fcn-8s", "unet-lite0", "plain", "vit-mask", "a-fourth-family")


@pytest.mark.parametrize(
    "trained",
    [pytest.param(name, marks=[] if name in KINDS else pytest.mark.campaign) for name in TRACED],
    indirect=True,
)
def test_the_graph_is_traced_whole_and_gives_the_same_logits(trained):
    """`fullgraph` refuses any break: nothing in a network depends on what a tensor holds."""
    model, *_ = trained
    model.eval()
    torch._dynamo.reset()
    with torch.no_grad():
        exact = model(images())
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(images())
    assert torch.allclose(compiled, exact, atol=1e-4 * exact.abs().max().item())


@pytest.mark.campaign
def test_a_compiled_network_gives_the_same_logits(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing of an earlier compilation
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler, and there is no g++")
    torch.manual_seed(0)
    torch._dynamo.reset()
    config = ModelConfig(family="unet", encoder="plain", width=4, depth=1, norm="none", upsample="nearest")
    model = build_model(config, CLASSES).eval()
    with torch.no_grad():
        exact = model(images())
        compiled = torch.compile(model, fullgraph=True)(images())
    assert torch.allclose(compiled, exact, atol=1e-4 * exact.abs().max().item())


# ---- the table of families


def test_every_family_and_every_option_stands_in_the_table():
    assert {config.family for config in NETWORKS.values()} == {*FAMILIES, "fourth"}
    for name, field in ModelConfig.model_fields.items():
        if name not in ("weights", "class_map", "architecture"):
            values = {getattr(config, name) for config in NETWORKS.values()}
            assert values > {field.default} or len(values) > 1, name


def test_the_same_seed_builds_the_same_network_and_another_another():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build_model(NETWORKS["plain"], CLASSES).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["classifier.weight"], states[2]["classifier.weight"])


def test_an_unknown_family_lists_the_known_ones():
    with pytest.raises(LabError, match=f"'gan'.*{', '.join(FAMILIES)}"):
        build_model(ModelConfig.model_construct(family="gan"), CLASSES)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_the_encoders_on_offer_exist_and_their_weights_are_timms_own(encoder):
    if encoder.name == "plain":
        assert encoder.hub_repo is None
    else:
        assert hub_repo_of(encoder.name) == encoder.hub_repo


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_every_family_that_offers_an_encoder_builds_on_it(encoder):
    with torch.device("meta"):  # shapes without numbers: this costs nothing
        models = [build_model(ModelConfig(family=family, encoder=encoder.name), CLASSES) for family in encoder.families]
    insides = [model if model.encoder is None else model.encoder for model in models]
    for inside in insides:
        millions = sum(parameter.numel() for parameter in inside.parameters()) / 1e6
        # The table counts the convolution behind an EfficientNet's last map, 0.4 million, which no network here needs.
        assert millions == pytest.approx(encoder.parameters, abs=0.45 if "efficientnet" in encoder.name else 0.06)


def recording(model):
    """A network that keeps what its `segment` is shown."""
    shown = []
    model.segment = lambda images: shown.append(images) or images[:, :1].expand(-1, CLASSES, -1, -1)
    return shown


@pytest.mark.parametrize(
    ("name", "mode"), [("fcn-16s", "reflect"), ("unet-bilinear-none", "reflect"), ("vit-mask", "replicate")]
)
@pytest.mark.parametrize("size", [(97, 161), (33, 64), (64, 96)])
def test_a_picture_is_continued_as_suits_its_family(name, mode, size):
    """As `benchmarks/padding.py` judged them on real frames: below and to the right, and not at all where nothing is missing."""
    model = build_model(NETWORKS[name], CLASSES).eval()
    shown = recording(model)
    picture = images(1, *size)
    model(picture)
    normalised = (picture - model.mean) / model.std
    below, right = (-side % model.multiple for side in size)
    if mode == "reflect" and below < size[0] and right < size[1]:
        assert torch.equal(shown[0], F.pad(normalised, (0, right, 0, below), mode="reflect"))
    elif mode == "replicate":
        assert torch.equal(shown[0], F.pad(normalised, (0, right, 0, below), mode="replicate"))
    assert shown[0].shape[-2:] == (size[0] + below, size[1] + right)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 5), (2, 40)])
def test_a_picture_smaller_than_what_is_missing_is_mirrored_again_and_again(size):
    picture = torch.arange(float(size[0] * size[1])).view(1, 1, *size)
    result = mirror(picture, (0, 0), (32 - size[0], 64 - size[1]))
    assert result.shape[-2:] == (32, 64)
    for axis, side in ((-2, size[0]), (-1, size[1])):
        there = list(range(side)) + list(range(side - 2, 0, -1))  # 0 1 2 3 2 1 | 0 1 2 3 2 1 | ...
        expected = [there[index % len(there)] for index in range(result.shape[axis])]
        assert torch.equal(result, result.index_select(axis, torch.tensor(expected)))
    assert torch.equal(result[..., : size[0], : size[1]], picture)


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, config in NETWORKS.items()
        if config.family in ("fcn", "unet") or config.family == "vit" and "patch" in config.encoder
    ),
)
def test_a_config_knows_the_multiple_of_its_network(name):
    with torch.device("meta"):
        assert NETWORKS[name].multiple == build_model(NETWORKS[name], CLASSES).multiple


def test_a_mask_head_of_before_answers_as_it_did():
    """Its queries, keys and values had no biases then; it goes on without them."""
    model = build_model(NETWORKS["vit-mask"], CLASSES).eval()
    names = [name for name in model.state_dict() if name.startswith("head.") and name.endswith("qkv.bias")]
    assert len(names) == 2 and not any(model.state_dict()[name].any() for name in names)
    old = {name: value for name, value in model.state_dict().items() if name not in names}
    again = build_model(NETWORKS["vit-mask"], CLASSES).eval()
    again.load_state_dict(old)
    assert again.state_dict().keys() == old.keys()
    assert torch.equal(model(images()), again(images()))
    again.load_state_dict(again.state_dict())
    model.load_state_dict(model.state_dict())
    assert set(names) <= model.state_dict().keys()
