"""Shadows, things in front of people and sensor noise are in the pictures."""

from dataclasses import replace

import numpy as np
import pytest

from denseil.synth import People, Recipe
from denseil.synth.body import f32
from denseil.synth.camera import View
from denseil.synth.mesh import blob, grid_mesh
from denseil.synth.passage import Passage
from denseil.synth.render import Actor, _ground_shadow, _sunlit
from denseil.synth.scene import Light

PEOPLE = People(Recipe(num_ids=12, difficulty="hard", frames=1, seed=3))


def sun_from(x: float) -> Light:
    towards = f32([x, 0, 1]) / np.float32(np.hypot(x, 1))
    return Light(towards, f32([1.5, 1.5, 1.5]), f32([0.3, 0.3, 0.3]), f32([0.2, 0.2, 0.2]))


def plate(z: float, size: float) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-size, size, 9), np.linspace(-size, size, 9))
    return np.stack([x, y, np.full_like(x, z)], -1).astype(np.float32)


def test_a_plate_in_the_sun_shades_what_lies_below_it():
    upper, lower = grid_mesh(plate(1.0, 0.2), "body", closed=False), grid_mesh(plate(0.5, 0.6), "body", closed=False)
    vertices = np.concatenate([upper.vertices, lower.vertices])
    faces = np.concatenate([upper.faces, lower.faces + np.int32(len(upper.vertices))])
    points = f32([[0, 0, 1.0], [-0.15, 0, 0.5], [-0.5, 0, 0.5], [0.5, 0.0, 0.5]])  # the first is on the upper plate
    assert _sunlit(points, vertices, faces, sun_from(0.3)).tolist() == [1, 0, 1, 1]
    assert _sunlit(points, vertices, faces, sun_from(1.0)).tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_shadow_on_the_ground_lies_away_from_the_sun(side: float):
    someone = PEOPLE.figure(PEOPLE.identities[0]).look
    body = Actor(someone, [blob(f32([0, 6, 0.9]), (0.2, 0.2, 0.9), "body")])
    ground = np.ones((64, 64), dtype=bool)
    ground[:4] = False
    view = View(2.0, 0.2, (-0.4, -0.4, 0.4, 0.4))
    shade = _ground_shadow(body, sun_from(side), view, ground)
    assert shade.min() < 0.6
    assert (shade[:4] == 1).all()  # what is not the ground has none
    dark = np.argwhere(shade < 0.7)[:, 1].mean() - 31.5
    assert dark * side < -2


def occluded() -> tuple[Passage, object]:
    return next(
        (passage, PEOPLE.figure(take.identity))
        for take in PEOPLE.all_takes()
        if (passage := PEOPLE.passage(take)).props
    )


def test_what_is_said_to_stand_in_front_of_a_person_does():
    passage, figure = occluded()
    assert passage.truth()["occluded"]
    free = replace(passage, props=[])
    pictures = [np.asarray(p.render(figure, height=128, width=64)[0], dtype=float) for p in (passage, free)]
    assert (np.abs(pictures[0] - pictures[1]).max(-1) > 25).mean() > 0.03


def test_a_noisy_sensor_gives_noisy_pictures():
    passage, figure = occluded()
    sharp = replace(passage.sensor, lines=1000.0, noise=0.0)
    pictures = [
        np.asarray(replace(passage, sensor=sensor).render(figure, height=128, width=64)[0], dtype=float)
        for sensor in (sharp, replace(sharp, noise=0.05))
    ]
    inside = (pictures[0] > 40) & (pictures[0] < 215)  # where noise is not clipped
    assert (pictures[1] - pictures[0])[inside].std() == pytest.approx(0.05 * 255, rel=0.1)
