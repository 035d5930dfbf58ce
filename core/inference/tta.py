"""How a picture is shown to a network at test time.

Part of what an answer is kept under, so nothing here imports torch.
"""

from dataclasses import dataclass

from core.errors import LabError

Size = tuple[int, int]
"""Height and width."""
MIN_SCALE, MAX_SCALE = 0.25, 2.0
MAX_SCALES = 6
QUICK_PIXELS = 512 * 256
"""What the slowest of the default networks, the ViT, sees in half a second on two cores."""


@dataclass(frozen=True)
class PredictOptions:
    """Test-time options. The defaults show the whole picture once, at about as many pixels as the training frames had.

    Attributes:
        sliding_window: show windows of the size of the training crops, half overlapping, and blend their logits. A
            window never shows more than the network saw in training, which is what a ViT knows, and bounds the memory
            at large scales.
        flip: show the mirrored picture too, and average the probabilities.
        scales: show the picture at these multiples of its usual size, and average the probabilities.
        quick: show it once at half of the usual sides, but at no more than `QUICK_PIXELS`, and leave the answer at that
            size; the other options don't count.
    """

    sliding_window: bool = False
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    quick: bool = False

    def __post_init__(self) -> None:
        """Raise LabError for scales that make no sense."""
        within = all(MIN_SCALE <= scale <= MAX_SCALE for scale in self.scales)
        if not 1 <= len(self.scales) <= MAX_SCALES or not within:
            raise LabError(
                f"Scales are 1 to {MAX_SCALES} numbers from {MIN_SCALE:g} to {MAX_SCALE:g}, such as 0.75, 1 and 1.25. "
                "Choose among these."
            )


WHOLE = PredictOptions()
QUICK = PredictOptions(quick=True)


def scaled(size: Size, scale: float) -> Size:
    """Return a size times a number, but never below 32 a side."""
    return size if scale == 1 else (max(32, round(size[0] * scale)), max(32, round(size[1] * scale)))
