"""The predictor against its network run by hand, and the process it lives in."""

import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from core.__main__ import _parser
from core.commands.options import requested_config
from core.config import TrainingConfig, read_config, read_stored_config
from core.data.bands import sensible_size
from core.data.dataset import open_dataset
from core.errors import LabError
from core.hardware import Hardware, choose_hardware
from core.inference import worker as worker_module
from core.inference.fair_queue import FairQueue, outcome
from core.inference.frame_scores import FrameScore, FrameScorer, read_scores, score_frame, scores_path
from core.inference.prediction_cache import CachedPrediction, PredictionCache, checkpoint_digest, prediction_key
from core.inference.predictor import Predictor, blend_weight, decide, load_predictor, window_starts
from core.inference.tta import QUICK, QUICK_PIXELS, WHOLE, PredictOptions
from core.inference.worker import InferenceWorker, checkpoint_stamp
from core.models.build import build_model
from core.paths import PROJECT
from core.runs.fitted_temperature import read_temperature
from core.runs.store import create_run, read_run
from core.training.loop import train

EXACT = TrainingConfig(precision="fp32", device="cpu", threads=1)


@pytest.fixture(scope="module")
def predictor(trained_run):
    return Predictor(trained_run, choose_hardware(EXACT))


@pytest.fixture
def image(lab_folders, trained_run):
    dataset = open_dataset(read_run(trained_run).config.dataset)
    return dataset.image(dataset.val[0])


def test_it_equals_its_network_run_by_hand(predictor, trained_run, image):
    config = read_run(trained_run).config
    model = build_model(config.model, 19)
    model.load_state_dict(load_file(trained_run / "best/model.safetensors"))
    model.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        logits = (
            model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
            / read_temperature(trained_run).temperature
        )
    result = predictor.predict(image)
    assert (result.labels == logits.argmax(1)[0].numpy()).all()
    assert (result.confidence == np.round(logits.softmax(1).amax(1)[0].numpy() * 255)).all()
    assert result.labels.shape == result.confidence.shape == (64, 128)
    assert result.labels.dtype == result.confidence.dtype == np.uint8
    assert result.confidence.min() >= 255 // 19


def test_the_digest_belongs_to_the_weights_though_they_are_replaced_while_they_are_loaded(trained_run, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / trained_run.name)
    path = run / "best" / "model.safetensors"
    better = {name: tensor + 1 for name, tensor in load_file(path).items()}
    pending = [better]

    class Slow(Hardware):
        def prepare(self, model):
            if pending:
                save_file(pending.pop(), path)
            return super().prepare(model)

    result, digest = load_predictor(run, hardware=Slow(**vars(choose_hardware(EXACT))))
    assert digest == checkpoint_digest(run, "best")
    assert all(tensor.equal(better[name]) for name, tensor in result._model.state_dict().items())


def test_its_labels_are_the_samples_of_its_run(predictor, trained_run, lab_folders):
    dataset = open_dataset(read_run(trained_run).config.dataset)
    for frame in dataset.val:
        sample = np.asarray(Image.open(trained_run / f"samples/{predictor.checkpoint.step:08d}/{frame.id}.png"))
        # Predicted in batches of four there and alone here: sums in another order may tip a pixel over.
        assert (predictor.predict(dataset.image(frame)).labels == sample).mean() > 0.999


@pytest.mark.parametrize("scale", [0.75, 1.25])
def test_pictures_are_shown_enlarged_alike_while_training_and_afterwards(lab_folders, tiny_config, scale):
    """Of a shape whose sides at that scale are no whole numbers."""
    config = tiny_config({"height": 62, "width": 122}, epochs=1, evaluations=1, test_scale=scale)
    run = create_run(config, lab_folders.runs)
    train(run, config, lambda **_: None, lambda: False)
    predictor = Predictor(run, choose_hardware(config.training))
    dataset = open_dataset(config.dataset)
    for frame in dataset.val:
        sample = np.asarray(Image.open(run / f"samples/{predictor.checkpoint.step:08d}/{frame.id}.png"))
        image = dataset.image(frame)
        assert (predictor.predict(image).labels == sample).mean() > 0.999
        shown = predictor.probabilities(image, (62, 122), input_size=sensible_size((62, 122), config.shown_size))
        assert (shown[0].argmax(dim=0).numpy() == sample).mean() > 0.999


def test_a_run_of_before_is_shown_pictures_as_they_were(trained_run, tmp_path):
    values = read_run(trained_run).config.model_dump()
    assert read_config({}).training.test_scale != 1
    del values["training"]["test_scale"]
    assert read_stored_config(values).shown_size == (64, 128)
    (tmp_path / "config.json").write_text(json.dumps(values))
    options = _parser().parse_args(["train", "--config", str(tmp_path / "config.json")])
    assert requested_config(options).shown_size == (64, 128), "a run of before, made again from its file"
    assert read_stored_config(values | {"training": {"test_scale": 1.5}}).shown_size == (96, 192)


@pytest.mark.parametrize("size", [(97, 161), (256, 512), (30, 200), (200, 30), (16, 16), (1, 1)])
def test_another_size_comes_back_at_its_own(predictor, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = predictor.predict(pixels)
    assert result.labels.shape == result.confidence.shape == size
    assert result.labels.max() < 19


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(40, 64), (320, 1024), (97, 161), (300, 2500), (33, 5), (1, 1)])
def test_block_by_block_the_same_wins_as_over_all_at_once(size, layout):
    logits = torch.randn(1, 19, 40, 64, generator=torch.Generator().manual_seed(0)) * 3
    logits[:, 5:7, :, :9] = logits[:, 4:5, :, :9]  # of equal ones the first
    result = decide(logits.contiguous(memory_format=layout), size)
    large = logits if size == (40, 64) else F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    assert (result.labels == large.argmax(1)[0].numpy()).all()
    likely = large.softmax(1).amax(1)[0].numpy() * 255
    assert np.abs(result.confidence - likely).max() <= 0.5 + 1e-3, "rounded"


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
told["classes"] = last.class_names
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
    reports, _, _ = life
    assert "ended unexpectedly" in reports["killed at work"]
    assert "killed at rest" not in reports
    assert reports["same answer"] and reports["ended"]


def test_nonsense_is_answered_in_words_by_a_process_that_lives_on(life):
    reports, _, _ = life
    assert "can't be read as a picture" in reports["no picture"]
    assert "no 'best' checkpoint" in reports["no run"]
    assert "could not look at this picture" in reports["no image"]
    assert reports["same process"] and reports["second is from the kept network"]


def test_the_server_never_imports_torch(life):
    reports, _, _ = life
    assert reports["torch here"] == []
    assert reports["pid at first"] is None, "nothing is started before it is needed"


def test_the_process_labels_as_the_predictor_does(life, predictor):
    reports, image, labels = life
    assert tuple(reports["classes"]) == predictor.checkpoint.class_names
    assert (labels == predictor.predict(image).labels).all()


def test_the_command_line_labels_as_the_process_does(life, trained_run, lab_folders):
    from core.__main__ import main

    _, image, labels = life
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    Image.fromarray(image).save(lab_folders.other / "street.png")
    assert (
        main(
            [
                "predict",
                trained_run.name,
                str(lab_folders.other / "street.png"),
                "--out",
                str(lab_folders.other / "out"),
            ]
        )
        == 0
    )
    assert (np.asarray(Image.open(lab_folders.other / "out/street_labels.png")) == labels).all()


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


# ---- test-time options


@pytest.fixture(scope="module")
def onlooking(trained_run):
    """The predictor of the trained run, told that it was trained on smaller crops than its frames."""
    result = Predictor(trained_run, choose_hardware(EXACT))
    training = result.checkpoint.config.training.model_copy(update={"crop_height": 32, "crop_width": 64})
    config = result.checkpoint.config.model_copy(update={"training": training})
    object.__setattr__(result.checkpoint, "config", config)
    return result


def by_definition(predictor, image):
    """Logits (1, K, h, w) of an image seen whole."""
    with torch.no_grad():
        logits = predictor._model(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255)
    return logits / predictor.checkpoint.temperature


def test_a_window_as_large_as_the_picture_sees_what_the_whole_sees(predictor, image):
    assert predictor.window == image.shape[:2]
    sliding, whole = predictor.predict(image, PredictOptions(sliding_window=True)), predictor.predict(image)
    assert (sliding.labels == whole.labels).all() and (sliding.confidence == whole.confidence).all()


def test_windows_are_blended_as_by_hand(onlooking, image):
    weight = blend_weight((32, 64))
    total, weights = torch.zeros(1, 19, 64, 128), torch.zeros(64, 128)
    for top in (0, 16, 32):
        for left in (0, 32, 64):
            total[..., top : top + 32, left : left + 64] += weight * by_definition(
                onlooking, image[top : top + 32, left : left + 64]
            )
            weights[top : top + 32, left : left + 64] += weight
    result = onlooking.predict(image, PredictOptions(sliding_window=True))
    assert (result.labels == (total / weights).argmax(1)[0].numpy()).all()
    assert (result.labels != onlooking.predict(image).labels).any(), "windows see less around them"


def test_where_the_surroundings_do_not_count_windows_see_what_the_whole_sees(trained_run, image):
    result = Predictor(trained_run, choose_hardware(EXACT))
    training = result.checkpoint.config.training.model_copy(update={"crop_height": 24, "crop_width": 40})
    config = result.checkpoint.config.model_copy(update={"training": training})
    object.__setattr__(result.checkpoint, "config", config)
    torch.manual_seed(0)
    result._model = torch.nn.Conv2d(3, 19, 1).eval()
    sliding, whole = result.predict(image, PredictOptions(sliding_window=True)), result.predict(image)
    assert (sliding.labels == whole.labels).all() and len(np.unique(whole.labels)) > 1
    assert np.abs(sliding.confidence.astype(int) - whole.confidence).max() <= 1, "a weighted mean of equal numbers"


@pytest.mark.parametrize(("length", "window"), [(64, 64), (65, 64), (128, 64), (1000, 192), (33, 32), (7, 2)])
def test_windows_cover_everything_and_overlap_by_half(length, window):
    starts = window_starts(length, window)
    assert starts[0] == 0 and starts[-1] == length - window
    assert all(0 < after - before <= max(1, -(-window // 2)) for before, after in zip(starts, starts[1:], strict=False))
    assert blend_weight((window, window)).min() > 0


def test_a_flip_averages_the_probabilities_of_both_ways_round(predictor, image):
    mirrored = by_definition(predictor, image[:, ::-1]).flip(-1)
    mean = (by_definition(predictor, image).softmax(1) + mirrored.softmax(1)) / 2
    result = predictor.predict(image, PredictOptions(flip=True))
    assert (result.labels == mean.argmax(1)[0].numpy()).all()
    turned = predictor.predict(np.ascontiguousarray(image[:, ::-1]), PredictOptions(flip=True))
    assert (turned.labels[:, ::-1] == result.labels).mean() > 0.999


def test_scales_average_too_and_one_scale_alone_is_what_it_says(predictor, image):
    import cv2

    larger = cv2.resize(image, (256, 128), interpolation=cv2.INTER_LINEAR)
    logits = F.interpolate(by_definition(predictor, larger), size=(64, 128), mode="bilinear", align_corners=False)
    result = predictor.predict(image, PredictOptions(scales=(2.0,)))
    assert (result.labels == logits.argmax(1)[0].numpy()).all()
    both = predictor.predict(image, PredictOptions(scales=(1.0, 2.0)))
    mean = (by_definition(predictor, image).softmax(1) + logits.softmax(1)) / 2
    assert (both.labels == mean.argmax(1)[0].numpy()).all()


def test_a_quick_answer_is_half_as_large_and_about_the_same(predictor, image):
    quick = predictor.predict(image, QUICK)
    assert quick.labels.shape == quick.confidence.shape == (32, 64)
    assert (quick.labels == predictor.predict(image).labels[1::2, 1::2]).mean() > 0.7


def test_a_quick_answer_of_a_network_for_large_pictures_is_smaller_than_half(trained_run):
    result = Predictor(trained_run, choose_hardware(EXACT))
    dataset = result.checkpoint.config.dataset.model_copy(update={"height": 1024, "width": 2048})
    config = result.checkpoint.config.model_copy(update={"dataset": dataset})
    object.__setattr__(result.checkpoint, "config", config)
    result._model = torch.nn.Conv2d(3, 19, 1).eval()
    height, width = result.predict(np.zeros((1024, 2048, 3), np.uint8), QUICK).labels.shape
    assert height * width == QUICK_PIXELS and width == 2 * height


@pytest.mark.parametrize("scales", [(), (0.1,), (3.0,), (1.0,) * 7, (float("nan"),)])
def test_scales_that_cannot_be_meant_are_a_sentence(scales):
    with pytest.raises(LabError, match="Scales are 1 to 6 numbers from 0.25 to 2"):
        PredictOptions(scales=scales)


# ---- turns


def drained(queue, count):
    return [queue.take().request for _ in range(count)]


def test_users_take_turns_whoever_asked_for_more():
    queue = FairQueue()
    for index in range(4):
        queue.put("many", f"many {index}")
    for user in ("anna", "bert", "cleo", "dora"):
        queue.put(user, user)
    assert drained(queue, 5) == ["many 0", "anna", "bert", "cleo", "dora"]
    queue.put("anna", "anna again")
    assert drained(queue, 4) == ["many 1", "anna again", "many 2", "many 3"]


def test_a_newer_question_for_the_same_place_replaces_the_waiting_one():
    queue = FairQueue()
    old = queue.put("anna", "old", slot="panel")
    cached = queue.put("anna", "other panel", slot="other")
    others = queue.put("bert", "bert's", slot="panel")
    queue.put("anna", "new", slot="panel")
    assert drained(queue, 3) == ["other panel", "bert's", "new"]
    assert old.cancelled() and not cached.cancelled() and not others.cancelled()
    with pytest.raises(LabError, match="asked for something else meanwhile"):
        outcome(old)


def test_what_waits_is_cancelled_when_the_worker_closes(trained_run, image):
    worker = InferenceWorker()
    responses = [worker.ask(trained_run, image) for _ in range(3)]
    worker.close()
    assert all(
        isinstance(response.exception() if not response.cancelled() else None, LabError | None)
        for response in responses
    )
    assert responses[-1].cancelled()


def test_five_people_at_once_get_their_answers_and_whoever_asks_again_needs_no_process(
    lab_folders, trained_run, image, predictor, monkeypatch
):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    worker = InferenceWorker(PredictionCache())
    images = [np.ascontiguousarray(np.roll(image, 20 * index, axis=1)) for index in range(5)]
    responses = [worker.ask(trained_run, pixels, user=f"person {number}") for number, pixels in enumerate(images)]
    for response, picture in zip(responses, images, strict=True):
        assert (outcome(response).labels == predictor.predict(picture).labels).all()
    worker.close()
    again = worker.ask(trained_run, images[3])
    assert again.done() and worker.pid is None
    assert (again.result().labels == responses[3].result().labels).all()


def test_an_answer_is_there_before_it_is_kept(lab_folders, trained_run, image, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    may_keep = threading.Event()

    class SlowDisk(PredictionCache):
        def put(self, key, response):
            assert may_keep.wait(60)
            super().put(key, response)
            raise ValueError("whatever goes wrong there, the next one is answered")

    worker = InferenceWorker(SlowDisk())
    prediction = worker.ask(trained_run, image)
    assert prediction.result(120).labels.shape == image.shape[:2] and not list(
        lab_folders.other.glob("cache/answers/*")
    )
    may_keep.set()
    worker.predict(trained_run, np.ascontiguousarray(image[:, ::-1]))
    worker.close()
    assert worker.ask(trained_run, image).done(), "it was kept in the end"


# ---- answers on disk


def some_prediction(value=0):
    labels = np.full((20, 30), value, np.uint8)
    return CachedPrediction(labels, labels + 100, ("road", "car"), ((1, 2, 3), (4, 5, 6)), 12.5)


def test_an_answer_comes_back_as_it_was_kept(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    store = PredictionCache()
    assert store.get("a" * 40) is None
    store.put("a" * 40, some_prediction(1))
    result, given = store.get("a" * 40), some_prediction(1)
    assert (result.labels == given.labels).all() and (result.confidence == given.confidence).all()
    assert (result.class_names, result.colors, result.milliseconds) == (
        given.class_names,
        given.colors,
        given.milliseconds,
    )
    (store.folder / f"{'a' * 40}.npz").write_bytes(b"torn")
    assert store.get("a" * 40) is None


def test_the_answers_longest_unasked_for_go_when_room_is_short(lab_folders, monkeypatch):
    import os

    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    store = PredictionCache()
    store.put("a", some_prediction())
    size = (store.folder / "a.npz").stat().st_size
    store = PredictionCache(budget=int(2.5 * size))
    store.put("b", some_prediction())
    for name, age in (("a", 100), ("b", 50)):
        os.utime(store.folder / f"{name}.npz", ns=(age, age))
    assert store.get("a")  # asked for: b is now the older one
    store.put("c", some_prediction())
    assert [name for name in "abc" if store.get(name)] == ["a", "c"]


def test_a_key_follows_pixels_weights_and_options_alone(tmp_path, trained_run, image):
    key = prediction_key(trained_run, "best", image, WHOLE)
    shutil.copytree(trained_run / "best", tmp_path / "best")
    assert prediction_key(tmp_path, "best", image.copy(), PredictOptions()) == key, "the same weights in another run"
    assert prediction_key(trained_run, "best", image, QUICK) != key
    assert prediction_key(trained_run, "best", 255 - image, WHOLE) != key
    assert prediction_key(trained_run, "best", image.reshape(128, 64, 3), WHOLE) != key
    weights = tmp_path / "best/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert prediction_key(tmp_path, "best", image, WHOLE) != key
    assert prediction_key(tmp_path / "nothing", "best", image, WHOLE) is None


# ---- scores of single frames


def test_frames_are_scored_in_the_background_and_kept(lab_folders, trained_run, predictor, wait_until, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    checkpoint = predictor.checkpoint
    requests = []

    def predict(run, image):
        requests.append(run)
        result = predictor.predict(image)
        return CachedPrediction(result.labels, result.confidence, checkpoint.class_names, checkpoint.colors, 1.0)

    dataset = open_dataset(read_run(trained_run).config.dataset)
    scorer = FrameScorer(predict)
    wait_until(lambda: scorer.count(trained_run, dataset, dataset.val).is_done)
    rows = scorer.count(trained_run, dataset, dataset.val).rows
    assert list(rows) == [frame.id for frame in dataset.val] and len(requests) == 4
    frame = dataset.val[1]
    by_itself = score_frame(predict(trained_run, dataset.image(frame)), dataset.target(frame))
    assert rows[frame.id] == by_itself and 0 < by_itself.miou < 1 and sum(by_itself.shares) <= 1
    wait_until(lambda: len(read_scores(scores_path(trained_run, dataset, dataset.val))) == 4)
    assert FrameScorer(predict).count(trained_run, dataset, dataset.val).is_done, "from disk, without a prediction"
    assert len(requests) == 5


def test_how_much_two_runs_disagree_on_a_frame_is_the_share_where_they_say_other_classes():
    target = np.full((64, 96), 255, np.uint8)
    half = np.zeros_like(target)
    half[:, 48:] = 1

    def score(labels: np.ndarray) -> FrameScore:
        return score_frame(CachedPrediction(labels, labels, ("land", "sea"), ((0, 0, 0), (1, 1, 1)), 1.0), target)

    land, both, sea = (score(labels) for labels in (np.zeros_like(half), half, np.ones_like(half)))
    assert land.disagreement(both) == both.disagreement(land) == 0.5
    assert land.disagreement(land) == 0 and land.disagreement(sea) == 1


def test_a_failing_network_is_a_sentence_once_and_tried_again(lab_folders, trained_run, wait_until, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    dataset = open_dataset(read_run(trained_run).config.dataset)

    def fail(run, image):
        raise LabError("It is gone. Train it again.")

    scorer = FrameScorer(fail)
    result = wait_until(lambda: scorer.count(trained_run, dataset, dataset.val).problem)
    assert result == "It is gone. Train it again."
    assert scorer.count(trained_run, dataset, dataset.val).problem in ("", result)
