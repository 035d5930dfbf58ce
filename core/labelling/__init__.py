"""Labels made and mended in the lab: label sets, which are photographs whose masks are painted in the browser.

- `label_set.py`: a label set, a folder data set like any other, with a marker
- `patches.py`: one stroke as it comes from a browser, checked
- `masks.py`: the mask of a frame, its revisions, and its history

Leaves to `app.viewer` the painting, and to `app.routes` the address that strokes are sent to.
"""
