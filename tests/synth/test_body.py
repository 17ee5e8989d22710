"""Bodies, skeleton and gait."""

import numpy as np
import pytest

from denseil.synth.body import JOINT, JOINTS, PARENTS, body_space, pose, rotation
from denseil.synth.gait import draw_gait, stand_or_walk

SPACE = body_space()


def test_every_body_is_a_teenager_or_older_and_as_tall():
    ages, heights = SPACE.phenotypes[:, 1], [np.ptp(SPACE.rest(body)[0][:, 2]) for body in range(0, 2048, 16)]
    assert ages.min() > 0.5  # 1/3 is a child, 2/3 is 25 years
    assert min(heights) > 1.48
    assert max(heights) < 2.0
    assert len(np.unique(np.round(heights, 3))) > 60


def test_every_joint_hangs_on_one_before_it():
    assert PARENTS[0] == -1
    assert all(0 <= parent < j for j, parent in enumerate(PARENTS[1:], start=1))


def test_no_turn_leaves_a_body_where_it_is():
    vertices, joints = SPACE.rest(3)
    posed = pose(joints, {}, np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(posed.skin(vertices, SPACE.weights), vertices, atol=1e-5)


def test_turning_the_root_is_a_rigid_motion():
    vertices, joints = SPACE.rest(5)
    turned = pose(joints, {}, rotation("z", 0.7)).skin(vertices, SPACE.weights)
    pelvis = joints[JOINT["pelvis"]]
    np.testing.assert_allclose(turned - pelvis, (vertices - pelvis) @ rotation("z", 0.7).T, atol=1e-5)


def test_limbs_keep_their_length_in_every_step():
    _, joints = SPACE.rest(9)
    gait = draw_gait(np.random.default_rng(0))
    for t in np.linspace(0, 1, 9):
        posed = stand_or_walk(joints, gait, float(t), moving=1.0, heading=1.0, arms={"L": "phone"})
        for j, parent in enumerate(PARENTS[1:], start=1):
            assert np.linalg.norm(posed.places[j] - posed.places[parent]) == pytest.approx(
                np.linalg.norm(joints[j] - joints[parent]), abs=1e-4
            ), JOINTS[j]


def test_feet_alternate():
    _, joints = SPACE.rest(9)
    gait = draw_gait(np.random.default_rng(0))
    ahead = []
    for t in (0.0, 0.5):
        posed = stand_or_walk(joints, gait, t, moving=1.0, heading=0.0, arms={})
        ahead.append(posed.places[JOINT["foot.R"], 1] - posed.places[JOINT["foot.L"], 1])
    assert ahead[0] > 0.3  # the left heel touches the ground, in front: towards -y
    assert ahead[1] < -0.3


def test_a_phone_is_held_near_the_chest_not_at_arms_length():
    for body in range(0, 200, 20):
        _, joints = SPACE.rest(body)
        gait = draw_gait(np.random.default_rng(body))
        posed = stand_or_walk(joints, gait, 0.2, moving=1.0, heading=0.0, arms={"L": "phone"})
        hand, chest, elbow = (posed.places[JOINT[name]] for name in ("hand.L", "chest", "lowerarm.L"))
        assert hand[2] > elbow[2]
        assert chest[1] - hand[1] < 0.45  # metres before the spine
