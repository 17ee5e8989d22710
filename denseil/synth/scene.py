"""Places and their light: a ground, a wall behind it, occluders.

The camera is at x = y = 0 and looks along +y. Every pixel's ray is intersected with the ground and the wall, whose
colours are functions of the intersection in metres, so the place is fixed while people walk through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denseil.synth.body import Array, f32
from denseil.synth.camera import View
from denseil.synth.loops import light_two, meet, scale_rows
from denseil.synth.mesh import Mesh, blob
from denseil.synth.palette import NAMED, Colour, jitter
from denseil.synth.raster import noise

GROUNDS = ("asphalt", "paving", "slabs", "grass", "bricks", "floor")
WALLS = ("bricks", "plain", "windows", "shops", "hedge", "fence", "none")


@dataclass(frozen=True)
class Light:
    """Linear light.

    Attributes:
        towards: Unit vector towards the sun, or the strongest lamp (3,).
        sun: Its strength and colour (3,).
        sky: Light from above (3,).
        bounce: Light from below (3,).
    """

    towards: Array
    sun: Array
    sky: Array
    bounce: Array


def draw_light(rng: np.random.Generator) -> Light:
    """Sample the light of an overcast or sunny day, an evening or a hall."""
    azimuth, height = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(25, 75))
    towards = [np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]
    kind = rng.choice(4, p=[0.45, 0.3, 0.1, 0.15])
    sun, sky = [(0.25, 0.85), (1.5, 0.55), (0.7, 0.35), (0.6, 0.6)][kind]
    warm = [0.0, 0.06, 0.22, 0.12][kind] * rng.uniform(0.5, 1.5)
    cold = [0.04, 0.10, 0.10, -0.06][kind]
    return Light(
        towards=f32(towards),
        sun=f32([1 + warm, 1, 1 - warm]) * f32(sun * rng.uniform(0.7, 1.2)),
        sky=f32([1 - cold, 1, 1 + cold]) * f32(sky * rng.uniform(0.8, 1.2)),
        bounce=f32([1.02, 1, 0.96]) * f32(0.35 * (sky + 0.3 * sun)),
    )


@dataclass(frozen=True)
class Place:
    """Place of a tracklet: sRGB colours, distances in metres, and `tilt`, the wall's angle to the image in radians."""

    ground: str
    ground_colour: Colour
    wall: str
    wall_colour: Colour
    wall_second: Colour
    distance: float
    tilt: float
    tile: float
    turn: float
    seed: int
    stain: float


def draw_place(rng: np.random.Generator) -> Place:
    """Sample a pavement, lawn or hall, with the wall behind it."""
    ground = GROUNDS[rng.choice(len(GROUNDS), p=[0.3, 0.25, 0.15, 0.12, 0.08, 0.1])]
    wall = WALLS[rng.choice(len(WALLS), p=[0.15, 0.15, 0.15, 0.2, 0.12, 0.08, 0.15])]
    grey = rng.uniform(0.22, 0.68)
    base = {"grass": (0.30, 0.38, 0.19), "bricks": (0.48, 0.36, 0.30)}.get(ground, (grey, grey * 0.985, grey * 0.96))
    walls = {"bricks": (0.45, 0.30, 0.25), "hedge": (0.20, 0.28, 0.14)}
    tone = list(NAMED.values())[rng.integers(len(NAMED))]
    pale: Colour = tuple(float(0.62 * 0.6 + 0.4 * c) for c in tone)  # type: ignore[assignment]
    return Place(
        ground=ground,
        ground_colour=jitter(rng, base, 1.2),
        wall=wall,
        wall_colour=jitter(rng, walls.get(wall, pale), 1.2),
        wall_second=jitter(rng, tone, 1.5),
        distance=rng.uniform(1.0, 9.0),
        tilt=rng.normal(0, 0.35),
        tile=rng.uniform(0.2, 0.9),
        turn=rng.uniform(0, np.pi),
        seed=int(rng.integers(1 << 30)),
        stain=rng.uniform(0.1, 0.5),
    )


def background(
    place: Place, light: Light, view: View, behind: float, height: int, width: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Render the background.

    Args:
        place: The place.
        light: Its light.
        view: The window of the image.
        behind: Distance of the person from the camera along y in metres; the wall is `place.distance` further.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        Linear colours (H, W, 3), and whether each pixel shows the ground (H, W).
    """
    rays = view.rays(height, width).reshape(-1, 3)
    cos, sin = np.cos(place.tilt), np.sin(place.tilt)  # NOTE: of double precision, and so is the distance below
    far = 60.0 if place.wall == "none" else 0.0
    points, on_ground = meet(rays, view.height, float((behind + place.distance) * cos), far, cos, sin)
    colour = np.empty_like(points)
    colour[on_ground] = _ground(place, points[on_ground])
    wall = ~on_ground
    along = points[wall, 0] * cos - points[wall, 1] * sin
    colour[wall] = _wall(place, along.astype(np.float32), points[wall, 2])
    albedo = np.clip(colour, 0.01, 0.95) ** 2.2
    on_floor = light.sky + light.sun * light.towards[2]
    on_wall = 0.5 * (light.sky + light.bounce) + light.sun * max(0.0, -float(light.towards[1])) * 0.8
    lit = light_two(albedo, on_ground, on_floor, on_wall)
    if place.wall == "none" and wall.any():  # haze far away, and the sky
        lit[wall] = 0.75 * light.sky * (0.5 + 0.5 * lit[wall] / (lit[wall].mean() + 1e-3))
    return lit.reshape(height, width, 3), on_ground.reshape(height, width)


def _plane(u: Array, v: Array) -> Array:
    return np.stack([u, v, np.zeros_like(u)], -1).astype(np.float32)


def _ground(place: Place, points: Array) -> Array:
    cos, sin = np.cos(place.turn), np.sin(place.turn)
    u, v = points[:, 0] * cos - points[:, 1] * sin, points[:, 0] * sin + points[:, 1] * cos
    shade = 1 + place.stain * (noise(_plane(u, v), 0.7, place.seed) - 0.5)
    far = np.hypot(points[:, 0], points[:, 1])  # fine grain is not resolved far away
    grain = 0.05 if place.ground == "grass" else 0.03
    shade += np.clip(2.5 / far, 0, 1) * 0.3 * (noise(_plane(u, v), grain, place.seed + 1) - 0.5)
    colour = scale_rows(f32([place.ground_colour]), shade)
    if place.ground in ("paving", "slabs", "bricks", "floor"):
        size = {"slabs": 1.6, "bricks": 0.35}.get(place.ground, 1.0) * place.tile
        shifted = u + 0.5 * size * (np.floor(v / size) % 2) * (place.ground != "floor")
        joint = np.minimum(shifted / size % 1, v / size % 1) < 0.05
        colour[joint] *= 0.75
        tint = noise(_plane(np.floor(shifted / size) * 7.3, np.floor(v / size) * 7.3), 1.0, place.seed)
        colour = scale_rows(colour, 0.9 + 0.2 * tint)
    if place.ground == "asphalt" and place.seed % 3 == 0:  # a painted line and a kerb
        colour[np.abs(u - 1.0) < 0.07] = f32([0.75, 0.75, 0.7])
    return colour


def _wall(place: Place, u: Array, z: Array) -> Array:
    shade = 1 + 0.3 * (noise(_plane(u, z), 1.3, place.seed) - 0.5) + 0.1 * (noise(_plane(u, z), 0.08, place.seed) - 0.5)
    colour = scale_rows(f32([place.wall_colour]), shade)
    second = f32(place.wall_second)
    if place.wall == "bricks":
        row = np.floor(z / 0.12)
        joint = (z / 0.12 % 1 < 0.15) | ((u / 0.28 + 0.5 * (row % 2)) % 1 < 0.06)
        colour[joint] = 0.6 * colour[joint] + 0.3
    elif place.wall == "hedge":
        colour *= (0.5 + noise(_plane(u, z), 0.12, place.seed) + 0.5 * noise(_plane(u, z), 0.04, place.seed))[:, None]
    elif place.wall == "fence":
        gaps = u / 0.14 % 1 > 0.35
        colour[gaps & (z < 1.6)] = 0.35 * colour[gaps & (z < 1.6)] + 0.12
    elif place.wall == "windows":
        pane = (np.abs(u / 2.1 % 1 - 0.5) < 0.28) & (np.abs((z - 0.9) / 2.6 % 1 - 0.35) < 0.27)
        glass = 0.18 + 0.35 * noise(_plane(u, z), 0.9, place.seed + 2)
        colour[pane] = glass[pane, None] * f32([0.95, 1.0, 1.08])
    elif place.wall == "shops":
        bay = np.floor(u / 2.4)
        inside = (u / 2.4 % 1 > 0.08) & (z < 2.5) & (z > 0.35)
        goods = noise(_plane(np.floor(u / 0.4) * 3.1, np.floor(z / 0.45) * 3.1), 1.0, place.seed)
        hue = noise(_plane(bay * 5.7, 0 * u), 1.0, place.seed + 3)
        colour[inside] = (0.12 + 0.75 * goods[inside, None]) * (0.5 + 0.5 * second)
        sign = (z >= 2.5) & (z < 3.1)
        colour[sign] = second * (0.5 + hue[sign, None])
    colour[z < 0.12] *= 0.7
    return colour


def draw_prop(rng: np.random.Generator, near: Array, kind: str) -> tuple[Mesh, Colour]:
    """Make an occluder between the camera and a person.

    Args:
        rng: Random generator.
        near: The point on the ground (3,) that it stands in front of.
        kind: "pole", "sign", "car", "bush" or "bin".
    """
    towards = -near / max(float(np.hypot(near[0], near[1])), 1e-6)
    foot = near + towards * rng.uniform(0.6, 1.1)
    size = {"pole": (0.07, 0.07, 3.0), "sign": (0.32, 0.03, 0.4), "car": (1.9, 0.8, 0.42), "bush": (0.45, 0.4, 0.33),
            "bin": (0.24, 0.24, 0.42)}[kind]  # fmt: skip
    scale = rng.uniform(0.8, 1.2)
    radii = (size[0] * scale, size[1] * scale, size[2] * scale)
    lift = radii[2] if kind != "sign" else rng.uniform(0.6, 1.5)
    mesh = blob(foot + f32([0, 0, lift]), radii, kind, boxy=1.2 if kind == "bush" else 4.0)
    grey = rng.uniform(0.12, 0.6)
    colour: Colour = {"bush": (0.18, 0.26, 0.12)}.get(kind, (grey, grey, grey * 1.03))
    if kind in ("car", "sign", "bin"):
        colour = list(NAMED.values())[rng.integers(len(NAMED))]
    return mesh, jitter(rng, colour, 1.5)
