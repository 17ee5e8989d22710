"""Bodies: a low-rank space of adults and teenagers, their skeleton, and skinning.

Metres, z up; a body at rest faces -y with its left side at +x, soles at z = 0, arms 45 degrees down. Parts of a body
are addressed by *canonical* coordinates: the position of a vertex on the mean body, 1.79 m tall. A sleeve that ends at
`arm` 0.6 ends there on every body.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file
from scipy.sparse import csr_array

from denseil.synth.loops import skin, turn
from denseil.synth.sample import ASSETS

Array = NDArray[np.floating[Any]]  # single precision for storage

ASSET = ASSETS / "body.safetensors"
PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")  # gender 0 is female, 1 is male
_SIDES = ("clavicle", "upperarm", "lowerarm", "hand", "upperleg", "lowerleg", "foot")
JOINTS = ("pelvis", "spine", "belly", "chest", "neck", "head", *(f"{n}.L" for n in _SIDES), *(f"{n}.R" for n in _SIDES))
JOINT = {name: i for i, name in enumerate(JOINTS)}
_UP = {
    "spine": "pelvis",
    "belly": "spine",
    "chest": "belly",
    "neck": "chest",
    "head": "neck",
    "clavicle": "chest",
    "upperarm": "clavicle",
    "lowerarm": "upperarm",
    "hand": "lowerarm",
    "upperleg": "pelvis",
    "lowerleg": "upperleg",
    "foot": "lowerleg",
}


def _parent(joint: str) -> int:
    name, dot, side = joint.partition(".")
    up = _UP.get(name, "")
    return JOINT[up + dot + side] if up + dot + side in JOINT else JOINT.get(up, -1)


PARENTS = tuple(_parent(joint) for joint in JOINTS)


def f32(values: ArrayLike) -> Array:
    """Convert to a single-precision array."""
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True)
class BodySpace:
    """The low-rank space of bodies.

    Attributes:
        mean: Mean vertices followed by joints (V + J, 3).
        directions: Principal directions (K, V + J, 3).
        coefficients: Coefficients of the sampled bodies (bodies, K).
        phenotypes: Their phenotypes in [0, 1] (bodies, 6), named by PHENOTYPES.
        faces: Triangles (F, 3).
        weights: Skinning weights (V, J).
        canonical: Per vertex x, y, z on the mean body, and how far along an arm (0 shoulder, 1 elbow, 2 wrist, above
            the hand; at most 0 elsewhere) and a leg (0 hip, 1 knee, 2 ankle, above the foot) it lies: (V, 5).
    """

    mean: Array
    directions: Array
    coefficients: Array
    phenotypes: Array
    faces: NDArray[np.int32]
    weights: Array
    canonical: Array

    @cached_property
    def neighbours(self) -> csr_array:
        """Matrix (V, V) that averages over a vertex's neighbours."""
        count = len(self.canonical)
        a, b = self.faces[:, [0, 1, 2]].ravel(), self.faces[:, [1, 2, 0]].ravel()
        links = csr_array((np.ones(2 * len(a), dtype=np.float32), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
        links.data[:] = 1
        return csr_array(links.multiply(1 / np.maximum(links.sum(1), 1)[:, None]))

    def rest(self, body: int) -> tuple[Array, Array]:
        """Compute vertices (V, 3) and joints (J, 3) of a body at rest."""
        points = self.mean + np.tensordot(self.coefficients[body], self.directions, axes=1)
        points[:, 2] -= points[: -len(JOINTS), 2].min()
        return points[: -len(JOINTS)], points[-len(JOINTS) :]


@cache
def body_space(path: Path = ASSET) -> BodySpace:
    """Read the file written by `denseil.synth.bake`."""
    tensors = load_file(path)
    mean = tensors["mean"].astype(np.float32)
    weights = tensors["weights"].astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    return BodySpace(
        mean=mean,
        directions=tensors["directions"].astype(np.float32),
        coefficients=tensors["coefficients"].astype(np.float32),
        phenotypes=tensors["phenotypes"].astype(np.float32),
        faces=tensors["faces"].astype(np.int32),
        weights=weights,
        canonical=_canonical(mean[: -len(JOINTS)], mean[-len(JOINTS) :], weights),
    )


def _canonical(vertices: Array, joints: Array, weights: Array) -> Array:
    arm = _along(vertices, joints, weights, ("upperarm", "lowerarm", "hand"))
    leg = _along(vertices, joints, weights, ("upperleg", "lowerleg", "foot"))
    return np.column_stack([vertices, arm, leg]).astype(np.float32)


def _along(vertices: Array, joints: Array, weights: Array, chain: tuple[str, str, str]) -> Array:
    """Position along a limb: 0 at the first joint, 1 at the second, 2 at the third; at most 0 elsewhere."""
    result = np.full(len(vertices), -0.2, dtype=np.float32)
    for side in "LR":
        index = [JOINT[f"{name}.{side}"] for name in chain]
        a, b, c = joints[index]
        upper = (vertices - a) @ (b - a) / ((b - a) @ (b - a))
        lower = (vertices - b) @ (c - b) / ((c - b) @ (c - b))
        bend = weights[:, index[1:]].sum(1)  # blend from the upper bone to the lower one around the joint
        value = (1 - bend) * np.minimum(upper, 1) + bend * (1 + np.maximum(lower, -0.2))
        on = weights[:, index].sum(1)
        result = np.where(on > 0.35, value, np.where(on > 0, np.minimum(value, 0), result))
    return result


def rotation(axis: str, angle: float) -> Array:
    """Return the right-handed rotation matrix (3, 3) about x, y or z by an angle in radians."""
    return turn("xyz".index(axis), np.cos(angle), np.sin(angle))


@dataclass(frozen=True)
class Posed:
    """Pose of a body: global rotations (J, 3, 3), positions (J, 3) and positions at rest (J, 3) of its joints."""

    rotations: Array
    places: Array
    rest: Array

    def carry(self, points: Array, joint: str) -> Array:
        """Move points (N, 3), given at rest, with one joint."""
        j = JOINT[joint]
        return (points - self.rest[j]) @ self.rotations[j].T + self.places[j]

    def skin(self, vertices: Array, weights: Array) -> Array:
        """Move points (V, 3), given at rest, with all joints by their weights (V, J)."""
        shift = self.places - np.einsum("jab,jb->ja", self.rotations, self.rest)
        matrices = np.concatenate([self.rotations, shift[..., None]], axis=2).reshape(len(shift), 12)
        return skin(weights @ matrices, vertices)


def pose(joints: Array, turns: dict[str, Array], root: Array) -> Posed:
    """Compute forward kinematics.

    Args:
        joints: Joints at rest (J, 3).
        turns: Rotation of each joint relative to its parent, in the axes of the body at rest.
        root: Rotation of the whole body (3, 3).
    """
    rotations = np.empty((len(JOINTS), 3, 3), dtype=np.float32)
    places = np.empty((len(JOINTS), 3), dtype=np.float32)
    for j, (name, parent) in enumerate(zip(JOINTS, PARENTS, strict=True)):
        above = root if parent < 0 else rotations[parent]
        rotations[j] = above @ turns[name] if name in turns else above
        places[j] = joints[j] if parent < 0 else places[parent] + above @ (joints[j] - joints[parent])
    return Posed(rotations, places, joints)
