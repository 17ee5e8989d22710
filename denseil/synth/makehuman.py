"""MakeHuman's files: meshes, textures, and proxies, which are meshes that follow the body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.synth.body import Array


@dataclass(frozen=True)
class Obj:
    """A mesh as written in a .obj file: vertices (V, 3), texture coordinates (T, 2), quads of both (F, 4, 2)."""

    vertices: Array
    uv: Array
    quads: NDArray[np.intp]


def read_obj(path: Path) -> Obj:
    """Read a .obj file without its joints; a triangle becomes a quad that names its last corner twice."""
    vertices, uv, quads, group = [], [], [], ""
    for line in path.read_text().splitlines():
        kind, *words = line.split() or ["#"]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "vt":
            uv.append([float(word) for word in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f" and not group.startswith("joint"):
            corners = [[int(number) - 1 for number in word.split("/")[:2]] for word in words]
            quads.append((corners + corners[-1:])[:4])
    return Obj(np.array(vertices), np.array(uv), np.array(quads))


def read_texture(material: Path) -> Array:
    """Read the picture (H, W, 4) that a material names, in [0, 1]."""
    line = next(line for line in material.read_text().splitlines() if line.startswith("diffuseTexture"))
    with Image.open(material.parent / line.split(maxsplit=1)[1]) as image:
        return np.asarray(image.convert("RGBA"), dtype=np.float64) / 255


def colours_at(texture: Array, uv: Array) -> Array:
    """Colours (N, C) of a texture at coordinates (N, 2), v upwards; bilinear."""
    height, width = texture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    i, j = y.astype(int), x.astype(int)
    fy, fx = (y - i)[:, None], (x - j)[:, None]
    upper = texture[i, j] * (1 - fx) + texture[i, j + 1] * fx
    return upper * (1 - fy) + (texture[i + 1, j] * (1 - fx) + texture[i + 1, j + 1] * fx) * fy


def spread(steps: int) -> Array:
    """Weights (steps**2, 4) of points spread over a quad."""
    grid = (np.arange(steps) + 0.5) / steps
    u, v = (k.ravel() for k in np.meshgrid(grid, grid))
    return np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], 1)


def place_proxy(mhclo: Path, vertices: Array) -> Array:
    """Place a mesh on the base mesh: each vertex is a mean of three of its vertices, plus an offset."""
    scale, rows, reading = np.ones(3), [], False
    for line in mhclo.read_text().splitlines():
        words = line.split()
        if words and words[0] in ("x_scale", "y_scale", "z_scale"):
            axis = "xyz".index(words[0][0])
            scale[axis] = abs(vertices[int(words[1]), axis] - vertices[int(words[2]), axis]) / float(words[3])
        elif words and words[0] == "verts":
            reading = True
        elif reading and len(words) == 9 and words[0].isdigit():
            rows.append([float(word) for word in words])
        elif reading and len(words) == 1 and words[0].isdigit():
            rows.append([float(words[0])] * 3 + [1, 0, 0, 0, 0, 0])
    table = np.array(rows)
    return np.einsum("nk,nkd->nd", table[:, 3:6], vertices[table[:, :3].astype(int)]) + table[:, 6:] * scale
