"""Networks as files: the same answers at any size, what is needed to use them inside, and a sentence where one can't be had."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from core.__main__ import main
from core.errors import LabError
from core.export.check import ENOUGH, compare
from core.export.export import describe_use, export_run
from core.export.files import check_exportable, export_folder, export_path, read_check
from core.export.job import start_export
from core.export.onnx_file import open_onnx, write_onnx
from core.export.program import trace
from core.jobs.kinds import latest
from core.labels import CITYSCAPES_19
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.runs.store import create_run, read_run
from core.training.checkpoint import read_checkpoint
from tests.test_models import CLASSES, NETWORKS, train_two_steps

STRUCTURES = {
    "fcn-frozen": True,
    "fcn-16s": True,
    "unet-vit-frozen": True,
    "plain-valid": True,
    "vit-mask": True,
    "vit-dinov3": False,
}
AT_LENGTH = ("fcn-16s", "vit-mask")
"""A network of each kind, and whether it takes pictures of any size: DINOv3's rotary embeddings are made for one. FCN on VGG16 with fc6
and fc7, the U-Net on Lite0 and the ViT with PUP were exported once, to the same answers; they take long, and are left out here."""
SIZE = (64, 128)


@pytest.fixture
def run(lab_folders, trained_run):
    """A copy of the trained run where the lab looks for it."""
    return read_run(shutil.copytree(trained_run, lab_folders.runs / trained_run.name))


def image_files(count=2):
    """Ramps under noise, uint8 (64, 128, 3)."""
    noise = np.random.default_rng(0).integers(0, 128, (count, *SIZE, 3))
    return list((noise + np.linspace(0, 127, SIZE[1])[:, None]).astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "any_size"),
    [pytest.param(*each, marks=pytest.mark.campaign if each[0] in AT_LENGTH else []) for each in STRUCTURES.items()],
)
def test_every_structure_answers_the_same_as_an_onnx_file(name, any_size, tmp_path):
    torch.manual_seed(0)
    model = build_model(NETWORKS[name], CLASSES)
    train_two_steps(model)
    model.eval()
    program, result = trace(model, SIZE)
    assert result == any_size
    write_onnx(program, any_size, tmp_path / "model.onnx", {})
    agreement = compare(model, open_onnx(tmp_path / "model.onnx", 1), image_files(), any_size, lambda done: None)
    assert agreement.agreement >= ENOUGH == 0.999
    assert agreement.largest_difference < 1e-3 * max(1, agreement.spread)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_a_run_becomes_an_onnx_file_that_says_what_it_is(run, lab_folders, capsys):
    out = lab_folders.other / "elsewhere" / "net.onnx"
    assert main(["export", run.id, "--format", "onnx", "--out", str(out), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert (reports["frames"], reports["agreement"] >= ENOUGH, reports["any_size"]) == (10, True, True)
    assert (
        reports["largest_difference"] < 1e-3 < reports["spread"] and min(reports["network_ms"], reports["file_ms"]) > 0
    )
    assert [path.name for path in out.parent.iterdir()] == ["net.onnx"] and reports["size_bytes"] == out.stat().st_size
    assert not (run.path / "exports").exists(), "the page has nothing to offer of a file elsewhere"

    model = onnx.load(out)
    onnx.checker.check_model(model)
    inside = {entry.key: entry.value for entry in model.metadata_props}
    labels = json.loads(inside["labels"])
    assert [label["name"] for label in labels] == list(CITYSCAPES_19.class_names)
    assert labels[0] == {"class": 0, "name": "road", "color": [128, 64, 128], "ids": [7]}
    assert inside["run"] == run.id and int(inside["step"]) == reports["step"]
    assert json.loads(inside["preprocessing"])["trained_at"] == {"height": 64, "width": 128}
    dims = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == [1, 3, "height", "width"]

    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for height, width in ((64, 128), (33, 200), (7, 5)):
        (logits,) = session.run(None, {"images": np.zeros((1, 3, height, width), np.float32)})
        assert logits.shape == (1, 19, height, width)


LOADED = """
import json, sys, torch
inside = {"labels": "", "preprocessing": "", "run": ""}
program = torch.export.load(sys.argv[1], extra_files=inside).module()
logits = program(torch.zeros(1, 3, 50, 70))
print(tuple(logits.shape), json.loads(inside["labels"])[18]["name"], inside["run"], "core" in sys.modules)
"""


def test_a_torch_export_file_is_used_without_the_lab(run, tmp_path):
    reports = []
    report = export_run(run, "torch", tmp_path / "net.pt2", lambda *now: reports.append(now))
    assert (report.agreement, report.any_size, report.frames) == (1.0, True, 10)
    assert reports[0][0] == "Opening the data" and reports[-1] == ("Comparing", 11, 11), (
        "ten frames, and one of another size"
    )
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(tmp_path / "net.pt2")], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"(1, 19, 50, 70) bicycle {run.id} False", done.stderr


class Unknown(SegmentationModel):
    """A network with an operator that ONNX doesn't have."""

    def __init__(self):
        super().__init__(CLASSES, (0.5,) * 3, (0.25,) * 3, multiple=4)
        self.score = nn.Conv2d(3, CLASSES, 1)

    def segment(self, images):
        return self.score(images) * torch.special.bessel_j0(images[:, :1])


def test_an_operator_that_onnx_lacks_is_named_and_torch_export_has_it(tmp_path):
    program, any_size = trace(Unknown().eval(), SIZE)
    assert any_size
    with pytest.raises(LabError, match=r"bessel_j0\. Take torch.export"):
        write_onnx(program, any_size, tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())


class Undecided(Unknown):
    """A network whose path depends on what a picture shows."""

    def segment(self, images):
        return self.score(images if images.mean() > 0 else -images)


def test_a_network_that_can_not_be_traced_is_a_sentence():
    with pytest.raises(LabError, match="can't be traced"):
        trace(Undecided().eval(), SIZE)


def test_a_file_that_answers_otherwise_is_not_handed_out(run, tmp_path, monkeypatch):
    def another(model, size):
        torch.manual_seed(1)
        return trace(build_model(run.config.model, 19).eval(), size)

    monkeypatch.setattr("core.export.export.trace", another)
    with pytest.raises(LabError, match="same class on only .* is not handed out"):
        export_run(run, "torch", tmp_path / "out" / "net.pt2", lambda *now: None)
    assert not list((tmp_path / "out").iterdir())


def test_what_is_missing_is_said(lab_folders, run, tiny_config, monkeypatch, capsys):
    young = create_run(tiny_config(), lab_folders.runs)
    with pytest.raises(LabError, match="no checkpoint yet"):
        check_exportable(read_run(young), "onnx")
    assert main(["export", run.id, "--out", str(lab_folders.other)]) == 42
    assert "is a folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(LabError, match="need onnxruntime, which is not installed. In the lab.s folder"):
        check_exportable(run, "onnx")
    check_exportable(run, "torch")


def test_an_export_started_for_the_page_goes_on_by_itself_and_ends_in_the_runs_folder(run, wait_until):
    assert latest("export", export_folder(run.path, "torch")) is None
    start_export(run, "torch")
    with pytest.raises(LabError, match="already"):
        start_export(run, "torch")
    wait_until(lambda: not latest("export", export_folder(run.path, "torch")).is_active, 300)
    job = latest("export", export_folder(run.path, "torch"))
    report = read_check(run.path, "torch", job)
    assert (job.state, job.error) == ("finished", "")
    assert report.agreement == 1 and export_path(run.path, "torch").stat().st_size == report.size_bytes
    export_path(run.path, "torch").unlink()
    assert read_check(run.path, "torch", job) is None, "nothing is said of a file that isn't there"


def test_a_network_is_traced_at_the_size_at_which_it_is_shown_pictures(run, tmp_path, monkeypatch):
    """One of a fixed size takes no other, so that is what its file has to say."""
    state = json.loads((run.path / "best/state.json").read_text())
    state["config"]["training"]["test_scale"] = 1.25
    (run.path / "best/state.json").write_text(json.dumps(state))

    def stop(_model, size):
        raise LabError(f"traced at {size}")

    monkeypatch.setattr("core.export.export.trace", stop)
    with pytest.raises(LabError, match=r"traced at \(80, 160\)"):
        export_run(run, "onnx", tmp_path / "net.onnx", lambda *_: None)
    preprocessing = describe_use(run.id, read_checkpoint(run.path, "best"), any_size=False)["preprocessing"]
    assert (preprocessing["height"], preprocessing["width"]) == (80, 160)
