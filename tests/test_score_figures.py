"""Figures of scores hold the values they were given, and names that somebody typed as text."""

import numpy as np
import pytest

from app.figures import MAX_LABEL, cooccurrence_figure
from app.frame_links import compare_address
from app.leaderboard import upper_bound_text
from app.score_figures import (
    confusion_figure,
    frames_figure,
    interval_figure,
    pareto_figure,
    reliability_figure,
    robustness_figure,
)
from core.evaluation.bootstrap import Comparison
from core.evaluation.metrics.calibration import calibration_of


def test_a_confusion_matrix_says_of_every_cell_where_it_is_and_what_it_holds():
    counts = np.array([[8, 2, 0], [0, 0, 0]])
    shares = np.array([[0.8, 0.2, 0.0], [np.nan] * 3])
    heat, cells = confusion_figure(["road", "car"], ["road", "car", "no class"], shares, counts).data
    assert np.array(heat.z) == pytest.approx(np.sqrt([[0.8, 0.2, 0], [0, 0, 0]]))
    assert heat.text[0][1] == "20" and heat.text[1][0] == ""
    assert [list(point) for point in cells.customdata] == [
        [row, column, counts[row, column], 100 * np.nan_to_num(shares)[row, column]]
        for row in range(2)
        for column in range(3)
    ]
    assert (cells.x[1], cells.y[1]) == ("car", "road") and cells.marker.opacity == 0 != cells.selected.marker.opacity


def test_the_reliability_diagram_draws_what_was_counted():
    counts = np.zeros((256, 2), np.int64)
    counts[255] = 25, 75
    figure = reliability_figure({"a <b>": calibration_of(counts)}, {"a <b>": "#123456"})
    line, bars = figure.data[1:]
    assert line.name == "a &lt;b>" and np.nanmax(line.y) == 75 and np.nanmax(line.x) == 100 and max(bars.y) == 100


def test_an_interval_spans_its_bounds_and_fades_where_it_holds_nothing_certain():
    sure = Comparison(0.02, 0.005, 0.01, 0.04, 50, "")
    unsure = Comparison(0.0, 0.01, -0.02, 0.02, 50, "")
    below, above = interval_figure({"one": sure, "two": unsure}, {"one": "red", "two": "blue"}).data
    assert above.y == ("one",) and above.opacity == 1 and below.opacity < 1
    assert above.error_x.array[0] == pytest.approx(2) and above.error_x.arrayminus[0] == pytest.approx(1)


def test_frames_carry_their_ids_and_the_front_is_a_line():
    assert frames_figure(["f"], [0.5], [0.25], ("A", "B"), "red").data[1].customdata[0] == ["f"]
    points = {"a": (1.0, 0.5), "b": (2.0, 0.4)}
    front, *dots = pareto_figure(points, ["a"], {"a": "A", "b": "%{x}"}, dict.fromkeys("ab", "red"), ("M", "mIoU")).data
    assert front.x == (1.0,) and [dot.marker.opacity for dot in dots] == [1, 0.5] and dots[1].text == ("% {x}",)


def test_corruptions_begin_at_the_clean_score_and_resolution_stands_apart():
    miou = {"none": {0: 0.5}, "noise": {1: 0.4, 2: 0.25}, "resolution": {1: None}}
    noise, resolution = robustness_figure(miou, relative=True).data
    assert noise.x == (0, 1, 2) and noise.y == (100, 80, 50) and resolution.xaxis != noise.xaxis
    assert robustness_figure(miou, relative=False).data[0].y == (50, 40, 25)
    assert robustness_figure({"none": {0: 0.0}, "noise": {1: 0.0}}, relative=True).data[0].y == (0, 0)


def test_a_link_to_compare_names_frame_runs_and_split():
    assert compare_address("a b&c", ["r1", "r2"]) == "compare?image=a+b%26c&runs=r1&runs=r2&split=val"
    assert compare_address("a", ["r"], "train").endswith("&split=train")
    assert upper_bound_text(None, 8) == "" and upper_bound_text(1.0, 1) == "it scores single pixels"
    assert upper_bound_text(0.9, 8) == "against 90.0% for the truth itself in cells of 8 pixels"


def test_long_and_many_names_of_classes_leave_room_for_what_they_name():
    short, long = ["road", "sky"], [f"class {number} with a name that goes on and on" for number in range(60)]
    for names in (short, long):
        figure = cooccurrence_figure(names, np.eye(len(names)), (1, 2, 3))
        labels = figure.layout.yaxis.labelalias or {}
        shown = [labels.get(name, name) for name in figure.data[0].y]
        assert list(figure.data[0].y) == names and max(map(len, shown)) <= MAX_LABEL + 3
        assert figure.layout.xaxis.showticklabels == (names is short)
    assert shown[7].startswith("class 7")
