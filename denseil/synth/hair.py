"""Hair of people of version 3: meshes on the mean body, fitted to a person's head, clothes and hat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from denseil.synth.body import JOINT, Array, f32
from denseil.synth.cloth import Fitting, hat_rim, smoothstep
from denseil.synth.heads import heads, style
from denseil.synth.look import Look
from denseil.synth.mesh import Mesh
from denseil.synth.raster import noise, vertex_normals

CLEARANCE, TUCKED = 0.006, 0.004  # metres: between hair and what is below it; of hair under a hat below the skin


def hair_mesh(look: Look, fit: Fitting) -> tuple[Mesh, Array] | None:
    """Fit a person's hair; None if they have none of their own shape.

    Returns:
        The mesh at rest, part "mane", with its brightness in column 3 of the coordinates; and how much each vertex
        goes with the head (N,), rather than with the chest.
    """
    name = style(look)
    if not name:
        return None
    hair = heads().hair[name]
    canonical = hair.points * f32([-1 if look.texture >> 9 & 1 else 1, 1, 1])  # worn on either side
    vertices = _clear(_scaled(look, canonical, fit), fit)
    if look.headwear in ("cap", "beanie"):
        vertices = _tuck(look, canonical, vertices, fit)
    faces = hair.faces[_shown(look, canonical)[hair.faces].all(1)]
    used, numbers = np.unique(faces, return_inverse=True)
    coords = np.column_stack([canonical, hair.light, np.full(len(canonical), -0.2)]).astype(np.float32)
    share = smoothstep(1.40, 1.54, canonical[used, 2]).astype(np.float32)
    mesh = Mesh(vertices[used], numbers.reshape(-1, 3).astype(np.int32), coords[used], "mane")
    return mesh, share


def _scaled(look: Look, canonical: Array, fit: Fitting) -> Array:
    """Move points (N, 3) from the mean head to a person's, as one box is moved to another."""
    head = fit.space.weights[:, JOINT["head"]] > 0.5
    (low, high), (mean_low, mean_high) = _box(fit.bare[head]), _box(fit.space.canonical[head, :3])
    volume = 0.98 + 0.10 * (look.texture >> 10 & 7) / 7
    middle = (mean_low + mean_high) / 2
    size = (high - low) / (mean_high - mean_low)
    size[2] = size[:2].mean()  # a long chin does not stretch hair
    top = f32([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[2] - (mean_high[2] - middle[2]) * size[2]])
    return (top + (canonical - middle) * size * volume).astype(np.float32)


def _box(points: Array) -> tuple[Array, Array]:
    return points.min(0), points.max(0)


def _shown(look: Look, canonical: Array) -> NDArray[np.bool_]:
    """Whether a vertex (N,) is there: long hair is cut at a length, a bun has no tail."""
    _, y, z = canonical.T
    shown = np.ones(len(canonical), dtype=bool)
    if look.hair == "long":
        ragged = 0.05 * (noise(canonical * f32([1, 1, 0.05]), 0.02, look.texture) - 0.5)
        shown &= z + ragged > 1.426 - 0.20 * (look.texture % 100) / 100
    if look.hair == "bun":
        shown &= (y < 0.062) & (z > 1.53)
    return shown


def _tuck(look: Look, canonical: Array, vertices: Array, fit: Fitting) -> Array:
    """Move vertices (N, 3) above the rim of a hat, and a fringe below it, into the head."""
    fringe = smoothstep(-0.05, -0.10, canonical[:, 1]) * (0.045 if look.headwear == "cap" else 0.02)
    rim = hat_rim(look, canonical) - fringe
    surface, normals = _head_surface(fit.bare, fit)
    _, index = cKDTree(surface).query(vertices)
    inside = surface[index] - f32(TUCKED) * normals[index]
    share = smoothstep(-0.05, -0.005, canonical[:, 2] - rim)[:, None]
    return (vertices + share * (inside - vertices)).astype(np.float32)


def _clear(vertices: Array, fit: Fitting) -> Array:
    """Push vertices (N, 3) out of the body and the clothes."""
    surface, normals = _head_surface(fit.vertices, fit)
    distance, index = cKDTree(surface).query(vertices)
    above = ((vertices - surface[index]) * normals[index]).sum(1)
    push = np.where(distance < 0.06, np.maximum(0, CLEARANCE - above), 0)
    return (vertices + push[:, None] * normals[index]).astype(np.float32)


def _head_surface(vertices: Array, fit: Fitting) -> tuple[Array, Array]:
    """Vertices (N, 3) of the body at the height of hair, without the arms, and their normals (N, 3)."""
    _, _, z, arm, _ = fit.space.canonical.T
    near = np.flatnonzero((z > 0.95) & (arm < 0.9))
    every: NDArray[Any] = np.arange(len(fit.space.faces), dtype=np.int32)
    return vertices[near], vertex_normals(vertices, fit.space.faces, every)[near]
