"""The inner loops, compiled by Numba: a triangle rasteriser with a depth buffer, vertex normals, and smooth noise."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int32]


@njit(cache=True)
def rasterize(screen: Array, faces: Index, height: int, width: int) -> tuple[Index, Array, Array]:
    """Which triangle each pixel sees.

    Args:
        screen: Vertices (V, 3): column and row in pixels, depth in metres.
        faces: Triangles (F, 3); those with a corner nearer than 0.2 m are left out.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        Triangle (H, W), -1 for none; barycentric weights (H, W, 3); depth (H, W), infinite for none.
    """
    seen = np.full((height, width), -1, dtype=np.int32)
    weights = np.zeros((height, width, 3), dtype=np.float32)
    nearest = np.full((height, width), np.inf, dtype=np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if min(az, bz, cz) < 0.2 or abs(area) < 1e-9:
            continue
        left, right = max(0, ceil(min(ax, bx, cx) - 0.5)), min(width - 1, floor(max(ax, bx, cx) - 0.5))
        top, bottom = max(0, ceil(min(ay, by, cy) - 0.5)), min(height - 1, floor(max(ay, by, cy) - 0.5))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                z = u * az + v * bz + w * cz
                if z < nearest[row, column]:
                    nearest[row, column] = z
                    seen[row, column] = f
                    weights[row, column, 0] = u
                    weights[row, column, 1] = v
                    weights[row, column, 2] = w
    return seen, weights, nearest


@njit(cache=True)
def vertex_normals(vertices: Array, faces: Index) -> Array:
    """Unit normals (V, 3): the mean of a vertex's triangles, large ones counting more."""
    normals = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
        vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(len(normals)):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = max((x * x + y * y + z * z) ** 0.5, 1e-12)
        normals[i, 0], normals[i, 1], normals[i, 2] = x / length, y / length, z / length
    return normals


@njit(cache=True)
def interpolate(values: Array, faces: Index, triangles: Index, weights: Array) -> Array:
    """Values of vertices (V, C) at points (N, C) given by triangle (N,) and barycentric weights (N, 3)."""
    out = np.empty((len(triangles), values.shape[1]), dtype=np.float32)
    for i in range(len(triangles)):
        f = triangles[i]
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        for k in range(values.shape[1]):
            out[i, k] = weights[i, 0] * values[a, k] + weights[i, 1] * values[b, k] + weights[i, 2] * values[c, k]
    return out


@njit(cache=True)
def _lattice(x: int, y: int, z: int, seed: int) -> float:
    """A number in [0, 1) that is a hash of a lattice point."""
    h = np.uint32(x) * np.uint32(0x9E3779B1) ^ np.uint32(y) * np.uint32(0x85EBCA77)
    h ^= np.uint32(z) * np.uint32(0xC2B2AE3D) ^ np.uint32(seed) * np.uint32(0x27D4EB2F)
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    h = np.uint32((h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39))
    h ^= h >> np.uint32(15)
    return np.float64(h) / 4294967296.0


@njit(cache=True)
def noise(points: Array, scale: float, seed: int) -> Array:
    """Smooth noise in [0, 1] at points (N, 3) whose features are about `scale` large, in the points' own unit."""
    out = np.empty(len(points), dtype=np.float32)
    for i in range(len(points)):
        px, py, pz = points[i, 0] / scale, points[i, 1] / scale, points[i, 2] / scale
        x, y, z = floor(px), floor(py), floor(pz)
        fx, fy, fz = px - x, py - y, pz - z
        fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
        total = 0.0
        for dx in range(2):
            for dy in range(2):
                for dz in range(2):
                    share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    total += share * _lattice(x + dx, y + dy, z + dz, seed)
        out[i] = total
    return out
