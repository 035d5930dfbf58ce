"""Published scores: the page shows what the module holds, and the figures can be what they say."""

import re
from pathlib import Path

import pytest

from core.evaluation.metrics.upper_bounds import STRIDES
from core.evaluation.published import (
    CITYSCAPES_BOUNDS,
    PUBLISHED,
    UPPER_BOUNDS,
    bounds_table,
    percent,
    scores_table,
)

PAGE = (Path(__file__).resolve().parents[1] / "docs/published-scores.md").read_text()


@pytest.mark.parametrize("table", [scores_table, bounds_table])
def test_the_page_shows_the_rows(table):
    assert f"\n\n{table()}\n\n" in PAGE, f"docs/published-scores.md needs this table:\n{table()}"


def test_each_row_says_where_it_was_read():
    for source in (CITYSCAPES_BOUNDS, *(row.source for row in PUBLISHED)):
        assert re.fullmatch(r"https://(arxiv\.org/abs/\d{4}\.\d{5}|github\.com/\S+)", source.address)
        assert source.name and source.location and 2015 < source.year < 2027


def test_scores_are_fractions_and_several_scales_help():
    assert {row.family for row in PUBLISHED} == {"fcn", "unet", "vit", "kin"}
    for row in PUBLISHED:
        assert 0.4 < row.miou < 0.9
        if row.miou_several is not None:
            assert row.scales == "one" and row.miou < row.miou_several < row.miou + 0.04


def test_no_two_rows_have_the_same_settings():
    settings = [
        (row.method, row.backbone, row.data, row.crop, row.split, row.shown, row.scales, row.source.name)
        for row in PUBLISHED
    ]
    assert len(set(settings)) == len(PUBLISHED)


def test_bounds_fall_and_cover_the_strides_that_the_lab_computes():
    assert [bound.factor for bound in UPPER_BOUNDS] == [2, 4, 8, 16, 32, 64, 128]
    assert set(STRIDES) <= {bound.factor for bound in UPPER_BOUNDS}
    for above, below in zip(UPPER_BOUNDS, UPPER_BOUNDS[1:], strict=False):
        assert above.miou > below.miou and above.miiou > below.miiou and above.miou > above.miiou


def test_per_cent_keeps_the_digits_of_the_source():
    assert [percent(score) for score in (0.653, 0.7291, 0.58, 0.65, 0.8108)] == [
        "65.3",
        "72.91",
        "58.0",
        "65.0",
        "81.08",
    ]
