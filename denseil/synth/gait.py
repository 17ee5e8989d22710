"""Gait: joint angles over the phase of a step, after curves from gait laboratories."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, exp, pi, sin

import numpy as np

from denseil.synth.body import Array, Posed, pose, rotation


@dataclass(frozen=True)
class Gait:
    """Parameters of a person's gait; factors around 1 unless a unit is given.

    Attributes:
        stride: Length of the step.
        cadence: Full cycles (two steps) per second.
        arms: Swing of the arms.
        elbow: Bend of the elbows, radians.
        sway: Turn of hips and shoulders.
        lean: Lean of the trunk, radians, forward is positive.
        slouch: Bend of the upper back and neck, radians.
        width: Spread of the legs, radians.
        spread: Arms held off the body, radians.
    """

    stride: float
    cadence: float
    arms: float
    elbow: float
    sway: float
    lean: float
    slouch: float
    width: float
    spread: float


def draw_gait(rng: np.random.Generator) -> Gait:
    """Sample a gait."""
    return Gait(
        stride=rng.uniform(0.7, 1.15),
        cadence=rng.uniform(0.8, 1.05),
        arms=rng.uniform(0.3, 1.15),
        elbow=rng.uniform(0.0, 0.35),
        sway=rng.uniform(0.5, 1.6),
        lean=rng.normal(0.03, 0.03),
        slouch=rng.uniform(0.0, 0.25),
        width=rng.normal(0.0, 0.02),
        spread=rng.uniform(0.05, 0.2),
    )


def _bump(t: float, centre: float, width: float) -> float:
    """Bell-shaped function on the circle of phases [0, 1)."""
    distance = (t - centre + 0.5) % 1 - 0.5
    return exp(-((distance / width) ** 2))


def _leg(t: float, stride: float) -> tuple[float, float, float]:
    """Return the flexion of hip, knee and ankle in radians at phase t of one leg; 0 is heel contact."""
    hip = 0.07 + 0.38 * cos(2 * pi * t + 0.25)
    knee = 0.06 + 0.22 * _bump(t, 0.14, 0.09) + 0.95 * _bump(t, 0.70, 0.13)
    ankle = -0.08 * _bump(t, 0.07, 0.05) + 0.16 * _bump(t, 0.42, 0.13) - 0.12 * _bump(t, 0.63, 0.07)
    return hip * stride, knee * stride, ankle * stride


def stand_or_walk(joints: Array, gait: Gait, t: float, *, moving: float, heading: float, arms: dict[str, str]) -> Posed:
    """Pose a body at a phase of its step.

    Args:
        joints: Joints at rest (J, 3).
        gait: The person's way to walk.
        t: Phase in cycles.
        moving: 1 walks, 0 stands.
        heading: Direction of the walk in radians; 0 faces -y.
        arms: Pose of an arm that does not swing, by side L or R: "phone", "hold", "carry" or "pocket".
    """
    swing = 2 * pi * t
    turn = gait.sway * 0.10 * moving * cos(swing)
    sway = gait.sway * 0.028 * (moving * sin(swing) + (1 - moving) * 1.0)
    turns: dict[str, Array] = {
        "spine": rotation("z", -0.6 * turn) @ rotation("y", 0.6 * sway) @ rotation("x", gait.lean),
        "belly": rotation("z", -0.6 * turn) @ rotation("y", 0.4 * sway),
        "chest": rotation("z", -0.8 * turn) @ rotation("x", 0.6 * gait.slouch),
        "neck": rotation("z", 0.6 * turn) @ rotation("x", 0.5 * gait.slouch),
        "head": rotation("z", 0.4 * turn) @ rotation("x", -0.8 * gait.slouch - gait.lean),
    }
    for side, sign, phase in (("L", 1, t), ("R", -1, t + 0.5)):
        hip, knee, ankle = _leg(phase % 1, gait.stride * moving)
        turns[f"upperleg.{side}"] = rotation("x", -hip) @ rotation("y", sign * (0.065 - gait.width) - sway)
        turns[f"lowerleg.{side}"] = rotation("x", knee)
        turns[f"foot.{side}"] = rotation("x", -ankle)
        turns.update(_arm(side, sign, cos(2 * pi * (phase + 0.5)), gait, moving, arms.get(side, "")))
    root = rotation("z", heading) @ rotation("z", turn) @ rotation("y", -sway)
    return pose(joints, turns, root)


def _arm(side: str, sign: int, forward: float, gait: Gait, moving: float, does: str) -> dict[str, Array]:
    """Return the rotations of one arm; at rest the forearm is bent forward by about 0.75 rad."""
    down = 0.78 - gait.spread
    if does == "phone":  # forearm folded up: the hand before the chest
        return _bent(side, sign, lower=down, raised=0.15, inward=0.50, elbow=1.55)
    if does == "hold":  # a paper or a cup at the belly
        return _bent(side, sign, lower=down, raised=0.12, inward=0.40, elbow=0.75)
    if does == "pocket":
        return _bent(side, sign, lower=down - 0.12, raised=-0.25, inward=0.10, elbow=0.05)
    reach = 0.25 if does == "carry" else 1.0
    angle = gait.arms * moving * reach * (0.34 * forward + 0.05)
    elbow = -0.62 + gait.elbow * (0.4 if does == "carry" else 1.0) + 0.25 * moving * reach * max(forward, 0) * gait.arms
    return _bent(side, sign, lower=down, raised=angle, inward=0.0, elbow=elbow)


def _bent(side: str, sign: int, *, lower: float, raised: float, inward: float, elbow: float) -> dict[str, Array]:
    upper = rotation("z", -sign * inward) @ rotation("x", -raised) @ rotation("y", sign * lower)
    # The forearm bends in the plane of the arm that hangs: turn there, bend, and turn back.
    fore = rotation("y", -sign * lower) @ rotation("x", -elbow) @ rotation("y", sign * lower)
    return {f"upperarm.{side}": upper, f"lowerarm.{side}": fore}
