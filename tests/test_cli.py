"""The command line: `--json` prints one object, errors are one sentence and exit code 42."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core.__main__ import USER_ERROR, main
from core.data.cityscapes import list_frames
from core.hardware import choose_hardware
from core.inference.predictor import Predictor
from core.labels import CITYSCAPES_19
from core.paths import PROJECT
from core.runner.device_lock import DeviceLock
from core.runs.metrics_log import evaluations
from core.runs.status import update_status
from core.runs.store import read_run


@pytest.fixture
def run(lab_folders, trained_run):
    """A copy of the trained run where the command line looks for it."""
    return shutil.copytree(trained_run, lab_folders.runs / trained_run.name)


@pytest.fixture
def cli(lab_folders, capsys):
    """`cli("score", ...) -> (code, out, err)`, in this process; with `--json` out is the object that was printed."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        out = json.loads(captured.out) if "--json" in arguments else captured.out
        return code, out, captured.err

    return call


def test_streets_are_drawn(cli, lab_folders):
    code, out, err = cli(
        "streets", "--out", lab_folders.other / "s", "--train", 2, "--val", 1, "--height", 64, "--width", 128, "--json"
    )
    assert (code, err) == (0, "")
    assert (out["train"], out["val"], out["root"]) == (2, 1, str(lab_folders.other / "s"))
    assert [len(list_frames(lab_folders.other / "s", split)) for split in ("train", "val")] == [2, 1]


TINY = {
    "dataset.height": 64,
    "dataset.width": 128,
    "model.family": "unet",
    "model.encoder": "plain",
    "model.width": 4,
    "model.weights": "none",
    "training.minutes": 0,
    "training.epochs": 1,
    "training.batch-size": 4,
    "training.crop-height": 32,
    "training.crop-width": 64,
    "training.evaluations": 1,
    "training.precision": "fp32",
    "training.threads": 1,
    "training.device": "cpu",
}


def test_train_follows_a_run_to_its_end_and_runs_lists_it(cli, lab_folders):
    code, out, err = cli(
        "train", *(f"--{name}={value}" for name, value in TINY.items()), "--no-training.flip", "--json"
    )
    assert (code, err) == (0, "")
    assert (out["state"], out["step"], out["steps_total"], out["error"]) == ("finished", 2, 2, None)
    assert 0 <= out["best_miou"] <= 1
    run = lab_folders.runs / out["run"]
    config = read_run(run).config
    assert (config.training.batch_size, config.training.flip, config.model.width) == (4, False, 4)
    assert cli("runs", "list", "--json")[1] == {"runs": [out]}
    code, text, _ = cli("runs")
    assert code == 0 and out["run"] in text and "finished" in text and "step 2/2" in text


def test_train_detaches_and_takes_an_older_config(cli, lab_folders, run, wait_until):
    code, out, _ = cli("train", "--config", run / "config.json", "--training.epochs", 500, "--detach", "--json")
    assert (code, out["state"]) == (0, "queued")
    new = lab_folders.runs / out["run"]
    old = read_run(run).config
    changed = old.model_dump() | {"training": old.training.model_dump() | {"epochs": 500.0}}
    assert read_run(new).config.model_dump() == changed
    assert cli("runs", "stop", out["run"])[0] == 0
    wait_until(lambda: read_run(new).state == "stopped")


def test_no_run_yet_says_how_to_start_one(cli):
    code, out, _ = cli("runs")
    assert code == 0 and "python -m core train" in out
    assert cli("runs", "--json")[1] == {"runs": []}


def test_score_equals_the_runs_own_evaluation(cli, run, streets):
    code, out, err = cli("score", run.name, "--json")
    row = next(row for row in evaluations(run) if row["step"] == out["step"])
    assert (code, err) == (0, "")
    assert (out["frames"], out["size"], out["checkpoint"]) == (4, [64, 128], "best")
    # Scored one frame at a time here and four at a time there. In fp32 on one thread the labels come out the same.
    assert out["miou"] == pytest.approx(row["miou"], abs=1e-6)
    assert out["pixel_accuracy"] == pytest.approx(row["pixel_accuracy"], abs=1e-6)
    assert list(out["iou"]) == list(CITYSCAPES_19.class_names)
    assert list(out["iou"].values()) == pytest.approx(row["iou"], abs=1e-6)

    code, last, _ = cli("score", run.name[-4:], "--checkpoint", "last", "--root", streets, "--json")
    assert last["step"] == 60
    assert last["miou"] == pytest.approx(evaluations(run)[-1]["miou"], abs=1e-6)


def test_score_as_text_has_a_line_per_class(cli, run):
    code, out, _ = cli("score", run.name)
    assert code == 0
    assert all(name in out for name in CITYSCAPES_19.class_names)
    assert "absent" in out and "mean IoU" in out and "on 4 frames at 128 x 64 pixels" in out


def test_the_leaderboard_lists_runs_by_protocol(cli, run, lab_folders):
    assert cli("leaderboard", "--json")[1]["boards"][0]["scored"] is False
    assert cli("score", run.name, "--no-boundary", "--json")[0] == 0
    code, out, _ = cli("leaderboard", "--metric", "pixel_accuracy", "--json")
    (board,) = out["boards"]
    (entry,) = board["entries"]
    assert code == 0 and board["scored"] and board["protocol"].startswith("Generated streets at 128 x 64")
    assert entry["run"] == run.name and not entry["stale"] and entry["costs"]["parameters"] > 0
    code, text, _ = cli("leaderboard")
    assert code == 0 and f"mIoU {entry['scores']['miou']:.1%}" in text and " GFLOPs" in text


def test_no_score_yet_says_how_to_get_one(cli):
    code, text, _ = cli("leaderboard")
    assert code == 0 and "python -m core score" in text


def test_a_submission_is_written_where_it_is_wanted(cli, run, lab_folders):
    code, out, _ = cli("submission", run.name, "--split", "val", "--out", lab_folders.other / "val.zip", "--json")
    assert code == 0 and out["frames"] == 4 and (lab_folders.other / "val.zip").stat().st_size == out["bytes"]
    code, _, err = cli("submission", run.name)
    assert code == USER_ERROR and "has no test split" in err


def test_predict_writes_labels_and_colours(cli, run, lab_folders, streets):
    frame = list_frames(streets, "val")[0]
    code, out, err = cli("predict", run.name, frame.image, "--out", lab_folders.other / "p", "--json")
    assert (code, err) == (0, "")
    labels, colors = (np.asarray(Image.open(path)) for path in out["written"])
    assert (colors == CITYSCAPES_19.palette[labels]).all()
    predictor = Predictor(run, choose_hardware(read_run(run).config.training))
    image = np.asarray(Image.open(frame.image).convert("RGB")).copy()
    assert (labels == predictor.predict(image).labels).all()


# ---- errors


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["score", "nosuch"], "There is no run 'nosuch'"),
        (["score", "../../etc"], "There is no run"),
        (["predict", "nosuch", "a.png"], "There is no run"),
        (["runs", "stop"], "Name the run to stop"),
        (["runs", "resume", "nosuch"], "There is no run"),
        (["train", "--training.epochs", "0"], "training.epochs is 0.0, but must be more than 0"),
        (["train", "--model.encoder", "../x"], "model.encoder"),
        (["train", "--dataset.name", "cityscapes"], "dataset.root is empty"),
        (["train", "--config", "nosuch.json"], "nosuch.json"),
        (["train", "--config", "."], "."),
        (["train", "--config", "README"], "README"),
        (["train", "--config", "list.json"], "list.json"),
        (["train", "--config", "text.json", "--preset", "taste"], "text.json"),
        (["streets", "--train", "-1"], "Streets need counts"),
        (["streets", "--out", "README/x"], "README"),
        (["streets", "--out", "."], "was not written as a streets data set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_sentence_on_stderr_and_code_42(cli, lab_folders, monkeypatch, arguments, text):
    monkeypatch.chdir(lab_folders.other)
    (lab_folders.other / "README").write_text("hello")
    (lab_folders.other / "list.json").write_text("[1]")
    (lab_folders.other / "text.json").write_text('{"training": 3}')
    code, out, err = cli(*arguments)
    assert (code, out) == (USER_ERROR, "")
    assert text in err and "Traceback" not in err
    assert err.count("\n") == 1 or arguments[0] == "streets", "one line"
    code, reports, err = cli(*arguments, "--json")
    assert code == USER_ERROR and list(reports) == ["error"] and text in reports["error"] and err == ""
    assert not list(lab_folders.runs.glob("2*")), "no run was begun"


def test_errors_about_a_run_that_is_there(cli, run, lab_folders):
    Image.new("RGB", (64, 32)).save(run / "x.png")
    for arguments, text in (
        (["runs", "stop", run.name], "nothing to stop"),
        (["runs", "resume", run.name], "is finished"),
        (["predict", run.name, lab_folders.other / "gone.png"], "There is no image"),
        (["predict", run.name, run / "config.json"], "can't be read as a picture"),
        (["predict", run.name, lab_folders.other], "holds no picture. Say --recursive"),
        (["predict", run.name, run / "x.png", "--out", run / "config.json" / "x"], "config.json"),
        (["score", run.name, "--root", "/etc"], "outside of the folders"),
        (["score", run.name, "--root", lab_folders.runs], "has no class table"),
    ):
        code, out, err = cli(*arguments)
        assert (code, out) == (USER_ERROR, "") and text in err, arguments
    shutil.rmtree(run / "best")
    assert "no 'best' checkpoint" in cli("score", run.name)[2]
    (run / "config.json").write_text("{")
    for command in (["score", run.name], ["predict", run.name, "x.png"], ["runs", "resume", run.name]):
        assert "config.json is missing or half written" in cli(*command)[2]
    assert "config.json is missing or half written" in cli("runs", "list")[1]


def test_runs_are_named_tagged_shown_binned_and_restored(cli, run):
    for action, sentence, key, value in (
        ("rename", ["my", "first"], "name", "my first"),
        ("tag", ["night", "coarse"], "tags", ["night", "coarse"]),
        ("note", ["What I saw."], "note", "What I saw."),
    ):
        assert cli("runs", action, run.name, *sentence)[0] == 0
        assert cli("runs", "show", run.name, "--json")[1][key] == value
    text = cli("runs", "show", run.name)[1]
    assert "my first" in text and "#night  #coarse" in text and "What I saw." in text and '"batch_size"' in text
    assert len(cli("runs", "list", "#night", "first", "--json")[1]["runs"]) == 1
    assert cli("runs", "list", "#day", "--json")[1]["runs"] == []
    cli("runs", "tag", run.name)
    assert cli("runs", "show", run.name, "--json")[1]["tags"] == []
    assert "at most 80" in cli("runs", "rename", run.name, "x" * 81)[2]

    assert cli("runs", "delete", run.name, "--json")[1] == {"run": run.name, "deleted": True}
    assert cli("runs", "list", "--json")[1] == {"runs": []}
    assert "There is no run" in cli("runs", "show", run.name)[2]
    assert cli("runs", "restore", run.name[-4:], "--json")[1]["name"] == "my first"
    cli("runs", "delete", run.name)
    assert cli("runs", "empty-trash", "--older-than", 1, "--json")[1] == {"removed": [], "bytes": 0}
    assert "1 run removed for good" in cli("runs", "empty-trash")[1]
    assert "There is no run" in cli("runs", "restore", run.name)[2]


def test_queued_runs_are_cloned_moved_paused_and_stopped(cli, run, lab_folders):
    with DeviceLock(lab_folders.runs / ".slots", "cpu") as lock:
        assert lock.acquire()
        twins = [
            cli("runs", "clone", run.name, "--training.learning-rate", 1e-4, "--no-training.flip", "--json")[1]["run"]
            for _ in range(2)
        ]
        result = read_run(lab_folders.runs / twins[0])
        assert (result.config.training.learning_rate, result.config.training.flip) == (1e-4, False)
        assert result.config.training.epochs == read_run(run).config.training.epochs
        assert cli("runs", "show", twins[0], "--json")[1]["parent"] == run.name
        assert "has 0 before it" in cli("runs", "up", twins[1])[1]
        assert "has 1 before it" in cli("runs", "down", twins[1])[1]
        assert "last in the queue" in cli("runs", "down", twins[1])[2]
        assert cli("runs", "pause", twins[0], "--json")[1]["state"] == "paused"
        assert cli("runs", "stop-now", twins[1], "--patience", 0, "--json")[1]["state"] == "stopped"
        assert cli("runs", "resume", twins[0], "--json")[1]["state"] == "queued"
        assert cli("runs", "stop", twins[0], "--json")[1]["state"] == "stopped"


def test_following_a_failed_run_is_exit_code_1_and_its_sentence(cli, run):
    update_status(run, state="failed", error="The disk is full.", exit=42)
    code, out, _ = cli("runs", "follow", run.name)
    assert code == 1 and "The disk is full." in out
    assert cli("runs", "follow", run.name, "--json")[1]["error"] == "The disk is full."


def test_a_run_scored_on_nothing_can_be_listed_and_followed(cli, run):
    rows = (run / "metrics.jsonl").read_text().splitlines()
    blank = [
        json.dumps(json.loads(row) | {"miou": None, "pixel_accuracy": None}) if '"eval"' in row else row for row in rows
    ]
    (run / "metrics.jsonl").write_text("\n".join(blank) + "\n")
    for action in ("list", "follow"):
        code, out, _ = cli("runs", action, run.name)
        assert code == 0 and "not scored" in out


@pytest.mark.parametrize("arguments", [["runs", "stop", "nosuch"], ["runs"], ["runs", "--json"]], ids=" ".join)
def test_as_a_process(lab_folders, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "core", *arguments],
        cwd=PROJECT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (USER_ERROR if "nosuch" in arguments else 0)
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == ("nosuch" in arguments) != bool(done.stdout)


def test_help_names_every_field(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for option in (
        "--training.learning-rate",
        "--dataset.root",
        "--model.encoder",
        "--training.flip",
        "--no-training.flip",
    ):
        assert option in out


def test_decoded_frames_are_kept_listed_and_removed(lab_folders, capsys, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    assert main(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"caches": []}
    small = ["--dataset.height", "64", "--dataset.width", "128"]
    assert main(["cache", "build", "--json", *small]) == 0
    caches = json.loads(capsys.readouterr().out)["caches"]
    assert sorted(entry["frames"] for entry in caches) == [4, 8]
    assert all(entry["complete"] and entry["kind"] == "raw" for entry in caches)
    assert main(["cache", "remove", caches[0]["key"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["freed"] > 0
    assert main(["cache"]) == 0
    assert caches[1]["key"] in capsys.readouterr().out


def test_a_secret_of_the_environment_is_in_nothing_that_a_run_leaves(lab_folders, streets):
    secret = "planted-secret-5f1c9b"
    names = ("HF_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "SEGLAB_TOKEN", "AWS_SECRET_ACCESS_KEY")
    environment = os.environ | dict.fromkeys(names, secret)
    small = [f"--{name}={value}" for name, value in TINY.items()]

    def ask(*arguments):
        command = [sys.executable, "-m", "core", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=PROJECT)
        assert secret not in done.stdout + done.stderr, arguments
        return done

    assert ask("train", *small).returncode == 0
    (run,) = [path.name for path in lab_folders.runs.iterdir() if path.name.endswith(tuple("0123456789abcdef"))]
    assert ask("score", run).returncode == 0
    left = [path for folder in (lab_folders.runs, lab_folders.other) for path in folder.rglob("*") if path.is_file()]
    assert len(left) > 10
    assert not [path for path in left if secret.encode() in path.read_bytes()]
