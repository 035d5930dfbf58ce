"""Several runs as one: its answer is the mean of theirs, wherever a run can be used."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.__main__ import main
from core.config import read_config
from core.errors import LabError
from core.hub.push import push
from core.inference.predictor import Predictor
from core.models.build import build_model
from core.runner import clone
from core.runs.ensembles import make_ensemble
from core.runs.store import create_run, read_run, write_plan
from core.training.checkpoint import TrainingState, save_checkpoint
from tests.test_transfer import NAMES, space_of


@pytest.fixture
def make_run(lab_folders):
    """`make_run(seed, names, **model)`: a run with a `best` checkpoint of random weights."""

    def make(seed, names=NAMES, **model):
        config = read_config(
            {
                "model": {"weights": "none"} | model,
                "dataset": {"height": 64, "width": 96},
                "training": {"precision": "fp32", "device": "cpu", "test_scale": 1},
            }
        )
        run = create_run(config, lab_folders.runs)
        torch.manual_seed(seed)
        save_checkpoint(run, "best", TrainingState(build_model(config.model, len(names))), config, space_of(names))
        write_plan(run, {"classes": names, "colors": space_of(names).colors, "parameters": 10})
        return read_run(run)

    return make


@pytest.fixture
def members(make_run):
    return [
        make_run(0, family="unet", encoder="plain", width=4),
        make_run(1, family="fcn", encoder="test_resnet"),
        make_run(2, family="vit", encoder="test_vit"),
    ]


def test_its_probabilities_are_the_mean_of_the_members(members, lab_folders):
    path = make_ensemble(members, lab_folders.runs)
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    several = [Predictor(run.path).probabilities(image, (64, 96)) for run in members]
    own = Predictor(path).probabilities(image, (64, 96))
    torch.testing.assert_close(own, torch.stack(several).mean(dim=0), rtol=1e-3, atol=1e-4)
    assert (Predictor(path).predict(image).labels == own[0].argmax(dim=0).numpy()).mean() > 0.99


def test_classes_in_another_order_are_joined_by_name(members, make_run, lab_folders):
    names = (*NAMES[2:], *NAMES[:2])
    turned = make_run(5, names, family="unet", encoder="plain", width=4)
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    first, second = (Predictor(run.path).probabilities(image, (64, 96)) for run in (members[0], turned))
    second = second[:, [names.index(name) for name in NAMES]]
    run = read_run(make_ensemble([members[0], turned], lab_folders.runs))
    assert run.class_names == NAMES
    own = Predictor(run.path).probabilities(image, (64, 96))
    torch.testing.assert_close(own, (first + second) / 2, rtol=1e-3, atol=1e-4)
    assert own.argmax(dim=1).unique().numel() > 1


def test_it_is_a_run_that_says_what_it_is(members, lab_folders):
    run = read_run(make_ensemble(members, lab_folders.runs))
    assert (run.state, run.problem, run.title, run.class_names) == ("finished", None, "Ensemble of 3", NAMES)
    assert all(member.id in run.notes.note for member in members) and run.plan["parameters"] == 30
    assert run.config.model.multiple == 16 * 32 // np.gcd(16, 32)
    with pytest.raises(LabError, match="not trained"):
        clone(run.path, {})
    with pytest.raises(LabError, match="can't be pushed|Push one of your own"):
        push(run, "anna/ensemble", True, False, lambda *_: None)


def test_of_an_ensemble_and_a_run_another_one_is_put_together(members, lab_folders, make_run):
    two = read_run(make_ensemble(members[:2], lab_folders.runs))
    nested = make_ensemble([two, members[2]], lab_folders.runs)
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    several = [Predictor(run.path).probabilities(image, (64, 96)) for run in (two, members[2])]
    torch.testing.assert_close(Predictor(nested).probabilities(image, (64, 96)), sum(several) / 2, rtol=1e-3, atol=1e-4)


def test_what_only_a_member_has_a_use_for_is_no_hindrance(trained_run, lab_folders, tiny_config):
    ids = [trained_run.name, f"{trained_run.name[:-4]}beef"]
    for name in ids:
        shutil.copytree(trained_run, lab_folders.runs / name)
        config = tiny_config(model={"family": "vit", "encoder": "test_vit"}, layer_decay=0.75)
        (lab_folders.runs / name / "config.json").write_text(config.model_dump_json())
    path = make_ensemble([read_run(lab_folders.runs / name) for name in ids], lab_folders.runs)
    assert read_run(path).config.training.layer_decay == 1


def test_what_can_not_be_averaged_is_a_sentence(members, make_run, lab_folders, tiny_config):
    other = make_run(3, names=(*NAMES[1:], "tram"), family="unet", encoder="plain", width=4)
    unscored = read_run(create_run(tiny_config(), lab_folders.runs))
    before = sorted(lab_folders.runs.iterdir())
    for runs, said in (
        (members[:1], "two runs or more"),
        ([members[0], other], "only one of them knows .*tram"),
        ([members[0], unscored], "no network yet"),
    ):
        with pytest.raises(LabError, match=said):
            make_ensemble(runs, lab_folders.runs)
    with open(members[1].path / "best/model.safetensors", "r+b") as file:
        file.truncate(100)
    with pytest.raises(LabError, match="can't be read"):
        make_ensemble(members[:2], lab_folders.runs)
    assert sorted(lab_folders.runs.iterdir()) == before, "nothing half made stays"


def test_the_command_line_makes_one_and_it_is_scored_predicts_and_leaves(trained_run, lab_folders, capsys, tmp_path):
    runs = [trained_run.name, trained_run.name.replace(trained_run.name[-4:], "beef")]
    for name in runs:
        shutil.copytree(trained_run, lab_folders.runs / name)
    assert main(["ensemble", *runs, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["run"]
    assert main(["score", made, "--json"]) == 0
    both = [json.loads(capsys.readouterr().out)]
    assert main(["score", runs[0], "--json"]) == 0
    both.append(json.loads(capsys.readouterr().out))
    first, second = ({name: value for name, value in each.items() if "miou" in name} for each in both)
    assert first and first == second, "twice the same network is that network"
    pytest.importorskip("onnxruntime", reason="make extras brings it")
    assert main(["export", made, "--format", "onnx", "--out", str(tmp_path / "net.onnx")]) == 0
    assert (tmp_path / "net.onnx").stat().st_size > 1000


def test_one_from_before_it_had_temperatures_answers_as_it_did(members, lab_folders):
    path = make_ensemble(members, lab_folders.runs)
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    before = Predictor(path).probabilities(image, (64, 96))
    file = path / "best" / "model.safetensors"
    tensors = load_file(file)
    assert tensors.pop("temperatures").tolist() == [1.0] * 3
    save_file(tensors, file)
    assert torch.equal(Predictor(path).probabilities(image, (64, 96)), before)
