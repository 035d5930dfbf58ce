"""The predictor against its network run by hand, and the process it lives in."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainingConfig
from core.data.dataset import open_dataset
from core.errors import LabError
from core.hardware import choose_hardware
from core.inference import worker as worker_module
from core.inference.predictor import Predictor, sensible_size
from core.inference.worker import InferenceWorker, checkpoint_stamp
from core.models import build_model
from core.places import PROJECT
from core.runs import read_run

EXACT = TrainingConfig(precision="fp32", device="cpu", threads=1)


@pytest.fixture(scope="module")
def predictor(trained_run):
    return Predictor(trained_run, choose_hardware(EXACT))


@pytest.fixture
def image(places, trained_run):
    dataset = open_dataset(read_run(trained_run).config.dataset)
    return dataset.image(dataset.val[0])


def test_it_equals_its_network_run_by_hand(predictor, trained_run, image):
    config = read_run(trained_run).config
    model = build_model(config.model, 19)
    model.load_state_dict(load_file(trained_run / "best/model.safetensors"))
    model.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        logits = model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    found = predictor.predict(image)
    assert (found.labels == logits.argmax(1)[0].numpy()).all()
    assert (found.confidence == np.round(logits.softmax(1).amax(1)[0].numpy() * 255)).all()
    assert found.labels.shape == found.confidence.shape == (64, 128)
    assert found.labels.dtype == found.confidence.dtype == np.uint8
    assert found.confidence.min() >= 255 // 19


def test_its_labels_are_the_samples_of_its_run(predictor, trained_run, places):
    from PIL import Image

    dataset = open_dataset(read_run(trained_run).config.dataset)
    for frame in dataset.val:
        sample = np.asarray(Image.open(trained_run / f"samples/{predictor.checkpoint.step:08d}/{frame.id}.png"))
        # Predicted in batches of four there and alone here: sums in another order may tip a pixel over.
        assert (predictor.predict(dataset.image(frame)).labels == sample).mean() > 0.999


@pytest.mark.parametrize("size", [(97, 161), (256, 512), (30, 200), (200, 30), (16, 16), (1, 1)])
def test_another_size_comes_back_at_its_own(predictor, size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = predictor.predict(picture)
    assert found.labels.shape == found.confidence.shape == size
    assert found.labels.max() < 19


def test_a_larger_copy_gets_about_the_same_labels(predictor, image):
    large = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    labels = predictor.predict(large).labels[1::3, 1::3]
    assert (labels == predictor.predict(image).labels).mean() > 0.97


def test_a_picture_stays_as_it_is(predictor, image):
    copy = image.copy()
    predictor.predict(image)
    assert (image == copy).all()


def test_sensible_sizes():
    assert sensible_size((256, 512), (256, 512)) == (256, 512)
    assert sensible_size((1024, 2048), (256, 512)) == (256, 512)
    height, width = sensible_size((3000, 2000), (256, 512))
    assert height / width == pytest.approx(1.5, rel=0.01) and height * width == pytest.approx(256 * 512, rel=0.01)
    assert min(sensible_size((10, 10_000), (64, 128))) == 32


def test_a_run_without_a_checkpoint_is_a_sentence(tmp_path):
    with pytest.raises(LabError, match="no 'best' checkpoint yet"):
        Predictor(tmp_path, choose_hardware(EXACT))


# ---- the process

LIFE = """
import json, os, signal, sys, threading, time
from pathlib import Path
import numpy as np
from core.errors import LabError
from core.inference.worker import InferenceWorker

run, image = Path(sys.argv[1]), np.load(sys.argv[2])
worker, told = InferenceWorker(), {}

def asked(name, call):
    try:
        return call()
    except LabError as error:
        told[name] = str(error)

told["pid at first"] = worker.pid
# Killed while it looks at a picture.
thread = threading.Thread(target=asked, args=("killed at work", lambda: worker.predict(run, image)))
thread.start()
while worker.pid is None:
    time.sleep(0.01)
os.kill(worker.pid, signal.SIGKILL)
thread.join()
# Asked for nonsense, it answers in words and lives on.
asked("no picture", lambda: worker.decode(b"hello"))
asked("no run", lambda: worker.predict(run.parent / "nothing", image))
first = worker.pid
asked("no image", lambda: worker.predict(run, np.zeros((0, 0, 3), np.uint8)))
answer = worker.predict(run, image)
told["same process"] = worker.pid == first
again = worker.predict(run, image)
told["second is from the kept network"] = again.milliseconds < answer.milliseconds
# Killed while it waits: no request notices.
os.kill(worker.pid, signal.SIGKILL)
while worker.pid:
    time.sleep(0.01)
asked("killed at rest", lambda: worker.predict(run, image))
last = worker.predict(run, image)
told["same answer"] = bool((last.labels == answer.labels).all())
told["classes"] = last.classes
np.save(sys.argv[2], last.labels)
pid = worker.pid
worker.close()
told["ended"] = not os.path.exists(f"/proc/{pid}") and worker.pid is None
told["torch here"] = sorted({name.split(".")[0] for name in sys.modules} & {"torch", "timm", "torchvision"})
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def life(tmp_path_factory, trained_run, streets):
    """What a server's process went through with its worker, and the labels it got."""
    from core.data.cityscapes import list_frames
    from core.data.decoding import read_image

    image = read_image(list_frames(streets, "val")[0].image)
    path = tmp_path_factory.mktemp("life") / "image.npy"
    np.save(path, image)
    done = subprocess.run(
        [sys.executable, "-c", LIFE, str(trained_run), str(path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), image, np.load(path)


def test_a_killed_process_is_one_sentence_and_then_replaced(life):
    told, _, _ = life
    assert "ended unexpectedly" in told["killed at work"]
    assert "killed at rest" not in told
    assert told["same answer"] and told["ended"]


def test_nonsense_is_answered_in_words_by_a_process_that_lives_on(life):
    told, _, _ = life
    assert "can't be read as a picture" in told["no picture"]
    assert "no 'best' checkpoint" in told["no run"]
    assert "could not look at this picture" in told["no image"]
    assert told["same process"] and told["second is from the kept network"]


def test_the_server_never_imports_torch(life):
    told, _, _ = life
    assert told["torch here"] == []
    assert told["pid at first"] is None, "nothing is started before it is needed"


def test_the_process_labels_as_the_predictor_does(life, predictor):
    told, image, labels = life
    assert tuple(told["classes"]) == predictor.checkpoint.classes
    # The process may compute in bf16, the predictor here in fp32.
    assert (labels == predictor.predict(image).labels).mean() > 0.95


def test_what_takes_too_long_is_given_up(trained_run, monkeypatch, image):
    monkeypatch.setattr(worker_module, "PREDICT_SECONDS", 0.01)
    worker = InferenceWorker()
    with pytest.raises(LabError, match="took longer than 0 s"):
        worker.predict(trained_run, image)
    assert worker.pid is None


def test_a_new_checkpoint_has_another_stamp(tmp_path, trained_run):
    assert checkpoint_stamp(tmp_path, "best") == ""
    shutil.copytree(trained_run / "best", tmp_path / "best")
    first = checkpoint_stamp(tmp_path, "best")
    (tmp_path / "best/state.json").write_text("{}")
    assert first and checkpoint_stamp(tmp_path, "best") != first
