"""Scores against ones worked out by hand, and counts that add up whoever made them."""

import json

import numpy as np
import pytest

from core.evaluation.metrics.protocol import OFFICIAL, Category, Protocol, label_ids_of, protocol_of
from core.evaluation.metrics.scorer import Scorer
from core.evaluation.metrics.scores import iou_of, mean_of
from core.labels import CITYSCAPES_7, CITYSCAPES_19

PLAIN = Protocol("three", ("a", "b", "c"), (0, 1, 2))


def scored(target, labels, protocol=PLAIN, **more):
    scorer = Scorer(protocol)
    scorer.update("one", np.array(target, np.uint8), np.array(labels, np.uint8), **more)
    return scorer.scores()


def some_scorer(names, boundary=False, group=None):
    scorer = Scorer(protocol_of(CITYSCAPES_19), boundary)
    for name in names:
        rng = np.random.default_rng(ord(name))
        target = np.repeat(np.repeat(rng.choice([*range(19), 255], (4, 8)), 8, 0), 8, 1).astype(np.uint8)
        labels = np.where(rng.random(target.shape) < 0.8, np.roll(target, 1, 1) % 19, 3).astype(np.uint8)
        instances = np.where(target == 13, 26000 + rng.integers(0, 3), 7).astype(np.uint16)
        confidence = rng.integers(0, 256, target.shape).astype(np.uint8)
        scorer.update(name, target, labels, confidence, instances, group=name.upper() if group is None else group)
    return scorer


def test_by_hand():
    scores = scored([[0, 0, 0, 1], [1, 2, 255, 255]], [[0, 0, 1, 1], [1, 0, 2, 0]])
    assert scores.iou.tolist() == [2 / 4, 2 / 3, 0]
    assert scores.miou == (2 / 4 + 2 / 3 + 0) / 3
    assert scores.precision[:2].tolist() == [2 / 3, 2 / 3] and np.isnan(scores.precision[2])
    assert scores.recall.tolist() == [2 / 3, 1, 0]
    assert scores.f1.tolist() == [4 / 6, 4 / 5, 0]
    assert scores.pixel_accuracy == 4 / 6
    assert scores.mean_accuracy == (2 / 3 + 1 + 0) / 3
    assert scores.confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0]]


def test_a_prediction_of_no_class_is_a_miss_and_no_false_alarm():
    scores = scored([[0, 0, 1, 1]], [[0, 255, 1, 7]])
    assert scores.iou[:2].tolist() == [0.5, 0.5] and scores.pixel_accuracy == 0.5
    assert scores.precision[:2].tolist() == [1, 1]
    assert scores.normalized_confusion()[0].tolist() == [0.5, 0, 0, 0.5]


def test_ignored_truth_counts_nowhere():
    everything = Protocol("void last", ("a", "b", "void"), (0, 1))
    scores = scored([[0, 1, 2, 2]], [[0, 1, 0, 1]], everything)
    assert scores.iou.tolist() == [1, 1] and scores.pixel_accuracy == 1


def test_the_confusion_can_be_normalised_three_ways():
    scores = scored([[0, 0, 0, 1]], [[0, 1, 1, 1]])
    assert scores.normalized_confusion("row")[0] == pytest.approx([1 / 3, 2 / 3, 0, 0])
    assert scores.normalized_confusion("column")[:, 1][:2] == pytest.approx([2 / 3, 1 / 3])
    assert scores.normalized_confusion("all").sum() == pytest.approx(1)
    assert np.isnan(scores.normalized_confusion("row")[2]).all()


def test_iiou_by_hand():
    pair = Protocol(
        "pair",
        ("road", "car", "bus"),
        (0, 1, 2),
        (Category("flat", (0,)), Category("vehicle", (1, 2), (1, 2))),
        tuple({26: 1, 28: 2}.get(index, -1) for index in range(66)),
        (0.0, 8.0, 4.0),
    )
    target = [[1, 1, 1, 1, 1, 0, 0, 2]]
    labels = [[1, 1, 0, 2, 1, 1, 0, 2]]
    instances = np.array([[26000, 26000, 26000, 26000, 26001, 7, 7, 28000]], np.uint16)
    scores = Scorer(pair)
    scores.update("x", np.array(target, np.uint8), np.array(labels, np.uint8), instances=instances)
    scores = scores.scores()
    # first car: 4 pixels weigh 2 each, 2 found; second: 1 pixel weighs 8; one road pixel is a false alarm.
    assert scores.iiou[1] == (4 + 8) / (4 + 8 + 4 + 1)
    # the bus: found whole, weighs 4; one pixel of the first car is a false alarm.
    assert scores.iiou[2] == 4 / (4 + 1)
    assert np.isnan(scores.iiou[0]) and np.isnan(scores.category_iiou[0])
    # as vehicles: 3 of the first car's 4 pixels are one, which weigh 2 each.
    assert scores.category_iiou[1] == (6 + 8 + 4) / (6 + 8 + 4 + 2 + 1)
    assert scores.category_iou[1] == 5 / 7


def test_smaller_frames_have_smaller_average_instances():
    target = np.full((4, 4), 13, np.uint8)
    labels, instances = target.copy(), np.full((4, 4), 26001, np.uint16)
    labels[0] = 0
    target[3], instances[3] = 0, 7
    small = Scorer(protocol_of(CITYSCAPES_19), pixel_scale=0.5)
    official = Scorer(protocol_of(CITYSCAPES_19))
    for scorer in (small, official):
        scorer.update("x", target, labels, instances=instances)
    weight = 12794.0202738185 / 12
    assert official.scores().iiou[13] == pytest.approx(8 * weight / (12 * weight + 4))
    assert small.scores().iiou[13] == pytest.approx(4 * weight / (6 * weight + 4))


def test_without_instances_iiou_is_none_and_says_why():
    nothing = scored([[0]], [[0]], protocol_of(CITYSCAPES_19))
    assert nothing.iiou is None and nothing.miiou is None and nothing.category_iiou is None
    assert "instanceIds" in nothing.iiou_reason and nothing.by_size() is None
    foreign = scored([[0]], [[0]], instances=np.zeros((1, 1), np.uint16))
    assert foreign.iiou is None and "19 classes" in foreign.iiou_reason


def test_counts_of_two_processes_add_up_to_the_last_digit():
    whole = some_scorer("abcdef", boundary=True).scores().to_json()
    parts = some_scorer("fbd", boundary=True) + some_scorer("aec", boundary=True)
    assert parts.scores().to_json() == whole


def test_what_can_not_be_added_is_refused():
    with pytest.raises(ValueError, match="'b' was counted by both"):
        some_scorer("ab") + some_scorer("bc")
    with pytest.raises(ValueError, match="different rules"):
        some_scorer("a") + some_scorer("b", boundary=True)
    with pytest.raises(ValueError, match="counted already"):
        some_scorer("aa")


def test_scores_of_groups_and_images_are_those_of_their_frames():
    scores = some_scorer("abc").scores()
    alone = some_scorer("b").scores()
    assert list(scores.by_group()) == ["A", "B", "C"]
    assert scores.by_group()["B"].miou == alone.miou
    row = scores.per_image()[1]
    assert row == {"id": "b", "group": "B", "miou": alone.miou, "pixel_accuracy": alone.pixel_accuracy}
    order = scores.worst_first()
    mious = {row["id"]: row["miou"] for row in scores.per_image()}
    assert [mious[name] for name in order] == sorted(mious.values())


def test_small_and_large_objects_are_scored_apart():
    target = np.zeros((120, 120), np.uint8)
    instances = np.full(target.shape, 7, np.uint16)
    target[:100, :100], instances[:100, :100] = 13, 26001
    target[110:, 110:], instances[110:, 110:] = 13, 26002
    labels = target.copy()
    labels[110:115, 110:] = 0
    small, medium, large = scored(target, labels, protocol_of(CITYSCAPES_19), instances=instances).by_size()
    assert small == {"size": "small", "objects": 1, "found": 0.5}
    assert medium["objects"] == 0 and medium["found"] is None
    assert large["objects"] == 1 and large["found"] == 1


def test_json_holds_plain_values_and_no_nan():
    values = some_scorer("ab", boundary=True).scores().to_json()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert set(values["iou"]) == set(CITYSCAPES_19.class_names) and values["frames"] == 2
    assert values["categories"]["iou"]["vehicle"] is not None and values["calibration"]["ece"] > 0


def test_nothing_counted_is_no_number():
    scores = Scorer(OFFICIAL).scores()
    assert np.isnan(scores.miou) and np.isnan(scores.pixel_accuracy) and scores.per_image() == []
    assert scores.to_json()["miou"] is None


def test_means_are_added_one_after_another():
    values = np.random.default_rng(0).random((50, 19))
    values[:, 4] = np.nan
    for row, mean in zip(values.tolist(), mean_of(values), strict=True):
        known = [value for value in row if value == value]
        assert mean == sum(known[1:], start=known[0]) / 18
    assert np.isnan(mean_of(np.full(3, np.nan))) and np.isnan(mean_of(np.zeros(0)))


def test_a_stack_of_confusions_scores_as_each_alone():
    scores = some_scorer("abcd").scores()
    stacked = iou_of(np.stack([frame.confusion for frame in scores.frames]), scores.protocol.evaluated)
    for frame, row in zip(scores.frames, stacked, strict=True):
        np.testing.assert_array_equal(iou_of(frame.confusion, scores.protocol.evaluated), row)


def test_the_official_protocol_is_made_of_the_official_tables():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    assert [labels.id2label[index].name for index in OFFICIAL.evaluated] == list(OFFICIAL.names)
    assert all(not labels.id2label[number].ignoreInEval for number in OFFICIAL.evaluated)
    for number, size in enumerate(OFFICIAL.instance_sizes):
        name = OFFICIAL.classes[number]
        scored_label = labels.id2label[number].hasInstances and not labels.id2label[number].ignoreInEval
        assert size == (official.args.avgClassSize[name] if scored_label else 0)


def test_classes_turn_back_into_label_ids_where_they_can():
    from core.errors import LabError

    lookup = label_ids_of(CITYSCAPES_19)
    assert (CITYSCAPES_19.lookup[lookup[:19]] == np.arange(19)).all() and lookup[255] == 0
    with pytest.raises(LabError, match="label ids of Cityscapes"):
        label_ids_of(CITYSCAPES_7)
