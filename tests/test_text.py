"""Numbers and text in words: one spelling of sizes, durations, shares and lists for the whole lab."""

import ast
import re

import pytest

from core.escaping import csv_cell
from core.paths import PROJECT
from core.text import (
    format_bytes,
    format_duration,
    format_percent,
    join_first,
    join_items,
    one_line,
    plural,
    shorten,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (120_308_414, "120 MB"),
        (999_400, "999 kB"),
        (999_999_999, "1.0 GB"),
        (11_592_327_197, "11.6 GB"),
        (324_000_000_000, "324 GB"),
        (7_654_000_000_000, "7,654 GB"),
    ],
)
def test_a_gigabyte_is_a_thousand_million_bytes(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(first):
    assert csv_cell(f"{first}2+2") == f"'{first}2+2"


@pytest.mark.parametrize("text", ["", "road", "2-1", " =1"])
def test_other_cells_stay_as_they_are(text):
    assert csv_cell(text) == text


def test_no_size_has_more_than_three_digits_before_a_larger_unit():
    for exponent in range(3, 12):
        for count in (10**exponent - 1, 10**exponent, 10**exponent + 1):
            assert not re.match(r"\d{4}", format_bytes(count)), count


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_never_shows_sixty_of_anything(seconds, text):
    assert format_duration(seconds) == text


def test_shares_counts_and_lists():
    assert (format_percent(0.1234), format_percent(float("nan"))) == ("12.3%", "–")
    assert (plural(1, "run"), plural(0, "run"), plural(2, "class", "classes")) == ("1 run", "0 runs", "2 classes")
    assert plural(12345, "frame") == "12,345 frames"
    assert [join_items(text) for text in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert join_items(["a", "b"], "or") == "a or b"
    assert [join_first("abc", limit) for limit in (1, 2, 3)] == ["a and 2 more", "a, b and 1 more", "a, b, c"]


def test_what_was_typed_is_kept_short_and_on_one_line():
    assert shorten("x" * 80) == "x" * 80 and shorten("x" * 81) == "x" * 80 + "..."
    assert shorten("abc", 2) == "ab..."
    assert one_line("  a\n\tb\x00c\u202ed ") == "a b c d"


def test_sizes_are_put_in_words_in_one_place():
    """No other module divides bytes by a unit to write "GB" or "MB" behind them."""
    wrong = []
    for folder in ("core", "app", "pages", "benchmarks"):
        for path in (PROJECT / folder).rglob("*.py"):
            if path == PROJECT / "core/text.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.JoinedStr):
                    continue
                for part, following in zip(node.values, node.values[1:], strict=False):
                    divided = isinstance(part, ast.FormattedValue) and any(
                        isinstance(each, (ast.Div, ast.FloorDiv)) for each in ast.walk(part.value)
                    )
                    if divided and isinstance(following, ast.Constant) and re.match(r" [kMG]i?B\b", following.value):
                        wrong.append(f"{path.relative_to(PROJECT)}:{node.lineno}")
    assert not wrong
