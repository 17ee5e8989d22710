"""Parts besides the body's surface: shoes, long hair, brims, bags, carried things; each moves with one joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from denseil.synth.body import JOINT, Array, Posed, f32, rotation
from denseil.synth.cloth import Fitting, smoothstep
from denseil.synth.hair import hair_mesh
from denseil.synth.look import Look
from denseil.synth.mesh import Mesh, blob, grid_mesh


@dataclass(frozen=True)
class Piece:
    """A mesh that moves with one joint.

    Attributes:
        mesh: The mesh at rest.
        joint: The joint.
        grip: Point (3,) at rest at which it is held; it stays upright then.
        share: How much each vertex goes with the joint (N,), rather than with the chest; None for entirely.
    """

    mesh: Mesh
    joint: str
    grip: Array | None = None
    share: Array | None = None

    def carried(self, posed: Posed, heading: float) -> Mesh:
        """Move the mesh with the joint of a posed body."""
        mesh = self.mesh
        if self.grip is None:
            vertices = posed.carry(mesh.vertices, self.joint)
            if self.share is not None:
                chest = posed.carry(mesh.vertices, "chest")
                vertices = (chest + self.share[:, None] * (vertices - chest)).astype(np.float32)
        else:
            vertices = (mesh.vertices - self.grip) @ rotation("z", heading).T + posed.carry(self.grip, self.joint)
        return Mesh(vertices, mesh.faces, mesh.coords, mesh.part)


def pieces(look: Look, fit: Fitting, version: int) -> list[Piece]:
    """Make all pieces of a person, as of a version of the pictures."""
    hair = _natural_hair if version >= 3 else _hair
    return [*_shoes(look, fit), *hair(look, fit), *_headwear(look, fit), *_bags(look, fit)]


SHAFT = {"sneakers": 0.085, "shoes": 0.075, "high": 0.125, "boots": 0.21}  # canonical height of a shoe's upper edge


def _shoes(look: Look, fit: Fitting) -> list[Piece]:
    """Make shoes: at every height the convex hull of the foot above it, which hides toes, on a flat sole."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outward = np.stack([np.cos(angle), np.sin(angle)], -1)
    slope = np.stack([-outward[:, 1], outward[:, 0]], -1)
    left, right = np.arange(len(angle)) - 1, np.arange(len(angle)) + 1 - len(angle)  # neighbours on a ring
    shaft = SHAFT[look.shoes]
    heights = [-0.014, -0.014, 0.012, 0.016, 0.03, 0.045, 0.06, *np.linspace(0.07, shaft, 4)]
    margins = [-0.02, 0.007, 0.010, 0.006, 0.006, 0.005, 0.003, 0.002, 0.002, 0.002, 0.003]
    pieces = []
    for side, sign in (("L", 1), ("R", -1)):
        foot = (fit.space.weights[:, JOINT[f"foot.{side}"]] > 0.3) | (
            (fit.space.canonical[:, 4] > 1.2) & (sign * fit.space.canonical[:, 0] > 0)
        )
        points = fit.vertices[foot & (fit.space.canonical[:, 2] < shaft + 0.05)]
        heel = np.median(points[:, :2], axis=0)
        reach = (points[:, :2] - heel) @ outward.T
        rings: list[Array] = []
        for height, margin in zip(heights, margins, strict=True):
            near = points[:, 2] > min(height, 0.8 * shaft) - 0.012
            near &= points[:, 2] < height + 0.06
            h = reach[near].max(0) + margin if rings else np.full(len(angle), 0.005)
            h = 0.5 * h + 0.25 * (h[left] + h[right])
            turn = (h[right] - h[left]) / (2 * (angle[1] - angle[0]))
            flat = heel + h[:, None] * outward + turn[:, None] * slope
            rings.append(np.column_stack([flat, np.full(len(flat), height)]))
        mesh = grid_mesh(f32(rings), "shoe", closed=True)
        coords = mesh.coords.copy()
        coords[:, :3] = mesh.vertices - [heel[0], heel[1], 0]
        pieces.append(Piece(Mesh(mesh.vertices, mesh.faces, coords, "shoe"), f"foot.{side}"))
    return pieces


def _hair(look: Look, fit: Fitting) -> list[Piece]:
    if look.headwear in ("hood", "scarf"):
        return []
    head, s = fit.at("head"), fit.scale
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


def _natural_hair(look: Look, fit: Fitting) -> list[Piece]:
    found = hair_mesh(look, fit)
    if found is None:
        return []
    pieces = [Piece(found[0], "head", share=found[1])]
    if look.hair == "bun":
        low = 0.02 if look.headwear else 0.105  # under a hat or above the nape
        knot = fit.at("head") + f32([0, 0.105, low]) * fit.scale
        pieces.append(Piece(blob(knot, (0.045, 0.04, 0.042), "hair"), "head"))
    return pieces


def _headwear(look: Look, fit: Fitting) -> list[Piece]:
    head, s = fit.at("head"), fit.scale
    if look.headwear == "cap":
        brim = blob(head + f32([0, -0.135, 0.098]) * s, (0.075, 0.075, 0.008), "hat")
        return [Piece(brim, "head")]
    if look.top == "hoodie" and look.headwear != "hood":
        lump = blob(fit.at("neck") + f32([0, 0.075, -0.01]) * s, (0.10, 0.05, 0.06), "cloth")
        return [Piece(lump, "chest")]
    return []


def _bags(look: Look, fit: Fitting) -> list[Piece]:
    size, side = look.bag_size, 1 if look.bag_side == "L" else -1
    pieces = []
    trunk = (fit.space.canonical[:, 3] <= 0.05) & (fit.space.canonical[:, 2] < 1.5)
    if look.bag == "backpack":
        chest, neck = fit.at("chest"), fit.at("neck")
        z = chest[2] + 0.25 * (neck[2] - chest[2])
        near = trunk & (np.abs(fit.vertices[:, 2] - z) < 0.12)
        back = fit.vertices[near, 1].max()
        deep = 0.068 * size
        main = f32([0, back + deep * 0.8, z])
        pieces.append(Piece(blob(main, (0.128 * size, deep, 0.195 * size), "bag", boxy=2.2), "chest"))
        pocket = main + f32([0, deep * 0.95, -0.09 * size])
        pieces.append(Piece(blob(pocket, (0.095 * size, 0.03, 0.08 * size), "bag2", boxy=2.2), "chest"))
    if look.bag in ("shoulder", "crossbody"):
        hip = fit.at(f"upperleg.{look.bag_side}")
        near = trunk & (np.abs(fit.vertices[:, 2] - hip[2] - 0.02) < 0.08)
        out = np.abs(fit.vertices[near, 0]).max()
        centre = f32([side * (out + 0.005), hip[1] + 0.03, hip[2] + 0.01])
        radii = (0.045, 0.135 * size, 0.11 * size) if look.bag == "shoulder" else (0.035, 0.10 * size, 0.08 * size)
        pieces.append(Piece(blob(centre, radii, "bag", boxy=2.5), "pelvis"))
    if look.bag == "handbag":
        hand = _palm(fit, look.bag_side)
        centre = hand + f32([0, 0, -0.22 * size])
        pieces.append(
            Piece(blob(centre, (0.04, 0.125 * size, 0.095 * size), "bag", boxy=2.5), f"hand.{look.bag_side}", hand)
        )
        for shift in (-0.07, 0.07):
            strap = blob(hand + f32([0, shift * size, -0.07 * size]), (0.008, 0.008, 0.08 * size), "bag2", boxy=2)
            pieces.append(Piece(strap, f"hand.{look.bag_side}", hand))
    if look.held in ("phone", "paper"):
        hand = _palm(fit, look.held_side)
        radii = (0.036, 0.008, 0.07) if look.held == "phone" else (0.09, 0.006, 0.12)
        mesh = blob(hand + f32([0, -0.01, 0.03]), radii, look.held, boxy=4)
        pieces.append(Piece(mesh, f"hand.{look.held_side}", grip=hand))
    return pieces


def _palm(fit: Fitting, side: str) -> Array:
    wrist, elbow = fit.at(f"hand.{side}"), fit.at(f"lowerarm.{side}")
    return wrist + 0.35 * (wrist - elbow)
