"""Superpixels: small pieces of a photograph whose borders follow its edges, to be painted with a click each.

Waterpixels (Machairas et al., https://doi.org/10.1109/TIP.2015.2451011): a watershed that floods from a regular grid.
"""

import cv2
import numpy as np

from core.data.bands import resize

MAX_PIXELS = 1_000_000
"""Of a map; a larger photograph's is smaller than that."""
COUNT = 800
"""About so many of a photograph."""
MIN_SPACING = 6
"""Pixels between the middles of two."""
_STEP, _VALUES = 37, 251
"""Numbers of superpixels go on by so much a row, and stay below that: neighbours never bear the same."""


def find_superpixels(image: np.ndarray) -> np.ndarray:
    """Return the superpixels of an image uint8 (H, W, 3) as a map uint8 (H, W), 0..250.

    One superpixel is what is connected and bears one number, and far ones bear the same. The map of a large image is
    smaller.
    """
    scale = min(1.0, (MAX_PIXELS / (image.shape[0] * image.shape[1])) ** 0.5)
    height, width = (max(1, int(side * scale)) for side in image.shape[:2])
    if scale < 1:
        image = resize(image, (height, width))
    spacing = max(MIN_SPACING, round((height * width / COUNT) ** 0.5))
    smooth = cv2.bilateralFilter(image, 5, 40, 3)
    per_row = 1 + width // spacing
    markers = np.zeros((height, width), np.int32)
    for row in range(1 + height // spacing):
        for column in range(per_row):
            middle = (min(width - 1, column * spacing + spacing // 2), min(height - 1, row * spacing + spacing // 2))
            cv2.circle(markers, middle, max(1, spacing // 5), 1 + row * per_row + column, -1)
    # OpenCV leaves the outermost pixels out.
    markers = np.pad(markers, 1)
    cv2.watershed(cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE), markers)
    rows, columns = np.divmod(_without_lines(markers[1:-1, 1:-1]) - 1, per_row)
    return ((_STEP * rows + columns) % _VALUES).astype(np.uint8)


def _without_lines(markers: np.ndarray) -> np.ndarray:
    """Return markers int32 (H, W) in which the lines between pieces, -1, belong to a neighbour."""
    filled = markers.astype(np.float32)
    while (filled < 1).any():
        filled = np.where(filled < 1, cv2.dilate(filled, np.ones((3, 3), np.uint8)), filled)
    return filled.astype(np.int32)
