"""Inner loops over points and pixels, compiled by Numba.

Each function computes in one pass what would take a chain of numpy calls on whole arrays. NOTE: operations, order and
precision are those of the numpy code with which people-v1 was published, so its pictures stay the same bit by bit.
Single-precision constants are written as such, since Numba would compute with Python's numbers in double precision.
Over 250 lines because it is a list of independent loops.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int32]
_f = np.float32


@njit(cache=True, error_model="numpy")
def plane(points: Array, height: float, cos: float, sin: float) -> Array:
    """Points (N, 3) -> u, v in the image plane of a camera and depth in metres (N, 3).

    Args:
        points: In the world, metres.
        height: Height of the camera, metres.
        cos: Cosine of the camera's pitch.
        sin: Its sine.
    """
    out = np.empty((len(points), 3), dtype=np.float32)
    for i in range(len(points)):
        z = points[i, 2] - _f(height)
        depth = points[i, 1] * cos - z * sin
        safe = max(depth, 0.05)
        out[i, 0] = points[i, 0] / safe
        out[i, 1] = -(points[i, 1] * sin + z * cos) / safe
        out[i, 2] = depth
    return out


@njit(cache=True, error_model="numpy")
def to_pixels(uvd: Array, left: float, top: float, wide: float, high: float, height: int, width: int) -> None:
    """Turn u and v (N, 3) into columns and rows of a window that is `wide` x `high` in the image plane, in place."""
    for i in range(len(uvd)):
        uvd[i, 0] = (uvd[i, 0] - _f(left)) / _f(wide) * _f(width)
        uvd[i, 1] = (uvd[i, 1] - _f(top)) / _f(high) * _f(height)


@njit(cache=True)
def extent(uvd: Array) -> tuple[Array, Array]:
    """Smallest and largest u and v of points (N, 3): (2,) each."""
    low, high = uvd[0, :2].copy(), uvd[0, :2].copy()
    for i in range(1, len(uvd)):
        for k in range(2):
            low[k] = min(low[k], uvd[i, k])
            high[k] = max(high[k], uvd[i, k])
    return low, high


@njit(cache=True, error_model="numpy")
def flatten(vertices: Array, towards: Array) -> Array:
    """Shadows of vertices (N, 3) on the ground, away from a light in direction `towards` (3,)."""
    out = np.empty_like(vertices)
    for i in range(len(vertices)):
        fall = vertices[i, 2] / towards[2]
        for k in range(3):
            out[i, k] = vertices[i, k] - fall * towards[k]
    return out


@njit(cache=True, error_model="numpy")
def skin(blended: Array, vertices: Array) -> Array:
    """Points (V, 3) moved by affine maps (V, 12), each of three rows of four."""
    out = np.empty((len(vertices), 3), dtype=np.float32)
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            m = 4 * k
            out[i, k] = ((blended[i, m] * x + blended[i, m + 1] * y) + blended[i, m + 2] * z) + blended[i, m + 3]
    return out


@njit(cache=True)
def minus(points: Array, offset: Array) -> Array:
    """Points (N, 3) less an offset (3,)."""
    out = np.empty_like(points)
    for i in range(len(points)):
        for k in range(3):
            out[i, k] = points[i, k] - offset[k]
    return out


@njit(cache=True)
def scale_shift(points: Array, scale: Array, offset: Array) -> Array:
    """Points (N, 3) times a scale (3,) plus an offset (3,), in place."""
    for i in range(len(points)):
        for k in range(3):
            points[i, k] = points[i, k] * scale[k] + offset[k]
    return points


@njit(cache=True)
def scale_rows(rows: Array, factor: Array) -> Array:
    """Rows (N, 3), or one for all (1, 3), times a factor each (N,)."""
    out = np.empty((len(factor), 3), dtype=rows.dtype)
    same = len(rows) == 1
    for i in range(len(factor)):
        for k in range(3):
            out[i, k] = rows[0 if same else i, k] * factor[i]
    return out


@njit(cache=True, error_model="numpy")
def meet(
    rays: Array, height: float, across: float, far: float, cos: float, sin: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Intersect rays from a camera with the ground or a wall: points (N, 3) in metres, and whether on the ground (N,).

    Args:
        rays: Directions (N, 3).
        height: Height of the camera, metres.
        across: Distance of the wall from the camera, metres.
        far: If positive, the distance at which every ray that misses the ground ends, instead of the wall.
        cos: Cosine of the wall's angle to the picture.
        sin: Its sine.
    """
    points = np.empty((len(rays), 3), dtype=np.float32)
    on_ground = np.empty(len(rays), dtype=np.bool_)
    for i in range(len(rays)):
        down = _f(np.inf)
        if rays[i, 2] < _f(-1e-4):
            down = _f(height) / max(-rays[i, 2], _f(1e-4))
        facing = rays[i, 1] * cos + rays[i, 0] * sin
        wall = far
        if far <= 0:
            wall = across / max(facing, 1e-4) if facing > 1e-4 else np.inf
        on_ground[i] = down < wall
        reach = min(min(down, wall), 200.0)
        points[i, 0] = rays[i, 0] * reach + 0.0
        points[i, 1] = rays[i, 1] * reach + 0.0
        points[i, 2] = rays[i, 2] * reach + _f(height)
    return points, on_ground


@njit(cache=True)
def light_two(albedo: Array, first: NDArray[np.bool_], on_first: Array, on_second: Array) -> Array:
    """Colours (N, 3) times one light (3,) where `first` (N,) holds, else times another."""
    out = np.empty_like(albedo)
    for i in range(len(albedo)):
        for k in range(3):
            out[i, k] = albedo[i, k] * (on_first[k] if first[i] else on_second[k])
    return out


@njit(cache=True)
def expose(light: Array, cast: Array, gain: float, haze: float) -> Array:
    """Light (H, W, 3) times a cast (3,) and a gain, plus haze."""
    out = np.empty_like(light)
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            for k in range(3):
                out[row, column, k] = light[row, column, k] * cast[k] * _f(gain) + _f(haze)
    return out


@njit(cache=True, error_model="numpy")
def saturate(values: Array, saturation: float) -> Array:
    """Values (H, W, 3) moved away from the mean of their channels by an amount; 1 does not change them."""
    out = np.empty_like(values)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            grey = (values[row, column, 0] + values[row, column, 1] + values[row, column, 2]) / _f(3)
            for k in range(3):
                out[row, column, k] = grey + _f(saturation) * (values[row, column, k] - grey)
    return out


@njit(cache=True, error_model="numpy")
def centroid(points: Array) -> Array:
    """Mean of points (N, 3), added up in their order; zero for none."""
    total = np.zeros(3, dtype=np.float32)
    for i in range(len(points)):
        for k in range(3):
            total[k] += points[i, k]
    if len(points):
        for k in range(3):
            total[k] = total[k] / _f(len(points))
    return total


_AROUND = ((_f(-0.8), _f(0.3)), (_f(0.3), _f(0.8)), (_f(0.8), _f(-0.3)), (_f(-0.3), _f(-0.8)))  # texels


@njit(cache=True)
def looked_up(seen: Array, size: int) -> Array:
    """A depth map (S, S) to be filled, infinite where `lit_share` will read it and minus infinite elsewhere."""
    depth = np.full((size, size), -np.inf, dtype=np.float32)
    last = _f(size - 1)
    for i in range(len(seen)):
        for dx, dy in _AROUND:
            column = int(min(max(seen[i, 0] + dx, _f(0)), last))
            depth[int(min(max(seen[i, 1] + dy, _f(0)), last)), column] = np.inf
    return depth


@njit(cache=True)
def lit_share(seen: Array, depth: Array) -> Array:
    """Share of the sun that reaches points (N,): that of the four texels around each that are not nearer to the sun.

    Args:
        seen: The points as the sun sees them (N, 3): column, row, depth in metres.
        depth: What the sun sees first (S, S), metres.
    """
    last = _f(len(depth) - 1)
    lit = np.empty(len(seen), dtype=np.float32)
    for i in range(len(seen)):
        free = 0
        for dx, dy in _AROUND:
            column = int(min(max(seen[i, 0] + dx, _f(0)), last))
            row = int(min(max(seen[i, 1] + dy, _f(0)), last))
            free += seen[i, 2] < depth[row, column] + _f(0.035)
        lit[i] = 0.25 * free
    return lit


@njit(cache=True, error_model="numpy")
def face_camera(normals: Array, points: Array, height: float) -> None:
    """Scale normals (N, 3) to length 1 and turn those round that look away from a camera at (0, 0, height), in place.

    Normals that look away are on the inside of a skirt or of hair.
    """
    for i in range(len(normals)):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = max(np.sqrt(x * x + y * y + z * z), _f(1e-6))
        x, y, z = x / length, y / length, z / length
        if x * (_f(0) - points[i, 0]) + y * (_f(0) - points[i, 1]) + z * (_f(height) - points[i, 2]) < 0:
            x, y, z = -x, -y, -z
        normals[i, 0], normals[i, 1], normals[i, 2] = x, y, z


@njit(cache=True, error_model="numpy")
def shade(
    reflected: Array, normals: Array, facing: Array, sunlit: Array, sun: Array, sky: Array, bounce: Array, near: Array
) -> Array:
    """Light that leaves points (N, 3): sky from above, bounce from below, the sun.

    Args:
        reflected: Linear albedo (N, 3).
        normals: Unit normals (N, 3).
        facing: Cosine of the angle between normal and sun (N,).
        sunlit: Share of the sun that reaches each point (N,).
        sun: The sun's light (3,).
        sky: Light from above (3,).
        bounce: Light from below (3,).
        near: Distance of each point behind its surroundings (N,), metres; it makes points darker.
    """
    out = np.empty_like(reflected)
    for i in range(len(out)):
        up = _f(0.5) + _f(0.5) * normals[i, 2]
        direct = max(facing[i], _f(0)) * sunlit[i]
        open_to = _f(1) - _f(0.45) * min(max(near[i] / _f(0.12), _f(0)), _f(1))
        for k in range(3):
            light = (sky[k] * up + bounce[k] * (_f(1) - up)) + sun[k] * direct
            out[i, k] = reflected[i, k] * light * open_to
    return out


@njit(cache=True)
def fill_far(depth: Array) -> Array:
    """Replace infinite depths (H, W) by the largest finite one."""
    far = _f(-np.inf)
    for value in depth.flat:
        if value < np.inf:
            far = max(far, value)
    out = depth.copy()
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            if out[row, column] == np.inf:
                out[row, column] = far
    return out


@njit(cache=True)
def _blur_rows(image: Array, kernel: Array) -> Array:
    """Correlate the columns of an image (H, W) with half a symmetric kernel, its middle last; mirrored at the ends."""
    height, width = image.shape
    reach = len(kernel) - 1
    out = np.zeros((height, width), dtype=np.float32)
    first, last = height + reach, -1 - reach  # of the rows that are not zero
    for row in range(height):
        if image[row].any():
            first, last = min(first, row), row
    total = np.empty(width, dtype=np.float64)
    for row in range(max(0, first - reach), min(height, last + reach + 1)):
        for column in range(width):
            total[column] = image[row, column] * kernel[reach]
        for k in range(reach):
            above, below = row - (reach - k), row + (reach - k)
            while above < 0 or above >= height:
                above = -above - 1 if above < 0 else 2 * height - above - 1
            while below < 0 or below >= height:
                below = -below - 1 if below < 0 else 2 * height - below - 1
            for column in range(width):
                total[column] += (np.float64(image[above, column]) + np.float64(image[below, column])) * kernel[k]
        for column in range(width):
            out[row, column] = total[column]
    return out


@njit(cache=True)
def blur(image: Array, kernel: Array) -> Array:
    """Blur an image (H, W) with half a symmetric kernel (R + 1,), as `scipy.ndimage.gaussian_filter` does."""
    return _blur_rows(_blur_rows(image, kernel).T.copy(), kernel).T.copy()


@njit(cache=True)
def turn(axis: int, cos: float, sin: float) -> Array:
    """Rotation matrix (3, 3) about axis 0, 1 or 2."""
    matrix = np.zeros((3, 3), dtype=np.float32)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[axis, axis] = 1
    matrix[i, i] = matrix[j, j] = cos
    matrix[j, i], matrix[i, j] = sin, -sin
    return matrix


@njit(cache=True)
def compose(behind: Array, where: Index, colours: Array, over: int) -> Array:
    """An image (H, W, 3): the mean of `over` x `over` samples a pixel, each of a person or thing or of what is behind.

    Args:
        behind: The background (H, W, 3).
        where: Samples of people and things, numbered in row order (N,).
        colours: Their colours (N, 3).
        over: Samples a pixel along each side.
    """
    height, width = behind.shape[:2]
    index = np.full((height * over, width * over), -1, dtype=np.int32)
    for i in range(len(where)):
        index[where[i] // (width * over), where[i] % (width * over)] = i
    out = np.empty((height, width, 3), dtype=np.float32)
    for row in range(height):
        for column in range(width):
            for k in range(3):
                total = _f(0)
                for dy in range(over):
                    for dx in range(over):
                        i = index[row * over + dy, column * over + dx]
                        total += colours[i, k] if i >= 0 else behind[row, column, k]
                out[row, column, k] = total / _f(over * over)
    return out
