"""The coarse twin of a label map: generous polygons well inside things, with borders and small far things left out."""

import cv2
import numpy as np

from core.labels import LABEL_BY_NAME
from core.synthetic.canvas import Mark


def coarsen(marks: list[Mark], label_ids: np.ndarray) -> list[Mark]:
    """Return polygons, in painting order, of what a hurried annotator would outline in `label_ids` (H, W).

    Each region is shrunk, its outline simplified, and its holes are painted "unlabeled" again before what stands in
    them.
    """
    scale = max(label_ids.shape[0] / 256, 0.25)
    present = {mark.label for mark in marks}
    results: list[tuple[float, list[Mark]]] = []
    for name in sorted(present):
        label = LABEL_BY_NAME[name]
        mask = cv2.inRange(label_ids, label.id, label.id)
        small = label.category in ("human", "vehicle", "object")
        reach = max(int(round((1.0 if small else 3.5) * scale)), 1)
        inner = cv2.erode(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), borderType=cv2.BORDER_REPLICATE)
        outlines, tree = cv2.findContours(inner, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for i, outline in enumerate(outlines):
            area = cv2.contourArea(outline)
            if tree[0][i][3] >= 0 or area < (30 if small else 90) * scale**2:
                continue
            pieces = [Mark(name, cv2.approxPolyDP(outline, (1.2 if small else 2.4) * scale, True)[:, 0], 0)]
            hole = tree[0][i][2]
            while hole >= 0:
                if cv2.contourArea(outlines[hole]) > 4 * scale**2:
                    pieces.append(Mark("unlabeled", cv2.approxPolyDP(outlines[hole], 1.2 * scale, True)[:, 0], 0))
                hole = tree[0][hole][0]
            if len(pieces[0].polygon) > 2:
                results.append((area, pieces))
    results.sort(key=lambda item: -item[0])
    return [mark for _, pieces in results for mark in pieces if len(mark.polygon) > 2]


def paint(marks: list[Mark], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(label ids uint8, instance ids uint16), both of `size`, from polygons painted in order."""
    labels, instances = np.zeros(size, np.uint8), np.zeros(size, np.uint16)
    for mark in marks:
        ident = LABEL_BY_NAME[mark.label].id
        cv2.fillPoly(labels, [mark.polygon], ident)
        cv2.fillPoly(instances, [mark.polygon], ident * 1000 + mark.instance if mark.instance else ident)
    return labels, instances
