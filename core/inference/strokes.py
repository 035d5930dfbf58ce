"""A mask of a whole image from a few strokes: a logistic regression on colours, the place, and what networks see.

As in ilastik (Berg et al., https://doi.org/10.1038/s41592-019-0582-9), which learns classes of pixels from strokes on
an image while one paints. What a trained network or the encoder of MobileSAM makes of the image are features among
others, and know of more than colours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from core.data.bands import resize
from core.errors import LabError
from core.inference.tta import Size
from core.labels import IGNORED

MAX_PIXELS = 512 * 256
"""Of the image in which a mask is looked for: it is scaled up afterwards."""
SAMPLES, SAMPLES_OF_OTHERS = 400, 50
"""Pixels of a class that are learned from, at most: of the image itself, and of each other one."""
MAX_OTHERS = 8
"""Other images whose strokes are learned from as well."""
BLURS = (2.0, 8.0)
"""Pixels, the standard deviations of the surroundings whose colours are told."""
MIN_PROBABILITY = 1e-4
ITERATIONS, TOLERANCE = 300, 1e-3
INVERSE_REGULARIZATION, INVERSE_REGULARIZATION_OF_MANY = 0.1, 0.01
"""Without an embedding, and with its hundreds of features (docs/learning.md)."""


def working_size(size: Size) -> Size:
    """Return height and width at which strokes on an image of a size are learned from."""
    scale = min(1.0, (MAX_PIXELS / (size[0] * size[1])) ** 0.5)
    height = min(MAX_PIXELS, max(1, round(size[0] * scale)))
    return height, max(1, min(round(size[1] * scale), MAX_PIXELS // height))


class FewClassesError(LabError):
    """Strokes of fewer than two classes are there."""


class Seen(NamedTuple):
    """What networks see in an image, at `working_size`: the probabilities of one, float32 (K, h, w), and an embedding,
    float32 (F, h, w); None without.
    """

    probabilities: np.ndarray | None = None
    embedding: np.ndarray | None = None


UNSEEN = Seen()


class Samples(NamedTuple):
    """Pixels under strokes: what is known of each, float32 (N, F), and its class, uint8 (N,)."""

    features: np.ndarray
    targets: np.ndarray


def sample_strokes(image: np.ndarray, strokes: np.ndarray, seen: Seen, per_class: int = SAMPLES_OF_OTHERS) -> Samples:
    """Return some pixels under the strokes on an image, the same ones every time; arguments as in `grow_strokes`."""
    return _sample(strokes, features_of(resize(image, working_size(strokes.shape)), seen), per_class)


def grow_strokes(
    image: np.ndarray,
    strokes: np.ndarray,
    seen: Seen = UNSEEN,
    others: Sequence[Samples] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and confidence, both uint8 (h, w), of all pixels of an image.

    Args:
        image: uint8 (H, W, 3).
        strokes: classes of some pixels, uint8 (H, W), 255 elsewhere.
        seen: what networks see in it.
        others: of strokes on other images, seen by the same networks.

    Raises:
        FewClassesError: fewer than two classes are there.
    """
    # Half a second to import, and nobody needs it who doesn't paint.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    size = working_size(strokes.shape)
    features = features_of(resize(image, size), seen)
    samples = [_sample(strokes, features, SAMPLES), *others]
    targets = np.concatenate([each.targets for each in samples])
    if len(np.unique(targets)) < 2:
        raise FewClassesError(
            "Paint strokes of two classes or more, and the rest of the photograph can follow from them."
        )
    inverse = INVERSE_REGULARIZATION if seen.embedding is None else INVERSE_REGULARIZATION_OF_MANY
    classifier = LogisticRegression(C=inverse, tol=TOLERANCE, max_iter=ITERATIONS, class_weight="balanced")
    model = make_pipeline(StandardScaler(), classifier)
    model.fit(np.concatenate([each.features for each in samples]), targets)
    shares = model.predict_proba(features)
    labels = model.classes_[shares.argmax(axis=1)].astype(np.uint8)
    confidence = (shares.max(axis=1) * 255 + 0.5).astype(np.uint8)
    return labels.reshape(size), confidence.reshape(size)


def features_of(image: np.ndarray, seen: Seen) -> np.ndarray:
    """Return what is known of each pixel of an image uint8 (h, w, 3), float32 (h * w, F)."""
    height, width = image.shape[:2]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    blurred = [cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in BLURS]
    edges = [np.abs(lab - each).sum(axis=2, keepdims=True) for each in blurred]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    coordinates = np.dstack([rows / height, columns / width, (rows / height) ** 2, (columns / width) ** 2])
    planes = [lab, *blurred, *edges, coordinates]
    if seen.probabilities is not None:
        planes.append(np.log(np.maximum(seen.probabilities, MIN_PROBABILITY)).transpose(1, 2, 0))
    if seen.embedding is not None:
        planes.append(seen.embedding.transpose(1, 2, 0))
    return np.dstack(planes).reshape(height * width, -1).astype(np.float32)


def _sample(strokes: np.ndarray, features: np.ndarray, per_class: int) -> Samples:
    """Return pixels under strokes uint8 (H, W), of each class as many as it has up to a number, with their features of
    those (h * w, F) at `working_size`.
    """
    targets = cv2.resize(strokes, working_size(strokes.shape)[::-1], interpolation=cv2.INTER_NEAREST).ravel()
    rng = np.random.default_rng(0)
    chosen = [np.zeros(0, np.int64)]
    for class_id in np.unique(targets[targets != IGNORED]):
        indices = np.flatnonzero(targets == class_id)
        chosen.append(rng.permutation(indices)[:per_class])
    indices = np.concatenate(chosen)
    return Samples(features[indices], targets[indices])
