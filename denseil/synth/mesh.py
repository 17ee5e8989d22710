"""Triangle meshes, and the two basic shapes of bags, hats, hair and cloth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from denseil.synth.body import Array

Faces = NDArray[np.int32]


@dataclass(frozen=True)
class Mesh:
    """Triangles of one material.

    Attributes:
        vertices: Positions (V, 3) in metres.
        faces: Triangles (F, 3).
        coords: Coordinates for painting (V, 5): canonical ones on a body, otherwise the shape's own.
        part: Kind of part, for painting: "body", "cloth", "hair", ...
    """

    vertices: Array
    faces: Faces
    coords: Array
    part: str


@cache
def grid_faces(rows: int, columns: int, closed: bool) -> Faces:
    """Return the triangles of a grid of vertices in row order; `closed` joins the last column to the first."""
    row, column = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    a, b = row * columns + column, row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3).astype(np.int32)


def grid_mesh(points: Array, part: str, *, closed: bool) -> Mesh:
    """Make a surface through a grid of points (rows, columns, 3), with coordinates column and row in [0, 1], then 0."""
    rows, columns = points.shape[:2]
    coords = np.zeros((rows, columns, 5), dtype=np.float32)
    coords[..., 0] = np.linspace(0, 1, columns)
    coords[..., 2] = np.linspace(1, 0, rows)[:, None]
    coords[..., 4] = -0.2
    return Mesh(points.reshape(-1, 3), grid_faces(rows, columns, closed), coords.reshape(-1, 5), part)


@cache
def _sphere(rows: int, columns: int) -> tuple[Array, Array]:
    polar = np.linspace(0, np.pi, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    unit = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around], -1)
    return unit.astype(np.float32), np.abs(unit).astype(np.float32)


def blob(centre: Array, radii: tuple[float, float, float], part: str, *, boxy: float = 1.0) -> Mesh:
    """Make an ellipsoid, or with `boxy` above 1 a box with round edges; its coordinates run from -1 to 1.

    Args:
        centre: Its centre (3,).
        radii: Half sizes along x, y, z in metres.
        part: Kind of part.
        boxy: 1 for an ellipsoid, 4 for nearly a box.
    """
    rows, columns = 13, 20
    unit, magnitude = _sphere(rows, columns)
    power = 2 * boxy
    unit = unit / (magnitude**power).sum(-1, keepdims=True) ** (1 / power)
    mesh = grid_mesh(unit * np.array(radii, dtype=np.float32) + centre, part, closed=True)
    coords = np.concatenate([unit.reshape(-1, 3), mesh.coords[:, 3:]], axis=1)
    return Mesh(mesh.vertices, mesh.faces, coords.astype(np.float32), part)
