"""Photographed faces: where a point is on a map, whose skin is chosen, and what it shows."""

from dataclasses import replace

import numpy as np
import pytest

from denseil.synth import People, Recipe
from denseil.synth.body import body_space
from denseil.synth.heads import AXIS, HIGH, LOW, MAP, STYLES, _skin, face, heads, look_up, map_place, style
from denseil.synth.look import Look, draw_look
from denseil.synth.paint_head import natural_head


def someone(seed: int = 0, **fields: object) -> Look:
    return replace(draw_look(np.random.default_rng(seed), body_space()), **fields)


def at(*places: tuple[float, float, float]) -> np.ndarray:
    return np.array([[*place, -0.2, -0.2] for place in places], dtype=np.float32)


def test_the_front_is_in_the_middle_of_a_map_and_the_left_ear_right_of_it():
    middle = (LOW + HIGH) / 2
    places = map_place(at((0, -0.15, middle), (0.08, AXIS, middle), (0, -0.15, LOW), (0, 0.05, HIGH)))
    assert places[0] == pytest.approx([MAP[0] / 2, MAP[1] / 2, -0.15 * -1 + AXIS], abs=1e-3)
    assert places[1, 1] == pytest.approx(MAP[1] * 3 / 4, abs=1e-3)
    assert places[2, 0] > MAP[0] - 0.01
    assert places[3, 0] < 0.01


def test_a_map_is_read_bilinearly_and_without_a_seam_at_the_back():
    rows, columns = np.mgrid[: MAP[0], : MAP[1]].astype(np.float32)
    row, column = 30.25, 40.75  # pixel centres are at halves
    angle = ((column / MAP[1]) - 0.5) * 2 * np.pi
    point = at((0.1 * np.sin(angle), AXIS - 0.1 * np.cos(angle), HIGH - row / MAP[0] * (HIGH - LOW)))
    assert look_up(rows, point)[0] == pytest.approx(row - 0.5, abs=1e-3)
    assert look_up(columns, point)[0] == pytest.approx(column - 0.5, abs=1e-3)
    back = np.cos((columns + 0.5) / MAP[1] * 2 * np.pi)  # the same on both sides of the back
    left, right = look_up(back, at((1e-5, 0.1, 1.6), (-1e-5, 0.1, 1.6)))
    assert left == pytest.approx(right, abs=1e-3)
    assert left == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_the_skin_suits_complexion_and_sex(seed: int):
    look = someone(seed)
    age, origin, sex = heads().names[_skin(look)].split("_")
    assert sex == ("female" if look.female else "male")
    assert (origin == "african") == (np.dot(look.skin, (0.3, 0.59, 0.11)) < 0.40)
    assert (age == "old") == (body_space().phenotypes[look.body, 1] >= 0.85)


def test_every_skin_has_two_eyes_and_a_face_brighter_than_they_are():
    assert len(heads().names) == 18
    for skin in heads().skins:
        cheeks, eyes = at((0.04, -0.13, 1.61), (-0.04, -0.13, 1.61)), at((0.031, -0.13, 1.648), (-0.031, -0.13, 1.648))
        bright = skin.mean(-1)
        around = [look_up(bright, eyes + np.float32([0, 0, dz, 0, 0])) for dz in np.linspace(-0.012, 0.012, 7)]
        assert (np.min(around, axis=0) < 0.75 * look_up(bright, cheeks)).all()


def test_a_face_has_the_person_s_complexion():
    for seed in range(6):
        look = someone(seed, hair="bald", beard=False, headwear="")
        cheeks = at((0.045, -0.12, 1.60), (-0.045, -0.12, 1.60), (0.04, -0.12, 1.61), (-0.04, -0.12, 1.61))
        assert np.abs(natural_head(look, cheeks).mean(0) / look.skin - 1).max() < 0.25
        assert face(look, cheeks).shape == (4, 3)


def test_hair_under_a_hood_or_shorn_has_no_shape_and_no_braid_lies_under_thick_cloth():
    assert style(someone(hair="long", headwear="hood")) == ""
    assert style(someone(hair="bald", headwear="")) == style(someone(hair="buzz", headwear="")) == ""
    assert {style(someone(hair="long", headwear="", thick=0.03, texture=t << 7)) for t in range(6)} == {"long01"}
    assert {style(someone(hair="long", headwear="", thick=0.01, texture=t << 7)) for t in range(6)} == set(
        STYLES["long"]
    )
    assert set(heads().hair) >= {name for names in STYLES.values() for name in names}


def test_version_3_has_the_labels_of_version_2_and_differs_in_the_head_alone():
    two, three = (People(Recipe(12, frames=1, seed=4, difficulty="easy", version=v)) for v in (2, 3))
    assert two.checksum() == three.checksum()
    changed = np.zeros(128)
    for identity in two.identities:
        take = two.takes(identity)[0]
        before, after = (np.asarray(p.render(take)[0], dtype=float) for p in (two, three))
        changed += np.abs(before - after).mean((1, 2))
    assert changed[:32].mean() > 3 * changed[64:].mean()
