"""A dressed body that can be posed: cloth is the body's own surface moved outwards, plus skirts, hair and bags.

Cloth that is the body moved outwards cannot be pierced by it, and nobody can be rendered without clothes: between neck
and ankle the painter gives all points a garment's colour, but for arms and legs below a sleeve or a hem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import csr_array

from denseil.synth.body import JOINT, Array, BodySpace, Posed, f32, rotation
from denseil.synth.look import Look
from denseil.synth.mesh import Mesh, blob, grid_mesh
from denseil.synth.raster import noise, vertex_normals

NECK = 1.525  # canonical height of the neckline at the middle of the neck


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Piece:
    """A mesh that goes with one joint; one that is held at a point, `grip` (3,) at rest, keeps upright."""

    mesh: Mesh
    joint: str
    grip: Array | None = None


@dataclass(frozen=True)
class Drape:
    """Cloth that falls around the legs: a skirt, or the lower half of a coat or a dress.

    Attributes:
        top: Where it starts, metres above the soles at rest.
        length: How long it is, metres.
        margin: How far it stands off the legs at the top and at the hem, metres.
        gap: Half the angle that is open in front, radians.
        points: Vertices of the body it may not touch.
    """

    top: float
    length: float
    margin: tuple[float, float]
    gap: float
    part: str
    points: np.ndarray


class Figure:
    """A person, dressed once, posed for every frame.

    Args:
        space: The bodies.
        look: The person.
    """

    def __init__(self, space: BodySpace, look: Look) -> None:
        self.space, self.look = space, look
        bare, self.joints = space.rest(look.body)
        self.vertices, self.coords = _dress(space, look, bare)
        self.scale = float(bare[:, 2].max() / space.canonical[:, 2].max())
        self.pieces = [*_shoes(look, self), *_hair(look, self), *_headwear(look, self), *_bags(look, self)]
        self.drapes = _drapes(look, self)

    def at(self, joint: str) -> Array:
        """A joint's place at rest (3,)."""
        return self.joints[JOINT[joint]]

    def meshes(self, posed: Posed, heading: float) -> list[Mesh]:
        """The person in a pose, lowest point at z = 0."""
        body = posed.skin(self.vertices, self.space.weights)
        meshes = [Mesh(body, self.space.faces, self.coords, "body")]
        meshes += [_carry(piece, posed, heading) for piece in self.pieces]
        meshes += [_fall(drape, body, posed, heading, self.scale) for drape in self.drapes]
        floor = min(m.vertices[:, 2].min() for m in meshes if m.part == "shoe")
        return [Mesh(m.vertices - f32([0, 0, floor]), m.faces, m.coords, m.part) for m in meshes]


def _carry(piece: Piece, posed: Posed, heading: float) -> Mesh:
    mesh = piece.mesh
    if piece.grip is None:
        vertices = posed.carry(mesh.vertices, piece.joint)
    else:
        vertices = (mesh.vertices - piece.grip) @ rotation("z", heading).T + posed.carry(piece.grip, piece.joint)
    return Mesh(vertices, mesh.faces, mesh.coords, mesh.part)


@cache
def _smoother(space_id: int, count: int) -> csr_array:
    """The mean over a vertex's neighbours, as a matrix (V, V)."""
    faces = _SPACES[space_id].faces
    a, b = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    links = csr_array((np.ones(2 * len(a), dtype=np.float32), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
    links.data[:] = 1
    return csr_array(links.multiply(1 / np.maximum(links.sum(1), 1)[:, None]))


_SPACES: dict[int, BodySpace] = {}


def _smooth(space: BodySpace, vertices: Array, amount: Array, rounds: int) -> Array:
    """Relax vertices towards their neighbours, each by its amount (V,) in [0, 1]."""
    _SPACES[id(space)] = space
    matrix = _smoother(id(space), len(vertices))
    for _ in range(rounds):
        vertices = vertices + amount[:, None] * (matrix @ vertices - vertices)
    return vertices.astype(np.float32)


def _dress(space: BodySpace, look: Look, bare: Array) -> tuple[Array, Array]:
    """Vertices of the body with clothes on (V, 3), and the coordinates that they are painted by (V, 5)."""
    _, y, z, arm, leg = space.canonical.T
    trunk = (arm <= 0.05) & (z < NECK + 0.02) & ((z < 1.47) | (y > -0.08))  # not the chin
    covered = (trunk | (arm > 0) & (arm < look.sleeve) | (leg > 0)).astype(np.float32)
    rounds = 6 + int(look.thick * 400)
    relax = covered * np.where(trunk, 0.6, 0.35).astype(np.float32)
    both = _smooth(space, np.hstack([bare, space.canonical[:, :3]]), relax, rounds)  # patterns go with the cloth
    vertices, coords = both[:, :3], np.hstack([both[:, 3:], space.canonical[:, 3:]])
    vertices = _loose_fists(space, vertices, arm)
    offset = _cloth_offset(look, space.canonical) + _head_offset(look, space.canonical)
    out = vertices + offset[:, None] * vertex_normals(vertices, space.faces)
    return out.astype(np.float32), coords.astype(np.float32)


def _loose_fists(space: BodySpace, vertices: Array, arm: Array) -> Array:
    """Hands at rest are spread like stars; people in streets let their fingers hang together."""
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
    """How far cloth stands off the body (V,), metres."""
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


SHAFT = {"sneakers": 0.085, "shoes": 0.075, "high": 0.125, "boots": 0.21}  # canonical height of a shoe's upper edge


def _shoes(look: Look, figure: Figure) -> list[Piece]:
    """Shoes: at every height the convex hull of the foot above it, so that toes do not show, on a flat sole."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outward = np.stack([np.cos(angle), np.sin(angle)], -1)
    slope = np.stack([-outward[:, 1], outward[:, 0]], -1)
    shaft = SHAFT[look.shoes]
    heights = [-0.014, -0.014, 0.012, 0.016, 0.03, 0.045, 0.06, *np.linspace(0.07, shaft, 4)]
    margins = [-0.02, 0.007, 0.010, 0.006, 0.006, 0.005, 0.003, 0.002, 0.002, 0.002, 0.003]
    pieces = []
    for side, sign in (("L", 1), ("R", -1)):
        foot = (figure.space.weights[:, JOINT[f"foot.{side}"]] > 0.3) | (
            (figure.space.canonical[:, 4] > 1.2) & (sign * figure.space.canonical[:, 0] > 0)
        )
        points = figure.vertices[foot & (figure.space.canonical[:, 2] < shaft + 0.05)]
        heel = np.median(points[:, :2], axis=0)
        reach = (points[:, :2] - heel) @ outward.T
        rings: list[Array] = []
        for height, margin in zip(heights, margins, strict=True):
            near = points[:, 2] > min(height, 0.8 * shaft) - 0.012
            near &= points[:, 2] < height + 0.06
            h = reach[near].max(0) + margin if rings else np.full(len(angle), 0.005)
            h = 0.5 * h + 0.25 * (np.roll(h, 1) + np.roll(h, -1))
            turn = (np.roll(h, -1) - np.roll(h, 1)) / (2 * (angle[1] - angle[0]))
            flat = heel + h[:, None] * outward + turn[:, None] * slope
            rings.append(np.column_stack([flat, np.full(len(flat), height)]))
        mesh = grid_mesh(f32(rings), "shoe", closed=True)
        coords = mesh.coords.copy()
        coords[:, :3] = mesh.vertices - [heel[0], heel[1], 0]
        pieces.append(Piece(Mesh(mesh.vertices, mesh.faces, coords, "shoe"), f"foot.{side}"))
    return pieces


VOLUME = {"buzz": 0.004, "short": 0.014, "curly": 0.036, "long": 0.016, "bob": 0.018, "ponytail": 0.007, "bun": 0.007}


def hairline(canonical: Array) -> Array:
    """Canonical height above which hair grows (N,): high over the face, low at the nape."""
    y = canonical[:, 1]
    return np.interp(y, [-0.15, -0.115, -0.075, -0.03, 0.01, 0.05], [1.738, 1.728, 1.662, 1.632, 1.575, 1.545])


def _head_offset(look: Look, canonical: Array) -> Array:
    """Hair, hats and hoods as a thicker head (V,), metres."""
    z = canonical[:, 2]
    above = z - hairline(canonical).astype(np.float32)
    grown = smoothstep(-0.005, 0.025, above) * (0.75 + 0.5 * noise(canonical[:, :3], 0.03, look.texture))
    hair = VOLUME.get(look.hair, 0.0) * grown
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
    """How far behind the opening of a hood a point of the head lies, metres (N,)."""
    x, y, z = canonical[:, :3].T
    opening = np.sqrt((x / 0.075) ** 2 + ((z - 1.635) / 0.105) ** 2)
    return np.where(y > -0.05, 0.1, (opening - 1) * 0.08).astype(np.float32)


def _hair(look: Look, figure: Figure) -> list[Piece]:
    if look.headwear in ("hood", "scarf"):
        return []
    head, s = figure.at("head"), figure.scale
    back = head + f32([0, 0.085, 0.075]) * s
    if look.hair == "bun":
        return [Piece(blob(back + f32([0, 0.035, 0.03]), (0.045, 0.04, 0.042), "hair"), "head")]
    if look.hair == "ponytail":
        tie = blob(back + f32([0, 0.015, 0.0]), (0.025, 0.025, 0.025), "hair")
        tail = blob(back + f32([0, 0.045, -0.13]), (0.032, 0.028, 0.15), "hair")
        return [Piece(tie, "head"), Piece(tail, "head")]
    if look.hair not in ("long", "bob"):
        return []
    end = 0.02 if look.hair == "bob" else 0.02 - 0.20 * (0.6 + (look.texture % 100) / 100)
    rows = np.linspace(0.12, end - 0.07, 9)  # heights against the head's joint
    angle = np.linspace(-1.95, 1.95, 21)  # 0 is backwards; the face stays free
    ring = []
    for h in rows:
        low = float(smoothstep(0.02, -0.12, f32(h)))
        inside = 0.03 * float(smoothstep(0.03, 0.12, f32(h)))  # the upper end is under the hair of the head
        wide, deep = 0.086 + 0.024 * low - inside, 0.095 + 0.01 * low - inside
        cy = -0.01 + 0.035 * low
        lift = 0.008 * np.cos(9 * angle + look.texture)
        x, y = wide * np.sin(angle), cy + deep * np.cos(angle)
        ring.append(np.stack([x + lift, y + lift, np.full_like(angle, h)], -1))
    points = f32(ring) * s + head
    return [Piece(grid_mesh(points.astype(np.float32), "hair", closed=False), "head")]


def _headwear(look: Look, figure: Figure) -> list[Piece]:
    head, s = figure.at("head"), figure.scale
    if look.headwear == "cap":
        brim = blob(head + f32([0, -0.135, 0.098]) * s, (0.075, 0.075, 0.008), "hat")
        return [Piece(brim, "head")]
    if look.top == "hoodie" and look.headwear != "hood":
        lump = blob(figure.at("neck") + f32([0, 0.075, -0.01]) * s, (0.10, 0.05, 0.06), "cloth")
        return [Piece(lump, "chest")]
    return []


def _bags(look: Look, figure: Figure) -> list[Piece]:
    size, side = look.bag_size, 1 if look.bag_side == "L" else -1
    pieces = []
    trunk = (figure.space.canonical[:, 3] <= 0.05) & (figure.space.canonical[:, 2] < 1.5)
    if look.bag == "backpack":
        chest, neck = figure.at("chest"), figure.at("neck")
        z = chest[2] + 0.25 * (neck[2] - chest[2])
        near = trunk & (np.abs(figure.vertices[:, 2] - z) < 0.12)
        back = figure.vertices[near, 1].max()
        deep = 0.068 * size
        main = f32([0, back + deep * 0.8, z])
        pieces.append(Piece(blob(main, (0.128 * size, deep, 0.195 * size), "bag", boxy=2.2), "chest"))
        pocket = main + f32([0, deep * 0.95, -0.09 * size])
        pieces.append(Piece(blob(pocket, (0.095 * size, 0.03, 0.08 * size), "bag2", boxy=2.2), "chest"))
    if look.bag in ("shoulder", "crossbody"):
        hip = figure.at(f"upperleg.{look.bag_side}")
        near = trunk & (np.abs(figure.vertices[:, 2] - hip[2] - 0.02) < 0.08)
        out = np.abs(figure.vertices[near, 0]).max()
        centre = f32([side * (out + 0.005), hip[1] + 0.03, hip[2] + 0.01])
        radii = (0.045, 0.135 * size, 0.11 * size) if look.bag == "shoulder" else (0.035, 0.10 * size, 0.08 * size)
        pieces.append(Piece(blob(centre, radii, "bag", boxy=2.5), "pelvis"))
    if look.bag == "handbag":
        hand = _palm(figure, look.bag_side)
        centre = hand + f32([0, 0, -0.22 * size])
        pieces.append(
            Piece(blob(centre, (0.04, 0.125 * size, 0.095 * size), "bag", boxy=2.5), f"hand.{look.bag_side}", hand)
        )
        for shift in (-0.07, 0.07):
            strap = blob(hand + f32([0, shift * size, -0.07 * size]), (0.008, 0.008, 0.08 * size), "bag2", boxy=2)
            pieces.append(Piece(strap, f"hand.{look.bag_side}", hand))
    if look.held in ("phone", "paper"):
        hand = _palm(figure, look.held_side)
        radii = (0.036, 0.008, 0.07) if look.held == "phone" else (0.09, 0.006, 0.12)
        mesh = blob(hand + f32([0, -0.01, 0.03]), radii, look.held, boxy=4)
        pieces.append(Piece(mesh, f"hand.{look.held_side}", grip=hand))
    return pieces


def _palm(figure: Figure, side: str) -> Array:
    wrist, elbow = figure.at(f"hand.{side}"), figure.at(f"lowerarm.{side}")
    return wrist + 0.35 * (wrist - elbow)


def _drapes(look: Look, figure: Figure) -> list[Drape]:
    _, _, z, arm, _ = figure.space.canonical.T
    drapes = []

    def drape(top: float, hem: float, margin: tuple[float, float], gap: float, part: str) -> Drape:
        points = np.flatnonzero((arm <= 0.02) & (z < top + 0.03) & (z > hem - 0.12))[::2]
        s = figure.scale
        return Drape(top * s, (top - hem) * s, margin, gap, part, points)

    if look.bottom == "skirt" and look.top != "dress":
        drapes.append(drape(1.03, look.bottom_end, (0.004, 0.01 + look.bottom_wide), 0.0, "skirt"))
    if look.top == "dress":
        drapes.append(drape(1.08, look.hem, (0.004, 0.02 + 2 * look.thick + 0.3 * look.pattern_size), 0.0, "cloth"))
    if look.top == "coat":
        gap = 0.35 if look.open_front else 0.0
        drapes.append(drape(1.02, look.hem, (look.thick * 0.4, 0.02 + 0.3 * look.thick), gap, "cloth"))
    return drapes


def _fall(drape: Drape, body: Array, posed: Posed, heading: float, scale: float) -> Mesh:
    """Cloth around the legs as they are: every ring is the convex hull of what it hangs around, and a margin.

    The hull comes from its support function h: the point of the hull in direction d is h d + h' d', d' normal to d.
    """
    rows, columns = 12, 40
    pelvis = posed.places[JOINT["pelvis"]]
    top = pelvis[2] + drape.top - posed.rest[JOINT["pelvis"], 2]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False, dtype=np.float32)
    outward = np.stack([np.cos(angle), np.sin(angle)], -1)
    points = body[drape.points]
    reach = (points[:, :2] - pelvis[:2]) @ outward.T  # (points, columns)
    heights = top - drape.length * np.linspace(0, 1, rows, dtype=np.float32)
    support = np.empty((rows, columns), dtype=np.float32)
    for r, height in enumerate(heights):
        near = np.abs(points[:, 2] - height) < 0.07 + 0.03 * r / rows
        share = r / (rows - 1)
        margin = drape.margin[0] * (1 - share) + drape.margin[1] * share
        support[r] = reach[near].max(0) + margin if near.any() else support[r - 1]
        if r:
            support[r] = np.maximum(support[r], support[r - 1] - 0.012)  # cloth falls; it does not cling
    for shift in (1, 2):
        support = 0.5 * support + 0.25 * (np.roll(support, shift, 1) + np.roll(support, -shift, 1))
    slope = (np.roll(support, -1, 1) - np.roll(support, 1, 1)) / (2 * (angle[1] - angle[0]))
    folds = 1 + 0.03 * np.linspace(0, 1, rows)[:, None] * np.cos(7 * angle)
    tangent = np.stack([-outward[:, 1], outward[:, 0]], -1)
    flat = support[..., None] * folds[..., None] * outward + slope[..., None] * tangent + pelvis[:2]
    rings = np.concatenate([flat, np.broadcast_to(heights[:, None, None], (rows, columns, 1))], -1).astype(np.float32)
    front = heading - np.pi / 2  # where the person faces
    away = np.abs((angle - front + np.pi) % (2 * np.pi) - np.pi)
    first = int(away.argmin())
    rings = np.roll(rings, -first, axis=1)
    if drape.gap:
        cut = int(drape.gap / (angle[1] - angle[0])) + 1
        mesh = grid_mesh(np.ascontiguousarray(rings[:, cut : columns - cut + 1]), drape.part, closed=False)
    else:
        mesh = grid_mesh(np.concatenate([rings, rings[:, :1]], 1), drape.part, closed=False)
    coords = mesh.coords.copy()
    turn = coords[:, 0] * 2 * np.pi
    coords[:, 0] = 0.2 * np.sin(turn)  # as if on a body: x and y around it, z along it, metres
    coords[:, 1] = -0.2 * np.cos(turn)
    coords[:, 2] = (drape.top - (1 - coords[:, 2]) * drape.length) / scale
    coords[:, 3:] = -0.2
    return Mesh(mesh.vertices, mesh.faces, coords, drape.part)
