"""Everything flat: asphalt with its paint and wear, pavements and kerbs, grass, and the shadows that fall on them."""

import cv2
import numpy as np

from core.synthetic import tiles
from core.synthetic.canvas import Canvas, fixed
from core.synthetic.light import Light
from core.synthetic.perspective import Camera
from core.synthetic.plan import FAR, KERB, Plan

UP = np.array([0.0, 1.0, 0.0])
_STEPS = np.geomspace(1.0, 1.0 + FAR, 40) - 1.0
_GRASS = {"spring": (104, 132, 62), "summer": (104, 122, 60), "autumn": (124, 116, 62), "winter": (124, 120, 88)}


def band(x0: float, x1: float, z0: float, z1: float, y: float = 0.0) -> np.ndarray:
    """Return a strip (N, 3) along the street, with enough corners to follow its bend."""
    z = np.concatenate([[z0], _STEPS[(z0 < _STEPS) & (z1 > _STEPS)], [z1]])
    there = np.stack([np.full_like(z, x0), np.full_like(z, y), z], 1)
    back = np.stack([np.full_like(z, x1), np.full_like(z, y), z], 1)[::-1]
    return np.concatenate([there, back])


class Ground:
    """Paints the flat surfaces of one scene in order: `lay` them, `paint` the markings, then `darken` with shadows."""

    def __init__(self, rng: np.random.Generator, canvas: Canvas, camera: Camera, light: Light, plan: Plan) -> None:
        self.rng, self.canvas, self.camera, self.light, self.plan = rng, canvas, camera, light, plan
        self.top = int(np.clip(np.floor(camera.horizon) + 1, 0, canvas.air.shape[0] - 2))
        self.x, self.z = camera.ground(self.top)
        self.zone = np.zeros(self.x.shape, np.uint8)

    def _mask(self, polygons: list[np.ndarray], target: np.ndarray, value: float) -> None:
        """Fill street polygons (N, 3) into an array (rows below the horizon, width)."""
        for outline in self.camera.outlines(polygons):
            cv2.fillPoly(target, [fixed(outline - (0, self.top))], value, shift=4)

    def _strip(self, label: str, zone: int, polygon: np.ndarray) -> None:
        outline = self.camera.outline(polygon)
        if len(outline):
            cv2.fillPoly(self.zone, [fixed(outline - (0, self.top))], zone, shift=4)
            self.canvas.mark(label, outline)

    def lay(self) -> None:
        """Lay and label terrain, pavements, kerbs, side road, carriageway and parking; texture and light them."""
        height, width = self.canvas.air.shape
        self.canvas.mark("terrain", np.array([[0, self.top], [width, self.top], [width, height], [0, height]]))
        plan = self.plan
        walk = max(plan.left.walk, plan.right.walk)
        if plan.crossing:
            near, far = plan.crossing
            for a, b in ((near - walk, near), (far, far + walk)):
                self._strip("sidewalk", 2, band(-70, 70, a, b, KERB))
        for side in plan.sides:
            for a, b in plan.stretches(0.5):
                # Between a front door and the walk a town street is paved; a suburb has gardens.
                paved = side.front if plan.kind != "suburb" and side.yard < 2.5 else side.edge
                self._strip("sidewalk", 2, band(side.sign * side.kerb, side.sign * paved, a, b, KERB))
                self._strip("sidewalk", 3, band(side.sign * side.kerb, side.sign * (side.kerb + 0.16), a, b, KERB))
                if side.strip:
                    self._strip("terrain", 1, band(side.sign * (side.kerb + 0.16), side.sign * side.path, a, b, KERB))
        for side in plan.sides:
            for a, b in plan.stretches(0.5):
                self._strip("sidewalk", 3, self._kerb(side.sign * side.kerb, a, b))
        if plan.crossing:
            self._strip("road", 4, band(-70, 70, *plan.crossing))
        self._strip("road", 4, band(-plan.left.kerb, plan.right.kerb, 0.5, FAR))
        for side in plan.sides:
            if side.parking and self.rng.random() < 0.5:
                for a, b in plan.stretches(0.5, margin=5):
                    self._strip("parking", 5, band(side.sign * side.drive, side.sign * side.kerb, a, b))
        self._shade()

    @staticmethod
    def _kerb(x: float, a: float, b: float) -> np.ndarray:
        low, high = band(x, x, a, b), band(x, x, a, b, KERB)
        half = len(low) // 2
        return np.concatenate([low[:half], high[half:]])

    def _shade(self) -> None:
        """Colour every zone from its albedo, its texture and the light on level ground."""
        rng, light = self.rng, self.light
        tar = rng.uniform(112, 140) * (0.8 if self.plan.wet else 1.0)
        slab = np.array([152.0, 146, 138]) * rng.uniform(0.9, 1.1) + rng.normal(0, 2.5, 3)
        albedo = np.array([
            _GRASS[self.plan.season], _GRASS[self.plan.season], slab, (172, 170, 165),
            (tar + 1, tar + 2, tar + 5), np.array([124, 116, 112]) + rng.normal(0, 5, 3),
        ])  # fmt: skip
        flat = light.on(albedo, np.tile(UP, (6, 1)))
        flat[3] = light.on(albedo[3], UP) * 0.97
        table = np.zeros((256, 1, 3), np.uint8)
        table[:6, 0] = np.clip(flat, 0, 255)
        color = cv2.LUT(cv2.merge([self.zone] * 3), table)
        color = cv2.multiply(color, self._texture(), scale=1 / 128.0)
        self.canvas.rgb[self.top :] = color
        row = self.light.air(self.z[:, self.z.shape[1] // 2])
        self.canvas.air[self.top :] = np.clip(row, 0, 255).astype(np.uint8)[:, None]

    def _texture(self) -> np.ndarray:
        """Relative brightness, uint8 (rows, width, 3) around 128, sharp nearby and calm far away."""
        out = np.full(self.zone.shape, 128, np.uint8)
        depth = self.camera.focal * self.camera.height / (np.arange(len(out)) + self.top + 0.5 - self.camera.horizon)
        step = tiles.SIDE / 4.0
        shift = self.rng.uniform(0, tiles.SIDE, 2)
        pattern = str(self.rng.choice(["squares", "bond", "setts"]))
        road = "setts" if self.plan.kind == "old" and self.rng.random() < 0.35 else "asphalt"
        # Farther bands read a smaller copy of the tile, as mipmaps do, so that joints do not shimmer.
        for reach, shrink in (((0, 9), 1), ((9, 20), 2), ((20, 44), 4), ((44, 110), 16)):
            rows = np.flatnonzero((depth >= reach[0]) & (depth < reach[1]))
            if not len(rows):
                continue
            part = slice(rows[0], rows[-1] + 1)
            for kinds, tile in (((0, 1), "grass"), ((2, 2), pattern), ((4, 5), road)):
                mask = cv2.inRange(self.zone[part], *kinds)
                left, top, wide, tall = cv2.boundingRect(mask)
                if wide:
                    spot = (slice(rows[0] + top, rows[0] + top + tall), slice(left, left + wide))
                    small = tiles.shrunk(tile, shrink)
                    texture = tiles.read(small, self.x[spot], self.z[spot], step / shrink, shift)
                    cv2.copyTo(texture, mask[top : top + tall, left : left + wide], out[spot])
        everywhere = (slice(None), slice(None))
        value = cv2.addWeighted(out, 1.0, self.read_wide(tiles.patches(), everywhere, 6.0, 4), 1.0, -128.0)
        # Wheels polish two darker tracks into every lane.
        track = self.read_wide(tiles.tracks(), everywhere, tiles.SIDE / self.plan.right.lane, 2)
        cv2.copyTo(cv2.addWeighted(value, 1.0, track, 1.0, -128.0), cv2.inRange(self.zone, 4, 4), value)
        return cv2.merge([value] * 3)

    def read_wide(self, tile: np.ndarray, window: tuple[slice, slice], scale: float, coarse: int) -> np.ndarray:
        """Return `tiles.read` in a window below the horizon, for a pattern so wide that every `coarse`-th pixel is
        enough.
        """
        x, z = self.x[window], self.z[window]
        few = tiles.read(tile, x[::coarse, ::coarse], z[::coarse, ::coarse], scale)
        return cv2.resize(few, x.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def darken(self, shadows: list[np.ndarray], contacts: list[np.ndarray]) -> None:
        """Take the sun away inside `shadows` and some of the sky inside `contacts`; both are street polygons (N, 3)."""
        sharp = np.zeros(self.zone.shape, np.uint8)
        self._mask(shadows, sharp, 255)
        soft = np.zeros(self.zone.shape, np.uint8)
        self._mask(contacts, soft, 255)
        soft = cv2.blur(cv2.blur(soft, (9, 5)), (9, 5))
        sharp = cv2.blur(sharp, (5, 3))
        for mask, left in ((sharp, self.light.shade()), (soft, np.array([0.34, 0.35, 0.38]))):
            x, y, wide, tall = cv2.boundingRect(mask)
            if wide:
                weight = mask[y : y + tall, x : x + wide].astype(np.float32) / 255
                ground = self.canvas.rgb[self.top + y : self.top + y + tall, x : x + wide]
                dark = cv2.multiply(ground, (*left, 1.0))
                ground[:] = cv2.blendLinear(dark, np.ascontiguousarray(ground), weight, 1 - weight)
