"""One run as the start of another: what fits is taken, classes are carried over by name, the rest starts anew."""

import shutil

import pytest
import torch

from core.config import ModelConfig, read_config
from core.errors import LabError
from core.labels import CITYSCAPES_7, CITYSCAPES_19, LabelSpace
from core.models.build import build_model, class_axes
from core.models.class_sources import class_sources, sources_sentence
from core.runs.metrics_log import evaluations
from core.runs.store import create_run, read_plan, read_run
from core.training.checkpoint import TrainingState, save_checkpoint
from core.training.loop import train
from core.training.start import carried_sentence, find_start
from core.training.transfer import transfer

NAMES = ("road", "sky", "person", "rider", "car")
NETWORKS = {
    "fcn": {"encoder": "test_resnet"},
    "fcn-d6": {"encoder": "test_resnet", "dilated_head": True},
    "fcn-vgg": {"encoder": "vgg16", "fc_width": 8},
    "unet": {"family": "unet", "encoder": "test_resnet"},
    "unet-finest": {"family": "unet", "encoder": "test_efficientnet", "score_levels": "finest"},
    "plain": {"family": "unet", "encoder": "plain", "width": 4},
    "vit": {"family": "vit", "encoder": "test_vit"},
    "vit-pup": {"family": "vit", "encoder": "test_vit", "head": "pup"},
    "vit-mask": {"family": "vit", "encoder": "test_vit", "head": "mask"},
}


def space_of(names: tuple[str, ...]) -> LabelSpace:
    return LabelSpace("own", names, tuple((index, 0, 0) for index in range(len(names))), (255,) * 256)


@pytest.fixture
def make_run(lab_folders):
    """`make_run(network, names)`: a run's folder with a `best` checkpoint of random weights, and that network."""

    def make(network, names=NAMES, seed=1):
        config = read_config({"model": {"weights": "none"} | network})
        run = create_run(config, lab_folders.runs)
        torch.manual_seed(seed)
        model = build_model(config.model, len(names)).eval()
        for tensor in model.state_dict().values():  # nothing is 0 or 1 by chance, statistics of normalisation included
            if tensor.ndim == 1 and tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape) * 0.1)
        save_checkpoint(run, "best", TrainingState(model), config, space_of(names))
        return read_run(run), model

    return make


def begin(network, names, run, class_map=""):
    """A new network that starts from a run, and what was said of it."""
    config = ModelConfig.model_validate(network | {"weights": f"run:{run.id}", "class_map": class_map})
    torch.manual_seed(2)
    model = build_model(config, len(names))
    return model, transfer(model, config, names, run)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_classes_in_another_order_give_the_same_logits(make_run, name):
    run, trained = make_run(NETWORKS[name])
    order = (3, 0, 4, 2, 1)
    model, report = begin(NETWORKS[name], tuple(NAMES[number] for number in order), run)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), trained(images)[:, list(order)], rtol=1e-4, atol=1e-4)
    assert report.fresh == () and "start anew" not in report.sentence


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"vit-mask"}))  # there a class sees the others
def test_a_class_that_is_new_starts_anew_and_leaves_the_others_as_they_were(make_run, name):
    run, trained = make_run(NETWORKS[name])
    model, report = begin(NETWORKS[name], ("tram", "car", "road"), run)
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        logits, before = model.eval()(images), trained(images)
        torch.testing.assert_close(logits[:, 1:], before[:, [4, 0]], rtol=1e-4, atol=1e-4)
    assert not any(torch.allclose(logits[:, 0], each, atol=1e-3) for each in before.unbind(1))
    assert "Carries over 2 of 3 classes: car, road. These start anew: tram." in report.classes


def test_the_users_table_goes_before_names(make_run):
    run, trained = make_run(NETWORKS["fcn"])
    model, report = begin(NETWORKS["fcn"], ("walker", "sky"), run, "Walker = person, sky =")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images)[:, 0], trained(images)[:, 2], rtol=1e-4, atol=1e-4)
    assert "walker from person" in report.classes and "anew: sky" in report.classes


@pytest.mark.parametrize(
    ("class_map", "said"),
    [("walker = man", "no class 'man'"), ("man = person", "no class 'man'"), ("walker person", "equals sign")],
)
def test_a_table_that_names_what_is_not_there_is_a_sentence(make_run, class_map, said):
    run, _ = make_run(NETWORKS["fcn"])
    with pytest.raises((LabError, ValueError), match=said):
        begin(NETWORKS["fcn"], ("walker", "sky"), run, class_map)


def test_a_table_without_a_run_is_refused():
    with pytest.raises(LabError, match="run:ID"):
        read_config({"model": {"class_map": "rider = person"}})


def test_a_category_begins_with_its_classes_and_they_not_with_it():
    finer = class_sources(CITYSCAPES_19.class_names, CITYSCAPES_7.class_names, {})
    assert [name for name, source in zip(CITYSCAPES_19.class_names, finer, strict=True) if source] == ["sky"]
    coarser = class_sources(CITYSCAPES_7.class_names, CITYSCAPES_19.class_names, {})
    human = coarser[CITYSCAPES_7.class_names.index("human")]
    assert [CITYSCAPES_19.class_names[number] for number in human] == ["person", "rider"]
    assert class_sources(["Traffic_Light", "lamp"], CITYSCAPES_19.class_names, {}) == ((6,), ())
    assert sources_sentence(["lamp"], ["sky"], ((),)).startswith("None of its classes")


def test_another_encoder_leaves_the_own_one_as_it_is_and_what_lies_behind_is_taken(make_run):
    run, trained = make_run({"family": "unet", "encoder": "resnet18"})
    network = {"family": "unet", "encoder": "resnet34"}
    torch.manual_seed(2)
    own = build_model(ModelConfig(**network), len(NAMES)).encoder.state_dict()
    model, report = begin(network, NAMES, run)
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.encoder.state_dict().items())
    assert report.fitted and "No encoder of the run fits" in report.sentence
    taken = [
        name
        for name in model.state_dict()
        if not name.startswith(("encoder.", "mean", "std")) and "tracked" not in name
    ]
    assert all(
        torch.equal(model.state_dict()[name], trained.state_dict()[name]) for name in taken if name not in report.fresh
    )


def test_other_patches_leave_the_encoder_and_a_head_of_another_shape_starts_anew(make_run):
    run, _ = make_run({"family": "vit", "encoder": "test_vit", "patch_size": 8})
    model, report = begin(NETWORKS["vit"], NAMES, run)
    assert not report.encoder and report.fitted, "the linear head fits all the same"
    _, report = begin(NETWORKS["vit-mask"], NAMES, make_run({"family": "vit", "encoder": "test_vit"})[0])
    assert report.encoder and "all classes start anew" in report.classes


def test_a_start_that_shares_nothing_is_refused_with_the_reason(make_run):
    run, _ = make_run(NETWORKS["plain"])
    with pytest.raises(LabError, match=f"Nothing of run {run.id}.*same family"):
        begin(NETWORKS["vit"], NAMES, run)


def test_a_run_that_is_not_there_or_has_no_network_is_a_sentence(lab_folders, tiny_config):
    with pytest.raises(LabError, match="There is no run"):
        find_start(ModelConfig(weights="run:20260101-000000-fcn-0000"))
    run = create_run(tiny_config(), lab_folders.runs)
    with pytest.raises(LabError, match="first evaluation"):
        find_start(ModelConfig(weights=f"run:{run.name}"))


def test_only_tensors_with_an_entry_a_class_have_class_axes():
    for network in NETWORKS.values():
        config = ModelConfig.model_validate(network)
        model = build_model(config, 5)
        axes = class_axes(model, config)
        assert axes and all(model.state_dict()[name].shape[axis] == 5 for name, each in axes.items() for axis in each)


def test_a_training_goes_on_from_a_run_and_says_so(trained_run, lab_folders, tiny_config):
    """One step at a rate of almost nothing: the run scores as the one that it starts from, with the classes in their order."""
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    before = max(row["miou"] for row in evaluations(trained_run))
    model = {"width": 8, "weights": f"run:{trained_run.name}"}
    config = tiny_config(model=model, epochs=0.25, evaluations=1, learning_rate=1e-6, crop_height=64, crop_width=128)
    run = create_run(config, lab_folders.runs)
    assert train(run, config, report=lambda **changes: None, should_stop=lambda: False) == "finished"
    assert evaluations(run)[-1]["miou"] == pytest.approx(before, abs=0.02)
    said = read_plan(run)["weights"]
    assert f"Starts from run {trained_run.name}" in said and "Carries over 19 of 19 classes" in said
    assert carried_sentence(config.model, read_run(trained_run), read_run(run).class_names) in said
