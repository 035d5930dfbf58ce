"""The bodies of cars, built face by face from a few measures of their side view."""

from dataclasses import dataclass

import numpy as np

from core.synthetic.solids import Mesh


@dataclass(frozen=True)
class Body:
    """A car's side view in metres: length, width, heights of sill, belt and roof, and z (from -1 rear to 1 front, in
    half lengths) of the rear window's foot and head and of the windscreen's head and foot."""

    length: float
    width: float
    sill: float
    belt: float
    roof: float
    cabin: tuple[float, float, float, float]
    nose: float


CARS = {
    "hatch": Body(4.0, 1.76, 0.22, 0.96, 1.47, (-0.97, -0.72, 0.08, 0.50), 0.80),
    "sedan": Body(4.6, 1.82, 0.20, 0.95, 1.43, (-0.76, -0.42, 0.10, 0.46), 0.80),
    "estate": Body(4.7, 1.82, 0.20, 0.96, 1.48, (-0.98, -0.84, 0.10, 0.47), 0.80),
    "suv": Body(4.5, 1.90, 0.30, 1.10, 1.70, (-0.98, -0.80, 0.12, 0.48), 0.98),
    "van": Body(5.0, 1.96, 0.26, 1.14, 2.02, (-0.99, -0.94, 0.36, 0.74), 1.02),
    "small": Body(3.5, 1.64, 0.20, 0.98, 1.50, (-0.98, -0.78, 0.16, 0.62), 0.86),
}


def car_mesh(body: Body) -> Mesh:
    """Return the faces of a car at the origin, looking along z."""
    mesh, half, w = Mesh(), body.length / 2, body.width / 2
    belt, sill, roof = body.belt, body.sill, body.roof
    tail = belt * (0.98 if body.cabin[0] > -0.9 else 1.0)
    stations = [
        (-1.0, 0.86, 0.16, 0.9 * tail),
        (-0.94, 0.95, 0.04, tail),
        (-0.7, 1.0, 0, belt),
        (-0.3, 1.0, 0, belt),
        (0.2, 1.0, 0, belt),
    ]
    stations += [
        (0.5, 0.99, 0, belt * 0.98),
        (0.75, 0.97, 0.0, body.nose),
        (0.92, 0.90, 0.04, body.nose * 0.92),
        (1.0, 0.78, 0.14, body.nose * 0.74),
    ]
    sections = []
    for at, wide, lift, top in stations:
        x, low, z = w * wide, sill + lift, at * half
        middle = low + (top - low) * 0.52
        right = [
            (x * 0.95, low),
            (x, low + 0.12),
            (x, middle),
            (x * 0.975, top - 0.1),
            (x * 0.92, top - 0.02),
            (x * 0.6, top + 0.03),
            (0.0, top + 0.045),
        ]
        outline = right + [(-px, py) for px, py in reversed(right[:-1])]
        sections.append(np.array([[px, py, z] for px, py in outline]))
    mesh.loft("paint", sections)
    for section, flip in ((sections[0], False), (sections[-1], True)):
        corners = np.concatenate([section[::-1][:6], [section[6]], section[:6][::-1]])
        mesh.face("paint", *(corners[::-1] if flip else corners))
    _cabin(mesh, body, half, w)
    _ends(mesh, body, half, w, tail)
    for z in (-0.62 * half, 0.64 * half):
        add_wheel(mesh, w, z, 0.16 * roof + 0.09)
    mesh.mirrored(
        "dark",
        (w * 0.955, sill - 0.02, -half * 0.6),
        (w * 0.99, sill + 0.12, -half * 0.6),
        (w * 0.99, sill + 0.12, half * 0.6),
        (w * 0.955, sill - 0.02, half * 0.6),
        layer=1,
    )
    for seam in (-0.18, 0.26):
        z = seam * half
        mesh.mirrored(
            "seam",
            (w * 1.003, sill + 0.16, z),
            (w * 1.003, belt - 0.12, z),
            (w * 1.003, belt - 0.12, z + 0.025),
            (w * 1.003, sill + 0.16, z + 0.025),
            layer=1,
        )
    return mesh


def _cabin(mesh: Mesh, body: Body, half: float, w: float) -> None:
    """Windows, pillars and roof, above the body."""
    back, crown, front, foot = (z * half for z in body.cabin)
    low, high = body.belt, body.roof
    lw, hw = w * 0.93, w * 0.74
    edge = high - 0.07
    mesh.face(
        "glass",
        (-lw * 0.93, low, back),
        (-hw * 0.95, edge, crown - 0.04),
        (hw * 0.95, edge, crown - 0.04),
        (lw * 0.93, low, back),
        layer=2,
    )
    mesh.face(
        "glass",
        (lw * 0.95, low, foot),
        (hw * 0.96, edge, front + 0.04),
        (-hw * 0.96, edge, front + 0.04),
        (-lw * 0.95, low, foot),
        layer=2,
    )
    mesh.mirrored(
        "paint",
        (lw, low, back - 0.02),
        (hw, edge, crown - 0.05),
        (hw, edge, front + 0.05),
        (lw, low, foot + 0.02),
        layer=2,
    )
    for z0, z1, z2, z3 in ((0.08, 0.1, 0.46, 0.46), (0.51, 0.5, 0.92, 0.93)):
        # Each window runs between two shares of the length, at its foot and at its head.
        a, d = back + (foot - back) * z0, back + (foot - back) * (z2 if z2 < 0.9 else z2 - 0.03)
        b, c = crown + (front - crown) * (z1 - 0.02), crown + (front - crown) * z3
        mesh.mirrored(
            "glass",
            (lw * 1.003, low + 0.05, a),
            (hw * 1.01, edge - 0.03, b),
            (hw * 1.01, edge - 0.03, c),
            (lw * 1.003, low + 0.05, d),
            layer=3,
        )
    mesh.face(
        "paint",
        (-hw, edge, crown - 0.05),
        (-hw * 0.86, high, crown + 0.12),
        (hw * 0.86, high, crown + 0.12),
        (hw, edge, crown - 0.05),
        layer=3,
    )
    mesh.face(
        "paint",
        (hw, edge, front + 0.05),
        (hw * 0.86, high, front - 0.1),
        (-hw * 0.86, high, front - 0.1),
        (-hw, edge, front + 0.05),
        layer=3,
    )
    mesh.mirrored(
        "paint",
        (hw, edge, crown - 0.05),
        (hw * 0.86, high, crown + 0.12),
        (hw * 0.86, high, front - 0.1),
        (hw, edge, front + 0.05),
        layer=3,
    )
    for sign in (1, -1):
        x0, x1 = sorted((sign * w * 0.99, sign * w * 1.13))
        end_panel(mesh, "mirror", x0, x1, low, low + 0.15, foot - 0.38, True, 0)
        end_panel(mesh, "paint", x0, x1, low, low + 0.15, foot - 0.3, False, 0)


def end_panel(
    mesh: Mesh, material: str, x0: float, x1: float, y0: float, y1: float, z: float, rear: bool, layer: int = 1
) -> None:
    """A rectangle on the rear or the front of a vehicle."""
    corners = [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)]
    mesh.face(material, *(corners if rear else corners[::-1]), layer=layer)


def _ends(mesh: Mesh, body: Body, half: float, w: float, tail: float) -> None:
    """Bumpers, lamps, plates and grille."""
    back, front, sill = -half - 0.02, half + 0.02, body.sill
    nose = body.nose * 0.74
    end_panel(mesh, "dark", -w * 0.8, w * 0.8, sill + 0.12, sill + 0.26, back, True)
    end_panel(mesh, "plate", -0.26, 0.26, sill + 0.3, sill + 0.42, back - 0.01, True, 2)
    end_panel(mesh, "seam", -w * 0.72, w * 0.72, tail * 0.86, tail * 0.875, back, True)
    for sign in (-1, 1):
        x0, x1 = sorted((sign * w * 0.6, sign * w * 0.87))
        end_panel(mesh, "tail", x0, x1, tail * 0.67, tail * 0.84, back, True, 2)
        x0, x1 = sorted((sign * w * 0.5, sign * w * 0.86))
        end_panel(mesh, "lamp", x0, x1, nose * 0.84, nose * 1.04, front - 0.08, False, 2)
    end_panel(mesh, "dark", -w * 0.48, w * 0.48, nose * 0.76, nose * 0.98, front, False)
    end_panel(mesh, "dark", -w * 0.62, w * 0.62, sill + 0.12, sill + 0.24, front, False)
    end_panel(mesh, "plate", -0.26, 0.26, nose * 0.6, nose * 0.74, front + 0.01, False, 2)
    end_panel(mesh, "under", -w * 0.86, w * 0.86, 0.16, sill + 0.2, -half * 0.7, True, -1)
    end_panel(mesh, "under", -w * 0.86, w * 0.86, 0.16, sill + 0.2, half * 0.7, False, -1)


def add_wheel(mesh: Mesh, w: float, z: float, radius: float) -> None:
    """Add an arch, a tyre and a rim on each side, and the tyre's tread seen from behind and before."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for material, size, layer, out in (
        ("under", 1.16, 1, 1.004),
        ("tyre", 1.0, 2, 1.006),
        ("rim", 0.64, 3, 1.008),
        ("tyre", 0.16, 4, 1.01),
    ):
        circle = [(w * out, radius + size * radius * np.sin(a), z + size * radius * np.cos(a)) for a in angles[::-1]]
        mesh.mirrored(material, *circle, layer=layer)
    for sign in (-1, 1):
        x0, x1 = sorted((sign * (w - 0.22), sign * (w - 0.01)))
        end_panel(mesh, "tyre", x0, x1, 0.02, radius, z - radius * 0.35, True, -1)
        end_panel(mesh, "tyre", x0, x1, 0.02, radius, z + radius * 0.35, False, -1)
