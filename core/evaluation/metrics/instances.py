"""The files that tell instances apart, which lie beside the label ids of Cityscapes."""

from pathlib import Path

import cv2
import numpy as np

from core.errors import LabError

LABELS_END = "_labelIds.png"
INSTANCES_END = "_instanceIds.png"


def read_instances(labels: Path | None, size: tuple[int, int]) -> np.ndarray | None:
    """Instance ids uint16 (H, W) at a size (height, width), by nearest neighbour; None where there is no such file.

    Raises:
        LabError: the file is there, but holds no instance ids.
    """
    if labels is None or not labels.name.endswith(LABELS_END):
        return None
    path = labels.with_name(labels.name.removesuffix(LABELS_END) + INSTANCES_END)
    if not path.is_file():
        return None
    try:
        values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):  # a header that promises more pixels than OpenCV allows
        values = None
    if values is None or values.ndim != 2 or values.dtype not in (np.uint8, np.uint16):
        raise LabError(f"'{path}' can't be read as instance ids. Download or copy that file again.")
    if values.shape != size:
        values = cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return values.astype(np.uint16)
