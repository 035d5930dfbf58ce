"""One contract for every network, and what each family owes to its paper."""

import copy

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from core.config import ModelConfig
from core.encoders import ENCODERS
from core.errors import LabError
from core.models import MODELS, build_model
from core.models.encoders import build_pyramid, hub_repo_of, load_encoder
from core.models.fcn import bilinear_upsampling

CLASSES = 7
NETWORKS = {
    "fcn-lite0": ModelConfig(family="fcn"),
    "fcn-resnet18": ModelConfig(family="fcn", encoder="resnet18"),
    "unet-lite0": ModelConfig(family="unet"),
    "unet-plain": ModelConfig(family="unet", encoder="plain", width=4),
    "vit-tiny": ModelConfig(family="vit", encoder="vit_tiny_patch16_224"),
}


def images(batch=1, height=97, width=161, seed=0):
    """Noise on a ramp, 0..1, of a size that no stride divides."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, width).expand(batch, 3, height, width)
    return (ramp + torch.rand(batch, 3, height, width, generator=generator)) / 2


def train_two_steps(model):
    """FCN's score layers and a ResNet's last normalisations begin at zero: what lies behind them learns from the third step on."""
    model.train()
    target = torch.randint(0, CLASSES, (2, 64, 64), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(images(2, 64, 64)), target).backward()
        optimizer.step()
    optimizer.zero_grad()


@pytest.fixture(scope="module", params=NETWORKS, ids=str)
def trained(request):
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
        for height, width in ((97, 161), (32, 32), (64, 96), (33, 17)):
            logits = model(images(1, height, width))
            assert logits.shape == (1, CLASSES, height, width)
            assert logits.dtype == torch.float32
            assert torch.isfinite(logits).all()
            assert logits.std() > 0


def test_gradients_reach_every_parameter(trained):
    model, *_ = trained
    model.train()
    state = copy.deepcopy(model.state_dict())
    target = torch.randint(0, CLASSES, (2, 97, 161), generator=torch.Generator().manual_seed(2))
    F.cross_entropy(model(images(2)), target).backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    model.zero_grad()
    model.load_state_dict(state)
    assert not without


def test_steps_changed_the_weights(trained):
    model, _, before = trained
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())


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
    assert (rough.argmax(1) == exact.argmax(1)).float().mean() > 0.93


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


def test_the_same_seed_builds_the_same_network_and_another_another():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build_model(NETWORKS["unet-plain"], CLASSES).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["classifier.weight"], states[2]["classifier.weight"])


def test_an_unknown_family_lists_the_known_ones():
    config = ModelConfig.model_construct(family="gan")
    with pytest.raises(LabError, match=f"'gan'.*{', '.join(MODELS)}"):
        build_model(config, CLASSES)


@pytest.mark.parametrize("family", MODELS)
def test_an_unknown_encoder_lists_close_names(family):
    with pytest.raises(LabError, match="'resnet81'.*resnet18"):
        build_model(ModelConfig(family=family, encoder="resnet81"), CLASSES)


@pytest.mark.parametrize(
    ("family", "encoder", "words"),
    [
        ("unet", "vit_tiny_patch16_224", "vit_tiny_patch16_224.*resnet18"),
        ("fcn", "vit_tiny_patch16_224", "vit_tiny_patch16_224.*resnet18"),
        ("unet", "convnext_atto", "convnext_atto.*strides .4, 8, 16, 32.*resnet18"),
        ("fcn", "plain", "'plain'"),
        ("vit", "plain", "'plain'"),
        ("vit", "resnet18", "not a plain Vision Transformer.*vit_small_patch14_dinov2"),
        ("vit", "swin_tiny_patch4_window7_224", "not a plain Vision Transformer"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(family, encoder, words):
    with pytest.raises(LabError, match=words):
        build_model(ModelConfig(family=family, encoder=encoder), CLASSES)


def test_an_encoder_without_bridges_serves_the_fcn():
    model = build_model(ModelConfig(family="fcn", encoder="convnext_atto"), CLASSES)
    assert model(images()).shape == (1, CLASSES, 97, 161)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_the_encoders_on_offer_exist_and_their_weights_are_timms_own(encoder):
    if encoder.name == "plain":
        assert encoder.hub_repo is None
    else:
        assert hub_repo_of(encoder.name) == encoder.hub_repo


# ---- FCN-8s


def test_fcn_upsampling_begins_as_bilinear_interpolation():
    features = torch.rand(2, CLASSES, 9, 13, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = bilinear_upsampling(CLASSES)(features)
    theirs = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    # At the rim they differ by intent: a transposed convolution sees zeros beyond it.
    assert ours.shape == theirs.shape
    assert torch.allclose(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], atol=1e-6)


def test_fcn_begins_undecided():
    model = build_model(NETWORKS["fcn-resnet18"], CLASSES).eval()
    with torch.no_grad():
        assert (model(images()) == 0).all()


def test_fcn_takes_strides_8_16_and_32():
    model = build_model(NETWORKS["fcn-lite0"], CLASSES)
    assert model.encoder.feature_info.reduction() == [8, 16, 32]


# ---- U-Net


def test_the_plain_unet_is_that_of_figure_1():
    model = build_model(ModelConfig(family="unet", encoder="plain", width=64), 2)
    widths = [down[0].out_channels for down in model.downs]
    assert widths == [64, 128, 256, 512, 1024]
    assert [up.upsample.out_channels for up in model.ups] == [512, 256, 128, 64]
    assert [up.convolutions[0].in_channels for up in model.ups] == [1024, 512, 256, 128]
    # The paper's network has 31.0 million weights; batch normalisation adds a little.
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(31.04e6, rel=0.002)


def test_unet_sees_every_stride():
    model = build_model(NETWORKS["unet-lite0"], CLASSES)
    assert model.encoder.feature_info.reduction() == [2, 4, 8, 16, 32]


# ---- weights from files


def flat(name):
    return name.replace(".", "_").removeprefix("features_")


def test_the_real_weights_fit(shared):
    for name, config in (
        ("tf_efficientnet_lite0_imagenet", ModelConfig(family="fcn")),
        ("vgg16_imagenet_features", ModelConfig(family="fcn", encoder="vgg16")),
        ("vit_small_patch14_dinov2", ModelConfig(family="vit")),
    ):
        path = shared / "weights" / f"{name}.safetensors"
        torch.manual_seed(0)
        encoder = build_model(config, CLASSES).encoder
        before = copy.deepcopy(encoder.state_dict())
        load_encoder(encoder, path)
        file = {flat(key): value for key, value in load_file(path).items()}
        for key, value in encoder.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                assert not torch.equal(value, before[key]), f"{name}: {key} is still the random one"
                if key != "pos_embed":
                    assert torch.equal(value, file[flat(key)].float()), f"{name}: {key}"


def test_position_embeddings_of_another_grid_are_interpolated(tmp_path):
    encoder = build_model(NETWORKS["vit-tiny"], CLASSES).encoder
    tensors = {name: value.clone() for name, value in encoder.state_dict().items()}
    tensors["pos_embed"] = torch.full((1, 1 + 24 * 24, 192), 0.5)
    tensors["head.weight"] = torch.zeros(10, 192)
    save_file(tensors, tmp_path / "vit384.safetensors")
    assert load_encoder(encoder, tmp_path / "vit384.safetensors") == ["head.weight"]
    assert encoder.pos_embed.shape == (1, 1 + 14 * 14, 192)
    assert torch.allclose(encoder.pos_embed, torch.tensor(0.5), atol=1e-3)


def small_encoder():
    return build_pyramid("resnet18", (8, 16, 32))


@pytest.mark.parametrize("outer", ["features", "encoder", "model"])
def test_a_file_may_lack_the_outermost_name(tmp_path, outer):
    tensors = {name: value + 1 for name, value in small_encoder().state_dict().items()}
    save_file(tensors, tmp_path / "w.safetensors")
    encoder = nn.ModuleDict({outer: small_encoder()})
    assert load_encoder(encoder, tmp_path / "w.safetensors") == []
    assert torch.equal(encoder.state_dict()[f"{outer}.conv1.weight"], tensors["conv1.weight"])


@pytest.mark.parametrize("kind", ["missing tensor", "wrong shape", "text", "empty", "truncated", "absent"])
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, kind):
    encoder = small_encoder()
    tensors = {name: value.clone() for name, value in encoder.state_dict().items()}
    if kind == "missing tensor":
        del tensors["layer1.0.conv1.weight"]
    if kind == "wrong shape":
        tensors["layer1.0.conv1.weight"] = torch.zeros(3, 3)
    path = tmp_path / "foreign.safetensors"
    save_file(tensors, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    if kind in ("text", "empty"):
        path.write_text("hello" if kind == "text" else "")
    if kind == "absent":
        path.unlink()
    with pytest.raises(LabError, match="foreign.safetensors") as caught:
        load_encoder(encoder, path)
    if "tensor" in kind or "shape" in kind:
        assert "layer1_0_conv1_weight" in str(caught.value)


def test_weights_of_another_encoder_are_refused(shared):
    with pytest.raises(LabError, match="tf_efficientnet_lite0_imagenet.safetensors"):
        load_encoder(small_encoder(), shared / "weights" / "tf_efficientnet_lite0_imagenet.safetensors")
