"""The cache of decoded frames: exact, resumable, refused in words where there is no room, and never trusted when damaged."""

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import DatasetConfig
from core.data import cache, packed_frames
from core.data.cache import build_cache, cache_size, find_cache, list_caches, remove_caches
from core.data.dataset import open_dataset
from core.data.packed_frames import count_packed
from core.errors import LabError
from core.paths import PROJECT

KINDS = ["raw", "jpeg"]


@pytest.fixture
def dataset(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    return open_dataset(DatasetConfig(height=64, width=128))


def folder() -> Path:
    """The only cache that there is."""
    (result,) = list_caches()
    return Path(os.environ["SEGLAB_CACHE"]) / "frames" / result.key


def contents(path: Path) -> dict[str, bytes]:
    """What a cache holds, by file."""
    return {file.name: file.read_bytes() for file in path.iterdir()}


def stopped_after(count: int):
    """For `should_stop`: True from the call after so many."""
    calls = iter(range(count))
    return lambda: next(calls, None) is None


def assert_same(cached, dataset, frames):
    assert len(cached) == len(frames)
    for index, frame in enumerate(frames):
        image, target = cached[index]
        assert np.array_equal(image, dataset.image(frame)) and np.array_equal(target, dataset.target(frame))


def test_raw_frames_are_what_decoding_gives_bit_for_bit(dataset):
    assert_same(build_cache(dataset, dataset.train, "raw"), dataset, dataset.train)
    image, target = find_cache(dataset, dataset.train, "raw")[3]
    assert (image.dtype, image.shape, target.dtype, target.shape) == (np.uint8, (64, 128, 3), np.uint8, (64, 128))
    with pytest.raises(ValueError):
        image[0, 0] = 0
    with pytest.raises(ValueError):
        target[0, 0] = 0


def test_real_frames_are_what_decoding_gives_bit_for_bit(shared, lab_folders, monkeypatch):
    root = shared / "data" / "cityscapes"
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(root))
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    dataset = open_dataset(
        DatasetConfig(name="cityscapes", root=str(root), height=128, width=256, max_train_samples=20)
    )
    assert_same(build_cache(dataset, dataset.train, "raw"), dataset, dataset.train)


def test_jpeg_frames_have_exact_targets_and_nearly_the_photograph_in_less_room(dataset):
    cached = build_cache(dataset, dataset.train, "jpeg")
    for (image, target), frame in zip((cached[index] for index in range(8)), dataset.train, strict=True):
        assert np.array_equal(target, dataset.target(frame))
        difference = np.abs(image.astype(int) - dataset.image(frame))
        assert 0 < difference.mean() < 6, "noisy little pictures are the hardest"
        assert not image.flags.writeable and not target.flags.writeable
    assert list_caches()[0].bytes < cache_size(dataset, dataset.train, "raw") / 2


def test_the_size_is_known_before(dataset):
    build_cache(dataset, dataset.train, "raw")
    assert cache_size(dataset, dataset.train, "raw") == (folder() / "frames.bin").stat().st_size
    remove_caches()
    build_cache(dataset, dataset.train, "jpeg")
    assert cache_size(dataset, dataset.train, "jpeg") == pytest.approx(
        (folder() / "frames.bin").stat().st_size, rel=0.3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_complete_is_found_and_nothing_else(dataset, kind):
    assert find_cache(dataset, dataset.train, kind) is None
    assert build_cache(dataset, dataset.train, kind, should_stop=stopped_after(5)) is None
    assert find_cache(dataset, dataset.train, kind) is None
    assert build_cache(dataset, dataset.train, kind) is not None
    assert find_cache(dataset, dataset.train, kind) is not None
    assert find_cache(dataset, dataset.val, kind) is None
    assert find_cache(dataset, dataset.train[::-1], kind) is None, "the order counts"
    assert find_cache(replace(dataset, size=(32, 64)), dataset.train, kind) is None
    assert find_cache(dataset, dataset.train, "raw" if kind == "jpeg" else "jpeg") is None
    other = replace(dataset.space, from_ids=(0,) * 256)
    assert find_cache(replace(dataset, space=other), dataset.train, kind) is None


def test_a_changed_file_is_another_cache(dataset, lab_folders):
    copy = lab_folders.other / "copy.png"
    shutil.copy(dataset.train[0].labels, copy)
    frames = (replace(dataset.train[0], labels=copy), *dataset.train[1:])
    build_cache(dataset, frames, "raw")
    assert find_cache(dataset, frames, "raw")
    shutil.copy(dataset.train[1].labels, copy)
    assert find_cache(dataset, frames, "raw") is None
    assert_same(build_cache(dataset, frames, "raw"), dataset, frames)
    assert len(list_caches()) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told_frame_by_frame(dataset, kind):
    reports = []
    build_cache(dataset, dataset.train, kind, progress=lambda done, count: reports.append((done, count)))
    assert reports == [(done, 8) for done in range(1, 9)]
    build_cache(dataset, dataset.train, kind, progress=lambda *_: pytest.fail("it is there already"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_build_is_gone_on_from_without_decoding_again(dataset, kind):
    build_cache(dataset, dataset.train, kind)
    whole = contents(folder())
    remove_caches()
    assert build_cache(dataset, dataset.train, kind, should_stop=stopped_after(4)) is None
    (entry,) = list_caches()
    assert not entry.complete and not entry.in_use
    done = count_packed(folder())
    assert 0 < done < 8
    reports = []
    build_cache(dataset, dataset.train, kind, progress=lambda done, _: reports.append(done))
    assert reports == list(range(done + 1, 9))
    assert contents(folder()) == whole


BUILDER = """
import os, signal, sys, time
from core.config import DatasetConfig
from core.data import cache, packed_frames
from core.data.dataset import open_dataset
kind, frames, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
packed_frames.GROUP_FRAMES = 2
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if when == "before the index":
    flush, calls = packed_frames._flush, []
    def flush_or_die(file):
        flush(file)
        calls.append(file.name)
        if sum(name.endswith("frames.bin") for name in calls) == frames: die()
    packed_frames._flush = flush_or_die
def progress(done, count):
    if when == "between groups" and done == frames: die()
    if when == "hangs" and done == frames: print("hangs", flush=True); time.sleep(600)
dataset = open_dataset(DatasetConfig(height=64, width=128))
cache.build_cache(dataset, dataset.train, kind, progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like that here")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("frames", "when", "cached"), [(5, "between groups", 4), (2, "before the index", 2)])
def test_a_killed_build_ends_as_an_undisturbed_one(dataset, kind, frames, when, cached):
    build_cache(dataset, dataset.train, kind)
    whole = contents(folder())
    remove_caches()
    command = [sys.executable, "-c", BUILDER, kind, str(frames), when]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert count_packed(folder()) == cached
    assert find_cache(dataset, dataset.train, kind) is None
    assert not list_caches()[0].complete and not list_caches()[0].in_use
    reports = []
    build_cache(dataset, dataset.train, kind, lambda done, _: reports.append(done))
    assert reports == list(range(cached + 1, 9)), "what was safely there is not done again"
    assert contents(folder()) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once_build_it_once(dataset, kind, monkeypatch):
    decoded, result = [], []
    read = type(dataset).image
    monkeypatch.setattr(type(dataset), "image", lambda self, frame: decoded.append(frame.id) or read(self, frame))
    builders = [
        threading.Thread(target=lambda: result.append(build_cache(dataset, dataset.train, kind))) for _ in range(4)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(30)
    assert len(result) == 4 and all(cached is not None for cached in result)
    estimated = min(cache.ENCODED_FRAMES, 8) if kind == "jpeg" else 0
    assert len(decoded) == 8 + estimated
    assert not list_caches()[0].in_use


def test_two_processes_that_build_at_once_spoil_nothing(dataset):
    command = [sys.executable, "-c", BUILDER, "raw", "0", "never"]
    others = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) for _ in range(2)]
    cached = build_cache(dataset, dataset.train, "raw")
    for other in others:
        assert other.wait(60) == 0, other.stderr.read()
        other.stderr.close()
    assert_same(cached, dataset, dataset.train)


def test_while_another_builds_one_waits_and_may_stop_waiting_and_takes_over_when_that_one_dies(dataset):
    command = [sys.executable, "-c", BUILDER, "raw", "4", "hangs"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "hangs\n"
            reports = []
            stopped = build_cache(
                dataset, dataset.train, "raw", lambda *facts: reports.append(facts), lambda: bool(reports)
            )
            assert stopped is None and reports == [(4, 8)]
            assert list_caches()[0].in_use
            assert remove_caches() == 0 and count_packed(folder()) == 4, "what is being built is left alone"
        finally:
            other.kill()
    assert not list_caches()[0].in_use
    assert_same(build_cache(dataset, dataset.train, "raw"), dataset, dataset.train)


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_too_full_is_refused_in_words(dataset, kind, monkeypatch):
    needed = cache_size(dataset, dataset.train, kind)
    free = cache.SPARE_BYTES + needed
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(10**12, 0, free - 1))
    with pytest.raises(
        LabError, match=r"takes [\d.]+ kB more .* 1\.0 GB are free.*smaller size, or set the cache to off"
    ):
        build_cache(dataset, dataset.train, kind)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
    assert build_cache(dataset, dataset.train, kind)


def test_only_frames_that_are_missing_need_space(dataset, monkeypatch):
    build_cache(dataset, dataset.train, "raw", should_stop=stopped_after(3))
    done = count_packed(folder())
    assert 0 < done < 8
    rest = cache_size(dataset, dataset.train, "raw") * (8 - done) // 8
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(0, 0, cache.SPARE_BYTES + rest - 1))
    with pytest.raises(LabError, match="more on the disk"):
        build_cache(dataset, dataset.train, "raw")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(0, 0, cache.SPARE_BYTES + rest))
    assert build_cache(dataset, dataset.train, "raw")


def test_a_disk_that_fills_up_meanwhile_is_told_in_words(dataset, monkeypatch):
    def full(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed_frames, "_flush", full)
    with pytest.raises(LabError, match="The disk filled up"):
        build_cache(dataset, dataset.train, "raw")


def test_a_frame_that_cannot_be_read_is_told_as_without_a_cache(dataset, lab_folders):
    broken = lab_folders.other / "broken.png"
    broken.write_bytes(b"no picture")
    frames = (*dataset.train[:4], replace(dataset.train[4], image=broken))
    with pytest.raises(LabError, match="can't be read as an image"):
        build_cache(dataset, frames, "raw")
    assert not list_caches()[0].in_use and count_packed(folder()) == 4, "what came before it is kept"


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path):
    os.truncate(path, path.stat().st_size + 1)


def scribble(path):
    path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "damage"),
    [("frames.bin", damage) for damage in (Path.unlink, cut)]
    + [("index", damage) for damage in (Path.unlink, cut, scribble)],
)
def test_what_is_damaged_is_not_there_and_is_built_again(dataset, kind, name, damage):
    build_cache(dataset, dataset.train, kind)
    whole = contents(folder())
    damage(folder() / name)
    assert find_cache(dataset, dataset.train, kind) is None
    assert not list_caches()[0].complete
    build_cache(dataset, dataset.train, kind)
    assert contents(folder()) == whole


@pytest.mark.parametrize("name", ["frames.bin", "index"])
def test_what_stands_behind_the_frames_does_not_matter(dataset, name):
    build_cache(dataset, dataset.train, "raw")
    lengthen(folder() / name)
    assert_same(find_cache(dataset, dataset.train, "raw"), dataset, dataset.train)


def test_an_encoded_frame_that_cannot_be_decoded_comes_from_the_data_set(dataset):
    build_cache(dataset, dataset.train, "jpeg")
    scribble(folder() / "frames.bin")
    assert_same(find_cache(dataset, dataset.train, "jpeg"), dataset, dataset.train)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_a_cache_that_was_deleted_meanwhile_are_decoded(dataset, kind):
    cached = build_cache(dataset, dataset.train, kind)
    remove_caches()
    assert_same(cached, dataset, dataset.train)


def frame_of(cached, index, responses):
    """In a process of its own."""
    responses.put(tuple(array.tobytes() for array in cached[index]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_spawned_process_sees_the_same_frames(dataset, kind):
    cached = build_cache(dataset, dataset.train, kind)
    here = tuple(array.tobytes() for array in cached[5])
    assert len(pickle.dumps(cached)) < 20_000, "what travels is where it lies, not what is in it"
    context = multiprocessing.get_context("spawn")
    responses = context.Queue()
    process = context.Process(target=frame_of, args=(cached, 5, responses))
    process.start()
    assert responses.get(timeout=60) == here
    process.join(60)


def test_the_list_says_what_there_is_and_the_last_used_comes_first(dataset):
    assert list_caches() == []
    build_cache(dataset, dataset.train, "raw")
    build_cache(dataset, dataset.val, "jpeg")
    for index, path in enumerate(sorted(Path(os.environ["SEGLAB_CACHE"]).glob("frames/*"))):
        os.utime(path, (index, index))
    find_cache(dataset, dataset.train, "raw")
    first, second = list_caches()
    assert (first.kind, first.frames, first.splits, first.size) == ("raw", 8, ("train",), (64, 128))
    assert (second.kind, second.frames, second.splits, second.name) == ("jpeg", 4, ("val",), "streets")
    assert first.complete and second.complete and first.root == str(dataset.root)
    assert first.bytes >= cache_size(dataset, dataset.train, "raw") > second.bytes > 0
    assert first.used > second.used


def test_caches_are_removed_by_key_or_all_partial_and_nameless_ones_too(dataset):
    build_cache(dataset, dataset.train, "raw")
    build_cache(dataset, dataset.val, "raw", should_stop=stopped_after(2))
    build_cache(dataset, dataset.val, "jpeg")
    (Path(os.environ["SEGLAB_CACHE"]) / "frames" / "nameless").mkdir()
    key = next(entry.key for entry in list_caches() if entry.kind == "raw" and entry.complete)
    assert remove_caches([key, "../.."]) >= cache_size(dataset, dataset.train, "raw")
    assert key not in {entry.key for entry in list_caches()} and len(list_caches()) == 3
    remove_caches()
    assert list_caches() == []
    assert dataset.image(dataset.train[0]).any(), "the data itself is untouched"


def test_a_cache_of_the_first_layout_is_listed_and_removed_but_not_used(dataset):
    build_cache(dataset, dataset.train, "jpeg")
    description = json.loads((folder() / "description.json").read_text())
    remove_caches()
    old = Path(os.environ["SEGLAB_CACHE"]) / "frames" / "0123456789abcdef01234567"
    old.mkdir(parents=True)
    (old / "description.json").write_text(json.dumps(description | {"version": 1, "bytes": 5000, "created": 0.0}))
    for name, content in {
        "frames.bin": bytes(5000),
        "index": np.array([[100 * i, 80, 20] for i in range(8)], "<i8").tobytes(),
        "done": b"\1" * 8,
        "finished": b"",
        f"lock-{os.getpid()}-1.0-00000000": b"",
    }.items():
        (old / name).write_bytes(content)
    assert find_cache(dataset, dataset.train, "jpeg") is None
    (entry,) = list_caches()
    assert (entry.name, entry.kind, entry.complete, entry.in_use) == ("streets", "jpeg", False, False)
    assert remove_caches([entry.key]) == entry.bytes > 5000
    assert list_caches() == []


@pytest.mark.parametrize("description", ["", "[]", '{"kind": 3}', "{"])
def test_a_description_that_cannot_be_read_leaves_a_nameless_entry(dataset, description):
    build_cache(dataset, dataset.train, "raw")
    (folder() / "description.json").write_text(description)
    (entry,) = list_caches()
    assert (entry.name, entry.kind, entry.complete) == ("", "", False)
    assert find_cache(dataset, dataset.train, "raw"), "it is for the list alone"


@pytest.mark.parametrize("frames", [-1, 0, 10**15, float("inf")])
def test_a_description_that_lies_is_not_believed(dataset, frames):
    build_cache(dataset, dataset.train, "jpeg")
    path = folder() / "description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"frames": frames}))
    assert not list_caches()[0].complete


def test_a_run_learns_the_same_from_a_cache_and_says_that_it_is_built(dataset, lab_folders, tiny_config):
    from core.runs.metrics_log import read_metrics
    from core.runs.store import create_run
    from core.training.loop import train

    def learn(kind):
        phases = []
        config = tiny_config({"cache": kind}, epochs=1, evaluations=1, rotation=10, blur=0.5, rare_crops=0.5)
        run = create_run(config, lab_folders.runs)
        train(run, config, lambda **facts: phases.append(facts.get("phase")), should_stop=lambda: False)
        return [row["loss"] for row in read_metrics(run)[0]], phases

    losses, phases = learn("off")
    assert not list_caches() and len(losses) == 5
    from_cache, with_building = learn("raw")
    assert from_cache == losses
    assert "keeping decoded frames, 8 of 8" in with_building and "keeping decoded frames, 8 of 8" not in phases
    assert {entry.splits for entry in list_caches()} == {("train",), ("val",)}
