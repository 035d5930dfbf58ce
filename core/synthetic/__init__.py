"""Generated street scenes in the layout of Cityscapes: drawn with perspective, labelled exactly, free to share.

`draw_scene` gives one scene, `write_streets` a whole data set on disk.

    chosen     plan, light, houses, looks          numbers only
    set        stage, traffic, roadside, planting  who stands where
    drawn      sky, ground, paint, buildings, facades, windows, nature, trees, furniture, signs, barriers,
               vehicles, cars, coaches, people
    tools      perspective, canvas, panels, solids, tiles
    stored     lens (the photograph), coarse, writing
"""

from core.synthetic.scene import Scene, draw_scene
from core.synthetic.writing import write_streets

__all__ = ["Scene", "draw_scene", "write_streets"]
