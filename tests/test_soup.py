"""The mean of several runs' weights: made only where it is better, of networks that began alike."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.__main__ import main
from core.errors import LabError
from core.evaluation.soup import make_soup
from core.evaluation.soup_job import start_soup
from core.inference.predictor import Predictor
from core.jobs.kinds import latest
from core.runs.store import best_miou, list_runs, read_run


@pytest.fixture
def siblings(lab_folders, trained_run):
    """`siblings(*shifts)`: copies of a trained run that began with the same weights, each away from it."""

    def make(*shifts):
        runs = []
        for number, shift in enumerate(shifts):
            path = lab_folders.runs / f"{trained_run.name[:-4]}000{number}"
            shutil.copytree(trained_run, path)
            config = json.loads((path / "config.json").read_text())
            config["model"]["weights"] = "run:20200101-000000-unet-0000"
            (path / "config.json").write_text(json.dumps(config))
            plan = json.loads((path / "plan.json").read_text()) | {"pretrained": True}
            (path / "plan.json").write_text(json.dumps(plan))
            file = path / "best" / "model.safetensors"
            tensors = load_file(file)
            # The same way from the trained weights to either side: their mean is those again.
            rng = np.random.default_rng(0)
            moved = {
                name: (value + shift * rng.normal(0, 0.1, value.shape)).astype(value.dtype) if value.ndim > 1 else value
                for name, value in tensors.items()
            }
            save_file(moved, file)
            runs.append(read_run(path))
        return runs

    return make


def test_a_mean_that_is_better_becomes_a_run(siblings, lab_folders, trained_run):
    runs = siblings(2.0, -2.0)
    seen = []
    soup = make_soup(runs, lab_folders.runs, lambda *progress: seen.append(progress))
    assert soup.miou > soup.best_miou and set(soup.members) == {run.id for run in runs}
    own, whole = (load_file(path / "best" / "model.safetensors") for path in (soup.path, trained_run))
    assert all(np.allclose(own[name], whole[name], atol=1e-5) for name in whole)
    run = read_run(soup.path)
    assert (run.state, run.title, run.class_names) == ("finished", runs[0].title, runs[0].class_names)
    assert best_miou(run.path) == pytest.approx(soup.miou)
    assert all(member.id in run.plan["weights"] and member.id in run.notes.note for member in runs)
    assert Predictor(soup.path).predict(np.zeros((64, 128, 3), np.uint8)).labels.shape == (64, 128)
    shares = [done / total for _, done, total in seen]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] < 1


def test_a_run_that_makes_it_worse_is_left_out(siblings, lab_folders):
    runs = siblings(2.0, -2.0, 60.0)
    soup = make_soup(runs, lab_folders.runs)
    assert set(soup.members) == {run.id for run in runs[:2]}


def test_without_a_better_mean_nothing_is_written(siblings, lab_folders):
    siblings(0.0, 60.0)
    runs = list_runs(lab_folders.runs)
    with pytest.raises(LabError, match=r"No average is better than .* alone"):
        make_soup(runs, lab_folders.runs)
    assert len(list_runs(lab_folders.runs)) == 2


def test_what_has_no_mean_is_a_sentence(siblings, lab_folders):
    one, two = siblings(0.0, 1.0)
    with pytest.raises(LabError, match="two runs or more"):
        make_soup([one], lab_folders.runs)
    for part, name, value, words in (
        ("model", "width", 16, "another network"),
        ("model", "weights", "none", "didn't begin with the same weights"),
        ("dataset", "fold", 1, "each other's validation frames"),
    ):
        values = json.loads((two.path / "config.json").read_text())
        if name == "fold":
            values["dataset"]["folds"] = 2
        values[part][name] = value
        shutil.copytree(two.path, lab_folders.other / f"copy-{name}")
        (lab_folders.other / f"copy-{name}" / "config.json").write_text(json.dumps(values))
        with pytest.raises(LabError, match=words):
            make_soup([one, read_run(lab_folders.other / f"copy-{name}")], lab_folders.runs)


@pytest.mark.usefixtures("jobs_at_once")
def test_as_a_job_and_from_the_command_line(siblings, lab_folders, capsys):
    runs = siblings(2.0, -2.0)
    start_soup([run.id for run in runs])
    job = latest("average")
    assert job.state == "finished" and job.result["miou"] > job.result["best_miou"]
    assert main(["average", *(run.id for run in runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["members"] == job.result["members"]
    assert len(list_runs(lab_folders.runs)) == 4
