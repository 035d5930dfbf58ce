"""Counting classes: against a count by hand, remembered exactly as long as nothing has changed, and stopped between two frames."""

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.config import DatasetConfig
from core.data import statistics
from core.data.dataset import Dataset, open_dataset
from core.data.statistics import SAMPLE, count_classes, count_frames, recall_counts
from core.errors import LabError
from core.labels import CITYSCAPES_7
from core.paths import cache_folder


@pytest.fixture
def dataset(lab_folders, monkeypatch) -> Dataset:
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    return open_dataset(DatasetConfig(height=32, width=64))


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The ids of the frames whose labels were decoded since."""
    seen = []
    target = Dataset.target
    monkeypatch.setattr(Dataset, "target", lambda self, frame: (seen.append(frame.id), target(self, frame))[1])
    return seen


def copied(dataset: Dataset, folder) -> Dataset:
    """The training frames with labels that a test may spoil."""
    frames = []
    for frame in dataset.train:
        labels = folder / frame.labels.name
        labels.write_bytes(frame.labels.read_bytes())
        frames.append(replace(frame, labels=labels))
    return replace(dataset, train=tuple(frames))


def test_every_frame_is_counted_as_by_hand(dataset):
    counts = count_frames(dataset, dataset.train)
    assert counts.ids == tuple(frame.id for frame in dataset.train)
    assert counts.pixels.shape == (8, 19) and counts.pixels.dtype == np.int64
    for row, ignored, frame in zip(counts.pixels, counts.ignored, dataset.train, strict=True):
        target = dataset.target(frame)
        assert [(target == index).sum() for index in range(19)] == row.tolist()
        assert (target == 255).sum() == ignored
    assert counts.shares.sum() == pytest.approx(1)


def test_what_is_seen_together_is_a_share_of_the_frames_of_the_row(dataset):
    counts = count_frames(dataset, dataset.train)
    shown = counts.pixels > 0
    for a in range(19):
        for b in range(19):
            expected = (shown[:, a] & shown[:, b]).sum() / shown[:, a].sum() if shown[:, a].any() else 0
            assert counts.cooccurrence[a, b] == pytest.approx(expected)
    assert counts.images.tolist() == shown.sum(axis=0).tolist()


def test_frames_are_found_by_the_class_that_they_show(dataset):
    counts = count_frames(dataset, dataset.train)
    for index in range(19):
        expected = [frame.id for frame in dataset.train if (dataset.target(frame) == index).any()]
        assert list(counts.shows(index)) == expected
    assert any(0 < len(counts.shows(number)) < 8 for number in range(19)), "or the test would not tell anything apart"


def test_counts_are_remembered_whole_and_exactly(dataset, decoded):
    first = count_frames(dataset, dataset.train)
    assert len(decoded) == 8
    second = count_frames(dataset, dataset.train, progress=lambda done, count: pytest.fail("counted again"))
    assert len(decoded) == 8
    assert second.ids == first.ids
    assert (second.pixels == first.pixels).all() and (second.ignored == first.ignored).all()
    assert not list((cache_folder() / "counts").glob("*.part"))


@pytest.mark.parametrize("change", ["size", "space", "frames", "file"])
def test_what_changes_the_counts_counts_anew(dataset, decoded, tmp_path, change):
    dataset = copied(dataset, tmp_path)
    count_frames(dataset, dataset.train)
    if change == "size":
        dataset = replace(dataset, size=(16, 32))
    elif change == "space":
        dataset = replace(dataset, space=CITYSCAPES_7)
    elif change == "frames":
        dataset = replace(dataset, train=dataset.train[::-1])
    else:
        cv2.imwrite(str(dataset.train[0].labels), np.full((64, 128), 7, np.uint8))
    decoded.clear()
    counts = count_frames(dataset, dataset.train)
    assert len(decoded) == 8
    assert counts.pixels.sum() + counts.ignored.sum() == 8 * dataset.size[0] * dataset.size[1]
    if change == "file":
        assert counts.pixels[0].tolist() == [32 * 64, *[0] * 18]


@pytest.mark.parametrize("spoil", ["empty", "torn", "flipped", "pickle", "other shape", "impossible"])
def test_a_corrupt_file_is_counted_anew(dataset, decoded, spoil):
    first = count_frames(dataset, dataset.train)
    (path,) = (cache_folder() / "counts").glob("*.npz")
    data = path.read_bytes()
    if spoil == "empty":
        path.write_bytes(b"")
    elif spoil == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif spoil == "flipped":
        middle = len(data) // 3
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) * 20 + data[middle + 20 :])
    elif spoil == "pickle":
        np.savez(path, pixels=np.array([print]), ignored=first.ignored)
    elif spoil == "other shape":
        np.savez(path, pixels=first.pixels[:3], ignored=first.ignored[:3])
    else:
        np.savez(path, pixels=first.pixels + 1, ignored=first.ignored)
    assert recall_counts(dataset, dataset.train) is None
    assert (count_frames(dataset, dataset.train).pixels == first.pixels).all()
    assert recall_counts(dataset, dataset.train) is not None


def test_a_stopped_count_returns_what_it_has_and_is_not_remembered(dataset):
    seen = []
    counts = count_frames(
        dataset, dataset.train, lambda done, count: seen.append((done, count)), lambda: len(seen) == 3
    )
    assert seen == [(1, 8), (2, 8), (3, 8)]
    assert counts.ids == tuple(frame.id for frame in dataset.train[:3]) and counts.pixels.shape == (3, 19)
    assert recall_counts(dataset, dataset.train) is None


def test_no_frames_are_no_counts(dataset):
    counts = count_frames(dataset, [])
    assert counts.pixels.shape == (0, 19) and counts.ids == ()
    assert counts.shares.tolist() == [0] * 19 and not counts.cooccurrence.any()


def test_a_broken_label_file_is_said_and_nothing_is_remembered(dataset, tmp_path):
    dataset = copied(dataset, tmp_path)
    dataset.train[5].labels.write_bytes(b"no picture")
    with pytest.raises(LabError, match="can't be read as a label map"):
        count_frames(dataset, dataset.train)
    assert not (cache_folder() / "counts").exists()


def test_a_place_that_can_not_be_written_costs_only_the_memory(dataset, monkeypatch):
    expected = count_frames(dataset, dataset.train).pixels
    blocked = cache_folder() / "file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("SEGLAB_CACHE", str(blocked))
    assert (count_frames(dataset, dataset.train).pixels == expected).all()


def test_a_disk_that_fills_up_leaves_no_part_behind(dataset, monkeypatch):
    def full(*_args, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(statistics.np, "savez_compressed", full)
    assert len(count_frames(dataset, dataset.train).ids) == 8
    assert os.listdir(cache_folder() / "counts") == []


def test_class_counts_are_the_sums_of_a_spread_sample(dataset, monkeypatch):
    frames = count_frames(dataset, dataset.train)
    counts = count_classes(dataset, dataset.train)
    assert counts.pixels.tolist() == frames.pixels.sum(axis=0).tolist()
    assert counts.images.tolist() == frames.images.tolist()
    assert (counts.ignored, counts.frames) == (frames.ignored.sum(), 8)
    assert SAMPLE == 400
    monkeypatch.setattr(statistics, "SAMPLE", 4)
    assert count_classes(dataset, dataset.train).pixels.tolist() == frames.pixels[::2].sum(axis=0).tolist()


def test_real_frames_are_counted_as_their_own_targets(shared, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(shared))
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path))
    dataset = open_dataset(
        DatasetConfig(
            name="cityscapes", root=str(shared / "data" / "cityscapes"), max_train_samples=6, height=64, width=128
        )
    )
    counts = count_frames(dataset, dataset.train)
    targets = np.stack([dataset.target(frame) for frame in dataset.train])
    assert counts.images[0] == 6, "a road in every street"
    assert counts.pixels[:, 0].tolist() == (targets == 0).sum(axis=(1, 2)).tolist()
