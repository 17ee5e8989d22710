"""Colours of a person, point by point: cloth with its patterns, prints, seams and straps, shoes, bags."""

from __future__ import annotations

import numpy as np

from denseil.synth.body import Array, f32
from denseil.synth.cloth import NECK, smoothstep
from denseil.synth.look import Look
from denseil.synth.paint_head import Head, fill, hair, mane, natural_head, painted_head, skin, weave
from denseil.synth.pieces import SHAFT
from denseil.synth.raster import noise


def paint(look: Look, part: str, coords: Array) -> Array:
    """Compute the sRGB colours (N, 3) of points of a person.

    Args:
        look: The person's look.
        part: Kind of part, as in `Mesh`.
        coords: Their coordinates (N, 5), as in `Mesh`.
    """
    if part == "body":
        colour = _body(look, coords, painted_head)
    elif part == "person":
        colour = _body(look, coords, natural_head)
    elif part == "cloth":
        colour = _top(look, coords)
    elif part == "skirt":
        colour = weave(look, fill(look.bottom_colour, coords), coords, 1)
    elif part == "hair":
        colour = hair(look, coords)
    elif part == "mane":
        colour = mane(look, coords)
    elif part == "shoe":
        colour = _shoe(look, coords)
    else:
        plain = {
            "bag": look.bag_colour,
            "bag2": look.bag_accent if look.bag == "backpack" else look.bag_colour,
            "hat": look.headwear_colour,
            "phone": (0.06, 0.06, 0.07),
            "paper": (0.86, 0.85, 0.82),
        }[part]
        colour = fill(plain, coords)
        if part == "bag":
            band = np.abs(coords[:, 2] - 0.35) < 0.05
            colour[band] = 0.6 * colour[band] + 0.4 * f32(look.bag_accent)
    return np.clip(colour, 0.01, 0.98)


def _body(look: Look, coords: Array, paint_head: Head) -> Array:
    x, y, z, arm, leg = coords.T
    limb = arm > 0.02
    neckline = NECK + 0.35 * (y + 0.012) - _opening(look, x, y)
    head = ~limb & (z > neckline)
    foot = (leg > 1.4) & (z < SHAFT[look.shoes] - 0.01)
    sleeve = limb & (arm < look.sleeve)
    trunk = ~limb & ~head & (z > look.hem) & (leg < 0.5)
    below = ~limb & ~head & ~trunk & ~foot
    out = np.empty((len(coords), 3), dtype=np.float32)
    rest = limb & ~sleeve
    out[rest] = skin(look, coords[rest])
    out[head] = paint_head(look, coords[head])
    cloth = sleeve | trunk
    out[cloth] = _top(look, coords[cloth])
    out[below] = _bottom(look, coords[below])
    out[foot] = f32(look.shoe_colour)
    return out


def _opening(look: Look, x: Array, y: Array) -> Array:
    """Depth of the neckline in front."""
    front = y < -0.03
    if look.top in ("hoodie", "jacket", "puffer", "coat", "sweater"):
        return np.where(front, -0.012, -0.03).astype(np.float32)
    deep = 0.035 + 0.025 * ((look.texture >> 3) % 3) / 2
    return np.where(front, np.maximum(0, deep - 0.6 * np.abs(x)), 0).astype(np.float32)


def _along(coords: Array) -> Array:
    """Position along the cloth in metres: height on the trunk, distance from the shoulder on an arm."""
    return np.where(coords[:, 3] > 0.02, 1.43 - 0.27 * coords[:, 3], coords[:, 2])


def _top(look: Look, coords: Array) -> Array:
    x, y, z, arm, _ = coords.T
    on_arm, front = arm > 0.02, y < -0.02
    colour = _pattern(look, coords)
    closed = look.top in ("shirt", "jacket", "puffer", "coat", "polo", "blazer")
    if look.open_front:
        inner = front & ~on_arm & (np.abs(x) < look.open_front * (0.5 + 0.8 * smoothstep(1.05, 1.5, z)))
        colour[inner] = f32(look.inner_colour)
        edge = front & ~on_arm & ~inner & (np.abs(x) < look.open_front * (0.5 + 0.8 * smoothstep(1.05, 1.5, z)) + 0.012)
        colour[edge] *= 0.7
    elif closed:
        colour[front & ~on_arm & (np.abs(x) < 0.006)] *= 0.6  # a zip, or buttons
    if look.top == "puffer":
        colour *= (0.82 + 0.18 * np.abs(np.sin(_along(coords) * 37.5)))[:, None]
    seams = (np.abs(arm - 0.06) < 0.018) | (~on_arm & (np.abs(z - look.hem) < 0.008))
    seams |= on_arm & (np.abs(arm - look.sleeve) < 0.03)
    seams |= (
        ~on_arm
        & front
        & (look.top in ("hoodie", "jacket"))
        & (np.abs(np.abs(x) - 0.11 + 0.3 * (z - 1.0)) < 0.006)
        & (np.abs(z - 1.03) < 0.07)
    )
    colour[seams] *= 0.78
    colour = weave(look, colour, coords, 0)
    strap = _straps(look, coords)
    colour[strap] = f32(look.bag_colour)
    return colour


def _straps(look: Look, coords: Array) -> Array:
    x, y, z, arm, _ = coords.T
    torso = (arm <= 0.10) & ((np.abs(y) > 0.03) | (z > 1.40))  # at the sides a strap is under the arm
    if look.bag == "backpack":
        return torso & (np.abs(np.abs(x) - 0.105) < 0.021) & (z > 1.14) & (y < 0.05)
    side = 1.0 if look.bag_side == "L" else -1.0
    if look.bag == "crossbody":  # from the other shoulder to the hip
        return torso & (np.abs(x * side + 0.10 - (1.50 - z) * 0.52) < 0.024) & (z > 0.93)
    if look.bag == "shoulder":
        return torso & (np.abs(x * side - 0.125 - (1.48 - z) * 0.06) < 0.016) & (z > 1.0)
    return np.zeros(len(coords), dtype=bool)


def _pattern(look: Look, coords: Array) -> Array:
    """Colours of the cloth of a top (N, 3)."""
    x, y, _, arm, _ = coords.T
    first, second = f32(look.top_colour), f32(look.second_colour)
    on_arm, along, size = arm > 0.02, _along(coords), look.pattern_size
    across = np.where(on_arm, y * 1.2, x)
    share = np.zeros(len(coords), dtype=np.float32)
    kind = look.pattern
    if kind == "stripes":
        share = (np.floor(along / size) % 2).astype(np.float32)
    elif kind == "bars":
        share = (np.floor(across / size) % 2).astype(np.float32)
    elif kind == "checks":
        share = 0.5 * (np.floor(along / size) % 2) + 0.5 * (np.floor(across / size) % 2)
    elif kind == "dots":
        u, v = along / size % 1 - 0.5, (across / size + 0.5 * (np.floor(along / size) % 2)) % 1 - 0.5
        share = (u * u + v * v < 0.08).astype(np.float32)
    elif kind == "floral":
        share = smoothstep(0.55, 0.62, noise(coords[:, :3], 0.6 * size + 0.012, look.print_seed))
    elif kind == "blocks":
        share = on_arm.astype(np.float32)
    elif kind == "yoke":
        share = (along > 1.33).astype(np.float32)
    elif kind in ("logo", "print"):
        share = _print(look, coords)
    return first + share[:, None] * (second - first)


def _print(look: Look, coords: Array) -> Array:
    """Coverage (N,) of points by a logo on the chest or a large print on chest or back."""
    x, y, z, arm, _ = coords.T
    rng = np.random.default_rng(look.print_seed)
    back = look.pattern == "print" and rng.random() < 0.3
    where = (arm <= 0.02) & ((y > 0.0) if back else (y < -0.02))
    if look.pattern == "logo":
        u, v = (x - 0.075) / 0.045, (z - 1.33) / 0.04
    else:
        wide, high = rng.uniform(0.08, 0.14), rng.uniform(0.05, 0.14)
        u, v = x / wide, (z - 1.27) / high
    inside = where & (np.abs(u) < 1) & (np.abs(v) < 1)
    shape = rng.integers(5)
    if shape == 0:  # lines of letters
        inside &= (np.floor(v * 3) % 2 == 0) & (
            noise(np.stack([u * 4, np.floor(v * 3), 0 * u], 1), 1, look.print_seed) > 0.4
        )
    elif shape == 1:  # a disc with a hole
        radius = np.hypot(u, v)
        inside &= (radius < 1) & (radius > rng.uniform(0, 0.6))
    elif shape == 2:  # a picture
        inside &= noise(np.stack([u, v, 0 * u], 1), 0.5, look.print_seed) > 0.45
    elif shape == 3:  # a bar
        inside &= np.abs(v) < rng.uniform(0.25, 0.7)
    else:  # a wedge
        inside &= np.abs(u) < 0.5 * (1 - v)
    return inside.astype(np.float32)


def _bottom(look: Look, coords: Array) -> Array:
    x, y, z, _, leg = coords.T
    skirted = look.bottom == "skirt" or look.top == "dress"
    end = 2.1 if look.bottom == "skirt" else look.bottom_end
    if look.top == "dress":
        end = 2.1
    tights = (0.07, 0.07, 0.08) if look.bottom == "skirt" or look.top == "dress" else look.bottom_colour
    colour = fill(tights if skirted else look.bottom_colour, coords)
    if not skirted:
        if look.bottom == "jeans":  # worn pale on the thighs
            pale = smoothstep(0.05, 0.35, leg) * smoothstep(1.1, 0.6, leg) * (y < -0.01)
            colour *= (1 + 0.35 * pale)[:, None]
        seam = (np.abs(np.abs(x) - 0.145 - 0.02 * leg) < 0.006) & (np.abs(y) < 0.03)
        colour[seam] *= 0.8
        if look.side_stripe:
            stripe = (leg > -0.1) & (np.abs(y) < 0.010) & (np.abs(x) > 0.13)
            colour[stripe] = f32([0.86, 0.86, 0.84])
        colour[(np.abs(z - 0.93) < 0.05) & (y > 0.03) & (np.abs(np.abs(np.abs(x) - 0.075) - 0.045) < 0.005)] *= 0.75
        colour[np.abs(leg - end) < 0.02] *= 0.8
    colour = weave(look, colour, coords, 2)
    bare = look.bare_legs & (leg > (0.35 if skirted else end)) & (z < 0.80)
    colour[bare] = skin(look, coords[bare])
    ankle = (leg > end) & ~bare
    colour[ankle] = f32([0.12, 0.12, 0.13]) if look.texture % 3 else f32([0.8, 0.8, 0.78])
    return colour


def _shoe(look: Look, coords: Array) -> Array:
    _, y, z = coords[:, :3].T  # metres from the middle of the sole; toes at -y
    colour = fill(look.shoe_colour, coords)
    if look.shoes in ("sneakers", "high"):
        toe = (y < -0.10) & (z < 0.03) & (look.texture % 4 < 2)
        mark = (np.abs(y + 0.02) < 0.018) & (z > 0.022) & (z < 0.055) & (look.texture % 2 == 0)
        laces = (y < -0.02) & (z > 0.055) & (np.sin(y * 500) > 0) & (look.texture % 3 == 0)
        pale = toe | mark | laces
        colour[pale] = 0.4 * colour[pale] + 0.6 * f32(look.sole_colour)
    sole = 0.014 if look.shoes != "shoes" else 0.004
    colour[z < sole] = f32(look.sole_colour)
    return colour
