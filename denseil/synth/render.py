"""Draws one frame: people and things as triangles in one depth buffer, lit, before a place, as a sensor sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from denseil.synth.body import Array, f32
from denseil.synth.camera import View
from denseil.synth.figure import Figure
from denseil.synth.gait import stand_or_walk
from denseil.synth.look import Look
from denseil.synth.mesh import Faces, Mesh
from denseil.synth.paint import paint
from denseil.synth.palette import Colour
from denseil.synth.raster import interpolate, noise, rasterize, vertex_normals
from denseil.synth.scene import Light, Place, background

OVERSAMPLE = 2


@dataclass(frozen=True)
class Actor:
    """Meshes of one person at one moment, in the world."""

    look: Look
    meshes: list[Mesh]

    def points(self) -> Array:
        """All vertices (N, 3)."""
        return np.concatenate([mesh.vertices for mesh in self.meshes])


def act(figure: Figure, place: Array, heading: float, phase: float, moving: float) -> Actor:
    """A person at a place (3,) on the ground, at a phase of their step."""
    posed = stand_or_walk(
        figure.fit.joints, figure.look.gait, phase, moving=moving, heading=heading, arms=figure.look.arms()
    )
    meshes = figure.meshes(posed, heading)
    shift = place - f32([*posed.places[0, :2], 0])
    return Actor(figure.look, [Mesh(m.vertices + shift, m.faces, m.coords, m.part) for m in meshes])


Thing = tuple[Mesh, Colour]


def render(
    actors: list[Actor],
    things: list[Thing],
    place: Place,
    light: Light,
    view: View,
    *,
    depth: float,
    height: int,
    width: int,
) -> Array:
    """Linear light (H, W, 3) of one frame.

    Args:
        actors: People; the first is whom the crop is about.
        things: What else stands there.
        place: The background.
        light: The light.
        view: The crop's window.
        depth: Distance of the first person along y, metres.
        height: Rows.
        width: Columns.
    """
    rows, columns = height * OVERSAMPLE, width * OVERSAMPLE
    stage, met = background(place, light, view, depth, height, width)
    for actor in actors:
        stage *= _ground_shadow(actor, light, view, met)[..., None]
    stage = stage.repeat(OVERSAMPLE, 0).repeat(OVERSAMPLE, 1)
    meshes: list[tuple[Look | Colour, Mesh]] = [(actor.look, mesh) for actor in actors for mesh in actor.meshes]
    meshes += [(colour, mesh) for mesh, colour in things]
    vertices, faces, owner = _join([mesh for _, mesh in meshes])
    seen, weights, near = rasterize(view.pixels(vertices, rows, columns), faces, rows, columns)
    hit = np.nonzero(seen >= 0)
    triangles, weights = seen[hit], weights[hit]
    normals = np.concatenate([vertex_normals(mesh.vertices, mesh.faces) for _, mesh in meshes])
    normal = interpolate(normals, faces, triangles, weights)
    point = interpolate(vertices, faces, triangles, weights)
    coords = interpolate(np.concatenate([mesh.coords for _, mesh in meshes]), faces, triangles, weights)
    albedo = np.empty((len(triangles), 3), dtype=np.float32)
    whose = owner[triangles]
    for k, (what, mesh) in enumerate(meshes):
        mine = np.flatnonzero(whose == k)
        if len(mine):
            albedo[mine] = (
                paint(what, mesh.part, coords[mine]) if isinstance(what, Look) else _thing(what, coords[mine])
            )
    sunlit = _sunlit(point, vertices, faces, light)
    stage[hit] = _shade(albedo, normal, point, sunlit, light, view) * _occlusion(near)[hit][:, None]
    return stage.reshape(height, OVERSAMPLE, width, OVERSAMPLE, 3).mean((1, 3))


def _join(meshes: list[Mesh]) -> tuple[Array, Faces, Faces]:
    """One mesh of many: vertices, triangles, and which mesh each triangle is of."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)])
    owner = np.repeat(np.arange(len(meshes), dtype=np.int32), [len(mesh.faces) for mesh in meshes])
    return np.concatenate([mesh.vertices for mesh in meshes]), faces, owner


def _thing(colour: Colour, coords: Array) -> Array:
    return f32(colour) * (0.8 + 0.4 * noise(coords[:, :3], 0.15, 7))[:, None]


def _shade(albedo: Array, normal: Array, point: Array, sunlit: Array, light: Light, view: View) -> Array:
    """Light that leaves points towards the camera (N, 3): sky from above, bounce from below, the sun."""
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    to_camera = f32([0, 0, view.height]) - point
    away = (normal * to_camera).sum(1) < 0  # the inside of a skirt or of hair
    normal = np.where(away[:, None], -normal, normal)
    up = 0.5 + 0.5 * normal[:, 2:]
    ambient = light.sky * up + light.bounce * (1 - up)
    sun = light.sun * (np.clip(normal @ light.towards, 0, None) * sunlit)[:, None]
    return albedo**2.2 * (ambient + sun)


def _sunlit(point: Array, vertices: Array, faces: Faces, light: Light) -> Array:
    """How much of the sun reaches points (N,), from a depth map that the sun sees."""
    size, reach = 192, 2.6  # pixels, metres
    aside = np.cross(light.towards, f32([0, 0, 1]))
    aside /= np.linalg.norm(aside)
    axes = np.stack([aside, np.cross(light.towards, aside), -light.towards]).astype(np.float32)
    centre = point.mean(0) if len(point) else np.zeros(3, dtype=np.float32)
    scale = f32([size / reach, size / reach, 1])
    offset = f32([size / 2, size / 2, 50])
    _, _, depth = rasterize(((vertices - centre) @ axes.T) * scale + offset, faces, size, size)
    seen = ((point - centre) @ axes.T) * scale + offset
    lit = np.zeros(len(point), dtype=np.float32)
    for dx, dy in ((-0.8, 0.3), (0.3, 0.8), (0.8, -0.3), (-0.3, -0.8)):
        column = np.clip(seen[:, 0] + dx, 0, size - 1).astype(np.int32)
        row = np.clip(seen[:, 1] + dy, 0, size - 1).astype(np.int32)
        lit += 0.25 * (seen[:, 2] < depth[row, column] + 0.035)
    return lit


def _occlusion(near: Array) -> Array:
    """Darker where something else is near and in front (H, W)."""
    size = max(5, near.shape[0] // 18)
    filled = np.where(np.isfinite(near), near, np.nanmax(np.where(np.isfinite(near), near, np.nan)))
    hidden = filled - uniform_filter(filled, size)
    return (1 - 0.45 * np.clip(hidden / 0.12, 0, 1)).astype(np.float32)


def _ground_shadow(actor: Actor, light: Light, view: View, met: Array) -> Array:
    """What share of the light reaches the ground around a person (H, W)."""
    height, width = met.shape[:2]
    mesh = actor.meshes[0]
    strength = float(light.sun.mean() * light.towards[2] / (light.sun.mean() * light.towards[2] + light.sky.mean()))
    shade = np.ones((height, width), dtype=np.float32)
    for direction, share, blur in (
        (light.towards, strength, 0.006),
        (f32([0, 0, 1]), 0.45 * (1 - strength), 0.03),
    ):
        flat = mesh.vertices - mesh.vertices[:, 2:] / direction[2] * direction
        seen, _, _ = rasterize(view.pixels(flat, height, width), mesh.faces, height, width)
        mask = gaussian_filter((seen >= 0).astype(np.float32), blur * height + 0.5)
        shade *= 1 - share * mask
    return np.where(np.isnan(met[..., 0]), 1, shade).astype(np.float32)
