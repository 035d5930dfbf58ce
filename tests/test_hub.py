"""The Hub: the real client against a stand-in on this machine; what strangers put there is refused in words and never run.

All calls go through one process of their own, since the client reads its settings when it is imported. It watches itself: every
file that is opened for writing, every program that is started and every pickle that is read while a call lasts is noted down.
"""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from core.auth import build_user, set_current_user, shell_user
from core.errors import LabError
from core.hub.card import model_card
from core.hub.job import start_pull, start_push
from core.hub.origin import Origin, read_origin
from core.hub.published import published_text, read_published
from core.hub.sample_images import may_show, sample_images
from core.jobs.kinds import is_stopping, jobs_folder, latest, stop
from core.labels import CITYSCAPES_19, CITYSCAPES_34
from core.models.hub_client import checked_repo
from core.paths import PROJECT
from core.runs.metrics_log import evaluations
from core.runs.notes import Notes, write_notes
from core.runs.store import list_runs, read_run
from tests.hub_server import READ_ONLY, TOKEN, Fault, Hub

REPO = "anna/street-unet"
NO_LONGER = "0123456789abcdef0123456789abcdef01234567"

DRIVER = """
import json, os, sys, traceback
from pathlib import Path

noted = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        mode, flags = arguments[1], arguments[2]
        writes = any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes:
            noted.append(["write", os.path.abspath(os.fsdecode(arguments[0]))])
    elif event in ("os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile"):
        noted.append(["write", os.path.abspath(os.fsdecode(arguments[1]))])
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree") and arguments[-1] in (-1, None):
        # With another folder's handle beside it, a name is a part of what a removal goes through.
        noted.append(["write", os.path.abspath(os.fsdecode(arguments[0]))])
    elif event == "ctypes.dlopen" and "/" not in str(arguments[0]):
        pass  # a library of the system, by a library
    elif event in ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "ctypes.dlopen"):
        noted.append(["run", f"{event} {arguments}"[:300]])

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from core.errors import LabError
from core.hub.pull import pull
from core.hub.push import push
from core.hub import load_model
from core.runs.store import find_run
from core.paths import runs_folder
import core.hub.unpacking, huggingface_hub, numpy as np
import timm, torch._dynamo  # imported where they are needed, and then they make folders of their own
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000  # of a small file as of a large one: what has come is kept piece by piece
sys.addaudithook(watch)

for line in sys.stdin:
    call = json.loads(line)
    os.environ.update(call["environment"])
    for name in ("HF_TOKEN",):
        if not call["environment"].get(name):
            os.environ.pop(name, None)
    told, answer = [], {}
    noted.clear()
    try:
        if call["action"] == "pull":
            answer["path"] = str(pull(call["repo"], call["revision"], progress=lambda *facts: told.append(facts)))
        elif call["action"] == "push":
            run = find_run(call["run"], runs_folder())
            found = push(run, call["repo"], call["public"], call["own_pictures"], lambda *facts: told.append(facts))
            answer |= vars(found)
        else:
            model = load_model(call["repo"], call["revision"])
            labels = model.predict(np.load(call["image"])).labels
            answer |= {"labels": labels.tolist(), "classes": model.checkpoint.class_names}
    except LabError as error:
        answer["error"] = str(error)
        answer["traceback"] = "".join(traceback.format_exception(error))
    answer |= {"told": told, "noted": list(noted)}
    print(json.dumps(answer), file=answers, flush=True)
"""


class Lab:
    """The process with the real client, and what it may write to."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.hub, self.home = hub, home
        self.log = home / "driver.log"
        environment = os.environ | {
            "HF_HOME": str(home),
            "HF_ENDPOINT": hub.address,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DRIVER],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, action: str, repo: str = REPO, revision: str = "", token: str | None = None, **rest: object) -> dict:
        names = ("SEGLAB_CHECKPOINTS", "SEGLAB_DATA", "SEGLAB_DATA_ROOTS", "SEGLAB_WEIGHTS", "SEGLAB_CACHE")
        environment = {name: os.environ[name] for name in names if name in os.environ} | {"HF_TOKEN": token or ""}
        call = {"action": action, "repo": repo, "revision": revision, "environment": environment}
        print(json.dumps(call | {"public": False, "own_pictures": False} | rest), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        response = json.loads(line)
        allowed = [str(self.home), *(environment[name] for name in ("SEGLAB_CHECKPOINTS", "SEGLAB_CACHE"))]
        outside = [
            path
            for kind, path in response["noted"]
            if kind == "write" and not path.startswith((*allowed, "/dev/", "/proc/"))
        ]
        assert not outside, "nothing is written but in the Hub's cache, the runs and the lab's cache"
        assert not [what for kind, what in response["noted"] if kind == "run"], "nothing is run"
        assert TOKEN not in line and READ_ONLY not in line, "no sentence, progress or error holds the token"
        return response


@pytest.fixture(scope="module")
def hub_and_lab(tmp_path_factory):
    hub = Hub()
    lab = Lab(hub, tmp_path_factory.mktemp("hf"))
    yield hub, lab
    hub.close()
    lab.process.kill()
    lab.process.wait()
    for path in lab.home.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), "the token is in no file"


@pytest.fixture
def hub(hub_and_lab, lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    hub_and_lab[0].reset()
    return hub_and_lab[0]


@pytest.fixture
def lab(hub_and_lab, hub):
    shutil.rmtree(hub_and_lab[1].home / "hub", ignore_errors=True)
    return hub_and_lab[1]


@pytest.fixture
def run(lab_folders, trained_run) -> Path:
    """A trained run among the lab's own."""
    return Path(shutil.copytree(trained_run, lab_folders.runs / trained_run.name))


@pytest.fixture(scope="module")
def files(trained_run) -> dict[str, bytes]:
    """What a repository holds that the trained run was pushed to, without card and pictures."""
    run, state = read_run(trained_run), json.loads((trained_run / "best/state.json").read_text())
    row = max(evaluations(trained_run), key=lambda row: row["miou"])
    text = published_text(run.config, run.class_names, run.colors, state["step"], state["best_miou"], row, {})
    return {"config.json": text.encode(), "model.safetensors": (trained_run / "best/model.safetensors").read_bytes()}


def changed(files: dict[str, bytes], **values: object) -> dict[str, bytes]:
    """The files with other values in config.json; a name with dots in it reaches into an object."""
    config = json.loads(files["config.json"])
    for name, value in values.items():
        *outer, last = name.split("__")
        folder = config
        for part in outer:
            folder = folder[part]
        folder[last] = value
    return files | {"config.json": json.dumps(config).encode()}


def with_tensors(files: dict[str, bytes], change) -> dict[str, bytes]:
    tensors = load_bytes(files["model.safetensors"])
    change(tensors)
    return files | {"model.safetensors": save(tensors)}


def load_bytes(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return {name: tensor.clone() for name, tensor in load(data).items()}


def nothing_came(lab_folders) -> bool:
    return not list(lab_folders.runs.iterdir())


# ---- there and back


def test_a_run_is_pushed_in_one_private_commit_and_says_nothing_of_whose_it_was(hub, lab, run, lab_folders):
    write_notes(run, Notes(name="Small <b>and</b> | quick", note="for nobody's eyes"))
    pushed = lab.ask("push", token=TOKEN, run=run.name)
    repo = hub.repos[REPO]
    assert (pushed["repo"], pushed["commit"], pushed["is_private"]) == (REPO, repo.head, True) and repo.is_private
    assert len(repo.commits) == 2, "the empty one, and all files in one"
    assert set(repo.files) == {".gitattributes", "README.md", "config.json", "model.safetensors"} | {
        f"samples/{index}.png" for index in (1, 2, 3)
    }
    assert repo.files["model.safetensors"] == (run / "best/model.safetensors").read_bytes()
    config = json.loads(repo.files["config.json"])
    assert [row["name"] for row in config["classes"]] == list(CITYSCAPES_19.class_names)
    assert config["preprocessing"]["multiple"] == 16 and len(config["preprocessing"]["mean"]) == 3
    assert (config["preprocessing"]["height"], config["preprocessing"]["width"]) == (64, 128)
    result = repo.files["README.md"].decode()
    assert "pipeline_tag: image-segmentation" in result and f'load_model("{REPO}")' in result
    assert "Small \\<b\\>and\\</b\\> \\| quick" in result and "| road |" in result and "mean IoU" in result
    with Image.open(io.BytesIO(repo.files["samples/1.png"])) as image:
        assert image.size == (256, 64)
    everything = b"".join(repo.files.values())
    for private in (b"nobody's eyes", str(lab_folders.other).encode(), str(Path.home()).encode(), run.name.encode()):
        assert private not in everything
    size = (run / "best/model.safetensors").stat().st_size
    assert ["Sending the weights", size, size] in pushed["told"]


def test_what_was_pushed_is_pulled_as_a_run_that_predicts_the_same(hub, lab, run, lab_folders):
    from core.inference.predictor import Predictor

    pushed = lab.ask("push", token=TOKEN, run=run.name)
    pulled = Path(lab.ask("pull", token=TOKEN)["path"])
    result = read_run(pulled)
    assert (result.state, result.problem, result.name) == ("finished", None, "street-unet")
    assert read_origin(pulled) == Origin(REPO, pushed["commit"])
    assert result.class_names == read_run(run).class_names and result.has_checkpoint("best")
    assert evaluations(pulled)[-1]["miou"] == max(row["miou"] for row in evaluations(run))
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    one, other = Predictor(run).predict(image), Predictor(pulled).predict(image)
    assert np.array_equal(one.labels, other.labels) and np.array_equal(one.confidence, other.confidence)


def test_the_same_commit_is_pulled_once_and_by_its_name_without_the_hub(hub, lab, files, lab_folders):
    commit = hub.add(REPO, files).head
    first = lab.ask("pull")["path"]
    assert lab.ask("pull")["path"] == first and len(list_runs(lab_folders.runs)) == 1
    hub.requests.clear()
    assert lab.ask("pull", revision=commit)["path"] == first and not hub.requests


def test_a_tag_and_a_commit_are_what_they_were(hub, lab, files, lab_folders):
    repo = hub.add(REPO, changed(files, step=1))
    repo.tags["v1"] = repo.head
    hub.add(REPO, changed(files, step=2))
    steps = [read_run(Path(lab.ask("pull", revision=name)["path"])).status.step for name in ("v1", "", "main")]
    assert steps == [1, 2, 2]
    assert {read_origin(each.path).commit for each in list_runs(lab_folders.runs)} == set(repo.commits)


def test_three_lines_load_a_model_from_the_hub_and_from_a_folder(hub, lab, files, run, lab_folders):
    hub.add(REPO, files)
    image = lab_folders.other / "image.npy"
    np.save(image, np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8))
    there, here = (lab.ask("load", repo=name, image=str(image)) for name in (REPO, str(run)))
    assert there["labels"] == here["labels"] and np.array(there["labels"]).shape == (48, 96)
    assert there["classes"] == list(CITYSCAPES_19.class_names)
    assert [each.path for each in list_runs(lab_folders.runs)] == [run], "the list of runs stays as it was"


def test_pushed_again_it_is_a_new_commit(hub, lab, run):
    first = lab.ask("push", token=TOKEN, run=run.name)["commit"]
    write_notes(run, Notes(name="Another name"))
    second = lab.ask("push", token=TOKEN, run=run.name)["commit"]
    assert first != second and list(hub.repos[REPO].commits)[1:] == [first, second]


# ---- downloads that break


def test_a_download_that_breaks_goes_on_where_it_was(hub, lab, files):
    hub.add(REPO, files)
    hub.faults = [Fault("GET .*model.safetensors", break_after=20_000, times=1)]
    response = lab.ask("pull")
    assert Path(response["path"], "best/model.safetensors").read_bytes() == files["model.safetensors"]
    assert hub.ranges() == ["bytes=20000-"]


def test_a_file_that_is_shorter_than_announced_is_not_taken(hub, lab, files, lab_folders):
    hub.add(REPO, files)
    announced = str(len(files["model.safetensors"]) + 7)
    hub.faults = [Fault("HEAD .*model.safetensors", headers={"X-Linked-Size": announced})]
    assert "Less of anna/street-unet arrived" in lab.ask("pull")["error"] and nothing_came(lab_folders)


def test_a_file_that_is_longer_than_announced_is_ended(hub, lab, files, lab_folders):
    hub.add(REPO, files)
    hub.faults = [Fault("HEAD .*model.safetensors", headers={"X-Linked-Size": "1000"})]
    assert "sends more of model.safetensors than it said" in lab.ask("pull")["error"] and nothing_came(lab_folders)


@pytest.mark.parametrize(("name", "size"), [("model.safetensors", 5 * 2**30), ("config.json", 2_000_000)])
def test_what_is_too_large_is_refused_before_it_comes(hub, lab, files, lab_folders, name, size):
    hub.add(REPO, files)
    hub.faults = [Fault(f"HEAD .*{name}", headers={"X-Linked-Size": str(size)})]
    assert "Nothing was fetched" in lab.ask("pull")["error"] and nothing_came(lab_folders)
    assert not [path for path in hub.paths("GET") if path.endswith(name)]


@pytest.mark.parametrize(
    "headers", [{"ETag": '"../../../../evil"'}, {"X-Repo-Commit": "../../evil"}, {"X-Repo-Commit": NO_LONGER}]
)
def test_names_that_the_server_makes_up_lead_nowhere(hub, lab, files, lab_folders, headers):
    hub.add(REPO, files)
    hub.faults = [Fault("HEAD .*", headers=headers)]
    assert "makes no sense" in lab.ask("pull")["error"] and nothing_came(lab_folders)


# ---- refusals


def test_a_wrong_revision_is_named(hub, lab, files, lab_folders):
    hub.add(REPO, files)
    for revision in ("v9", NO_LONGER, "../../main", "x" * 300):
        assert "has no revision" in lab.ask("pull", revision=revision)["error"]
    assert nothing_came(lab_folders)


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (None, "Nobody is logged in to the Hugging Face Hub on this machine. Type 'hf auth login'"),
        ("hf_wrong", "The Hub doesn't know this token"),
        (READ_ONLY, "Your token may not write to anna/street-unet"),
    ],
)
def test_who_may_not_push_is_told_what_to_do(hub, lab, run, token, sentence):
    response = lab.ask("push", token=token, run=run.name)
    assert sentence in response["error"] and "HfHub" not in response["traceback"], (
        "no error of the client comes with it"
    )
    assert not hub.repos


def test_a_private_repository_without_and_with_a_token(hub, lab, files, lab_folders):
    hub.add(REPO, files, private=True)
    assert "There is no public anna/street-unet on the Hub" in lab.ask("pull")["error"]
    assert "doesn't know this token" in lab.ask("pull", token="hf_old")["error"]
    assert "that your token may see" in lab.ask("pull", repo="anna/other", token=TOKEN)["error"]
    assert lab.ask("pull", token=READ_ONLY)["path"]


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (401, {}, "There is no public anna/street-unet"),
        (403, {"X-Error-Code": "GatedRepo"}, "wants its conditions accepted first"),
        (403, {}, "Your token may not read"),
        (404, {"X-Error-Code": "RepoNotFound"}, "There is no public anna/street-unet"),
        (429, {"Retry-After": "77"}, "too many requests from here. Try again in 77 seconds"),
        (500, {}, "trouble of its own"),
    ],
)
def test_refusals_of_a_pull_are_sentences(hub, lab, files, lab_folders, status, headers, sentence):
    hub.add(REPO, files)
    hub.faults = [Fault("GET /api/models", status, headers)]
    assert sentence in lab.ask("pull")["error"] and nothing_came(lab_folders)


@pytest.mark.parametrize(
    ("pattern", "status", "sentence"),
    [
        ("POST /api/repos/create", 429, "too many requests"),
        ("POST /api/models/.*/commit", 403, "may not write"),
        ("POST /api/models/.*/commit", 409, "being changed elsewhere"),
        ("PUT /lfs/", 413, "too large"),
    ],
)
def test_refusals_of_a_push_are_sentences(hub, lab, run, pattern, status, sentence):
    hub.faults = [Fault(pattern, status)]
    assert sentence in lab.ask("push", token=TOKEN, run=run.name)["error"]


def test_answers_that_make_no_sense_are_a_sentence(hub, lab, lab_folders):
    for body in (b"<html>", b"[]", b'{"id": 1}', b'{"id": "anna/street-unet", "sha": "../../x", "siblings": []}'):
        hub.faults = [Fault("GET /api/models", 200, body=body)]
        assert "Hub" in lab.ask("pull")["error"]
    assert nothing_came(lab_folders)


def test_a_hub_that_does_not_answer_is_given_up(hub, lab, files, lab_folders, monkeypatch):
    hub.add(REPO, files)
    hub.faults = [Fault("GET /api/models", hang=60)]
    assert (
        patient_ask("1", hub.address, REPO)
        == "The Hugging Face Hub did not answer in time. It may be busy, or the connection slow: try again later."
    )
    assert nothing_came(lab_folders)


@pytest.mark.parametrize(
    ("offline", "sentence"), [("1", "switched off here by HF_HUB_OFFLINE"), ("0", "can't be reached")]
)
def test_without_the_hub(lab_folders, offline, sentence):
    assert sentence in patient_ask("5", "http://127.0.0.1:9", REPO, offline)


def patient_ask(patience: str, endpoint: str, repo: str, offline: str = "0") -> str:
    """What a pull in a process with settings of its own says; no torch is needed until something has come."""
    program = (
        "import sys, core.models.hub_client as client\nclient.PATIENCE = float(sys.argv[1])\nfrom core.errors import LabError\n"
        "from core.hub.pull import pull\ntry:\n    pull(sys.argv[2])\nexcept LabError as error:\n    print(error)\n"
        "assert 'torch' not in sys.modules"
    )
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": offline, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", program, patience, repo],
        cwd=PROJECT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "repo", ["", "street", "../../etc", "anna/../x", "anna/street/unet", "anna/--", "anna/s t", "a" * 200 + "/b"]
)
def test_what_is_no_name_of_a_repository_is_asked_of_nobody(hub, lab, repo):
    assert "Type OWNER/NAME" in lab.ask("pull", repo=repo)["error"] and not hub.requests


def test_the_address_of_a_repository_is_its_name_too():
    assert checked_repo(" https://huggingface.co/anna/street-unet/ ") == REPO


# ---- what strangers may have put there


class Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/a-pickle-was-read",)


def test_pickles_are_never_fetched(hub, lab, files, lab_folders):
    bomb = pickle.dumps(Bomb())
    hub.add(REPO, {"config.json": files["config.json"], "pytorch_model.bin": bomb, "optimizer.pt": bomb})
    assert "optimizer.pt only, a format that can carry programs" in lab.ask("pull")["error"]
    hub.add(REPO, files | {"pytorch_model.bin": bomb, "handler.py": b"import os", "../../evil.py": b"x"})
    assert lab.ask("pull")["path"]
    assert not [path for path in hub.paths("GET") if path.endswith((".bin", ".pt", ".py"))]
    assert not Path("/tmp/a-pickle-was-read").exists()


def test_a_pickle_under_the_name_of_safetensors_is_not_read(hub, lab, files, lab_folders):
    hub.add(REPO, files | {"model.safetensors": pickle.dumps(Bomb())})
    assert "can't be read as safetensors" in lab.ask("pull")["error"] and nothing_came(lab_folders)


def test_names_that_lead_out_are_never_asked_for(hub, lab, files, lab_folders):
    evil = {"../../../evil.safetensors": b"x", "/etc/evil.json": b"{}", "..\\evil.json": b"{}"}
    hub.add(REPO, evil)
    assert "has no config.json and no model.safetensors" in lab.ask("pull")["error"]
    hub.add(REPO, files | evil)
    path = Path(lab.ask("pull")["path"])
    requests = {each.rpartition("/resolve/")[2].partition("/")[2] for each in hub.paths("GET") if "/resolve/" in each}
    assert requests == {"config.json", "model.safetensors"}
    assert sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file()) == [
        "best/model.safetensors",
        "best/state.json",
        "config.json",
        "metrics.jsonl",
        "notes.json",
        "origin.json",
        "plan.json",
        "status.json",
    ]


def break_tensor(value: float):
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[next(name for name in tensors if name.endswith("weight"))].view(-1)[-1] = value

    return change


def drop(tensors: dict[str, torch.Tensor]) -> None:
    tensors.pop("mean")


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["__class__"] = torch.zeros(1)


def grow(tensors: dict[str, torch.Tensor]) -> None:
    tensors["mean"] = torch.zeros(1, 3, 64, 64)


def retype(tensors: dict[str, torch.Tensor]) -> None:
    tensors["mean"] = tensors["mean"].double()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (break_tensor(float("nan")), "holds values that are no numbers"),
        (break_tensor(float("-inf")), "holds values that are no numbers"),
        (drop, "tensors are missing, first 'mean'"),
        (add, "1 are too many, first '__class__'"),
        (grow, "mean is F32 (1, 3, 64, 64), but must be F32 (1, 3, 1, 1)"),
        (retype, "mean is F64 (1, 3, 1, 1), but must be F32"),
    ],
)
def test_weights_that_are_not_the_networks_are_refused_by_name(hub, lab, files, lab_folders, change, sentence):
    hub.add(REPO, with_tensors(files, change))
    error = lab.ask("pull")["error"]
    assert sentence in error and "Nothing was taken" in error and nothing_came(lab_folders)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 100,
        (2**62).to_bytes(8, "little") + b"{}",
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4]}}',
    ],
)
def test_files_that_only_say_that_they_are_safetensors(hub, lab, files, lab_folders, data):
    hub.add(REPO, files | {"model.safetensors": data})
    assert "Nothing was taken" in lab.ask("pull")["error"] and nothing_came(lab_folders)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"format": NaN}',
        b"\xff\xfe",
        b'{"format": "segmentation-lab"',
        b'{"a":' * 50_000,
        b'{"format": "segmentation-lab", "best_miou": Infinity}',
    ],
)
def test_a_broken_config_is_a_sentence(hub, lab, files, lab_folders, text):
    hub.add(REPO, files | {"config.json": text})
    assert "config.json of anna/street-unet is broken" in lab.ask("pull")["error"] and nothing_came(lab_folders)


ONE = {"name": "road", "color": [1, 2, 3]}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"format": "other"}, "can't be brought here: its config.json is of another kind"),
        ({"version": 2}, "another version of the lab"),
        ({"run__model__family": "evil"}, "must be one of"),
        ({"run__model__family": "os.system"}, "must be one of"),
        ({"run__model": {"family": "transformers", "architecture": "{}"}}, "isn't taken from a lab"),
        ({"run__model__encoder": "../../evil"}, "encoder"),
        ({"run__model__encoder": "no_such_encoder", "run__model__width": 32}, "timm knows no encoder"),
        ({"run__model__width": 10**9}, "width"),
        ({"run__training__hook": "import os"}, "hook"),
        ({"run__dataset__name": "/etc"}, "must be one of"),
        ({"run": []}, "doesn't make sense"),
        ({"run__dataset": None}, "doesn't make sense"),
        ({"classes": []}, "doesn't make sense"),
        ({"classes": "road"}, "doesn't make sense"),
        ({"classes": [ONE, ONE]}, "stands there twice"),
        ({"classes": [{"name": f"c{n}", "color": [0, 0, 0]} for n in range(300)]}, "255 is the most"),
        ({"classes": [{"name": "a\nb", "color": [0, 0, 0]}]}, "no name that can be shown"),
        ({"classes": [{"name": "road", "color": [10**400, 0, 0]}]}, "doesn't make sense"),
        ({"classes": [{"name": "road", "color": [0, 0, 0], "ids": [1]}]}, "names and colours"),
        ({"classes": [ONE]}, "are of another network"),
        ({"step": -1}, "no number that can be"),
        ({"step": True}, "no number that can be"),
        ({"best_miou": "1"}, "no number that can be"),
        ({"best_miou": 7.0}, "no number that can be"),
    ],
)
def test_a_config_that_can_not_be_meant_is_refused(hub, lab, files, lab_folders, values, sentence):
    hub.add(REPO, changed(files, **values))
    assert sentence in lab.ask("pull")["error"] and nothing_came(lab_folders)


def test_paths_and_machines_of_strangers_are_not_taken_over(hub, lab, files, lab_folders):
    values = {
        "run__dataset__name": "cityscapes",
        "run__dataset__root": "/etc",
        "run__dataset__classes": "/etc/passwd",
        "run__model__weights": "/etc/passwd.safetensors",
        "run__model__class_map": "road = street",  # of a run that is elsewhere
        "run__training__device": "cuda:7",
        "run__training__num_processes": 8,
        "run__training__workers": 64,
        "evaluation": {"iou": ["x"], "miou": 2},
    }
    hub.add(REPO, changed(files, **values))
    result = read_run(Path(lab.ask("pull")["path"]))
    assert result.config.dataset.root == str(lab_folders.data / "cityscapes")
    assert (result.config.dataset.classes, result.config.model.weights) == ("auto", "auto")
    training = result.config.training
    assert (training.device, training.num_processes, training.workers) == ("auto", 1, -1)
    assert evaluations(result.path) == []


# ---- whose pictures, which repository


@pytest.mark.parametrize(
    ("name", "root", "own", "shown"),
    [
        ("streets", "", False, True),
        ("cityscapes", "/data/cs", True, False),
        ("folder", "/data/mine", False, False),
        ("folder", "/data/mine", True, True),
        ("folder", "/data/Cityscapes-copy", True, False),
    ],
)
def test_whose_pictures_are_shown(run, tiny_config, name, root, own, shown):
    config = tiny_config(dataset={"name": name, "root": root})
    assert may_show(replace(read_run(run), config=config), own) == shown


def test_a_run_on_cityscapes_is_pushed_without_pictures_and_with_the_terms(run, tiny_config):
    cityscapes = replace(read_run(run), config=tiny_config(dataset={"name": "cityscapes", "root": "/data/cs"}))
    assert sample_images(cityscapes, True) == {}
    result = model_card(cityscapes, REPO)
    assert "no commercial use" in result and "![" not in result and "/data" not in result


def test_another_models_repository_is_not_overwritten(hub, lab, run):
    hub.add(REPO, {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x"}, private=True)
    assert "holds another model already" in lab.ask("push", token=TOKEN, run=run.name)["error"]
    assert len(hub.repos[REPO].commits) == 1


def test_what_shall_be_private_does_not_go_where_everyone_sees_it(hub, lab, run):
    hub.add(REPO, {".gitattributes": b""})
    assert "everyone can see it" in lab.ask("push", token=TOKEN, run=run.name)["error"]
    assert not lab.ask("push", token=TOKEN, run=run.name, public=True)["is_private"]


def test_a_class_table_of_another_size_comes_back_as_it_was(tiny_config):

    text = published_text(tiny_config(), CITYSCAPES_34.class_names, CITYSCAPES_34.colors, 3, 0.5, {}, {})
    result = read_published(json.loads(text), REPO, lambda name, classes: "")
    assert (result.space, result.step, result.best_miou) == (CITYSCAPES_34, 3, 0.5)


# ---- the server's side


@pytest.fixture
def online(hub, lab, monkeypatch):
    for name, value in {
        "HF_HOME": str(lab.home),
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_job_brings_a_run_and_says_how_far_it_is(hub, files, online, lab_folders, wait_until):
    hub.add(REPO, files)
    start_pull(REPO)
    with pytest.raises(LabError, match="being done already"):
        start_pull(REPO)
    wait_until(lambda: not latest("pull").is_active, 180)
    job = latest("pull")
    assert job.state == "finished" and (lab_folders.runs / job.result["run"] / "best").is_dir()
    assert latest("push") is None


def test_a_job_that_hangs_is_cancelled_at_once(hub, files, online, lab_folders, wait_until):
    hub.add(REPO, files)
    hub.faults = [Fault("GET .*model.safetensors", hang=300)]
    start_pull(REPO)
    wait_until(lambda: latest("pull").what == "Fetching model.safetensors", 180)
    stop("pull", latest("pull"))
    wait_until(lambda: not latest("pull").is_active, 60)
    assert is_stopping("pull", latest("pull")) and nothing_came(lab_folders)


def test_a_job_that_fails_says_why_and_its_files_hold_no_token(hub, online, run, lab_folders, wait_until):
    hub.faults = [Fault("POST /api/repos/create", 403)]
    start_push(read_run(run), REPO, False, False)
    wait_until(lambda: not latest("push").is_active, 180)
    assert "may not write to anna/street-unet" in latest("push").problem
    for path in jobs_folder("push").iterdir():
        assert TOKEN not in path.read_text()


def test_what_belongs_to_another_is_not_pushed(run, lab_folders):
    run.joinpath("owner.txt").write_text("anna@example.org")
    set_current_user(lambda: build_user("ben@example.org"))
    try:
        with pytest.raises(LabError, match="belongs to anna@example.org"):
            start_push(read_run(run), REPO, False, False)
    finally:
        set_current_user(shell_user)


def test_a_card_of_ones_own_data_speaks_of_no_streets(run):
    streets = read_run(run)
    dataset = streets.config.dataset.model_copy(update={"name": "folder", "root": "/data/own"})
    own = replace(streets, config=streets.config.model_copy(update={"dataset": dataset}))
    assert "street-scenes" in model_card(streets, REPO) and "pixel of a street scene" in model_card(streets, REPO)
    assert "street" not in model_card(own, "anna/cells").lower()


def test_a_score_of_a_few_frames_says_so_there_and_here(run, files):
    """A run that was stopped was never scored on all of them."""
    log = run / "metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(row | ({"frames": 3} if row["kind"] == "eval" else {})) + "\n" for row in rows))
    assert "On 3 of the validation frames" in model_card(read_run(run), "anna/street")
    values = json.loads(files["config.json"])
    for frames in ({}, {"frames": 3}):
        evaluation = values["evaluation"] | frames
        published = read_published(values | {"evaluation": evaluation}, "anna/street", lambda *_: "")
        assert published.evaluation.get("frames") == frames.get("frames")
        assert ("frames" in published.evaluation) == bool(frames)
