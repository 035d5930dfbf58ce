"""Generated street scenes in the layout of Cityscapes: drawn with perspective, labelled exactly, free to share.

`draw_scene` gives one scene, `write_streets` a whole data set on disk. The parts: `plan` and `light` choose, `stage`
gathers, `sky`, `ground`, `paint`, `buildings`, `facades`, `nature`, `furniture`, `roadside`, `vehicles`, `coaches`, `people`
and `traffic` draw, `canvas`, `perspective`, `panels`, `solids` and `tiles` are their tools, `lens` takes the photograph,
`coarse` and `writing` store it.
"""

from core.data.streets.scene import Scene, draw_scene
from core.data.streets.writing import write_streets

__all__ = ["Scene", "draw_scene", "write_streets"]
