"""The config: what a run may ask for, and what it is told when it asks for something else."""

import json
from typing import Any, get_args

import pytest

from core.config import (
    PRESETS,
    ModelConfig,
    RunConfig,
    TrainingConfig,
    differences,
    fields_of,
    has_a_say,
    read_config,
    read_stored_config,
    setting_of,
    used_settings,
    with_preset,
)
from core.errors import LabError
from core.models.encoder_table import ENCODERS, encoders_of
from core.models.families import FAMILIES, NOT_TRAINED, TRANSFORMERS, Family, options_of


def number_fields() -> list[tuple[str, str, Any, Any, bool]]:
    """Part, field, lowest, highest, and whether the lowest itself is allowed, of every number in the config."""
    result = []
    for part, outer in RunConfig.model_fields.items():
        for name, field in outer.annotation.model_fields.items():
            if field.annotation in (int, float):
                bounds = {
                    key: getattr(item, key)
                    for item in field.metadata
                    for key in ("ge", "gt", "le")
                    if hasattr(item, key)
                }
                result.append((part, name, bounds.get("ge", bounds.get("gt")), bounds["le"], "ge" in bounds))
    return result


def test_defaults_are_valid():
    config = read_config({})
    assert config == RunConfig()
    assert config.dataset.name == "streets"
    assert (config.dataset.height, config.dataset.width) == (256, 512)
    assert config.model.encoder_name == "tf_efficientnet_lite0"


def test_there_are_numbers_to_check():
    assert len(number_fields()) > 20


@pytest.mark.parametrize(("part", "name", "low", "high", "includes_low"), number_fields(), ids=lambda value: str(value))
def test_a_number_out_of_range_is_refused_by_name_value_and_range(part, name, low, high, includes_low):
    for value in (low - 1 if includes_low else low, high + 1):
        with pytest.raises(LabError) as caught:
            read_config({part: {name: value}})
        message = str(caught.value)
        assert f"{part}.{name} is {value}" in message
        assert str(low) in message and str(high) in message, "the whole range is told"


def network_with(option: str) -> dict[str, Any]:
    """The first network on offer that has an option; the default one for what any network has."""
    for family in FAMILIES:
        for encoder in encoders_of(family):
            if option in options_of(family, encoder.name):
                return {"family": family, "encoder": encoder.name}
    return {"family": "vit"} if option == "layer_decay" else {}


@pytest.mark.parametrize(("part", "name", "low", "high", "includes_low"), number_fields(), ids=lambda value: str(value))
def test_the_ends_of_a_range_are_allowed(part, name, low, high, includes_low):
    for value in [high, *([low] if includes_low else [])]:
        values: dict[str, Any] = {"model": network_with(name)}
        values[part] = values.get(part, {}) | {name: value}
        if name.startswith("scale"):
            values[part] = {"scale_min": 0.25, "scale_max": 4} | {name: value}
        if name == "unlabelled":
            values["training"] = {"teacher": "itself", "ema": 0.9}
        if name == "num_processes":
            values[part] = {"batch_size": 64} | {name: value}
        assert getattr(getattr(read_config(values), part), name) == value


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"trainnig": {}}, ["'trainnig'", "dataset, model, training"]),
        ({"training": {"lr": 0.1}}, ["'training.lr'", "learning_rate"]),
        (
            {"model": {"family": "gan"}},
            ["model.family", "'gan'", ", ".join(f"'{name}'" for name in (*FAMILIES, TRANSFORMERS)) + " or 'ensemble'"],
        ),
        ({"dataset": {"name": "kitti"}}, ["dataset.name", "'kitti'", "'streets', 'cityscapes' or 'folder'"]),
        (
            {"dataset": {"annotations": "rough"}},
            ["dataset.annotations", "'rough'", "'fine', 'coarse' or 'fine+coarse'"],
        ),
        ({"training": {"precision": "fp8"}}, ["training.precision", "'fp8'", "'bf16'"]),
        (
            {"training": {"class_weights": "cube"}},
            ["training.class_weights", "'cube'", "'sqrt', 'median', 'enet' or 'none'"],
        ),
        ({"training": {"batch_size": "many"}}, ["training.batch_size", "'many'", "whole number"]),
        ({"training": {"batch_size": 2.5}}, ["training.batch_size", "2.5", "whole number"]),
        ({"training": {"flip": "maybe"}}, ["training.flip", "'maybe'", "true or false"]),
        ({"training": {"device": "cuda:x"}}, ["training.device", "'cuda:x'", "cuda"]),
        ({"training": {"learning_rate": float("nan")}}, ["training.learning_rate", "nan"]),
        ({"training": {"minutes": float("inf")}}, ["training.minutes", "inf"]),
        ({"training": {"seed": None}}, ["training.seed", "None"]),
        ({"model": {"encoder": "../resnet"}}, ["model.encoder", "'../resnet'"]),
        ({"model": {"weights": ""}}, ["model.weights", "''"]),
        ({"model": 3}, ["model is 3"]),
        ([], ["config", "[]"]),
        (None, ["config", "None"]),
        ({"training": {"scale_min": 2, "scale_max": 1.5}}, ["training.scale_max is 1.5", "training.scale_min (2)"]),
        (
            {"training": {"batch_size": 1, "crop_height": 32, "crop_width": 64}},
            ["training.batch_size is 1", "64 x 32", "batch of 2"],
        ),
        (
            {"training": {"batch_size": 2, "num_processes": 2, "crop_height": 32, "crop_width": 32}},
            ["training.batch_size is 2", "32 x 32", "batch of 4"],
        ),
        ({"model": {"stride": 4}}, ["model.stride", "4", "8, 16 or 32"]),
        ({"model": {"family": "vit", "head": "gru"}}, ["model.head", "'gru'", "'linear', 'pup' or 'mask'"]),
        ({"model": {"head": "mask"}}, ["model.head is 'mask'", "FCN-8s", "stride"]),
        ({"training": {"layer_decay": 0.7}}, ["training.layer_decay is 0.7", "FCN-8s", "Take 1, or a ViT"]),
        ({"dataset": {"name": "cityscapes"}}, ["dataset.root", "leftImg8bit"]),
        ({"dataset": {"name": "cityscapes", "root": "  "}}, ["dataset.root"]),
        ({"dataset": {"name": "folder"}}, ["dataset.root", "your images and masks"]),
        ({"dataset": {"name": "folder", "root": "x", "annotations": "coarse"}}, ["dataset.annotations", "'fine'"]),
    ],
)
def test_what_is_wrong_is_said_with_field_value_and_what_is_allowed(values, text):
    with pytest.raises(LabError) as caught:
        read_config(values)
    for term in text:
        assert term in str(caught.value)


def test_every_fault_is_named_at_once():
    with pytest.raises(LabError) as caught:
        read_config({"training": {"batch_size": 0, "epochs": 0}, "model": {"family": "gan"}})
    assert all(field in str(caught.value) for field in ("training.batch_size", "training.epochs", "model.family"))


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": {"root": "x" * 100_000}},
        {"training": {"precision": "x" * 100_000}},
        {"training": {"seed": 10**400}},
        {"y" * 100_000: 1},
    ],
)
def test_a_message_stays_a_sentence_however_long_the_value(values):
    with pytest.raises(LabError) as caught:
        read_config(values)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_leave_what_was_set(preset):
    config = read_config(with_preset({}, preset))
    assert config.training == TrainingConfig(**PRESETS[preset].training)
    assert read_config(with_preset({"training": {"evaluations": 2}}, preset)).training.evaluations == 2
    assert PRESETS[preset].help


@pytest.mark.parametrize(
    ("model", "share"),
    [
        ({}, 0.33),
        ({"family": "unet", "encoder": "resnet50"}, 0.33),
        ({"family": "unet", "encoder": "plain"}, 0),
        ({"family": "vit"}, 0),
        ({"encoder": "convnext_tiny"}, 0),
        ({"weights": "none"}, 0),
        ({"freeze": 0}, 0),
        ({"freeze": 1}, 1),
    ],
)
def test_short_presets_freeze_the_first_layers_of_a_pretrained_convolutional_encoder(model, share):
    for preset in ("taste", "quick"):
        assert read_config(with_preset({"model": model}, preset)).model.freeze == share
    assert read_config(with_preset({"model": model}, "full")).model.freeze == model.get("freeze", 0)


def test_a_default_follows_the_optimizer_and_what_is_asked_for_stays():
    sgd = read_config({"training": {"optimizer": "sgd"}}).training
    assert (sgd.learning_rate, sgd.weight_decay) == (0.01, 0.0005)
    asked = read_config({"training": {"optimizer": "sgd", "learning_rate": 0.3}}).training
    assert (asked.learning_rate, asked.weight_decay) == (0.3, 0.0005)
    assert read_config({"training": {"optimizer": "adam"}}).training.learning_rate == TrainingConfig().learning_rate
    for wrong in ("adamwx", 7, ["sgd"]):
        with pytest.raises(LabError, match="training.optimizer"):
            read_config({"training": {"optimizer": wrong}})


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        ({"learning_rate": "fast"}, "training.learning_rate is 'fast', but must be a number."),
        ({"batch_size": "many"}, "training.batch_size is 'many', but must be a whole number."),
        ({"batch_size": 2.5}, "training.batch_size is 2.5, but must be a whole number."),
        ({"flip": "perhaps"}, "training.flip is 'perhaps', but must be true or false."),
    ],
)
def test_what_is_of_another_kind_is_said_in_words(training, sentence):
    with pytest.raises(LabError) as caught:
        read_config({"training": training})
    assert str(caught.value) == sentence


def test_a_stored_vit_that_knows_no_number_of_blocks_saw_the_last_alone():
    assert read_stored_config({"model": {"family": "vit"}}).model.head_blocks == 1
    assert read_stored_config({"model": {"family": "vit", "head_blocks": 4}}).model.head_blocks == 4
    assert read_config({"model": {"family": "vit"}}).model.head_blocks == 4
    for values in ({}, {"model": {}}, {"model": {"family": "unet", "encoder": "plain"}}):
        assert read_stored_config(values).training.test_scale == 1
    for wrong in ({"model": {"family": ["vit"]}}, {"model": {"family": "gru"}}, {"model": 7}, {"training": None}, 7):
        with pytest.raises(LabError):
            read_stored_config(wrong)


def test_a_run_of_before_that_froze_its_encoder_freezes_all_of_it():
    assert read_config({"model": {"freeze": True}}).model.freeze == 1
    assert read_config({"model": {"freeze": False}}).model.freeze == 0


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(LabError, match="'huge'.*taste, quick, full"):
        with_preset({}, "huge")


def test_json_round_trip():
    config = read_config(
        {
            "dataset": {"name": "cityscapes", "root": "/data/städte/東京", "max_val_samples": 3},
            "model": {"family": "vit"},
            "training": {"learning_rate": 1 / 3, "flip": False, "scale_max": 1.1},
        }
    )
    assert read_config(json.loads(config.model_dump_json())) == config


def test_a_config_cannot_be_changed():
    config = RunConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.training.epochs = 3
    with pytest.raises(ValueError, match="frozen"):
        config.model = ModelConfig(family="vit")


def test_every_field_has_help_and_a_label():
    for part in RunConfig.model_fields:
        for name, field in fields_of(part).items():
            assert field.description and field.description.endswith("."), name
            assert setting_of(part, name).title, name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_offers_its_default_encoder_first(family):
    default = FAMILIES[family].default_encoder
    assert encoders_of(family)[0].name == default == ModelConfig(family=family).encoder_name


def test_the_table_of_families_is_what_the_config_takes():
    assert get_args(Family) == (*FAMILIES, *NOT_TRAINED)
    for family, entry in FAMILIES.items():
        assert ModelConfig(family=family).title.startswith(entry.title)
        assert set(entry.options) <= set(ModelConfig.model_fields)


def test_every_option_belongs_to_some_network():
    networks = [(family, encoder.name) for family in FAMILIES for encoder in encoders_of(family)]
    options = {option for network in networks for option in options_of(*network)}
    assert options == set(ModelConfig.model_fields) - {"family", "encoder", "weights", "class_map", "architecture"}
    assert options_of(TRANSFORMERS, "segformer") == ("architecture",)


@pytest.mark.parametrize(
    ("family", "encoder", "options"),
    [
        ("fcn", "resnet18", {"dilated_head", "stride", "freeze", "head_only"}),
        ("fcn", "vgg16", {"stride", "fc_width", "dropout", "freeze", "head_only"}),
        ("unet", "resnet18", {"upsample", "norm", "dropout", "score_levels", "freeze", "head_only"}),
        ("unet", "plain", {"upsample", "norm", "dropout", "width", "depth", "padding", "head_only"}),
        (
            "vit",
            "vit_tiny_patch16_224",
            {"head", "head_blocks", "patch_size", "drop_path", "grad_checkpointing", "freeze", "head_only"},
        ),
    ],
)
def test_a_network_has_its_own_options_only(family, encoder, options):
    config = ModelConfig(family=family, encoder=encoder)
    assert set(config.options) == options
    other = {"stride": 16, "fc_width": 64, "dropout": 0.5, "freeze": 1, "upsample": "bilinear", "norm": "none",
             "score_levels": "finest", "width": 8, "depth": 2, "padding": "valid", "head": "mask", "head_blocks": 1, "drop_path": 0.1,
             "grad_checkpointing": True}  # fmt: skip
    for name, value in other.items():
        values = {"model": {"family": family, "encoder": encoder, name: value}}
        if name in options:
            assert getattr(read_config(values).model, name) == value
        else:
            with pytest.raises(LabError) as caught:
                read_config(values)
            assert f"model.{name} is {value!r}" in str(caught.value)
            assert all(option in str(caught.value) for option in options), "its own options are told"


def test_encoders_are_named_once():
    names = [encoder.name for encoder in ENCODERS]
    assert len(names) == len(set(names))


def test_titles_tell_networks_apart():
    assert ModelConfig(family="unet", encoder="plain", width=16).title == "U-Net · plain, the network of 2015"
    assert ModelConfig(family="fcn").title == "FCN-8s · EfficientNet-Lite0"
    assert ModelConfig(family="fcn", stride=32, encoder="vgg16").title == "FCN-32s · VGG16"
    assert ModelConfig(family="vit", head="mask").title == "ViT mask · ViT-S/14 (DINOv2)"


def test_two_configs_differ_in_the_fields_that_differ():
    one = read_config({"model": {"family": "fcn"}, "training": {"epochs": 3.0, "minutes": 0}})
    other = read_config({"model": {"family": "fcn"}, "training": {"epochs": 4.0, "minutes": 0}})
    assert differences(one, other) == {"training.epochs": (3.0, 4.0)} and differences(one, one) == {}


def test_a_dilated_head_takes_the_place_of_the_skips():
    config = read_config({"model": {"family": "fcn", "encoder": "resnet18", "dilated_head": True}})
    assert config.model.title == "FCN-D6 · ResNet-18" and "stride" not in config.model.options
    assert ("model", "stride") not in used_settings(config) and ("model", "dilated_head") in used_settings(config)
    with pytest.raises(LabError, match="model.stride is 16, but FCN-D6"):
        read_config({"model": {"dilated_head": True, "stride": 16}})
    with pytest.raises(LabError, match="model.dilated_head is True, but FCN-8s"):
        read_config({"model": {"encoder": "vgg16", "dilated_head": True}})


def test_layers_decay_in_a_vit_whatever_stands_on_it():
    for model in ({"family": "vit"}, {"family": "unet", "encoder": "vit_small_patch16_224"}):
        assert read_config({"model": model, "training": {"layer_decay": 0.7}}).training.layer_decay == 0.7
    with pytest.raises(LabError, match="has no row of equal blocks"):
        read_config({"model": {"family": "unet", "encoder": "resnet18"}, "training": {"layer_decay": 0.7}})


def test_batch_statistics_are_synchronised_between_processes_alone():
    values = {"training": {"batch_size": 8, "num_processes": 1, "sync_batch_norm": True}}
    assert not has_a_say(values, "training", "sync_batch_norm")
    for num_processes in (2, 10):
        assert has_a_say(
            {"training": values["training"] | {"num_processes": num_processes}}, "training", "sync_batch_norm"
        )
    for name in ("num_processes", "accumulate_grad_batches"):
        help_text = fields_of("training")[name].description
        assert "batch normalisation and losses of regions or hard pixels" in help_text


def test_a_short_preset_shows_a_vit_crops_at_half_size_at_first_and_leaves_what_is_set():
    def share(preset, model, training=None):
        values = with_preset({"model": model, "training": training or {}}, preset)
        return read_config(values).training.half_size_share

    assert share("quick", {"family": "vit"}) == share("taste", {"family": "vit", "weights": "none"}) == 0.5
    assert share("quick", {"family": "unet", "encoder": "vit_small_patch14_dinov2"}) == 0.5
    assert share("full", {"family": "vit"}) == share("quick", {"family": "fcn"}) == 0
    assert share("quick", {"family": "vit"}, {"half_size_share": 0.0}) == 0
