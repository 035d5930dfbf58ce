"""The large vehicles: truck, bus and tram bodies, built from the same faces as cars."""

import numpy as np

from core.synthetic.cars import add_wheel, end_panel
from core.synthetic.solids import Mesh


def _shell(
    mesh: Mesh,
    material: str,
    length: float,
    width: float,
    low: float,
    high: float,
    z: float = 0.0,
    layer: int = 0,
    nose: float = 0.1,
) -> None:
    """A box with rounded shoulders, closed before and behind."""
    half, w = length / 2, width / 2
    sections = []
    for at, narrow in ((-half, 0.97), (-half + 0.12, 1.0), (half - 0.3, 1.0), (half, 1 - nose)):
        x = w * narrow
        right = [(x, low), (x, high - 0.3), (x * 0.97, high - 0.1), (x * 0.88, high), (0.0, high + 0.03)]
        outline = right + [(-px, py) for px, py in reversed(right[:-1])]
        sections.append(np.array([[px, py, z + at] for px, py in outline]))
    mesh.loft(material, sections, layer)
    mesh.face(material, *sections[0][::-1], layer=layer)
    mesh.face(material, *sections[-1], layer=layer)


def bus_mesh(length: float = 11.5) -> Mesh:
    """Return a city bus: 2.5 m wide, 3 m high."""
    mesh, half, w = Mesh(), length / 2, 1.25
    _shell(mesh, "paint", length, 2.5, 0.34, 3.0)
    bays = int(length / 1.55)
    for i in range(bays):
        z0, z1 = -half + 0.35 + i * (length - 0.7) / bays, -half + 0.25 + (i + 1) * (length - 0.7) / bays
        mesh.mirrored(
            "glass", (w * 1.004, 1.3, z0), (w * 1.004, 2.45, z0), (w * 1.004, 2.45, z1), (w * 1.004, 1.3, z1), layer=1
        )
    mesh.mirrored(
        "second",
        (w * 1.003, 0.4, -half + 0.2),
        (w * 1.003, 0.85, -half + 0.2),
        (w * 1.003, 0.85, half - 0.35),
        (w * 1.003, 0.4, half - 0.35),
        layer=1,
    )
    back, front = -half - 0.02, half + 0.02
    end_panel(mesh, "glass", -w * 0.8, w * 0.8, 1.7, 2.5, back, True)
    end_panel(mesh, "dark", -w * 0.6, w * 0.6, 2.6, 2.85, back, True)
    end_panel(mesh, "second", -w * 0.9, w * 0.9, 0.5, 0.9, back, True)
    end_panel(mesh, "seam", -w * 0.6, w * 0.6, 0.95, 1.5, back, True)
    end_panel(mesh, "plate", -0.26, 0.26, 0.62, 0.75, back - 0.01, True, 2)
    end_panel(mesh, "glass", -w * 0.86, w * 0.86, 1.05, 2.5, front, False)
    end_panel(mesh, "dark", -w * 0.8, w * 0.8, 2.55, 2.88, front, False)
    end_panel(mesh, "sign", -w * 0.5, w * 0.5, 2.62, 2.8, front + 0.01, False, 2)
    for sign in (-1, 1):
        x0, x1 = sorted((sign * w * 0.7, sign * w * 0.9))
        end_panel(mesh, "tail", x0, x1, 0.95, 1.6, back, True, 2)
        end_panel(mesh, "lamp", x0, x1, 0.62, 0.82, front, False, 2)
    end_panel(mesh, "under", -w * 0.9, w * 0.9, 0.1, 0.5, -half + 0.5, True, -1)
    end_panel(mesh, "under", -w * 0.9, w * 0.9, 0.1, 0.5, half - 0.5, False, -1)
    for z in (-half * 0.56, half * 0.56):
        add_wheel(mesh, w, z, 0.48)
    return mesh


def truck_mesh(length: float = 7.5, high: float = 3.3) -> Mesh:
    """Return a box truck: cab before, cargo behind."""
    mesh, half, w = Mesh(), length / 2, 1.2
    cab = 1.9
    _shell(mesh, "paint", cab, 2.2, 0.5, 2.5, half - cab / 2, 0, 0.06)
    _shell(mesh, "second", length - cab - 0.2, 2.45, 0.95, high, -(cab + 0.2) / 2, 0, 0.0)
    mesh.mirrored(
        "glass",
        (1.106, 1.5, half - 1.35),
        (1.106, 2.2, half - 1.35),
        (1.09, 2.2, half - 0.5),
        (1.106, 1.5, half - 0.3),
        layer=1,
    )
    back, front = -half - 0.02, half + 0.02
    end_panel(mesh, "glass", -0.92, 0.92, 1.45, 2.25, front, False)
    end_panel(mesh, "dark", -0.8, 0.8, 0.8, 1.3, front, False)
    end_panel(mesh, "plate", -0.26, 0.26, 0.6, 0.72, front, False, 2)
    end_panel(mesh, "seam", -0.02, 0.02, 1.0, high - 0.15, back, True, 2)
    for x in (-0.95, -0.3, 0.3, 0.95):
        end_panel(mesh, "dark", x - 0.02, x + 0.02, 1.05, high - 0.2, back, True, 2)
    end_panel(mesh, "dark", -w * 0.95, w * 0.95, 0.62, 0.95, back, True, 2)
    end_panel(mesh, "plate", -0.26, 0.26, 0.72, 0.84, back - 0.01, True, 3)
    for sign in (-1, 1):
        x0, x1 = sorted((sign * w * 0.72, sign * w * 0.92))
        end_panel(mesh, "tail", x0, x1, 0.7, 0.86, back - 0.01, True, 3)
        x0, x1 = sorted((sign * 0.72, sign * 1.0))
        end_panel(mesh, "lamp", x0, x1, 0.62, 0.82, front, False, 2)
    end_panel(mesh, "under", -w * 0.8, w * 0.8, 0.25, 1.0, -half + 0.6, True, -1)
    end_panel(mesh, "under", -w * 0.8, w * 0.8, 0.2, 0.7, half - 0.3, False, -1)
    mesh.mirrored(
        "dark",
        (w * 0.95, 0.55, -half + 1.0),
        (w * 0.95, 0.95, -half + 1.0),
        (w * 0.95, 0.95, half - cab),
        (w * 0.95, 0.55, half - cab),
        layer=0,
    )
    for z in (-half * 0.52, half * 0.66):
        add_wheel(mesh, w * 0.98, z, 0.46)
    return mesh


def tram_mesh(length: float = 22.0) -> Mesh:
    """Return a tram: 2.4 m wide, 3.4 m high, two cars' worth of windows."""
    mesh, half, w = Mesh(), length / 2, 1.2
    _shell(mesh, "paint", length, 2.4, 0.25, 3.4, nose=0.16)
    bays = int(length / 1.8)
    for i in range(bays):
        z0, z1 = -half + 0.5 + i * (length - 1.2) / bays, -half + 0.35 + (i + 1) * (length - 1.2) / bays
        mesh.mirrored(
            "glass", (w * 1.004, 1.35, z0), (w * 1.004, 2.6, z0), (w * 1.004, 2.6, z1), (w * 1.004, 1.35, z1), layer=1
        )
    mesh.mirrored(
        "second",
        (w * 1.003, 2.75, -half + 0.2),
        (w * 1.003, 3.05, -half + 0.2),
        (w * 1.003, 3.05, half - 0.35),
        (w * 1.003, 2.75, half - 0.35),
        layer=1,
    )
    for z, rear in ((-half - 0.02, True), (half + 0.02, False)):
        end_panel(mesh, "glass", -w * 0.76, w * 0.76, 1.3, 2.7, z, rear)
        end_panel(mesh, "dark", -w * 0.7, w * 0.7, 2.8, 3.15, z, rear)
        end_panel(mesh, "sign", -w * 0.4, w * 0.4, 2.88, 3.06, z, rear, 2)
        end_panel(mesh, "second", -w * 0.8, w * 0.8, 0.4, 0.62, z, rear)
        for sign in (-1, 1):
            x0, x1 = sorted((sign * w * 0.5, sign * w * 0.76))
            end_panel(mesh, "tail" if rear else "lamp", x0, x1, 0.75, 0.95, z, rear, 2)
    return mesh
