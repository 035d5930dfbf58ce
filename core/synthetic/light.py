"""The light of a scene: time of day, direction of the sun, colours of sun, sky and haze, and what they do to a surface.

Colours are red, green, blue in 0..255; the strengths of sun and sky are factors per channel. The sky itself is painted
by `sky`, shadows on the ground by `ground`.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Light:
    """One consistent illumination.

    Args:
        hour: "morning", "noon", "golden", "overcast", "dusk" or "mist".
        to_sun: (3,) unit vector towards the sun, in street coordinates.
        sun, sky: (3,) strength of direct and of scattered light per channel.
        zenith, horizon, glow, haze: (3,) colours of the sky above, at the horizon, near the sun, and of distance.
        thickness: 1/m, how fast haze swallows things. clouds: 0..1, how much of the sky they cover.
        lamps: whether street lamps, windows and headlights are on.
    """

    hour: str
    to_sun: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    glow: np.ndarray
    haze: np.ndarray
    thickness: float
    clouds: float
    lamps: bool

    def on(self, albedo: np.ndarray, normal: np.ndarray, sunlit: float | np.ndarray = 1.0) -> np.ndarray:
        """Return the colour (..., 3) of a matt surface of colour `albedo` (..., 3) facing `normal` (..., 3)."""
        return np.minimum(np.asarray(albedo) * self.strength(normal, sunlit), 255.0)

    def strength(self, normal: np.ndarray, sunlit: float | np.ndarray = 1.0) -> np.ndarray:
        """Return how much of each colour (..., 3) a white surface facing `normal` (..., 3) sends back; may pass 1."""
        normal = np.asarray(normal, dtype=np.float64)
        facing = np.maximum(normal @ self.to_sun, 0.0) * sunlit
        open_sky = 0.78 + 0.22 * normal[..., 1]
        return self.sky * open_sky[..., None] + self.sun * facing[..., None]

    def air(self, depth: float | np.ndarray) -> float | np.ndarray:
        """Return how much haze lies before something `depth` metres away, 0..255."""
        return 255.0 * (1.0 - np.exp(-self.thickness * np.maximum(depth, 0.0)))

    def shade(self) -> np.ndarray:
        """(3,) what remains of the light on level ground where the sun does not reach it, as a fraction per channel."""
        return self.sky / (self.sky + self.sun * max(self.to_sun[1], 0.0))

    def shadow(self, points: np.ndarray, ground: float = 0.0) -> np.ndarray:
        """Return the outline (N, 3), on the level `ground`, of the shadow that the hull of `points` (N, 3) throws."""
        points = np.asarray(points, dtype=np.float64)
        run = np.minimum((points[:, 1] - ground) / max(self.to_sun[1], 0.12), 30.0)[:, None]
        fallen = points - run * self.to_sun
        hull = cv2.convexHull(fallen[:, [0, 2]].astype(np.float32))[:, 0]
        return np.stack([hull[:, 0], np.full(len(hull), ground), hull[:, 1]], axis=-1)


# hour: share, sun's height in degrees, sun, sky, zenith, horizon, glow, haze, haze per 1000 m, clouds from..to
_HOURS = {
    "noon": (0.25, (38, 58), (0.98, 0.92, 0.82), (0.54, 0.59, 0.68), (62, 118, 196), (186, 212, 232), (255, 250, 236), (190, 208, 222), (1.6, 3.2), (0.15, 0.6)),
    "morning": (0.22, (20, 34), (0.98, 0.86, 0.68), (0.54, 0.58, 0.68), (92, 144, 206), (226, 226, 218), (255, 240, 208), (212, 216, 214), (2.4, 5.0), (0.1, 0.5)),
    "golden": (0.20, (11, 19), (1.30, 0.90, 0.50), (0.55, 0.53, 0.62), (98, 130, 184), (250, 212, 158), (255, 224, 160), (240, 204, 160), (2.6, 5.5), (0.15, 0.55)),
    "overcast": (0.16, (40, 60), (0.12, 0.12, 0.12), (1.02, 1.04, 1.07), (164, 174, 186), (216, 220, 222), (232, 232, 230), (206, 212, 216), (2.2, 4.5), (0.9, 1.0)),
    "dusk": (0.10, (8, 14), (0.26, 0.15, 0.14), (0.50, 0.48, 0.62), (44, 58, 108), (240, 160, 120), (255, 176, 110), (150, 124, 140), (2.4, 4.5), (0.2, 0.6)),
    "mist": (0.07, (22, 34), (0.30, 0.28, 0.24), (0.86, 0.89, 0.94), (178, 190, 202), (226, 226, 222), (252, 244, 226), (216, 220, 220), (9.0, 15.0), (0.7, 0.9)),
}  # fmt: skip


def pick_light(rng: np.random.Generator) -> Light:
    """Return a random hour of a random day."""
    names = list(_HOURS)
    shares = np.array([_HOURS[name][0] for name in names])
    hour = names[rng.choice(len(names), p=shares / shares.sum())]
    _, heights, sun, sky, zenith, horizon, glow, haze, per_km, clouds = _HOURS[hour]
    elevation = np.radians(rng.uniform(*heights))
    # Mostly from one side and a little behind the camera: faces that look at us are lit, and shadows fall across the
    # road.
    side = rng.choice([-1.0, 1.0])
    azimuth = side * np.radians(
        rng.uniform(16, 50) if hour in ("golden", "dusk") and rng.random() < 0.45 else rng.uniform(95, 168)
    )
    to_sun = np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
    tint = rng.normal(0, 0.015, 3)
    jitter = rng.normal(0, 2.5, 3)
    return Light(
        hour=hour,
        to_sun=to_sun,
        sun=np.array(sun) * rng.uniform(0.92, 1.08) * (1 + tint),
        sky=np.array(sky) * rng.uniform(0.94, 1.06),
        zenith=np.array(zenith) + jitter,
        horizon=np.array(horizon) + jitter * 0.5,
        glow=np.array(glow, dtype=float),
        haze=np.array(haze) + jitter * 0.5,
        thickness=rng.uniform(*per_km) / 1000,
        clouds=float(rng.uniform(*clouds)),
        lamps=hour == "dusk",
    )
