"""Clothes as the body's surface moved outwards.

The body cannot pierce such clothes, and nobody is rendered without: between neck and ankle all points get a garment's
colour, except arms and legs below a sleeve or a hem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from denseil.synth.body import JOINT, Array, BodySpace, f32
from denseil.synth.heads import style
from denseil.synth.look import Look
from denseil.synth.raster import noise, vertex_normals

NECK = 1.525  # canonical height of the neckline at the middle of the neck


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Smooth step: 0 below `low`, 1 above `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Fitting:
    """A dressed body at rest.

    Attributes:
        space: The space of bodies.
        vertices: Vertices of the dressed body (V, 3) in metres.
        coords: Coordinates for painting (V, 5).
        joints: Positions of joints (J, 3) in metres.
        scale: Height relative to the mean body.
        bare: Vertices of the body without clothes (V, 3).
    """

    space: BodySpace
    vertices: Array
    coords: Array
    joints: Array
    scale: float
    bare: Array

    def at(self, joint: str) -> Array:
        """Position (3,) of a joint."""
        return self.joints[JOINT[joint]]


def dress(space: BodySpace, look: Look, version: int) -> Fitting:
    """Put clothes, hair and hats on a body by moving its surface outwards."""
    bare, joints = space.rest(look.body)
    vertices, coords = _dress(space, look, bare, version)
    return Fitting(space, vertices, coords, joints, float(bare[:, 2].max() / space.canonical[:, 2].max()), bare)


def _smooth(space: BodySpace, vertices: Array, amount: Array, rounds: int) -> Array:
    """Smooth vertices towards their neighbours, by an amount (V,) in [0, 1] each."""
    moving = np.flatnonzero(amount)
    links, share = space.neighbours[moving], amount[moving, None]
    vertices = vertices.copy()
    for _ in range(rounds):
        vertices[moving] += share * (links @ vertices - vertices[moving])
    return vertices


def _dress(space: BodySpace, look: Look, bare: Array, version: int) -> tuple[Array, Array]:
    """Return the vertices of the dressed body (V, 3), and their coordinates for painting (V, 5)."""
    _, y, z, arm, leg = space.canonical.T
    trunk = (arm <= 0.05) & (z < NECK + 0.02) & ((z < 1.47) | (y > -0.08))  # not the chin
    covered = (trunk | (arm > 0) & (arm < look.sleeve) | (leg > 0)).astype(np.float32)
    cloth, natural = _cloth_offset(look, space.canonical), version >= 3
    if natural:  # the jaw, which is as low as a collar, is no cloth
        body = 1 - smoothstep(0.3, 0.7, space.weights[:, JOINT["head"]])
        covered, cloth = covered * body, cloth * body
    rounds = 6 + int(look.thick * 400)
    relax = covered * np.where(trunk, 0.6, 0.35).astype(np.float32)
    both = _smooth(space, np.hstack([bare, space.canonical[:, :3]]), relax, rounds)  # patterns follow the cloth
    vertices, coords = both[:, :3], np.hstack([both[:, 3:], space.canonical[:, 3:]])
    vertices = _loose_fists(space, vertices, arm)
    offset = cloth + _head_offset(look, space.canonical, shaped=natural and bool(style(look)))
    out = vertices + offset[:, None] * vertex_normals(
        vertices, space.faces, np.arange(len(space.faces), dtype=np.int32)
    )
    return out.astype(np.float32), coords.astype(np.float32)


def _loose_fists(space: BodySpace, vertices: Array, arm: Array) -> Array:
    """Close the fingers, which are spread in the body at rest."""
    vertices = vertices.copy()
    for left in (True, False):
        hand = np.flatnonzero((arm > 2.0) & ((vertices[:, 0] > 0) == left))
        if not len(hand):
            continue
        wrist = vertices[hand[arm[hand] < 2.12]].mean(0)
        out = vertices[hand] - wrist
        axis = out[arm[hand] > 2.3].mean(0)
        axis /= np.linalg.norm(axis)
        along = (out @ axis)[:, None]
        tight = 1 - 0.42 * smoothstep(0.03, 0.12, along)
        vertices[hand] = (
            wrist + axis * along * (1 - 0.22 * smoothstep(0.06, 0.16, along)) + (out - along * axis) * tight
        )
    return _smooth(space, vertices, (arm > 2.15).astype(np.float32) * 0.3, 2)


def _cloth_offset(look: Look, canonical: Array) -> Array:
    """Distance of cloth from the body (V,) in metres."""
    _, y, z, arm, leg = canonical.T
    on_arm, thick = arm > 0.02, look.thick
    folds = (noise(canonical[:, :3], 0.07, look.texture) - 0.5) * f32(0.3)
    cuff = 1.0 + (0.9 if look.sleeve < 1 else 0.3) * smoothstep(look.sleeve - 0.45, look.sleeve, arm)
    sleeve = 0.65 * thick * cuff * (on_arm & (arm < look.sleeve + 0.03))
    hang = 1.0 + 0.5 * smoothstep(1.15, look.hem, z) * (look.top not in ("hoodie", "sweater", "joggers"))
    above = smoothstep(look.hem - 0.02, look.hem + 0.02, z) * (z < NECK + 0.02) * ~on_arm
    collar = 0.014 * (look.top in ("hoodie", "jacket", "puffer", "coat", "shirt", "polo", "blazer"))
    neck = collar * smoothstep(NECK - 0.06, NECK, z) * (z < NECK + 0.015) * (y > -0.07) * ~on_arm
    quilt = 0.006 * np.sin(z * 75) * (look.top == "puffer")
    top = (0.85 * thick * hang * above + sleeve) * (1 + folds) + quilt * (above + (sleeve > 0)) + neck
    wide, end = look.bottom_wide, look.bottom_end if look.bottom != "skirt" else 2.0
    if look.bottom in ("skirt", "leggings") or look.top == "dress":
        wide, end = 0.003, 2.0
    flare = {"wide": 1.3, "shorts": 1.0, "trousers": 0.9, "jeans": 0.6}.get(look.bottom, 0.2)
    fall = 0.55 + flare * smoothstep(0.2, min(end, 1.8), leg)
    trousers = wide * fall * (leg < end) * (leg < 2.02) * ~on_arm * (1 - above) * (1 + 1.4 * folds)
    return (top + trousers * (z < NECK)).astype(np.float32)


VOLUME = {"buzz": 0.004, "short": 0.014, "curly": 0.036, "long": 0.016, "bob": 0.018, "ponytail": 0.007, "bun": 0.007}


def hairline(canonical: Array) -> Array:
    """Canonical height above which hair grows (N,): high over the face, low at the nape."""
    y = canonical[:, 1]
    return np.interp(y, [-0.15, -0.115, -0.075, -0.03, 0.01, 0.05], [1.738, 1.728, 1.662, 1.632, 1.575, 1.545])


def _head_offset(look: Look, canonical: Array, *, shaped: bool) -> Array:
    """Thickness of hair, hats and hoods on the head (V,) in metres; `shaped` hair has its own mesh."""
    z = canonical[:, 2]
    above = z - hairline(canonical).astype(np.float32)
    grown = smoothstep(-0.005, 0.025, above) * (0.75 + 0.5 * noise(canonical[:, :3], 0.03, look.texture))
    hair = (0.0 if shaped else VOLUME.get(look.hair, 0.0)) * grown
    if look.hair == "short":
        hair = hair * (0.6 + 0.9 * smoothstep(1.68, 1.76, z))
    if look.headwear in ("cap", "beanie"):
        rim = hat_rim(look, canonical)
        hat = (0.016 if look.headwear == "cap" else 0.022) * smoothstep(-0.01, 0.008, z - rim)
        peak = 0.012 * smoothstep(1.72, 1.79, z) * (look.headwear == "beanie")
        return np.where(z > rim - 0.01, hat + peak, 0.5 * hair).astype(np.float32)
    if look.headwear in ("hood", "scarf"):
        return (0.026 * smoothstep(-0.01, 0.02, hood_depth(canonical)) * (z > 1.50)).astype(np.float32)
    return hair.astype(np.float32)


def hat_rim(look: Look, canonical: Array) -> Array:
    """Canonical height of a hat's rim (N,)."""
    slope = 0.25 if look.headwear == "cap" else 0.35
    return (1.675 if look.headwear == "cap" else 1.66) - slope * (canonical[:, 1] + 0.03)


def hood_depth(canonical: Array) -> Array:
    """Distance of points of the head behind the opening of a hood (N,) in metres."""
    x, y, z = canonical[:, :3].T
    opening = np.sqrt((x / 0.075) ** 2 + ((z - 1.635) / 0.105) ** 2)
    return np.where(y > -0.05, 0.1, (opening - 1) * 0.08).astype(np.float32)
