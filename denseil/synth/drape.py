"""Loose cloth around the legs: skirts, and the lower halves of dresses and coats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denseil.synth.body import JOINT, Array, Posed
from denseil.synth.cloth import Fitting
from denseil.synth.look import Look
from denseil.synth.mesh import Mesh, grid_mesh


@dataclass(frozen=True)
class Drape:
    """Loose cloth around the legs: a skirt, or the lower half of a coat or a dress.

    Attributes:
        top: Upper edge in metres above the soles at rest.
        length: Length in metres.
        margin: Distance from the legs at the top and at the hem, in metres.
        gap: Half the angle that is open in front, in radians.
        points: Vertices of the body that it must enclose.
    """

    top: float
    length: float
    margin: tuple[float, float]
    gap: float
    part: str
    points: NDArray[np.intp]


def drapes(look: Look, fit: Fitting) -> list[Drape]:
    """Make the loose cloth around a person's legs."""
    _, _, z, arm, _ = fit.space.canonical.T
    found = []

    def drape(top: float, hem: float, margin: tuple[float, float], gap: float, part: str) -> Drape:
        points = np.flatnonzero((arm <= 0.02) & (z < top + 0.03) & (z > hem - 0.12))[::2]
        s = fit.scale
        return Drape(top * s, (top - hem) * s, margin, gap, part, points)

    if look.bottom == "skirt" and look.top != "dress":
        found.append(drape(1.03, look.bottom_end, (0.004, 0.01 + look.bottom_wide), 0.0, "skirt"))
    if look.top == "dress":
        found.append(drape(1.08, look.hem, (0.004, 0.02 + 2 * look.thick + 0.3 * look.pattern_size), 0.0, "cloth"))
    if look.top == "coat":
        gap = 0.35 if look.open_front else 0.0
        found.append(drape(1.02, look.hem, (look.thick * 0.4, 0.02 + 0.3 * look.thick), gap, "cloth"))
    return found


def fall(drape: Drape, body: Array, posed: Posed, heading: float, scale: float) -> Mesh:
    """Compute the cloth around posed legs: every ring is the convex hull of the enclosed points, with a margin.

    The hull comes from its support function h: the point of the hull in direction d is h d + h' d', d' normal to d.
    """
    rows, columns = 12, 40
    pelvis = posed.places[JOINT["pelvis"]]
    top = pelvis[2] + drape.top - posed.rest[JOINT["pelvis"], 2]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False, dtype=np.float32)
    outward = np.stack([np.cos(angle), np.sin(angle)], -1)
    points = body[drape.points]
    reach = (points[:, :2] - pelvis[:2]) @ outward.T  # (points, columns)
    heights = top - drape.length * np.linspace(0, 1, rows, dtype=np.float32)
    support = np.empty((rows, columns), dtype=np.float32)
    for r, height in enumerate(heights):
        near = np.abs(points[:, 2] - height) < 0.07 + 0.03 * r / rows
        share = r / (rows - 1)
        margin = drape.margin[0] * (1 - share) + drape.margin[1] * share
        support[r] = reach[near].max(0) + margin if near.any() else support[r - 1]
        if r:
            support[r] = np.maximum(support[r], support[r - 1] - 0.012)  # cloth hangs straight down
    for shift in (1, 2):
        support = 0.5 * support + 0.25 * (np.roll(support, shift, 1) + np.roll(support, -shift, 1))
    slope = (np.roll(support, -1, 1) - np.roll(support, 1, 1)) / (2 * (angle[1] - angle[0]))
    folds = 1 + 0.03 * np.linspace(0, 1, rows)[:, None] * np.cos(7 * angle)
    tangent = np.stack([-outward[:, 1], outward[:, 0]], -1)
    flat = support[..., None] * folds[..., None] * outward + slope[..., None] * tangent + pelvis[:2]
    rings = np.concatenate([flat, np.broadcast_to(heights[:, None, None], (rows, columns, 1))], -1).astype(np.float32)
    front = heading - np.pi / 2  # direction that the person faces
    away = np.abs((angle - front + np.pi) % (2 * np.pi) - np.pi)
    first = int(away.argmin())
    rings = np.roll(rings, -first, axis=1)
    if drape.gap:
        cut = int(drape.gap / (angle[1] - angle[0])) + 1
        mesh = grid_mesh(np.ascontiguousarray(rings[:, cut : columns - cut + 1]), drape.part, closed=False)
    else:
        mesh = grid_mesh(np.concatenate([rings, rings[:, :1]], 1), drape.part, closed=False)
    coords = mesh.coords.copy()
    turn = coords[:, 0] * 2 * np.pi
    coords[:, 0] = 0.2 * np.sin(turn)  # coordinates as on a body: x and y around it, z along it, in metres
    coords[:, 1] = -0.2 * np.cos(turn)
    coords[:, 2] = (drape.top - (1 - coords[:, 2]) * drape.length) / scale
    coords[:, 3:] = -0.2
    return Mesh(mesh.vertices, mesh.faces, coords, drape.part)
