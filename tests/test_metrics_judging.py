"""Ceilings, comparisons, corruptions, instance files and the server's archive."""

import zipfile

import cv2
import numpy as np
import pytest

from core.errors import LabError
from core.evaluation.bootstrap import ENOUGH, Comparison, compare
from core.evaluation.metrics.instances import read_instances
from core.evaluation.metrics.protocol import FULL_SIZE, protocol_of
from core.evaluation.metrics.robustness import CORRUPTIONS, STRENGTHS, corrupt
from core.evaluation.metrics.scorer import Scorer
from core.evaluation.metrics.upper_bounds import coarsen, upper_bounds
from core.evaluation.submission import SUFFIX, check_submission, write_submission
from core.labels import CITYSCAPES_7, CITYSCAPES_19

RULES = protocol_of(CITYSCAPES_19)


def town(seed=0, size=(96, 192)):
    rng = np.random.default_rng(seed)
    target = np.repeat(np.repeat(rng.integers(0, 4, (size[0] // 24, size[1] // 24)), 24, 0), 24, 1).astype(np.uint8)
    target[:, 13::31] = 5  # poles, one pixel wide
    return target


@pytest.mark.parametrize("enlarging", ["nearest", "bilinear"])
def test_ceilings_fall_with_the_stride(enlarging):
    result = upper_bounds([town(seed) for seed in range(3)], RULES, (1, 2, 4, 8, 16), enlarging)
    mious = [scores.miou for scores in result.values()]
    assert mious == sorted(mious, reverse=True) and 1 == mious[0] > mious[1] > mious[4]


def test_what_is_no_class_stays_none_only_by_nearest_neighbour():
    target = np.full((16, 16), 255, np.uint8)
    target[:, 8:] = 3
    assert (coarsen(target, 4, 19) == target).all()
    assert set(np.unique(coarsen(target, 4, 19, "bilinear"))) <= {0, 3}


def test_a_cell_has_the_label_of_most_of_its_pixels():
    target = np.array([[1, 1, 2, 255], [1, 0, 255, 255]], np.uint8)
    assert coarsen(target, 2, 19).tolist() == [[1, 1, 255, 255], [1, 1, 255, 255]]


def run_scores(wrong, seed=0, frames=ENOUGH):
    scorer = Scorer(RULES)
    for index in range(frames):
        target = town(index)
        rng = np.random.default_rng((seed, index))
        labels = np.where(rng.random(target.shape) < wrong + 0.02 * rng.random(), 3, target).astype(np.uint8)
        scorer.update(f"{index:02}", target, labels)
    return scorer.scores()


def test_a_better_run_is_told_from_a_worse_one():
    better, worse = run_scores(0.1), run_scores(0.2, seed=1)
    result = compare(better, worse, ("A", "B"))
    assert result.is_certain and result.low < result.difference < result.high
    assert result.difference == better.miou - worse.miou and result.sentence.startswith("A is better than B by ")
    assert compare(worse, better, ("B", "A")).sentence.startswith("A is better than B by ")
    assert compare(better, worse) == compare(better, worse) != compare(better, worse, seed=1)


def test_equal_runs_can_not_be_told_apart():
    result = compare(run_scores(0.1), run_scores(0.1, seed=5))
    assert not result.is_certain and "can't be told apart" in result.sentence
    same = compare(run_scores(0.1), run_scores(0.1))
    assert same.difference == same.spread == 0


def scored(pairs):
    scorer = Scorer(RULES)
    for index, (target, labels) in enumerate(pairs):
        scorer.update(f"{index:02}", target, labels)
    return scorer.scores()


def test_few_frames_are_never_enough():
    frames = ENOUGH - 1
    result = compare(run_scores(0.1, frames=frames), run_scores(0.3, seed=1, frames=frames), ("A", "B"))
    assert result.low > 0 and not result.is_certain
    assert result.sentence.startswith(
        f"A and B can't be told apart: {frames} frames are too few for that, score both on 20 or more."
    )
    assert compare(run_scores(0.1), run_scores(0.3, seed=1)).is_certain


def test_a_class_that_no_frame_shows_does_not_decide():
    targets = [town(index) for index in range(ENOUGH)]
    others = [target.copy() for target in targets]
    for labels in others:
        labels[0, :4] = 13  # four pixels of a class that is nowhere
    one = scored(zip(targets, targets, strict=True))
    other = scored(zip(targets, others, strict=True))
    assert one.miou - other.miou > 0.15
    result = compare(one, other, ("A", "B"))
    assert 0 < result.difference < 0.001 and result.uncounted == ("car",)
    assert result.sentence.endswith("No frame shows car, so that its IoU isn't a part of this mean.")
    assert not compare(one, one).uncounted


def test_a_class_of_one_frame_counts_for_both_runs_or_for_none():
    """In a resample without that frame, what a run takes for the class elsewhere costs it no whole class."""
    targets = [np.zeros((64, 64), np.uint8) for _ in range(ENOUGH)]
    targets[0][:32] = 13
    others = [target.copy() for target in targets]
    for labels in others[1:]:
        labels[0, 0] = 13
    result = compare(scored(zip(targets, targets, strict=True)), scored(zip(targets, others, strict=True)))
    assert 0 <= result.low <= result.difference <= result.high < 0.02 and not result.uncounted


def test_a_difference_against_its_interval_is_not_certain():
    assert not Comparison(-0.01, 0.01, 0.01, 0.03, 50, "").is_certain
    assert not Comparison(0.01, 0.01, -0.03, -0.01, 50, "").is_certain
    assert Comparison(-0.01, 0.01, -0.03, -0.005, 50, "").is_certain


def test_the_resampling_agrees_with_scoring_each_resample():
    from core.evaluation.bootstrap import _resampled
    from core.evaluation.metrics.scores import Scores

    scores = run_scores(0.2, frames=4)
    drawn = np.array([[2.0, 0, 1, 1], [0, 4, 0, 0]])
    for row, miou in zip(drawn.astype(int), _resampled(scores, drawn), strict=True):
        frames = tuple(frame for frame, times in zip(scores.frames, row, strict=True) for _ in range(times))
        assert miou == Scores(RULES, frames).miou


def test_runs_on_other_frames_or_classes_are_not_compared():
    with pytest.raises(LabError, match="different frames"):
        compare(run_scores(0.1), run_scores(0.1, frames=ENOUGH - 1))
    with pytest.raises(LabError, match="two frames"):
        compare(run_scores(0.1, frames=1), run_scores(0.1, frames=1))
    other = Scorer(protocol_of(CITYSCAPES_7))
    with pytest.raises(LabError, match="different classes"):
        compare(run_scores(0.1), other.scores())


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_grows_with_its_strength_and_follows_from_its_key(kind, streets):
    image = cv2.imread(str(next(streets.glob("leftImg8bit/val/*/*.png"))))
    before = image.copy()
    seen = [corrupt(image, kind, strength, "a") for strength in STRENGTHS]
    assert all(pixels.shape == image.shape and pixels.dtype == np.uint8 for pixels in seen)
    assert (image == before).all()
    harm = [float(cv2.absdiff(picture, image).mean()) for picture in seen]
    assert 0 < harm[0] < harm[4]
    assert (corrupt(image, kind, 3, "a") == seen[2]).all()
    if kind not in ("blur", "jpeg", "resolution"):
        assert any((corrupt(image, kind, 3, name) != seen[2]).any() for name in "bcdefg")


@pytest.mark.parametrize("kind", ["noise", "jpeg", "resolution", "blur", "rain"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_corruption_is_as_strong_at_full_size_as_at_the_training_size(kind, strength):
    """Noise was four times weaker at 1024 rows than at 256, once the network had scaled the picture down."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (32, 64, 3)).astype(np.uint8)
    small, full = (cv2.resize(coarse, (2 * rows, rows), interpolation=cv2.INTER_CUBIC) for rows in (256, 1024))
    seen = cv2.resize(corrupt(full, kind, strength, "a"), (512, 256), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(full, (512, 256), interpolation=cv2.INTER_AREA)
    harm = cv2.absdiff(corrupt(small, kind, strength, "a"), small).mean()
    assert 0.85 < cv2.absdiff(seen, plain).mean() / harm < 1.2


def test_jpeg_takes_the_channels_as_they_are():
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (16, 32, 3)).astype(np.uint8), (512, 256))
    lost = np.abs(corrupt(image, "jpeg", 5).astype(int) - image).mean(axis=(0, 1))
    # Red weighs three times as much as blue in JPEG's luma, so that blue loses most.
    assert lost[2] > 1.05 * lost[0] > lost[0] > lost[1]


def test_an_unknown_corruption_is_refused():
    with pytest.raises(ValueError, match="no corruption"):
        corrupt(np.zeros((8, 8, 3), np.uint8), "snow", 1)


def test_instances_lie_beside_the_label_ids(streets, tmp_path):
    labels = next(streets.glob("gtFine/val/*/*_labelIds.png"))
    result = read_instances(labels, (32, 64))
    assert result.dtype == np.uint16 and result.shape == (32, 64) and result.max() > 1000
    assert read_instances(tmp_path / "x_labelIds.png", (4, 4)) is None
    assert read_instances(None, (4, 4)) is None and read_instances(tmp_path / "x.png", (4, 4)) is None
    (tmp_path / "x_instanceIds.png").write_bytes(b"not a picture")
    with pytest.raises(LabError, match="instance ids"):
        read_instances(tmp_path / "x_labelIds.png", (4, 4))


def test_an_archive_holds_label_ids_at_full_size_and_is_found_in_order(tmp_path):
    path = tmp_path / "submission.zip"
    names = ["berlin_000000_000019", "bonn_000001_000019"]
    assert write_submission(path, ((name, town()) for name in names), CITYSCAPES_19) == 2
    assert check_submission(path, names) == []
    with zipfile.ZipFile(path) as archive:
        values = cv2.imdecode(np.frombuffer(archive.read(names[0] + SUFFIX), np.uint8), cv2.IMREAD_UNCHANGED)
    assert values.shape == FULL_SIZE and set(np.unique(values)) == {7, 8, 11, 12, 17}
    assert "2 files, but there are 1525" in check_submission(path)[0]
    assert any("1 test frames have no picture" in text for text in check_submission(path, [*names, "b_000000_000001"]))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("readme.txt", b"x", "not named after"),
        ("berlin_000000_000019.png", b"x" * 50, "is not a PNG"),
        ("berlin_000000_000019.png", np.zeros((10, 20), np.uint8), "20 x 10 pixels"),
        ("berlin_000000_000019.png", np.zeros(FULL_SIZE, np.uint16), "8-bit gray"),
        ("berlin_000000_000019.png", np.full(FULL_SIZE, 34, np.uint8), "holds 34"),
        ("berlin_000000_000019.png", b"\0" * (17 * 1024**2), "far too large"),
    ],
)
def test_what_the_server_would_refuse_is_named(tmp_path, name, content, problem):
    path = tmp_path / "bad.zip"
    data = content if isinstance(content, bytes) else cv2.imencode(".png", content)[1].tobytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    assert any(problem in text for text in check_submission(path, ["berlin_000000_000019"]))


def test_a_broken_archive_is_a_sentence_and_foreign_classes_write_none(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no archive")
    assert "ZIP" in check_submission(tmp_path / "x.zip")[0]
    with pytest.raises(LabError, match="label ids"):
        write_submission(tmp_path / "y.zip", [], CITYSCAPES_7)
    with pytest.raises(RuntimeError):
        write_submission(tmp_path / "z.zip", failing(), CITYSCAPES_19)
    assert not (tmp_path / "y.zip").exists() and not (tmp_path / "z.zip").exists()


def failing():
    yield "berlin_000000_000019", town()
    raise RuntimeError("stopped")
