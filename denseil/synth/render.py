"""Render the frames of a tracklet: people and things as triangles in one depth buffer, lit, before a place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from denseil.synth.body import Array, f32
from denseil.synth.camera import View
from denseil.synth.figure import Figure
from denseil.synth.gait import stand_or_walk
from denseil.synth.look import Look
from denseil.synth.loops import (
    blur,
    centroid,
    compose,
    face_camera,
    fill_far,
    flatten,
    lit_share,
    looked_up,
    minus,
    scale_rows,
    scale_shift,
    shade,
)
from denseil.synth.mesh import Faces, Mesh
from denseil.synth.paint import paint
from denseil.synth.palette import Colour
from denseil.synth.raster import covered, depth_map, hits, interpolate, noise, rasterize, vertex_normals
from denseil.synth.scene import Light, Place, background

OVERSAMPLE = 2
SUN_SIZE, SUN_REACH = 192, 2.6  # of the depth map that the sun sees: pixels, metres


@dataclass(frozen=True)
class Actor:
    """Meshes of one person at one moment, in the world."""

    look: Look
    meshes: list[Mesh]

    def points(self) -> Array:
        """All vertices (N, 3)."""
        return np.concatenate([mesh.vertices for mesh in self.meshes])


def act(figure: Figure, place: Array, heading: float, phase: float, moving: float) -> Actor:
    """Pose a person at a phase of their step, and place them at a point (3,) on the ground."""
    posed = stand_or_walk(
        figure.fit.joints, figure.look.gait, phase, moving=moving, heading=heading, arms=figure.look.arms()
    )
    meshes = figure.meshes(posed, heading)
    back = f32([*posed.places[0, :2], 0]) - place
    return Actor(figure.look, [Mesh(minus(m.vertices, back), m.faces, m.coords, m.part) for m in meshes])


Thing = tuple[Mesh, Colour]


@dataclass(frozen=True)
class Shot:
    """People at the moment of one frame, and the window that the frame shows.

    Attributes:
        actors: People; the first is whom the crop is about.
        view: The crop's window.
        depth: Distance of the first person along y, metres.
    """

    actors: list[Actor]
    view: View
    depth: float


@dataclass(frozen=True)
class Samples:
    """Visible surface points of a frame; N samples hit a person or a thing.

    Attributes:
        where: Indices of the samples in row order (N,).
        points: Points in the world (N, 3), metres.
        normals: Normals there (N, 3).
        coords: Coordinates for painting (N, 5).
        mesh: Number of the mesh (N,).
        hidden: Distance behind the surroundings (N,) in metres.
        sunlit: Share of the sun that reaches it (N,).
        behind: The background, with the shadows of the people on the ground (H, W, 3), linear light.
    """

    where: Faces
    points: Array
    normals: Array
    coords: Array
    mesh: Faces
    hidden: Array
    sunlit: Array
    behind: Array


def render(
    shots: list[Shot], things: list[Thing], place: Place, light: Light, *, height: int, width: int
) -> list[Array]:
    """Render the linear light (H, W, 3) of each frame of a tracklet.

    Args:
        shots: The frames; all of them have the same people in the same order.
        things: Things that stand there.
        place: The background.
        light: The light.
        height: Rows.
        width: Columns.
    """
    things_meshes = [mesh for mesh, _ in things]
    first = [mesh for actor in shots[0].actors for mesh in actor.meshes] + things_meshes
    faces, owner = _join(first)
    coords = np.concatenate([mesh.coords for mesh in first])
    frames = []
    for shot in shots:
        vertices = np.concatenate([*(actor.points() for actor in shot.actors), *(m.vertices for m in things_meshes)])
        behind, ground = background(place, light, shot.view, shot.depth, height, width)
        for actor in shot.actors:
            behind *= _ground_shadow(actor, light, shot.view, ground)[..., None]
        frames.append(_sample(vertices, faces, owner, coords, light, shot.view, behind))
    whats: list[Look | Colour] = [actor.look for actor in shots[0].actors for _ in actor.meshes]
    whats += [colour for _, colour in things]
    albedo = _paint([(what, mesh.part) for what, mesh in zip(whats, first, strict=True)], frames)
    return [
        compose(frame.behind, frame.where, _shade(mine, frame, light, shot.view), OVERSAMPLE)
        for frame, mine, shot in zip(frames, albedo, shots, strict=True)
    ]


def _join(meshes: list[Mesh]) -> tuple[Faces, Faces]:
    """Triangles of many meshes as one, and which mesh each triangle is of."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)])
    return faces, np.repeat(np.arange(len(meshes), dtype=np.int32), [len(mesh.faces) for mesh in meshes])


def _sample(
    vertices: Array, faces: Faces, owner: Faces, coords: Array, light: Light, view: View, behind: Array
) -> Samples:
    """Find the visible surface points of one frame."""
    rows, columns = behind.shape[0] * OVERSAMPLE, behind.shape[1] * OVERSAMPLE
    seen, weights, near = rasterize(view.pixels(vertices, rows, columns), faces, rows, columns)
    where, triangles, weights = hits(seen, weights)
    normals = vertex_normals(vertices, faces, triangles)
    points, normals, coords = interpolate(vertices, normals, coords, faces, triangles, weights)
    filled = fill_far(near)
    return Samples(
        where=where,
        points=points,
        normals=normals,
        coords=coords,
        mesh=owner[triangles],
        hidden=(filled - uniform_filter(filled, max(5, rows // 18))).reshape(-1)[where],
        sunlit=_sunlit(points, vertices, faces, light),
        behind=behind,
    )


def _paint(meshes: list[tuple[Look | Colour, str]], frames: list[Samples]) -> list[Array]:
    """Colours (N, 3) of the samples of each frame; each look's part is painted once for all frames."""
    coords = np.concatenate([frame.coords for frame in frames])
    mesh = np.concatenate([frame.mesh for frame in frames])
    alike: dict[tuple[int, str], list[int]] = {}  # a look is compared by identity: two passers may be one person
    for number, (what, part) in enumerate(meshes):
        alike.setdefault((id(what), part), []).append(number)
    group = np.empty(len(meshes), dtype=np.uint8)
    for number, numbers in enumerate(alike.values()):
        group[numbers] = number
    of = group[mesh]
    order = np.argsort(of, kind="stable")
    coords, ends = coords[order], np.cumsum(np.bincount(of, minlength=len(alike)))
    colours = np.empty((len(coords), 3), dtype=np.float32)
    for number, numbers in enumerate(alike.values()):
        what, part = meshes[numbers[0]]
        mine = slice(ends[number - 1] if number else 0, ends[number])
        if mine.start < mine.stop:
            colours[mine] = paint(what, part, coords[mine]) if isinstance(what, Look) else _thing(what, coords[mine])
    albedo = np.empty_like(colours)
    albedo[order] = colours
    return np.split(albedo, np.cumsum([len(frame.mesh) for frame in frames[:-1]]))


def _thing(colour: Colour, coords: Array) -> Array:
    return scale_rows(f32([colour]), 0.8 + 0.4 * noise(coords[:, :3], 0.15, 7))


def _shade(albedo: Array, frame: Samples, light: Light, view: View) -> Array:
    """Compute the light from the samples of a frame towards the camera (N, 3)."""
    face_camera(frame.normals, frame.points, view.height)
    facing = frame.normals @ light.towards
    return shade(albedo**2.2, frame.normals, facing, frame.sunlit, light.sun, light.sky, light.bounce, frame.hidden)


def _sunlit(points: Array, vertices: Array, faces: Faces, light: Light) -> Array:
    """Share of the sun that reaches points (N,), from a depth map that the sun sees."""
    size = SUN_SIZE
    aside = np.cross(light.towards, f32([0, 0, 1]))
    aside /= np.linalg.norm(aside)
    axes = np.stack([aside, np.cross(light.towards, aside), -light.towards]).astype(np.float32)
    centre = centroid(points)
    scale = f32([size / SUN_REACH, size / SUN_REACH, 1])
    offset = f32([size / 2, size / 2, 50])
    seen = scale_shift(minus(points, centre) @ axes.T, scale, offset)
    depth = looked_up(seen, size)
    depth_map(scale_shift(minus(vertices, centre) @ axes.T, scale, offset), faces, depth)
    return lit_share(seen, depth)


def _ground_shadow(actor: Actor, light: Light, view: View, ground: NDArray[np.bool_]) -> Array:
    """Compute the share of the light that reaches the ground around a person (H, W)."""
    height, width = ground.shape
    mesh = actor.meshes[0]
    strength = float(light.sun.mean() * light.towards[2] / (light.sun.mean() * light.towards[2] + light.sky.mean()))
    shade = np.ones((height, width), dtype=np.float32)
    for direction, share, softness in (
        (light.towards, strength, 0.006),
        (f32([0, 0, 1]), 0.45 * (1 - strength), 0.03),
    ):
        flat = view.pixels(flatten(mesh.vertices, direction), height, width)
        mask = covered(flat, mesh.faces, height, width)
        if mask.any():
            shade *= 1 - share * blur(mask, _kernel(softness * height + 0.5))
    return np.where(ground, shade, f32(1))


@lru_cache(maxsize=32)
def _kernel(sigma: float) -> Array:
    """Half of a Gaussian kernel (R + 1,), its middle last, that reaches four standard deviations; sigma in pixels."""
    x = np.arange(-int(4.0 * sigma + 0.5), int(4.0 * sigma + 0.5) + 1)
    kernel = np.exp(-0.5 / (sigma * sigma) * x**2)
    return (kernel / kernel.sum())[: len(x) // 2 + 1]
