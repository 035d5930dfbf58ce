"""Two ways to build things that stand in the street: rounded hulls (people, poles, bicycles) and faceted meshes
(vehicles).

Both are built in their own metres (x right, y up, z ahead), then turned, placed, lit and painted back to front.
"""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from core.synthetic.canvas import Color, Thing, fixed
from core.synthetic.light import Light
from core.synthetic.perspective import NEAR, Camera, turned

_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_FACING = np.array([0.0, 0.0, -1.0])


@dataclass
class Figure:
    """A body of rounded parts, each the hull of a few balls; rings are wheels."""

    balls: list[np.ndarray] = field(default_factory=list)
    colors: list[np.ndarray] = field(default_factory=list)
    rings: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)

    def add(self, color: Color, *balls: tuple[float, float, float, float]) -> None:
        """Add the hull of balls (x, y, z, radius) in one colour."""
        self.balls.append(np.array(balls, dtype=float))
        self.colors.append(np.asarray(color, dtype=float))

    def ring(self, color: Color, z: float, radius: float, thick: float, x: float = 0.0) -> None:
        """Add an upright wheel standing on the ground at `z`, rolling along z, `thick` metres wide at the rim."""
        angles = np.linspace(0, 2 * np.pi, 22, endpoint=False)
        points = np.stack([np.full(22, x), radius + radius * np.sin(angles), z + radius * np.cos(angles)], 1)
        self.rings.append((points, np.asarray(color, dtype=float), thick))

    def draw(
        self, thing: Thing, camera: Camera, light: Light, at: tuple[float, float, float], heading: float, sunlit: float
    ) -> None:
        """Paint the figure, far parts first; each part is shaded, then lit again on the side of the sun."""
        scale = camera.scale(at[0], at[2])
        sun = np.array([light.to_sun[0], -light.to_sun[1]]) * sunlit
        colors = np.array(self.colors + [color for _, color, _ in self.rings])
        dark = light.on(colors, _FACING * 0.6, 0.25 * sunlit)
        lit = light.on(colors, _FACING * 0.35 + light.to_sun * 0.8, 0.35 + 0.65 * sunlit)
        if sunlit < 0.5:
            lit = lit * 0.75 + dark * 0.25
        ends = np.cumsum([0] + [len(balls) for balls in self.balls])
        points = [balls[:, :3] for balls in self.balls] + [ring for ring, _, _ in self.rings]
        placed = turned(np.concatenate(points), heading, at)
        flat = camera.project(placed)
        radii = np.concatenate([balls[:, 3] for balls in self.balls]) * scale
        thing.reach(flat, radii.max() + 2)
        jobs = [(placed[a:b, 2].mean(), i) for i, (a, b) in enumerate(zip(ends[:-1], ends[1:], strict=True))]
        jobs += [
            (at[2] + 0.02 + ring[:, 2].mean() * np.cos(heading), len(self.balls) + i)
            for i, (ring, _, _) in enumerate(self.rings)
        ]
        around = (flat[: ends[-1], None] + _CIRCLE * np.maximum(radii, 0.3)[:, None, None]).astype(np.float32)
        inner = (
            flat[: ends[-1], None] + (sun * 0.34 * radii[:, None])[:, None] + _CIRCLE * (0.62 * radii)[:, None, None]
        )
        inner = inner.astype(np.float32)
        for _, i in sorted(jobs, reverse=True):
            if i >= len(self.balls):
                start = ends[-1] + sum(len(ring) for ring, _, _ in self.rings[: i - len(self.balls)])
                ring, _, thick = self.rings[i - len(self.balls)]
                thing.line(flat[start : start + len(ring)], dark[i], max(1.0, thick * scale), closed=True)
                continue
            part = slice(ends[i], ends[i + 1])
            thing.fill_fixed(fixed(cv2.convexHull(around[part].reshape(-1, 2))[:, 0]), tuple(dark[i].tolist()))
            if scale > 22 and radii[part].max() > 1.8:
                thing.fill_fixed(fixed(cv2.convexHull(inner[part].reshape(-1, 2))[:, 0]), tuple(lit[i].tolist()), False)


@dataclass(frozen=True)
class _Packed:
    """A finished mesh as arrays: all corners (N, 3), and for each face its count, start, layer and material."""

    corners: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    layers: np.ndarray
    names: list[str]
    which: np.ndarray


@dataclass
class Mesh:
    """Flat faces with a material each; gloss 0..1 mirrors the sky, `glow` materials shine by themselves."""

    faces: list[np.ndarray] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)

    def face(self, material: str, *corners: tuple[float, float, float], layer: int = 0) -> None:
        """Add a flat polygon, seen from where its corners run clockwise; higher layers cover lower ones."""
        self.faces.append(np.array(corners, dtype=float))
        self.materials.append(material)
        self.layers.append(layer)

    def loft(self, material: str, sections: list[np.ndarray], layer: int = 0) -> None:
        """Join cross-sections (N, 3), each the same N corners from the right sill over the top to the left, rear to
        front.
        """
        for rear, front in zip(sections[:-1], sections[1:], strict=True):
            for i in range(len(rear) - 1):
                self.face(material, rear[i], rear[i + 1], front[i + 1], front[i], layer=layer)

    def mirrored(self, material: str, *corners: tuple[float, float, float], layer: int = 0) -> None:
        """Add a face of the right side (x above 0) and its twin on the left."""
        self.face(material, *corners, layer=layer)
        self.face(material, *[(-x, y, z) for x, y, z in reversed(corners)], layer=layer)

    @cached_property
    def _packed(self) -> "_Packed":
        counts = np.array([len(face) for face in self.faces])
        names, which = np.unique(self.materials, return_inverse=True)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return _Packed(np.concatenate(self.faces), counts, starts, np.array(self.layers), names.tolist(), which)

    def draw(
        self,
        thing: Thing,
        camera: Camera,
        light: Light,
        palette: dict[str, tuple[Color, float]],
        at: tuple[float, float, float],
        heading: float,
        sunlit: float,
    ) -> None:
        """Paint the faces turned to the camera. `palette` maps a material to (albedo, gloss).

        Gloss -1 means it shines.
        """
        packed = self._packed
        counts, starts, layers = packed.counts, packed.starts, packed.layers
        points = turned(packed.corners, heading, at)
        viewed = camera.view(points)
        if viewed[:, 2].min() < NEAR:
            return
        flat = camera.flatten(viewed)
        first, second, third = points[starts[:-1]], points[starts[:-1] + 1], points[starts[:-1] + 2]
        normals = np.cross(second - first, third - first)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        middles = np.add.reduceat(points, starts[:-1]) / counts[:, None]
        eye = np.array([camera.x, camera.height, 0.0])
        ray = middles - eye
        distance = np.linalg.norm(ray, axis=1)
        ray /= distance[:, None]
        colors = self._shade(light, palette, normals, ray, sunlit)
        depth = np.add.reduceat(viewed[:, 2], starts[:-1]) / counts
        # Rows run downwards, so a face turned to us runs clockwise in the picture.
        ahead, back = flat[starts[:-1] + 1] - flat[starts[:-1]], flat[starts[:-1] + 2] - flat[starts[:-1]]
        visible = ahead[:, 0] * back[:, 1] - ahead[:, 1] * back[:, 0] > 0
        if camera.scale(at[0], at[2]) < 10:
            visible &= layers <= 2
        thing.reach(flat)
        corners, tints = fixed(flat), colors.tolist()
        order = np.lexsort((-depth, layers))
        for i in order[visible[order]].tolist():
            thing.fill_fixed(corners[starts[i] : starts[i + 1]], tints[i], self.layers[i] not in (1, 3))

    def _shade(
        self,
        light: Light,
        palette: dict[str, tuple[Color, float]],
        normals: np.ndarray,
        ray: np.ndarray,
        sunlit: float,
    ) -> np.ndarray:
        names, which = self._packed.names, self._packed.which
        albedo = np.array([palette[name][0] for name in names], dtype=float)[which]
        gloss = np.array([palette[name][1] for name in names])[which]
        matt = light.on(albedo, normals, sunlit)
        facing = np.clip(-np.sum(ray * normals, axis=1), 0, 1)
        mirror = ray + 2 * facing[:, None] * normals
        up = mirror[:, 1:2]
        sky = light.horizon + (light.zenith - light.horizon) * np.clip(up * 1.6, 0, 1)
        street = light.haze * 0.36
        reflected = street + (sky - street) * np.clip(up * 4 + 0.3, 0, 1)
        fresnel = (np.clip(gloss, 0, 1) * (0.3 + 0.4 * (1 - facing) ** 3))[:, None]
        glint = np.clip(mirror @ light.to_sun, 0, 1) ** 40 * np.clip(gloss, 0, 1) * sunlit
        shaded = matt * (1 - fresnel * 0.75) + reflected * fresnel + glint[:, None] * light.glow * 0.8 * light.sun.max()
        return np.where(gloss[:, None] < 0, albedo, np.clip(shaded, 0, 255))
