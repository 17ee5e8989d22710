"""Inner loops over triangles, compiled by Numba: rasterisers with a depth buffer, vertex normals, and smooth noise."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int32]


@njit(cache=True)
def _cells(screen: Array, height: int, width: int) -> Index:
    """Per vertex (V, 4) the next pixel centre to the right and to the left, below and above, as pixel numbers.

    They are clipped to one pixel outside the image. Most triangles are smaller than a pixel and lie between centres;
    these numbers tell, before anything else of the triangle is read.
    """
    cells = np.empty((len(screen), 4), dtype=np.int32)
    for i in range(len(screen)):
        x = min(max(screen[i, 0] - 0.5, -1.0), float(width))
        y = min(max(screen[i, 1] - 0.5, -1.0), float(height))
        cells[i, 0], cells[i, 1], cells[i, 2], cells[i, 3] = ceil(x), floor(x), ceil(y), floor(y)
    return cells


@njit(cache=True, error_model="numpy")
def _draw(screen: Array, faces: Index, nearest: Array, seen: Index | None, weights: Array | None) -> None:
    """The loop of the three rasterisers: `rasterize`, with its results written in place, or as much as is not None."""
    height, width = nearest.shape
    cells = _cells(screen, height, width)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        left = max(0, min(cells[a, 0], cells[b, 0], cells[c, 0]))
        right = min(width - 1, max(cells[a, 1], cells[b, 1], cells[c, 1]))
        top = max(0, min(cells[a, 2], cells[b, 2], cells[c, 2]))
        bottom = min(height - 1, max(cells[a, 3], cells[b, 3], cells[c, 3]))
        if left > right or top > bottom:
            continue
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if min(az, bz, cz) < 0.2 or abs(area) < 1e-9:
            continue
        sign = 1.0 if area > 0 else -1.0
        front = min(az, bz, cz) - 1e-6  # no point of the triangle is nearer
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                if nearest[row, column] <= front:
                    continue
                x = column + 0.5
                u = (bx - x) * (cy - y) - (by - y) * (cx - x)
                v = (cx - x) * (ay - y) - (cy - y) * (ax - x)
                if u * sign < 0 or v * sign < 0:
                    continue
                u, v = u / area, v / area
                w = 1 - u - v
                if w < 0:
                    continue
                z = u * az + v * bz + w * cz
                if z < nearest[row, column]:
                    nearest[row, column] = z
                    if seen is not None:
                        seen[row, column] = f
                    if weights is not None:
                        weights[row, column, 0] = u
                        weights[row, column, 1] = v
                        weights[row, column, 2] = w


@njit(cache=True)
def rasterize(screen: Array, faces: Index, height: int, width: int) -> tuple[Index, Array, Array]:
    """Find the nearest triangle at each pixel.

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
    _draw(screen, faces, nearest, seen, weights)
    return seen, weights, nearest


@njit(cache=True)
def depth_map(screen: Array, faces: Index, nearest: Array) -> None:
    """Lower depths (H, W) to that of the nearest triangle, in place; other arguments as for `rasterize`.

    Pixels that start at minus infinity are not changed and cost nothing.
    """
    _draw(screen, faces, nearest, None, None)


@njit(cache=True)
def covered(screen: Array, faces: Index, height: int, width: int) -> Array:
    """Whether any triangle covers each pixel (H, W), 1 or 0; arguments as for `rasterize`."""
    nearest = np.full((height, width), np.inf, dtype=np.float32)
    _draw(screen, faces, nearest, None, None)
    return (nearest < np.inf).astype(np.float32)


@njit(cache=True)
def hits(seen: Index, weights: Array) -> tuple[Index, Index, Array]:
    """Pixels that see a triangle: their number in row order (N,), the triangle (N,), barycentric weights (N, 3)."""
    height, width = seen.shape
    where = np.empty(height * width, dtype=np.int32)
    triangles = np.empty(height * width, dtype=np.int32)
    inside = np.empty((height * width, 3), dtype=np.float32)
    n = 0
    for row in range(height):
        for column in range(width):
            if seen[row, column] >= 0:
                where[n], triangles[n] = row * width + column, seen[row, column]
                inside[n, 0] = weights[row, column, 0]
                inside[n, 1] = weights[row, column, 1]
                inside[n, 2] = weights[row, column, 2]
                n += 1
    return where[:n], triangles[:n], inside[:n]


@njit(cache=True, error_model="numpy")
def vertex_normals(vertices: Array, faces: Index, triangles: Index) -> Array:
    """Unit normals (V, 3) at the corners of some triangles (N,), zero elsewhere.

    A normal is the mean of all triangles around the vertex, large ones counting more.
    """
    wanted = np.zeros(len(vertices), dtype=np.uint8)
    for f in triangles:
        wanted[faces[f, 0]] = wanted[faces[f, 1]] = wanted[faces[f, 2]] = 1
    normals = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if not (wanted[a] | wanted[b] | wanted[c]):
            continue
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
        vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in np.flatnonzero(wanted):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = max((x * x + y * y + z * z) ** 0.5, 1e-12)
        normals[i, 0], normals[i, 1], normals[i, 2] = x / length, y / length, z / length
    return normals


@njit(cache=True)
def interpolate(
    vertices: Array, normals: Array, coords: Array, faces: Index, triangles: Index, weights: Array
) -> tuple[Array, Array, Array]:
    """Interpolate vertices (V, 3), normals (V, 3), coordinates (V, 5) at points by triangle (N,) and weights (N, 3)."""
    count = len(triangles)
    point, normal = np.empty((count, 3), dtype=np.float32), np.empty((count, 3), dtype=np.float32)
    coord = np.empty((count, 5), dtype=np.float32)
    for i in range(count):
        f = triangles[i]
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        u, v, w = weights[i, 0], weights[i, 1], weights[i, 2]
        for k in range(3):
            point[i, k] = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
            normal[i, k] = u * normals[a, k] + v * normals[b, k] + w * normals[c, k]
        for k in range(5):
            coord[i, k] = u * coords[a, k] + v * coords[b, k] + w * coords[c, k]
    return point, normal, coord


@njit(cache=True)
def _mix(h: Any) -> float:
    """A number in [0, 1) from a hash."""
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    h = np.uint32((h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39))
    h ^= h >> np.uint32(15)
    return np.float64(h) / 4294967296.0


@njit(cache=True, error_model="numpy")
def noise(points: Array, scale: float, seed: int) -> Array:
    """Compute smooth noise in [0, 1] at points (N, 3), with features of size `scale` in the unit of the points."""
    out = np.empty(len(points), dtype=np.float32)
    salt = np.uint32(seed) * np.uint32(0x27D4EB2F)  # NOTE: Numba multiplies uint32 into uint64, and these bits count
    for i in range(len(points)):
        px, py, pz = points[i, 0] / scale, points[i, 1] / scale, points[i, 2] / scale
        x, y, z = floor(px), floor(py), floor(pz)
        fx, fy, fz = px - x, py - y, pz - z
        fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
        total = 0.0
        layers = 2 if fz > 0 else 1  # the upper layer has no weight on a plane
        for dx in range(2):
            hx: Any = np.uint32(x + dx) * np.uint32(0x9E3779B1) ^ salt
            sx = fx if dx else 1 - fx
            for dy in range(2):
                hxy = hx ^ np.uint32(y + dy) * np.uint32(0x85EBCA77)
                sxy = sx * (fy if dy else 1 - fy)
                for dz in range(layers):
                    h = hxy ^ np.uint32(z + dz) * np.uint32(0xC2B2AE3D)
                    total += sxy * (fz if dz else 1 - fz) * _mix(h)
        out[i] = total
    return out
