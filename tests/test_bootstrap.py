"""The paired bootstrap on simulated frames: whoever is equal is called so, whether or not frames are of one video."""

import numpy as np
import pytest

from core.data.sequences import sequences_of, series_of
from core.evaluation.bootstrap import blocks_for, compare
from core.evaluation.metrics.protocol import protocol_of
from core.evaluation.metrics.scores import ImageStatistics, Scores
from core.labels import CITYSCAPES_7

RULES = protocol_of(CITYSCAPES_7)
PIXELS = 10_000


def autoregressive(rng, frames, stretch, correlation):
    """Standard normal values; within a stretch each is like the one before it."""
    values = rng.normal(size=frames)
    for index in range(frames):
        if index % stretch:
            values[index] = correlation * values[index - 1] + np.sqrt(1 - correlation**2) * values[index]
    return values


def scores(hits, names):
    """Two classes of as many pixels, of which these shares are right."""
    frames = []
    for name, share in zip(names, hits, strict=True):
        confusion = np.zeros((len(RULES.classes), len(RULES.classes) + 1), np.int64)
        right = round(PIXELS * float(np.clip(share, 0, 1)))
        confusion[:2, :2] = [[right, PIXELS - right], [PIXELS - right, right]]
        frames.append(ImageStatistics(name, "", confusion))
    return Scores(RULES, tuple(frames))


def certain(frames, stretch, correlation, repetitions, named=False, gain=0.0, seed=0):
    """Return how often one network is called better than the other, 0..1."""
    rng = np.random.default_rng(seed)
    names = [f"clip{index // stretch if named else 0:03}_{index:04}" for index in range(frames)]
    called = 0
    for _ in range(repetitions):
        shared = 0.8 + 0.05 * rng.normal(size=frames)
        one, other = (shared + 0.03 * autoregressive(rng, frames, stretch, correlation) for _ in range(2))
        called += compare(scores(one + gain, names), scores(other, names), resamples=400).is_certain
    return called / repetitions


CASES = [
    (60, 1, 0.0, False),
    (60, 5, 0.8, False),
    (60, 10, 0.8, False),
    (60, 5, 0.95, True),
    (60, 10, 0.95, True),
    (60, 60, 0.5, False),
    (200, 1, 0.0, False),
    (200, 5, 0.8, False),
    (200, 10, 0.8, False),
    (200, 10, 0.95, True),
    (200, 200, 0.7, False),
]


@pytest.mark.parametrize(("frames", "stretch", "correlation", "named"), CASES[1:5])
def test_neighbours_of_a_video_make_nobody_better(frames, stretch, correlation, named):
    """One by one, these frames called one of two equal networks better in a quarter to a half of all trials."""
    assert 0.02 <= certain(frames, stretch, correlation, 400, named) <= 0.08


def test_frames_on_their_own_are_drawn_one_by_one():
    rng = np.random.default_rng(3)
    names = [f"picture {letters}" for letters in ("".join(rng.choice(list("abcdefgh"), 8)) for _ in range(60))]
    first, second = (scores(0.8 + 0.05 * rng.normal(size=60), names) for _ in range(2))
    result = compare(first, second)
    assert result.blocks == 0 and result.unit == "single frames" and "block" not in result.sentence
    assert 0.02 <= certain(60, 1, 0.0, 400) <= 0.08


def test_a_real_difference_is_seen_among_neighbours_and_the_sentence_says_how_frames_were_drawn():
    assert certain(200, 10, 0.8, 30, gain=0.025) >= 0.8
    rng = np.random.default_rng(1)
    names = [f"{index:03}" for index in range(120)]
    one, other = (scores(0.8 + 0.03 * autoregressive(rng, 120, 10, 0.9), names) for _ in range(2))
    result = compare(one, other, ("A", "B"))
    assert 8 <= result.blocks < 40 and f"in {result.blocks} blocks of about " in result.sentence
    assert result.low < result.difference < result.high


@pytest.mark.campaign
@pytest.mark.parametrize(("frames", "stretch", "correlation", "named"), CASES)
def test_false_alarms_are_about_one_in_twenty(frames, stretch, correlation, named):
    assert 0.03 <= certain(frames, stretch, correlation, 2000, named) <= 0.07


def test_neighbours_go_by_their_counters_within_their_series():
    names = ["b/f10", "b/f9", "a/f1", "cat", "b/f11", "2024-05-01 12.30.44", "2024-05-01 12.29.59"]
    assert sequences_of(names) == [[1, 0, 4], [2], [3], [6, 5]]
    assert sequences_of(["1", "2", "3"], ["x", "y", "x"]) == [[0, 2], [1]]
    # Cityscapes' frames of one sequence are neighbours, those of others aren't.
    assert series_of("lindau_000001_000019")[0] != series_of("lindau_000002_000019")[0]
    assert series_of("frankfurt_000001_000019")[0] == series_of("frankfurt_000001_011835")[0]
    assert series_of("0001TP_006690_L") == ("0001TP_#_L", (6690,))


def test_a_few_frames_that_are_too_alike_make_nobody_better():
    """A correlation of 0.9 leaves 60 frames the worth of three; by its interval one pair in nine would be certain."""
    assert certain(60, 60, 0.9, 400) <= 0.06
    slow = np.sin(np.arange(40) / 12)
    names = [f"{index:03}" for index in range(40)]
    result = compare(scores(0.9 + 0.01 * slow, names), scores(0.8 - 0.01 * slow, names), ("A", "B"))
    assert result.low > 0 and not result.is_certain
    assert "too alike for so few of them, score both on more recordings" in result.sentence
    assert certain(200, 200, 0.9, 400) <= 0.1


def test_a_block_is_never_longer_than_its_sequence_nor_than_leaves_eight():
    alike = np.repeat([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], 10)
    clips = [list(range(start, start + 10)) for start in range(0, 60, 10)]
    assert blocks_for(alike, clips).of_frame.tolist() == [frame // 10 for frame in range(60)]
    assert blocks_for(alike, [list(range(60))]).count == 8
    assert blocks_for(alike, [[frame] for frame in range(60)]).count == 60
    assert blocks_for(np.zeros(60), [list(range(60))]).count == 60


def recipes(rng, seeds, frames, of_seed, gain=0.0):
    """Scores of two recipes with so many seeds each, which differ by what a seed and a frame change, and by a gain."""
    names = [f"picture {letters}" for letters in ("".join(rng.choice(list("abcdefgh"), 8)) for _ in range(frames))]
    shared = 0.8 + 0.05 * rng.normal(size=frames)
    return [
        [
            scores(shared + own + of_seed * rng.normal() + 0.01 * rng.normal(size=frames) + better, names)
            for _ in range(seeds)
        ]
        for own, better in ((0.02 * rng.normal(size=frames), gain), (0.02 * rng.normal(size=frames), 0.0))
    ]


@pytest.mark.parametrize(("seeds", "of_seed"), [(3, 0.02), (5, 0.01), (3, 0.0)])
def test_two_recipes_that_differ_by_chance_are_told_apart_one_time_in_twenty(seeds, of_seed, figure):
    rng = np.random.default_rng(seeds)
    trials = [compare(*recipes(rng, seeds, 60, of_seed), resamples=300) for _ in range(400)]
    called = np.mean([trial.is_certain for trial in trials])
    figure(f"{called:.1%} with {seeds} seeds of ±{of_seed}")
    assert 0.015 <= called <= 0.085
    assert all(trial.seeds == (seeds, seeds) for trial in trials)
    if of_seed:
        alone = np.mean([compare(*(some[0] for some in recipes(rng, seeds, 60, of_seed)), resamples=300).is_certain
                         for _ in range(100)])  # fmt: skip
        assert alone > 0.3, "one run each takes a seed's luck for a recipe's worth"


def test_recipes_are_compared_by_the_means_of_their_seeds_and_the_sentence_says_so():
    rng = np.random.default_rng(0)
    ones, others = recipes(rng, 4, 60, 0.005, gain=0.05)
    result = compare(ones, others[:3], ("wide", "narrow"), resamples=300)
    expected = np.mean([each.miou for each in ones]) - np.mean([each.miou for each in others[:3]])
    assert result.is_certain and result.difference == pytest.approx(expected, abs=1e-9)
    assert "over 4 seeds of wide and 3 of narrow, and over the 60 frames" in result.sentence
    single = compare(ones, others[:1], resamples=300)
    assert single.seeds == (1, 1) and single.difference == pytest.approx(ones[0].miou - others[0].miou)
