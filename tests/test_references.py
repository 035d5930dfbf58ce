"""The networks against their papers and against other people's code: the same weights must give the same numbers."""

import copy
import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import load_file
from torch import nn

from core.config import ModelConfig
from core.models.build import build_model
from core.models.fcn import FCN, bilinear_upsampling
from core.models.unet import PlainUNet, valid_margins
from core.models.vit import MaskHead, PupHead

CLASSES = 5


def randomised(module, seed=0, spread=0.1):
    """The module with a bit of noise on every weight and statistic, so that none is at a value that hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point() and name not in ("mean", "std"):
                tensor.add_(spread * torch.rand(tensor.shape, generator=generator))
    return module.eval()


def image_files(height, width, batch=1, seed=1):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def parameters_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


def close(ours, theirs, tolerance=1e-4):
    assert ours.shape == theirs.shape
    assert theirs.std() > 0
    return (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


# ---- U-Net: Ronneberger et al., figure 1


@pytest.fixture(scope="module")
def valid_unet():
    """Figure 1 with narrow levels: valid convolutions, no normalisation."""
    torch.manual_seed(0)
    config = ModelConfig(family="unet", encoder="plain", width=4, padding="valid", norm="none")
    return randomised(PlainUNet(config, CLASSES))


def test_the_plain_unet_has_the_papers_weights_to_the_last_one():
    config = ModelConfig(family="unet", encoder="plain", width=64, norm="none", padding="valid")
    with torch.device("meta"):
        model = PlainUNet(config, num_classes=2, channels=1)
    assert parameters_of(model) == 31_030_658
    assert [down[0].out_channels for down in model.downs] == [64, 128, 256, 512, 1024]
    assert [up.upsample.out_channels for up in model.ups] == [512, 256, 128, 64]
    assert [up.convolutions[0].in_channels for up in model.ups] == [1024, 512, 256, 128]


def test_its_maps_have_the_sizes_of_figure_1(valid_unet):
    sizes = []
    hooks = [
        module.register_forward_hook(
            lambda _module, inputs, output: sizes.append((inputs[0].shape[-1], output.shape[-1]))
        )
        for module in valid_unet.modules()
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        logits = valid_unet(
            image_files(388 - 4, 388 - 4)
        )  # the next multiple of 16 below; the last two rims are cut off
    for hook in hooks:
        hook.remove()
    down = [(572, 570), (570, 568), (568, 284), (284, 282), (282, 280), (280, 140), (140, 138), (138, 136), (136, 68)]
    bottom = [(68, 66), (66, 64), (64, 32), (32, 30), (30, 28)]
    up = [(28, 56), (56, 54), (54, 52), (52, 104), (104, 102), (102, 100), (100, 200), (200, 198), (198, 196)]
    assert sizes == down + bottom + up + [(196, 392), (392, 390), (390, 388), (388, 388)]
    assert logits.shape[-2:] == (384, 384)


@pytest.mark.parametrize("depth", range(1, 7))
def test_valid_margins_are_the_smallest_that_cover_the_picture(depth):
    def out(size):
        for _ in range(depth):
            size -= 4
            if size % 2 or size <= 0:
                return None
            size //= 2
        size -= 4
        for _ in range(depth):
            size = 2 * size - 4
        return size

    margin, surplus = valid_margins(depth)
    for size in (2**depth, 3 * 2**depth, 8 * 2**depth):
        assert out(size + 2 * margin) == size + 2 * surplus
        assert not [less for less in range(margin) if (out(size + 2 * less) or 0) >= size]


def valid_by_definition(model, tile):
    """Figure 1 in torch's functions alone: tile (1, 3, t, t) to logits (1, K, t - 184, t - 184)."""

    def twice(features, layers):
        for layer in (layers[0], layers[2]):
            features = F.relu(F.conv2d(features, layer.weight, layer.bias))
        return features

    skips = [twice(tile, model.downs[0])]
    for down in model.downs[1:]:
        skips.append(twice(F.max_pool2d(skips[-1], 2), down))
    features = skips.pop()
    for up in model.ups:
        features = F.conv_transpose2d(features, up.upsample.weight, up.upsample.bias, stride=2)
        skip = skips.pop()
        rim = (skip.shape[-1] - features.shape[-1]) // 2
        features = twice(torch.cat([features, skip[..., rim:-rim, rim:-rim]], 1), up.convolutions)
    return F.conv2d(features, model.classifier.weight, model.classifier.bias)


@pytest.mark.parametrize(("height", "width"), [(224, 240), (32, 48)])
def test_its_logits_are_those_of_a_tile_cut_from_the_mirrored_picture(valid_unet, height, width):
    """Overlap-tile, figure 2. The smaller picture is mirrored more than once to fill the margin of 94."""
    image = image_files(height, width)
    mirrored = np.pad(((image - 0.5) / 0.25).numpy(), ((0, 0), (0, 0), (94, 94), (94, 94)), mode="reflect")
    with torch.no_grad():
        logits = valid_unet(image)
        for top, left in ((0, 0), (0, width - 16), (height - 16, 0), (height - 32, width - 16)):
            tile = torch.from_numpy(mirrored[..., top : top + 204, left : left + 204].copy())
            expected = valid_by_definition(
                valid_unet, tile
            )  # 20 x 20, two more on every side than the 16 x 16 asked for
            assert close(logits[..., top : top + 16, left : left + 16], expected[..., 2:18, 2:18], 1e-5)


# ---- U-Net on an encoder: segmentation_models_pytorch


@pytest.mark.parametrize("levels", ["finest", "all"])
def test_the_unet_on_a_resnet_is_that_of_segmentation_models_pytorch(levels):
    torch.manual_seed(0)
    theirs = randomised(smp.Unet("resnet18", encoder_weights=None, classes=CLASSES), spread=0.02)
    ours = build_model(ModelConfig(family="unet", encoder="resnet18", score_levels=levels), CLASSES).eval()
    ours.encoder.load_state_dict(
        {k: v for k, v in theirs.encoder.state_dict().items() if k in ours.encoder.state_dict()}
    )
    for norm in ours.norms:  # theirs joins the encoder's maps as they are
        norm.running_var.fill_(1 - norm.eps)
    for up, block in zip(ours.ups, theirs.decoder.blocks, strict=False):
        for folder, layer in ((0, block.conv1), (3, block.conv2)):
            up.convolutions[folder].load_state_dict(layer[0].state_dict())
            up.convolutions[folder + 1].load_state_dict(layer[1].state_dict())
    result, expected = [], []
    hooks = [up.register_forward_hook(lambda _m, _i, output: result.append(output)) for up in ours.ups]
    hooks += [b.register_forward_hook(lambda _m, _i, output: expected.append(output)) for b in theirs.decoder.blocks]
    with torch.no_grad():
        image = image_files(96, 160, batch=2)
        logits = ours(image)
        maps = theirs.encoder((image - ours.mean) / ours.std)
        theirs.decoder(maps)
        assert all(close(a, b) for a, b in zip(result, expected, strict=False))
        assert expected[3].shape[-2:] == (48, 80)  # their fifth block, without a skip, is what we don't have
        summed = 0
        scored = [maps[-1], *expected[:4]] if levels == "all" else [expected[3]]
        for score, features in zip(ours.scores, scored, strict=True):
            if torch.is_tensor(summed):
                summed = F.interpolate(summed, size=features.shape[-2:], mode="bilinear")
            summed = summed + F.conv2d(features, score.weight, score.bias)
        assert close(logits, F.interpolate(summed, size=(96, 160), mode="bilinear"))
    for hook in hooks:
        hook.remove()


# ---- FCN: Long et al., and torchvision's VGG16

VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def test_fcn8s_on_vgg16_has_the_papers_parameters_term_by_term():
    """Section 4 and the reference network voc-fcn8s, whose last upsampling is fixed."""
    terms, before = [], 3
    for width in VGG16:
        terms.append(3 * 3 * before * width + width)
        before = width
    terms += [7 * 7 * 512 * 4096 + 4096, 4096 * 4096 + 4096]  # fc6, fc7
    terms += [channels * 21 + 21 for channels in (4096, 512, 256)]  # score_fr, score_pool4, score_pool3
    terms += [4 * 4 * 21 * 21] * 2  # upscore2, upscore_pool4: no bias
    with torch.device("meta"):
        model = build_model(ModelConfig(encoder="vgg16"), 21)
    assert parameters_of(model) == sum(terms) == 134_376_863


def test_fcn_upsampling_begins_as_bilinear_interpolation():
    features = torch.rand(2, CLASSES, 9, 13, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = bilinear_upsampling(CLASSES)(features)
    theirs = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    # At the rim they differ by intent: a transposed convolution sees zeros beyond it.
    assert ours.shape == theirs.shape
    assert torch.allclose(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], atol=1e-6)


def test_fcn_begins_undecided():
    model = build_model(ModelConfig(encoder="test_resnet"), CLASSES).eval()
    with torch.no_grad():
        assert (model(image_files(97, 161)) == 0).all()


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_fcn_sums_its_scores_from_coarse_to_fine(stride):
    torch.manual_seed(0)
    model = randomised(build_model(ModelConfig(encoder="test_resnet", stride=stride), CLASSES))
    image = image_files(96, 160)
    with torch.no_grad():
        maps = model.encoder((image - model.mean) / model.std)
        assert [features.shape[-1] for features in maps] == [160 // s for s in (8, 16, 32) if s >= stride]
        scores = [F.conv2d(features, s.weight, s.bias) for features, s in zip(maps, model.scores, strict=True)]
        if stride <= 16:
            up = model.upsamples[-1].weight
            scores[-2] = scores[-2] + F.conv_transpose2d(scores[-1], up, stride=2, padding=1)
        if stride == 8:
            scores[0] = scores[0] + F.conv_transpose2d(scores[1], model.upsamples[0].weight, stride=2, padding=1)
        assert close(model(image), F.interpolate(scores[0], size=(96, 160), mode="bilinear"))


@pytest.fixture(scope="module")
def vgg():
    """torchvision's VGG16 with a classifier of 64 channels instead of 4096, and our FCN with its weights."""
    torch.manual_seed(0)
    theirs = torchvision.models.VGG(torchvision.models.vgg16(init_weights=False).features, init_weights=False)
    theirs.classifier[0], theirs.classifier[3] = nn.Linear(512 * 49, 64), nn.Linear(64, 64)
    theirs = randomised(theirs, spread=0.01)
    ours = build_model(ModelConfig(encoder="vgg16", fc_width=64), CLASSES).eval()
    features = theirs.features.state_dict()
    ours.encoder.load_state_dict({f"features_{name}": value for name, value in features.items()})
    with torch.no_grad():
        for convolution, linear in ((ours.fc[0], theirs.classifier[0]), (ours.fc[3], theirs.classifier[3])):
            convolution.weight.copy_(linear.weight.view_as(convolution.weight))
            convolution.bias.copy_(linear.bias)
    return ours, theirs


def vgg_maps(vgg, image):
    """What our FCN scores at strides 8, 16 and 32, and what torchvision has behind its third, fourth and fifth pooling."""
    ours, theirs = vgg
    normalised = (image - ours.mean) / ours.std
    maps, features = [], normalised
    for layer in theirs.features:
        features = layer(features)
        if isinstance(layer, nn.MaxPool2d):
            maps.append(features)
    *finer, coarsest = ours.encoder(normalised)
    return [*(ours.pool(features) for features in finer), coarsest], maps[2:]


def test_vgg16_gives_torchvisions_maps(vgg):
    with torch.no_grad():
        ours, theirs = vgg_maps(vgg, image_files(96, 160))
    assert [features.shape[1:] for features in ours] == [(256, 12, 20), (512, 6, 10), (512, 3, 5)]
    assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_middle_of_fc7_is_torchvisions_classifier(vgg):
    """At 224 x 224 pool5 is 7 x 7, so the middle of fc6, padded by 3, sees all of it and nothing else."""
    ours, theirs = vgg
    with torch.no_grad():
        (*_, pool5), _ = vgg_maps(vgg, image_files(224, 224))
        assert pool5.shape[-2:] == (7, 7)
        expected = theirs.classifier[:6](theirs.avgpool(pool5).flatten(1))
        assert close(ours.fc(pool5)[..., 3, 3], expected)


def test_vgg16_gives_torchvisions_maps_with_its_real_weights(vgg, shared):
    path = shared / "weights" / "vgg16_imagenet_features.safetensors"
    ours, theirs = copy.deepcopy(vgg)
    file = {name.removeprefix("features."): value.float() for name, value in load_file(path).items()}
    theirs.features.load_state_dict(file)
    report = ours.load_pretrained(path)
    assert (report.fitted, report.fresh, report.unused) == (26, ("fc6", "fc7"), ())
    with torch.no_grad():
        mine, expected = vgg_maps((ours, theirs), image_files(96, 160))
    assert all(close(a, b) for a, b in zip(mine, expected, strict=True))


# ---- ViT: timm, SETR, Segmenter


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("vit_tiny_patch16_224", 1),
        ("deit_tiny_distilled_patch16_224", 2),
        ("vit_tiny_patch16_dinov3_qkvb", 5),
        ("vit_dwee_patch16_reg1_gap_256", 1),
        ("test_vit3", 1),
    ],
)
def test_the_linear_head_classifies_timms_tokens(name, prefix):
    """Also at a size that isn't square: timm interpolates the positions, `dynamic_img_size`."""
    torch.manual_seed(0)
    model = randomised(build_model(ModelConfig(family="vit", encoder=name, head_blocks=1), CLASSES), spread=0.02)
    theirs = timm.create_model(name, num_classes=0, dynamic_img_size=True).eval()
    theirs.load_state_dict(model.encoder.state_dict(), strict=False)
    result = []
    hook = model.head.register_forward_hook(lambda _m, inputs, _o: result.append(inputs[0]))
    with torch.no_grad():
        for height, width in (theirs.patch_embed.img_size, (64, 144)):
            image = image_files(height, width, batch=2)
            logits = model(image)
            tokens = theirs.forward_features((image - model.mean) / model.std)
            grid = (height // 16, width // 16)
            assert tokens.shape[1] == prefix + grid[0] * grid[1]
            tokens = theirs.fc_norm(tokens[:, prefix:])
            assert close(result.pop(), tokens)
            expected = torch.zeros(2, CLASSES, *grid)
            for row in range(grid[0]):
                for column in range(grid[1]):
                    token = tokens[:, row * grid[1] + column]
                    expected[:, :, row, column] = token @ model.head.weight.T + model.head.bias
            assert close(logits, F.interpolate(expected, size=(height, width), mode="bilinear"))
    hook.remove()


def test_the_last_normalisation_of_an_averaging_vit_is_used():
    """timm's gap networks keep it in `fc_norm`, behind the average: without it the tokens would have no common scale."""
    model = build_model(ModelConfig(family="vit", encoder="test_vit2", head_blocks=1), CLASSES).eval()
    result = []
    model.head.register_forward_hook(lambda _m, inputs, _o: result.append(inputs[0]))
    with torch.no_grad():
        model(image_files(64, 96))
    assert torch.allclose(result[0].mean(-1), torch.zeros(1, 24), atol=1e-5)
    assert torch.allclose(result[0].std(-1, correction=0), torch.ones(1, 24), atol=1e-2)


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_tiny_patch16_dinov3_qkvb", "vit_dwee_patch16_reg1_gap_256"]
)
def test_a_head_of_four_blocks_sees_timms_last_four_normalised_and_side_by_side(name):
    torch.manual_seed(0)
    model = randomised(build_model(ModelConfig(family="vit", encoder=name), CLASSES), spread=0.02)
    outputs, seen = [], []
    for block in model.encoder.blocks:
        block.register_forward_hook(lambda _m, _i, output: outputs.append(output))
    model.head.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    with torch.no_grad():
        logits = model(image_files(64, 96, batch=2))
        encoder = model.encoder
        normal = [encoder.fc_norm(encoder.norm(tokens)[:, encoder.num_prefix_tokens :]) for tokens in outputs[-4:]]
    assert close(seen[0], torch.cat(normal, dim=-1))
    assert model.head.weight.shape == (CLASSES, 4 * encoder.embed_dim) and logits.shape == (2, CLASSES, 64, 96)


def test_progressive_upsampling_is_setrs_whatever_the_order_of_the_last_two_layers():
    torch.manual_seed(0)
    head = randomised(PupHead(1, 32, CLASSES))
    tokens = torch.rand(2, 6, 32)
    with torch.no_grad():
        features = F.layer_norm(tokens, (32,), head.norm.weight, head.norm.bias).transpose(1, 2).reshape(2, 32, 2, 3)
        for stage in head.stages:  # convolution, normalisation, ReLU, twice the size: four times
            features = F.interpolate(F.relu(stage[1](stage[0](features))), scale_factor=2, mode="bilinear")
        theirs = head.classifier(features)
        assert theirs.shape == (2, CLASSES, 32, 48)
        assert close(head(tokens, (2, 3)), theirs)


def test_a_mask_is_the_cosine_of_patch_and_class_normalised_over_classes():
    """Segmenter, section 3.2, with the normalisations of its reference code."""
    torch.manual_seed(0)
    head = randomised(MaskHead(1, 64, CLASSES))
    tokens = torch.rand(1, 6, 64)
    with torch.no_grad():
        logits = head(tokens, (2, 3))
        together = torch.cat([F.linear(tokens, head.project.weight, head.project.bias), head.class_embeddings], 1)
        for block in head.blocks:
            together = block(together)
        together = F.layer_norm(together, (64,), head.norm.weight, head.norm.bias)[0]
        for patch in range(6):
            left = (head.project_patches.weight @ together[patch]).tolist()
            cosines = []
            for index in range(CLASSES):
                right = (head.project_classes.weight @ together[6 + index]).tolist()
                product = sum(a * b for a, b in zip(left, right, strict=True))
                cosines.append(product / math.hypot(*left) / math.hypot(*right))
            mean = sum(cosines) / CLASSES
            spread = math.sqrt(sum((cosine - mean) ** 2 for cosine in cosines) / CLASSES + head.mask_norm.eps)
            norm = zip(head.mask_norm.weight.tolist(), head.mask_norm.bias.tolist(), strict=True)
            expected = [(c - mean) / spread * weight + bias for c, (weight, bias) in zip(cosines, norm, strict=True)]
            assert torch.allclose(logits[0, :, patch // 3, patch % 3], torch.tensor(expected), atol=1e-4)


def test_each_family_is_what_build_model_builds(vgg):
    assert isinstance(vgg[0], FCN)
    assert isinstance(build_model(ModelConfig(family="unet", encoder="plain", width=4), CLASSES), PlainUNet)
