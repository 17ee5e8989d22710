"""Photographed skins and hair of people of version 3, from MakeHuman's core assets (CC0).

A skin is a map of the head as seen from its axis all around: rows by canonical height, columns by the angle about the
axis, 0 in front. What it holds is relative to the tone of the face, so that one skin serves many complexions.
`denseil.synth.bake_heads` makes the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from scipy.ndimage import map_coordinates

from denseil.synth.body import Array, body_space
from denseil.synth.look import Look
from denseil.synth.sample import ASSETS

ASSET = ASSETS / "heads.safetensors"
MAP = (72, 96)  # rows, columns: about 4 x 6 mm a pixel
LOW, HIGH, AXIS = 1.46, 1.76, -0.05  # canonical heights of a map's edges, and y of the head's axis

STYLES = {
    "long": ("long01", "long01", "braid01"),  # no braid over thick cloth, which would hide parts of it
    "bob": ("bob01", "bob02"),
    "ponytail": ("ponytail01",),
    "bun": ("ponytail01",),
    "curly": ("afro01",),
    "short": ("short01", "short02", "short04"),
}
FEMALE_SHORT = ("short03", "bob02")


@dataclass(frozen=True)
class Hair:
    """A style of hair on the mean body.

    Attributes:
        points: Vertices (N, 3), canonical metres.
        light: Brightness of each (N,), about 1.
        faces: Triangles (F, 3).
        cover: Map of the scalp that it hides, 0 to 1.
    """

    points: Array
    light: Array
    faces: NDArray[np.int32]
    cover: Array


@dataclass(frozen=True)
class Heads:
    """All skins: names "age_origin_sex", maps (skins, rows, columns, 3) about 1; and all hair by name."""

    names: tuple[str, ...]
    skins: Array
    hair: dict[str, Hair]


@cache
def heads(path: Path = ASSET) -> Heads:
    """Read the file written by `denseil.synth.bake_heads`."""
    with safe_open(path, "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
        names = tuple(json.loads(file.metadata()["skins"]))
    styles = {
        name: Hair(
            points=tensors[f"{name}.points"].astype(np.float32),
            light=tensors[f"{name}.light"].astype(np.float32) / 100,
            faces=tensors[f"{name}.faces"].astype(np.int32),
            cover=tensors[f"{name}.cover"].astype(np.float32) / 255,
        )
        for name in sorted({key.split(".")[0] for key in tensors if "." in key})
    }
    return Heads(names, tensors["skins"].astype(np.float32) / 128, styles)


def map_place(points: Array) -> Array:
    """Row and column of a map at canonical points (N, 3), and their distance from the axis in metres: (N, 3)."""
    x, y, z = points[:, 0], points[:, 1] - AXIS, points[:, 2]
    row = np.clip((HIGH - z) / (HIGH - LOW) * MAP[0], 0, MAP[0] - 0.001)
    column = np.clip((np.arctan2(x, -y) / (2 * np.pi) + 0.5) * MAP[1], 0, MAP[1] - 0.001)
    return np.column_stack([row, column, np.hypot(x, y)])


def look_up(face: Array, coords: Array) -> Array:
    """Values of a map (rows, columns) at coordinates (N, 5), as in `Mesh`; bilinear, around the head without a seam."""
    place = map_place(coords[:, :3])[:, :2] - 0.5
    wrapped = np.concatenate([face[:, -1:], face, face[:, :1]], axis=1)
    at = [place[:, 0], place[:, 1] + 1]
    return map_coordinates(wrapped, at, order=1, mode="nearest").astype(np.float32)


def face(look: Look, coords: Array) -> Array:
    """Colours (N, 3) of the head's skin at coordinates (N, 5), relative to the person's complexion."""
    skin = heads().skins[_skin(look)]
    return np.stack([look_up(skin[..., k], coords) for k in range(3)], 1)


def _skin(look: Look) -> int:
    """Number of the skin that suits a person's complexion, age and sex."""
    age = float(body_space().phenotypes[look.body, 1])
    years = "young" if age < 0.74 else "middleage" if age < 0.85 else "old"
    dark = np.dot(look.skin, (0.3, 0.59, 0.11)) < 0.40
    origins = ("african",) if dark else ("asian", "caucasian")
    origin = origins[(look.texture >> 5) % len(origins)]
    return heads().names.index(f"{years}_{origin}_{'female' if look.female else 'male'}")


def style(look: Look) -> str:
    """Name of a person's hair, "" where it is shorn, bald or under a hood."""
    if look.headwear in ("hood", "scarf"):
        return ""
    styles = FEMALE_SHORT if look.hair == "short" and look.female else STYLES.get(look.hair, ())
    if look.hair == "long" and look.thick > 0.014:
        styles = ("long01",)
    return styles[(look.texture >> 7) % len(styles)] if styles else ""
