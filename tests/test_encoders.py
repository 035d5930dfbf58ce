"""Encoders: which are refused and in which words, and what a file of weights fills. Nothing is ever downloaded."""

import copy
import socket

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from core.config import ModelConfig
from core.errors import LabError
from core.models.build import build_model
from core.models.encoders import build_plain_vit, build_pyramid, hub_repo_of, normalization_of
from core.models.families import FAMILIES
from core.models.load_weights import LoadReport, load_encoder

CLASSES = 5


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever asks the Hub, or opens a connection at all, fails the test."""

    def fail(*arguments, **_options):
        pytest.fail(f"a network asked for {arguments}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(timm.models._hub, "hf_hub_download", fail)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)


def build(family, encoder, **options):
    return build_model(ModelConfig(family=family, encoder=encoder, **options), CLASSES)


# ---- refusals


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unknown_encoder_lists_close_names(family):
    with pytest.raises(LabError, match=r"'resnet81'.*\bresnet18\b"):
        build(family, "resnet81")


def test_a_name_like_no_other_says_where_names_are():
    with pytest.raises(LabError, match=r"'qqqq'.*timm\.list_models\(\)"):
        build("fcn", "qqqq")


NO_PYRAMID = "no pyramid of feature maps. Take one that has, for example "
NOT_ANY_SIZE = "no feature maps that fit a picture of any size. Take one that has, for example "
NOT_PLAIN = "is not a plain Vision Transformer. Take one: "


@pytest.mark.parametrize(
    ("family", "encoder", "text"),
    [
        ("fcn", "vit_tiny_patch16_224", NO_PYRAMID),
        ("fcn", "xcit_nano_12_p8_224", NO_PYRAMID),
        ("unet", "gmixer_12_224", NO_PYRAMID),
        ("unet", "test_vit_relpos", NO_PYRAMID),
        ("unet", "vit_tiny_r_s16_p8_224", NO_PYRAMID),
        ("fcn", "efficientvit_m0", "strides [16, 32, 64], but this network needs [8, 16, 32]. Take one that has"),
        ("unet", "test_coatnet", NOT_ANY_SIZE),  # attends over windows of its own size
        ("fcn", "gcvit_xxtiny", NOT_ANY_SIZE),
        ("unet", "coat_tiny", NOT_ANY_SIZE),  # insists on 224 x 224
        ("unet", "inception_v3", NOT_ANY_SIZE),  # convolutions without padding
        ("unet", "tresnet_m", NOT_ANY_SIZE),  # timm can't give its finest map
        ("fcn", "plain", "'plain'"),
        ("vit", "plain", "'plain'"),
        ("vit", "resnet18", NOT_PLAIN),
        ("vit", "swin_tiny_patch4_window7_224", NOT_PLAIN),
        ("vit", "vit_tiny_r_s16_p8_224", NOT_PLAIN),  # a convolutional network before the patches
        ("vit", "test_vit_relpos", NOT_PLAIN),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_by_name_with_ones_that_do(family, encoder, text):
    with pytest.raises(LabError) as caught:
        build(family, encoder)
    message = str(caught.value)
    assert f"'{encoder}'" in message and text in message
    if text.endswith(("example ", "one: ")):
        named = message.split(text)[1].rstrip(".").split(", ")
        assert len(named) == 3 and len(message) < 300
        with torch.device("meta"):
            for name in named:  # what is recommended is taken
                build(family, name)


def test_patches_that_are_not_square_are_refused(monkeypatch):
    """timm has no such network yet; this is one with its patches cut differently."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, patch_size=(16, 8), **options))
    with pytest.raises(LabError, match=r"'test_vit' has patches of 8 x 16 pixels.*square.*Take another: vit_\w+"):
        build("vit", "test_vit")


def test_building_asks_for_no_weights():
    for config in (("fcn", "test_resnet"), ("unet", "test_convnext"), ("vit", "test_vit")):
        build(*config)
    assert hub_repo_of("resnet18") == "timm/resnet18.a1_in1k"
    assert hub_repo_of("resnet81") is None


def test_normalisation_is_what_the_encoder_was_trained_with():
    assert normalization_of("resnet18") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert normalization_of("vit_tiny_patch16_224") == ((0.5,) * 3, (0.5,) * 3)
    with pytest.raises(LabError, match="'resnet81'"):
        normalization_of("resnet81")


# ---- pyramids


def test_maps_come_at_the_strides_asked_for():
    image = torch.rand(1, 3, 64, 96)
    for name in ("test_resnet", "swinv2_tiny_window8_256"):
        encoder = build_pyramid(name, (8, 16, 32))
        assert encoder.training
        shapes = [tuple(features.shape[1:]) for features in encoder(image)]
        channels = encoder.feature_info.channels()
        assert shapes == [(channels[level], 64 >> level + 3, 96 >> level + 3) for level in range(3)]


def test_every_stride_from_2_on_is_taken_unless_told():
    assert build_pyramid("test_resnet").feature_info.reduction() == [2, 4, 8, 16, 32]
    assert build_pyramid("test_convnext").feature_info.reduction() == [4, 8, 16, 32]


def test_a_classifiers_pooling_is_left_out():
    """Nothing would teach it here."""
    assert build_plain_vit("test_vit3").attn_pool is None


# ---- weights from files


def small_encoder():
    return build_pyramid("test_resnet", (8, 16, 32))


def saved(encoder, path, **changes):
    """Writes an encoder's tensors, each one more than it was, to a file; `changes` go on top, None takes a tensor out."""
    tensors = {name: value + 1 for name, value in encoder.state_dict().items()} | changes
    save_file({name: value for name, value in tensors.items() if value is not None}, path)
    return tensors


def test_a_file_fills_every_tensor(tmp_path):
    encoder = small_encoder()
    tensors = saved(small_encoder(), tmp_path / "w.safetensors")
    report = load_encoder(encoder, tmp_path / "w.safetensors")
    state = {name: value for name, value in encoder.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert report == LoadReport("w.safetensors", len(state))
    assert all(torch.equal(value, tensors[name]) for name, value in state.items())
    assert report.sentence == f"{len(state)} tensors of the network are from w.safetensors."


@pytest.mark.parametrize("outer", ["features", "encoder", "model"])
@pytest.mark.parametrize("longer", ["encoder", "file"])
def test_either_side_may_lack_the_outermost_name(tmp_path, outer, longer):
    source, encoder = small_encoder(), small_encoder()
    if longer == "file":
        source = nn.ModuleDict({outer: source})
    else:
        encoder = nn.ModuleDict({outer: encoder})
    tensors = saved(source, tmp_path / "w.safetensors")
    report = load_encoder(encoder, tmp_path / "w.safetensors")
    assert not report.unused
    ours, theirs = (f"{outer}." if longer == side else "" for side in ("encoder", "file"))
    assert torch.equal(encoder.state_dict()[f"{ours}conv1.0.weight"], tensors[f"{theirs}conv1.0.weight"])


def test_a_network_loads_only_its_encoder(tmp_path):
    model = build("unet", "test_resnet")
    tensors = saved(model.encoder, tmp_path / "w.safetensors", **{"fc.weight": torch.zeros(3, 3)})
    before = copy.deepcopy(model.state_dict())
    report = model.load_pretrained(tmp_path / "w.safetensors")
    assert report.unused == ("fc.weight",)
    assert "in the file, but not needed: fc.weight" in report.sentence
    for name, value in model.state_dict().items():
        inner = name.removeprefix("encoder.")
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, tensors[inner] if inner != name else before[name]), name


@pytest.mark.parametrize("kind", ["missing tensor", "wrong shape", "text", "empty", "truncated", "absent"])
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, kind):
    encoder, path = small_encoder(), tmp_path / "foreign.safetensors"
    changes = {"missing tensor": None, "wrong shape": torch.zeros(3, 3)}
    saved(encoder, path, **({"layer1.0.conv1.weight": changes[kind]} if kind in changes else {}))
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    if kind in ("text", "empty"):
        path.write_text("hello" if kind == "text" else "")
    if kind == "absent":
        path.unlink()
    with pytest.raises(LabError, match="foreign.safetensors") as caught:
        load_encoder(encoder, path)
    if kind in changes:
        assert "layer1_0_conv1_weight" in str(caught.value)
        assert "Choose the file that belongs to this encoder." in str(caught.value)
    if kind == "wrong shape":
        assert "(3, 3)" in str(caught.value) and str(tuple(encoder.layer1[0].conv1.weight.shape)) in str(caught.value)


def test_weights_of_another_patch_size_are_refused(tmp_path):
    encoder = build_plain_vit("test_vit")
    saved(encoder, tmp_path / "p8.safetensors", **{"patch_embed.proj.weight": torch.zeros(64, 3, 8, 8)})
    with pytest.raises(LabError, match=r"p8\.safetensors.*patch_embed_proj_weight.*\(64, 3, 8, 8\).*\(64, 3, 16, 16\)"):
        load_encoder(encoder, tmp_path / "p8.safetensors")


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("vit_tiny_patch16_224", 1), ("vit_dwee_patch16_reg1_gap_256", 0)],
    ids=["class token", "no token"],
)
def test_position_embeddings_of_another_grid_are_interpolated(tmp_path, name, prefix):
    encoder = build_plain_vit(name)
    side, width = encoder.patch_embed.grid_size[0], encoder.embed_dim
    assert encoder.pos_embed.shape == (1, prefix + side**2, width)
    ramp = torch.linspace(-1, 1, 24)
    grid = ramp.view(24, 1, 1).expand(24, 24, width).reshape(1, 24 * 24, width)  # grows from row to row
    positions = torch.cat([torch.full((1, prefix, width), 7.0), grid], 1)
    saved(encoder, tmp_path / "384.safetensors", pos_embed=positions, **{"head.weight": torch.zeros(10, width)})
    report = load_encoder(encoder, tmp_path / "384.safetensors")
    assert (report.resized, report.unused, report.fresh) == (("pos_embed",), ("head.weight",), ())
    assert "interpolated to this grid: pos_embed" in report.sentence
    loaded = encoder.pos_embed.detach()
    assert (loaded[:, :prefix] == 7).all(), "a class token has no place in the grid"
    rows = loaded[0, prefix:].view(side, side, width)
    assert torch.allclose(rows, rows[:, :1, :1].expand_as(rows), atol=1e-5), "nothing mixes rows and columns"
    # Pixel centres of the coarser grid on the finer ramp.
    expected = ((torch.arange(side) + 0.5) / side * 24 - 0.5) / 23 * 2 - 1
    assert torch.allclose(rows[1:-1, 0, 0], expected[1:-1], atol=0.03)


@pytest.fixture(scope="module")
def vgg():
    """FCN-32s on VGG16, fc6 and fc7 narrowed to 16 channels."""
    return build("fcn", "vgg16", stride=32, fc_width=16)


@pytest.mark.parametrize(
    "names", [("pre_logits.fc1", "pre_logits.fc2"), ("classifier.0", "classifier.3")], ids=["timm", "torchvision"]
)
def test_a_vggs_classifier_becomes_fc6_and_fc7(vgg, names, tmp_path):
    generator = torch.Generator().manual_seed(3)
    # timm keeps convolutions, torchvision linear layers over the flattened 7 x 7 map.
    folded = names[0].startswith("pre_logits")
    shapes = {names[0]: (16, 512, 7, 7) if folded else (16, 512 * 49), names[1]: (16, 16, 1, 1) if folded else (16, 16)}
    classifier = {f"{name}.weight": torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    classifier |= {f"{name}.bias": torch.rand(16, generator=generator) for name in names}
    path = tmp_path / "vgg16.safetensors"
    saved(vgg.encoder, path, **classifier, **{"head.fc.weight": torch.zeros(2, 2)})
    report = vgg.load_pretrained(path)
    assert (report.fitted, report.fresh, report.unused) == (26 + 4, (), ("head.fc.weight",))
    for layer, name in ((vgg.fc[0], names[0]), (vgg.fc[3], names[1])):
        assert torch.equal(layer.weight.flatten(), classifier[f"{name}.weight"].flatten())
        assert torch.equal(layer.bias, classifier[f"{name}.bias"])


def test_without_a_classifier_fc6_and_fc7_are_learned_and_it_says_so(vgg, tmp_path):
    saved(vgg.encoder, tmp_path / "features.safetensors")
    before = vgg.fc[0].weight.clone()
    report = vgg.load_pretrained(tmp_path / "features.safetensors")
    assert (report.fitted, report.fresh, report.unused) == (26, ("fc6", "fc7"), ())
    assert "not in the file, so learned from scratch: fc6, fc7" in report.sentence
    assert torch.equal(vgg.fc[0].weight, before)


def flat(name):
    return name.replace(".", "_").removeprefix("features_")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("tf_efficientnet_lite0_imagenet", ModelConfig()),
        ("vgg16_imagenet_features", ModelConfig(encoder="vgg16", fc_width=0)),
        ("vit_small_patch14_dinov2", ModelConfig(family="vit")),
    ],
)
def test_the_real_weights_fit(shared, name, config):
    path = shared / "weights" / f"{name}.safetensors"
    encoder = build_model(config, CLASSES).encoder
    before = copy.deepcopy(encoder.state_dict())
    load_encoder(encoder, path)
    file = {flat(key): value for key, value in load_file(path).items()}
    for key, value in encoder.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert not torch.equal(value, before[key]), f"{key} is still the random one"
            if key != "pos_embed":
                assert torch.equal(value, file[flat(key)].float()), key


def test_weights_of_another_encoder_are_refused(shared):
    with pytest.raises(LabError, match="tf_efficientnet_lite0_imagenet.safetensors"):
        load_encoder(small_encoder(), shared / "weights" / "tf_efficientnet_lite0_imagenet.safetensors")


def test_a_vit_of_other_patches_has_its_weights_resampled(tmp_path):
    """To patches of the same look: a plain picture, seen through them, gives the same vector."""
    own = build_plain_vit("vit_tiny_patch16_224")
    save_file({name: tensor.contiguous() for name, tensor in own.state_dict().items()}, tmp_path / "own.safetensors")
    finer = build_plain_vit("vit_tiny_patch16_224", patch_size=8)
    report = load_encoder(finer, tmp_path / "own.safetensors")
    assert "patch_embed.proj.weight" in report.resized and "pos_embed" in report.resized
    assert finer.patch_embed.proj.weight.shape[-2:] == (8, 8)
    ramp = torch.linspace(-1, 1, 16)[None, None, :, None].expand(1, 3, 16, 16)
    small = F.interpolate(ramp, size=(8, 8), mode="bicubic", antialias=True)
    with torch.no_grad():
        expected, found = own.patch_embed.proj(ramp).flatten(), finer.patch_embed.proj(small).flatten()
    assert F.cosine_similarity(expected, found, dim=0) > 0.95
    model = build_model(ModelConfig(family="vit", encoder="vit_tiny_patch16_224", patch_size=8), 5)
    assert model.multiple == 8 == ModelConfig(family="vit", encoder="vit_tiny_patch16_224", patch_size=8).multiple
    assert model(torch.rand(1, 3, 30, 50)).shape == (1, 5, 30, 50)

    with pytest.raises(LabError, match="doesn't fit the encoder: patch_embed_proj_weight"):
        load_encoder(build_plain_vit("vit_tiny_patch16_224", patch_size=0), patched(tmp_path, own))


def patched(folder, encoder):
    """A file of the encoder's weights with patches of another size."""
    tensors = {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    tensors["patch_embed.proj.weight"] = torch.zeros(192, 3, 8, 8)
    save_file(tensors, folder / "patched.safetensors")
    return folder / "patched.safetensors"
