"""A run that teaches another: classes are joined by name, unlabelled pixels are learned from, and nothing else changes."""

import json
import os
import shutil

import cv2
import pytest
import torch

from core.config import TrainingConfig, read_config
from core.data.dataset import open_dataset
from core.errors import LabError
from core.evaluation.results import EvaluationSettings
from core.evaluation.staleness import scored_data
from core.hardware import choose_hardware
from core.hub.published import impersonal
from core.labels import CITYSCAPES_7, CITYSCAPES_19
from core.models.build import build_model
from core.models.class_sources import class_sources
from core.runner.move_data import move_data
from core.runs.lineage import lineage
from core.runs.metrics_log import evaluations
from core.runs.status import update_status
from core.runs.store import create_run, find_run, read_plan, read_run
from core.training.checkpoint import TrainingState, read_checkpoint, save_checkpoint
from core.training.distillation import STEP, SURE, MeanTeacher, RunTeacher
from core.training.distributed import Distributed
from core.training.ema import ModelEma
from core.training.loop import train
from core.training.losses import SummedLoss
from core.training.optimizer import build_optimizer
from core.training.start import find_teacher
from core.training.step import train_step
from tests.test_transfer import NAMES, space_of

NETWORK = {"family": "unet", "encoder": "plain", "width": 4, "depth": 2, "weights": "none"}
TRAINING = TrainingConfig(precision="fp32", device="cpu", threads=1, teacher_temperature=3, teacher_weight=0.5)


@pytest.fixture
def make_teacher(lab_folders):
    """`make_teacher(names, learner_names)`: a run with random weights, its network, and what it teaches."""

    def make(names=NAMES, learner_names=NAMES, bands=3, training=TRAINING):
        config = read_config({"model": NETWORK, "training": {"precision": "fp32", "device": "cpu"}})
        path = create_run(config, lab_folders.runs)
        torch.manual_seed(1)
        model = build_model(config.model, len(names)).eval()
        save_checkpoint(path, "best", TrainingState(model), config, space_of(names))
        return model, RunTeacher(read_run(path), learner_names, bands, training, choose_hardware(training))

    return make


def divergence(target, logits, temperature):
    """The mean over pixels of sum p log(p / q), written out."""
    target, learned = target.double(), (logits.double() / temperature).softmax(dim=1)
    return float((target * (target.log() - learned.log())).sum(dim=1).mean()) * temperature**2


def test_a_network_that_sees_the_same_has_nothing_to_learn(make_teacher):
    model, teacher = make_teacher()
    images = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        logits = model(images)
    assert float(teacher.loss(images, logits)) == pytest.approx(0, abs=1e-6)
    other = torch.randn(logits.shape)
    expected = divergence((logits / 3).softmax(dim=1)[..., ::STEP, ::STEP], other[..., ::STEP, ::STEP], 3)
    assert float(teacher.loss(images, other)) == pytest.approx(expected, rel=1e-4)


def test_classes_are_joined_by_name_whatever_their_order(make_teacher):
    order = (3, 0, 4, 2, 1)
    model, teacher = make_teacher(NAMES, tuple(NAMES[number] for number in order))
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert float(teacher.loss(images, model(images)[:, list(order)])) == pytest.approx(0, abs=1e-5)
        assert float(teacher.loss(images, model(images))) > 1e-3


def test_a_category_learns_the_sum_of_its_classes_and_a_class_of_its_own_is_left_alone(make_teacher):
    names = (*CITYSCAPES_7.class_names, "tram")
    model, teacher = make_teacher(CITYSCAPES_19.class_names, names)
    images, logits = torch.rand(1, 3, 32, 32), torch.randn(1, 8, 32, 32, requires_grad=True)
    teacher.loss(images, logits).backward()
    assert float(logits.grad[:, 7].abs().max()) == 0 and float(logits.grad[:, :7].abs().max()) > 0
    with torch.no_grad():
        fine = (model(images) / 3).softmax(dim=1)
    perfect = torch.full((1, 8, 32, 32), -30.0)
    perfect[:, CITYSCAPES_7.class_names.index("human")] = 0.0
    # Written out: what is left to the others costs 10 each, at a temperature of 3.
    numbers = [[CITYSCAPES_19.class_names.index(name) for name in group] for group in category_members()]
    grouped = torch.stack([fine[:, each].sum(dim=1) for each in numbers], dim=1)[..., ::STEP, ::STEP].double()
    share = grouped[:, CITYSCAPES_7.class_names.index("human")]
    expected = float(((grouped * grouped.log()).sum(dim=1) + 10 * (1 - share)).mean()) * 9
    assert float(teacher.loss(images, perfect)) == pytest.approx(expected, rel=1e-2)


def category_members():
    """The classes of each category, in order."""
    sources = class_sources(CITYSCAPES_7.class_names, CITYSCAPES_19.class_names, {})
    return [[CITYSCAPES_19.class_names[number] for number in source] for source in sources]


def test_pixels_without_a_label_are_learned_from(make_teacher):
    config = read_config(
        {"model": NETWORK, "training": TRAINING.model_dump() | {"learning_rate": 1e-2, "weight_decay": 0}}
    )
    _, teacher = make_teacher(training=config.training)
    hardware = choose_hardware(config.training)
    model = build_model(config.model, len(NAMES)).train()
    optimizer = build_optimizer(model, config, pretrained=False)
    images, unlabelled = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8), torch.full((2, 32, 32), 255).byte()
    loss = SummedLoss(config.training, torch.ones(len(NAMES)))
    step = (model, optimizer, images, unlabelled, loss, hardware, config.training, hardware.scaler(), Distributed())
    assert train_step(*step) is None
    values = [float(train_step(*step, teacher)) for _ in range(30)]
    assert values[-1] < values[0] / 2


def test_a_run_is_taught_to_its_end_and_says_by_whom(lab_folders, trained_run, tiny_config):
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    runs = {}
    for teacher in ("", trained_run.name):
        config = tiny_config(teacher=teacher, teacher_weight=0.9, epochs=8, learning_rate=1e-2)
        runs[teacher] = create_run(config, lab_folders.runs)
        train(runs[teacher], config, report=lambda **_: None, should_stop=lambda: False)
    alone, taught = (evaluations(path)[-1] for path in runs.values())
    assert alone["miou"] != taught["miou"]
    path = runs[trained_run.name]
    assert f"Taught by run {trained_run.name}" in read_plan(path)["weights"] and read_plan(path)["teacher"]
    (ancestor,) = lineage(read_run(path))
    assert (ancestor.verb, ancestor.run.id) == ("was taught by", trained_run.name)
    assert read_plan(runs[""])["teacher"] == "" and lineage(read_run(runs[""])) == ()


def test_a_taught_run_goes_on_with_the_same_teacher_or_not_at_all(lab_folders, trained_run, tiny_config):
    teacher = lab_folders.runs / trained_run.name
    shutil.copytree(trained_run, teacher)
    config = tiny_config(teacher=trained_run.name)
    path = create_run(config, lab_folders.runs)
    steps = iter(range(100))
    assert train(path, config, report=lambda **_: None, should_stop=lambda: next(steps) > 4) == "stopped"
    state = (teacher / "best" / "state.json").read_text()
    (teacher / "best" / "state.json").write_text(state + " ")
    with pytest.raises(LabError, match=r"Taught by run .* another one than when this run began"):
        train(path, config, report=lambda **_: None, should_stop=lambda: False)
    (teacher / "best" / "state.json").write_text(state)
    assert train(path, config, report=lambda **_: None, should_stop=lambda: False) == "finished"
    whole = create_run(config, lab_folders.runs)
    train(whole, config, report=lambda **_: None, should_stop=lambda: False)
    weights = [(each / "last" / "model.safetensors").read_bytes() for each in (path, whole)]
    assert weights[0] == weights[1]


def test_a_teacher_that_can_not_teach_is_a_sentence(lab_folders, make_teacher, tiny_config):
    with pytest.raises(LabError, match="knows 1 of these 2 classes"):
        make_teacher(NAMES, ("road", "tram"))
    with pytest.raises(LabError, match="sees 3 bands, and these images have 4"):
        make_teacher(bands=4)
    untrained = create_run(tiny_config(), lab_folders.runs)
    with pytest.raises(LabError, match="can't teach yet"):
        find_teacher(TrainingConfig(teacher=untrained.name))
    with pytest.raises(LabError):
        find_teacher(TrainingConfig(teacher="20200101-000000-fcn-0000"))
    assert find_teacher(TrainingConfig()) is None


def test_a_run_that_was_deleted_is_still_named(lab_folders, tiny_config):
    config = tiny_config(model={"weights": "run:20200101-000000-unet-0000"})
    run = read_run(create_run(config, lab_folders.runs))
    (ancestor,) = lineage(run)
    assert (ancestor.verb, ancestor.run_id, ancestor.run) == ("went on from", "20200101-000000-unet-0000", None)
    older = read_run(create_run(tiny_config(teacher=run.id), lab_folders.runs))
    assert [ancestor.verb for ancestor in lineage(older)] == ["was taught by", "went on from"]
    assert find_run(older.id, lab_folders.runs).id == older.id


def test_the_mean_teaches_where_it_is_sure_and_sees_the_crop_mirrored():
    """A network that answers with its picture: what the mean says is known by hand."""

    class Echo(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, images):
            return images * self.scale

    model = Echo()
    teacher = MeanTeacher(model, TRAINING, choose_hardware(TRAINING))
    ema = ModelEma(model, 0.5)
    teacher.follow(ema)
    images = torch.zeros(1, 3, 8, 8)
    images[:, 0, :, :4], images[:, 1, :, 4:] = 9, 1  # sure on the left, undecided on the right
    assert float(teacher.loss(images, images)) == pytest.approx(0, abs=1e-6)
    other = torch.randn(1, 3, 8, 8)
    target = (images / 3).softmax(dim=1)[..., ::STEP, :4:STEP]
    expected = divergence(target, other[..., ::STEP, :4:STEP], 3) / 2  # half of the pixels are taught
    assert float(teacher.loss(images, other)) == pytest.approx(expected, rel=1e-4)

    # It follows the mean: once that is surer, it teaches everywhere.
    assert float(images.softmax(dim=1).amax(dim=1)[0, 0, -1]) < SURE
    with torch.no_grad():
        model.scale.fill_(19)
    ema.update(model, step=1_000_000)  # half way there
    everywhere = divergence((10 * images / 3).softmax(dim=1)[..., ::STEP, ::STEP], other[..., ::STEP, ::STEP], 3)
    assert float(teacher.loss(images, other)) == pytest.approx(everywhere, rel=1e-4)


@pytest.fixture
def half_labelled(streets, lab_folders, monkeypatch):
    """A folder of eight frames of streets, whose last four have no masks."""
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", f"{lab_folders.other}{os.pathsep}{streets.parent}")
    source = open_dataset(read_config({"dataset": {"name": "cityscapes", "root": str(streets)}}).dataset)
    root = lab_folders.other / "half"
    for role in ("images", "masks"):
        (root / role).mkdir(parents=True)
    for number, frame in enumerate(source.train[:8]):
        cv2.imwrite(str(root / "images" / f"f{number}.png"), source.image(frame)[..., ::-1])
        if number < 4:
            cv2.imwrite(str(root / "masks" / f"f{number}.png"), source.target(frame))
    rows = [{"name": name, "ids": [number]} for number, name in enumerate(source.space.class_names)]
    (root / "classes.json").write_text(json.dumps(rows))
    return root


def test_photographs_without_masks_are_learned_from_with_a_teacher_and_never_scored(
    half_labelled, lab_folders, tiny_config
):
    def config(**values):
        data = {"name": "folder", "root": str(half_labelled), "unlabelled": 2.0}
        return tiny_config(data, **{"teacher": "itself", "ema": 0.9, **values})

    dataset = open_dataset(config().dataset, for_training=True)
    assert (len(dataset.train), len(dataset.unlabelled), len(dataset.val)) == (3, 4, 1)
    assert all(frame.labels for frame in (*dataset.train, *dataset.val))
    assert sum(frame.weight for frame in dataset.unlabelled) == pytest.approx(2 * len(dataset.train))

    # To the end, and the same when it was stopped on the way.
    finished = []
    for limit in (100, 9):
        run = create_run(config(), lab_folders.runs)
        steps = iter(range(100))
        train(run, config(), report=lambda **_: None, should_stop=lambda: next(steps) > limit)  # noqa: B023
        assert (read_checkpoint(run, "last").step < read_plan(run)["steps_total"]) == (limit == 9)
        train(run, config(), report=lambda **_: None, should_stop=lambda: False)
        finished.append((run / "last" / "model.safetensors").read_bytes())
    assert finished[0] == finished[1]
    assert (read_plan(run)["train_frames"], read_plan(run)["val_frames"]) == (3, 1)

    # Who opens the run later has no use for those photographs: it is scored, moved and pulled though they are gone.
    update_status(run, state="finished")
    moved = half_labelled.rename(half_labelled.with_name("moved"))
    move_data(run, str(moved))
    assert impersonal(read_run(run).config.model_dump())["dataset"]["unlabelled"] == 0
    for number in range(4, 8):
        (moved / "images" / f"f{number}.png").unlink()
    assert open_dataset(read_run(run).config.dataset).unlabelled == ()
    assert scored_data(read_run(run).config, EvaluationSettings(root=str(moved))).unlabelled == 0
    assert "Taught by its own moving mean" in read_plan(run)["weights"] and lineage(read_run(run)) == ()


def test_photographs_without_masks_need_a_teacher_and_to_be_there(
    half_labelled, streets, lab_folders, tiny_config, monkeypatch
):
    with pytest.raises(LabError, match="only a teacher"):
        tiny_config({"name": "folder", "root": str(half_labelled), "unlabelled": 1.0})
    with pytest.raises(LabError, match="moving mean"):
        tiny_config(teacher="itself", ema=0)
    for number in range(4, 8):
        (half_labelled / "images" / f"f{number}.png").unlink()
    config = tiny_config({"name": "folder", "root": str(half_labelled), "unlabelled": 1.0}, teacher="itself", ema=0.9)
    with pytest.raises(LabError, match="no photograph without a mask"):
        open_dataset(config.dataset, for_training=True)
    assert open_dataset(config.dataset).unlabelled == ()
    with pytest.raises(LabError, match="several processes"):
        tiny_config(teacher="itself", ema=0.9, num_processes=2)
