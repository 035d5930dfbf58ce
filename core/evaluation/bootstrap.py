"""Whether one run is better than another: a paired bootstrap over the frames that both were scored on.

Frames are drawn with replacement, the same ones for both runs, and the difference of mean IoU is formed anew each time:
how much it varies is how much it depends on which frames happened to be there. Of two runs it says nothing about
another seed of the training; of several of each recipe, the variance of their means over seeds is added, and the
interval is Student's, with as many degrees of freedom as Welch and Satterthwaite give the sum (Biometrics Bulletin 2,
1946). Seeds aren't drawn: three of them, drawn with replacement, seem to differ by a fifth less than they do.

Neighbours in a video show nearly the same, so that they are drawn together, in blocks that begin and end at fixed
frames (Carlstein, The Annals of Statistics 14, 1986). A block's length follows from how much a frame's influence on
the difference is like its neighbour's, by Andrews' rule for autoregression (Econometrica 59, 1991, equations 6.2 and
6.4); the interval of few blocks is made as much wider as Student's t is than the normal distribution (Hesterberg, The
American Statistician 69, 2015), and by what the fitted autoregression says that blocks of this length leave out.

The mean is over the classes that the drawn frames show, for both runs alike: a class that none of them shows has IoU 0
for a run that predicts a pixel of it and none for a run that doesn't, which would decide the comparison.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.data.sequences import sequences_of
from core.errors import LabError
from core.evaluation.metrics.scores import Scores, mean_of, parts_of
from core.text import join_items

RESAMPLES = 2000
ENOUGH = 20
"""With fewer frames nothing is certain.

Of pairs of runs that differ by noise alone, 95 % intervals left out 0 in 48 % of the cases with 2
frames, 21 % with 3, 12 % with 8, 7 % with 20 and 6 % with 40, where 5 % is what they promise."""

MIN_BLOCKS = 8
"""A sequence is cut into no longer blocks than leave so many of all frames."""
MIN_NEEDED_BLOCKS = 6
"""Where only fewer blocks would be long enough for how alike neighbours are, nothing is certain: of pairs of runs that
differ by noise alone, with 60 frames of one video and a correlation of 0.9 between neighbours, one in nine would be."""
MAX_CORRELATION = 0.99


@dataclass(frozen=True)
class Blocks:
    """How frames are drawn.

    Attributes:
        of_frame: for each frame the block that it is in, int (frames,).
        remainder: share of the variance that blocks of this length show, 0..1; the rest lies between blocks.
        too_alike: longer blocks are needed than there are frames for.
    """

    of_frame: np.ndarray
    remainder: float = 1.0
    too_alike: bool = False

    @property
    def count(self) -> int:
        return int(self.of_frame.max()) + 1


@dataclass(frozen=True)
class Comparison:
    """How two runs differ, as A minus B in mean IoU, -1..1.

    Attributes:
        difference: on the frames as they are, over the classes that they show.
        spread: standard deviation over the resamples.
        low, high: the bounds of the 95 % interval.
        frames: how many frames both were scored on.
        sentence: all of this in words.
        uncounted: classes that a run predicts and no frame shows, by name: a part of the runs' own mean IoU, not of the
            difference.
        blocks: how many blocks of neighbouring frames were drawn from; 0 where frames were drawn one by one.
        too_alike: neighbours are too alike for so few frames to tell anything.
        seeds: how many runs of each recipe the means are of.
    """

    difference: float
    spread: float
    low: float
    high: float
    frames: int
    sentence: str
    uncounted: tuple[str, ...] = ()
    blocks: int = 0
    too_alike: bool = False
    seeds: tuple[int, int] = (1, 1)

    @property
    def unit(self) -> str:
        """What was drawn, in words: "single frames", "9 blocks of about 7 neighbouring frames"."""
        if not self.blocks:
            return "single frames"
        return f"{self.blocks} blocks of about {max(2, round(self.frames / self.blocks))} neighbouring frames"

    @property
    def is_certain(self) -> bool:
        """True where the frames are enough, and the difference and its whole interval are on the same side of 0."""
        if self.frames < ENOUGH or self.too_alike:
            return False
        return min(self.difference, self.low) > 0 or max(self.difference, self.high) < 0


def compare(
    one: Scores | Sequence[Scores],
    other: Scores | Sequence[Scores],
    names: tuple[str, str] = ("A", "B"),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare the mean IoU of two runs, or of two recipes that several runs each were trained by.

    Args:
        one: A's scores; of two runs or more that differ in the seed, to have what seeds change in the interval.
        other: B's, of the same frames by the same protocol, as many or other many.
        names: of A and B, for the sentence.
        resamples: how often frames are drawn.
        seed: what is drawn follows from it.

    Raises:
        LabError: the two were scored on other frames, or other classes, or on fewer than two frames.
    """
    ones, others = ([each] if isinstance(each, Scores) else list(each) for each in (one, other))
    if min(len(ones), len(others)) < 2:
        ones, others = ones[:1], others[:1]  # nothing says what one seed alone would change
    everyone = (*ones, *others)
    first = everyone[0]
    if any(scores.protocol != first.protocol for scores in everyone):
        raise LabError(
            "The two runs predict different classes, so their scores can't be compared frame by frame. Choose two runs"
            " with the same classes."
        )
    ids = [frame.id for frame in first.frames]
    if any([frame.id for frame in scores.frames] != ids for scores in everyone):
        raise LabError("The two runs were scored on different frames. Score both on the same ones.")
    count = len(ids)
    if count < 2:
        raise LabError("Two runs can only be compared on two frames or more. Score them on more frames.")
    evaluated = list(first.protocol.evaluated)
    truths, guesses = [], []
    for scores in everyone:
        confusion = np.stack([frame.confusion for frame in scores.frames])[:, evaluated]
        truths.append(confusion.sum(axis=2))
        guesses.append(confusion[..., evaluated].sum(axis=(0, 1)))
    if any((truth != truths[0]).any() for truth in truths):
        raise LabError("The two runs were scored at different sizes, or against different labels. Score both alike.")
    influence = [np.mean([_influence(scores) for scores in some], axis=0) for some in (ones, others)]
    groups = [frame.group for frame in first.frames]
    blocks = blocks_for(influence[0] - influence[1], sequences_of(ids, groups))
    # How often each block was drawn; whole numbers, so that sums by matrix product are exact in float64.
    shares = np.full(blocks.count, 1 / blocks.count)
    draws = np.random.default_rng(seed).multinomial(blocks.count, shares, size=resamples).astype(np.float64)
    draws = draws[:, blocks.of_frame]
    differences = _mean_of_runs(ones, draws) - _mean_of_runs(others, draws)
    # A resample may have drawn nothing but frames without a scored pixel.
    differences = differences[~np.isnan(differences)]
    once = np.ones((1, count))
    difference = float((_mean_of_runs(ones, once) - _mean_of_runs(others, once))[0])
    if np.isnan(difference) or not differences.size:
        raise LabError("No pixel of these frames belongs to a class, so there is nothing to compare.")
    low, high = (float(bound) for bound in np.quantile(differences, (0.025, 0.975)))
    spread = float(differences.std())
    is_blocked = blocks.count < count
    if is_blocked:
        wider = math.sqrt(blocks.count / (blocks.count - 1) / blocks.remainder)
        spread *= wider
        wider *= _t_quantile(blocks.count - 1) / _NORMAL_QUANTILE
        low, high = (difference + wider * (bound - difference) for bound in (low, high))
    if len(ones) > 1:
        values = [np.array([_resampled(scores, once)[0] for scores in some]) for some in (ones, others)]
        variances = [spread**2, *(float(np.var(each, ddof=1)) / len(each) for each in values)]
        freedoms = [blocks.count - 1, *(len(each) - 1 for each in values)]
        parts = [variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True)]
        spread = math.sqrt(sum(variances))
        half = spread * _t_quantile(sum(variances) ** 2 / sum(parts)) if spread else 0.0
        low, high = difference - half, difference + half
    present = truths[0].sum(axis=0) > 0
    uncounted = tuple(
        name
        for name, shown, guessed in zip(first.protocol.names, present, sum(guesses), strict=True)
        if guessed and not shown
    )
    drawn = blocks.count * is_blocked
    seeds = len(ones), len(others)
    comparison = Comparison(difference, spread, low, high, count, "", uncounted, drawn, blocks.too_alike, seeds)
    return replace(comparison, sentence=_sentence(names, comparison))


def blocks_for(influence: np.ndarray, sequences: list[list[int]]) -> Blocks:
    """Return blocks as long as neighbours are alike.

    Args:
        influence: of each frame on what is measured, float64 (frames,), with a mean of 0.
        sequences: the indices of neighbouring frames, in their order.
    """
    count = len(influence)
    variance = float((influence**2).mean())
    products = [influence[sequence[:-1]] * influence[sequence[1:]] for sequence in map(np.array, sequences)]
    pairs = sum(map(len, products))
    correlation = 0.0
    if pairs and variance > 0:
        correlation = sum(float(product.sum()) for product in products) / pairs / variance
        # Estimates from few frames are too small (Marriott and Pope, Biometrika 41, 1954).
        correlation = min(MAX_CORRELATION, max(0.0, correlation + (1 + 3 * correlation) / count))
    alpha = (2 * correlation / (1 - correlation**2)) ** 2
    needed = 1.1447 * (alpha * count) ** (1 / 3)
    too_alike = min(needed, max(map(len, sequences))) > count / MIN_NEEDED_BLOCKS
    length = min(needed, count / MIN_BLOCKS)
    length = length if length > 1.5 else 1.0
    of_frame = np.zeros(count, int)
    blocks, is_cut = 0, False
    for sequence in sequences:
        parts = max(1, round(len(sequence) / length))
        is_cut = is_cut or parts > 1
        of_frame[sequence] = blocks + np.arange(len(sequence)) * parts // len(sequence)
        blocks += parts
    if blocks < 2:  # one short sequence
        return Blocks(np.arange(count), 1.0, too_alike)
    if not is_cut:
        return Blocks(of_frame, 1.0, too_alike)
    lags = np.arange(1, max(2, round(count / blocks)))
    shown = 1 + 2 * float(((1 - lags * blocks / count).clip(0) * correlation**lags).sum())
    return Blocks(of_frame, min(1.0, shown * (1 - correlation) / (1 + correlation)), too_alike)


def _influence(scores: Scores) -> np.ndarray:
    """Return how much each frame moves the mean IoU of the shown classes, to first order, float64 (frames,)."""
    stacked = np.stack([frame.confusion for frame in scores.frames])
    hits, true, predicted = (part.astype(np.float64) for part in parts_of(stacked, scores.protocol.evaluated))
    unions = true + predicted - hits
    shown = true.sum(axis=0) > 0
    whole = np.where(shown, unions.sum(axis=0), np.inf)
    return ((hits - hits.sum(axis=0) / whole * unions) / whole).sum(axis=1) / max(1, shown.sum())


_NORMAL_QUANTILE = 1.959964


def _t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t (Abramowitz and Stegun, 26.7.5), to 1 % from 3 degrees on."""
    z = _NORMAL_QUANTILE
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def _mean_of_runs(runs: Sequence[Scores], draws: np.ndarray) -> np.ndarray:
    """Return the mean over runs of `_resampled`, float64 (R,)."""
    return np.mean([_resampled(scores, draws) for scores in runs], axis=0)


def _resampled(scores: Scores, draws: np.ndarray) -> np.ndarray:
    """Return mean IoU of each resample over the classes that it shows, float64 (R,), of draws float64 (R, frames)."""
    stacked = np.stack([frame.confusion for frame in scores.frames])
    hits, true, predicted = (draws @ part.astype(np.float64) for part in parts_of(stacked, scores.protocol.evaluated))
    with np.errstate(invalid="ignore"):
        return mean_of(hits / np.where(true, true + predicted - hits, np.nan))


def _sentence(names: tuple[str, str], comparison: Comparison) -> str:
    difference, spread, low, high = (
        100 * value for value in (comparison.difference, comparison.spread, comparison.low, comparison.high)
    )
    interval = f"95 % of resamples of the {comparison.frames} frames lie between {low:+.1f} and {high:+.1f} points"
    if comparison.blocks:
        interval = (
            f"the 95 % interval, from resamples of the {comparison.frames} frames in {comparison.unit}, reaches from"
            f" {low:+.1f} to {high:+.1f} points"
        )
    if comparison.seeds != (1, 1):
        counts = f"{comparison.seeds[0]} seeds of {names[0]} and {comparison.seeds[1]} of {names[1]}"
        interval = (
            f"the 95 % interval, over {counts}, and over the {comparison.frames} frames, reaches from {low:+.1f} to"
            f" {high:+.1f} points"
        )
    missing = ""
    if comparison.uncounted:
        missing = (
            f" No frame shows {join_items(comparison.uncounted, 'or')}, so that its IoU isn't a part of this mean."
        )
    if comparison.is_certain:
        better, worse = names if difference > 0 else names[::-1]
        return (
            f"{better} is better than {worse} by {abs(difference):.1f} ± {spread:.1f} points of mean IoU;"
            f" {interval}.{missing}"
        )
    few = ""
    if comparison.frames < ENOUGH:
        few = f"{comparison.frames} frames are too few for that, score both on {ENOUGH} or more. Here it is "
    elif comparison.too_alike:
        few = "neighbouring frames are too alike for so few of them, score both on more recordings. Here it is "
    return (
        f"{names[0]} and {names[1]} can't be told apart: {few}{difference:+.1f} ± {spread:.1f} points of mean IoU;"
        f" {interval}.{missing}"
    )
