"""Cameras, and the boxes of a detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from denseil.synth.body import Array
from denseil.synth.loops import extent, plane, to_pixels


@dataclass(frozen=True)
class View:
    """A window of a pinhole camera's image plane, at depth 1: u to the right, v downwards.

    Attributes:
        height: Height of the camera above the ground in metres.
        pitch: Downward angle in radians.
        window: Left, top, right and bottom of the crop in the image plane.
    """

    height: float
    pitch: float
    window: tuple[float, float, float, float] = (-1.0, -1.0, 1.0, 1.0)

    def plane(self, points: Array) -> Array:
        """Project points (N, 3) to u, v and depth in metres (N, 3)."""
        return plane(points, self.height, float(np.cos(self.pitch)), float(np.sin(self.pitch)))

    def pixels(self, points: Array, height: int, width: int) -> Array:
        """Project points (N, 3) to column, row and depth (N, 3) in a crop of H x W pixels."""
        left, top, right, bottom = self.window
        uvd = self.plane(points)
        to_pixels(uvd, left, top, right - left, bottom - top, height, width)
        return uvd

    def rays(self, height: int, width: int) -> Array:
        """Compute the directions of the crop's pixels in the world (H, W, 3), not normalised."""
        left, top, right, bottom = self.window
        u = left + (np.arange(width, dtype=np.float32) + 0.5) / width * (right - left)
        v = top + (np.arange(height, dtype=np.float32) + 0.5) / height * (bottom - top)
        u, v = np.broadcast_to(u, (height, width)), np.broadcast_to(v[:, None], (height, width))
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        return np.stack([u, cos - v * sin, -sin - v * cos], -1).astype(np.float32)


@dataclass(frozen=True)
class BoxNoise:
    """Errors of a detector's boxes, as shares of the person's height.

    Attributes:
        shift: Standard deviation of the centre, per tracklet.
        shake: Standard deviation of the centre, per frame.
        scale: Standard deviation of the log of the height.
        cut: Probability that a tracklet's boxes cut feet or head.
    """

    shift: float
    shake: float
    scale: float
    cut: float


def draw_boxes(rng: np.random.Generator, noise: BoxNoise, frames: int) -> Array:
    """Sample errors of a tracklet's boxes (frames, 4): shift right, shift down, log scale of height and width.

    The errors of consecutive frames are correlated.
    """
    still = rng.normal(0, [noise.shift * 0.6, noise.shift, noise.scale, noise.scale])
    if rng.random() < noise.cut:
        still[1] += rng.choice([-1, 1], p=[0.65, 0.35]) * rng.uniform(0.06, 0.2)  # up: the feet are cut
    step = rng.normal(0, [noise.shake, noise.shake, noise.shake, noise.shake], size=(frames, 4))
    for t in range(1, frames):
        step[t] = 0.8 * step[t - 1] + 0.6 * step[t]
    return (still + step).astype(np.float32)


def box_window(uvd: Array, error: Array) -> tuple[float, float, float, float]:
    """Compute the window of a detector's box.

    Args:
        uvd: The person's points in the image plane (N, 3), as `View.plane` gives them.
        error: One row of `draw_boxes` (4,).
    """
    low, high = extent(uvd)
    tall = float(high[1] - low[1])
    wide = max(float(high[0] - low[0]) * 1.08, 0.36 * tall)
    centre = (low + high) / 2 + error[:2] * tall
    half_height = 0.53 * tall * float(np.exp(error[2]))
    half_width = 0.5 * (0.65 * wide + 0.35 * 0.46 * tall) * float(np.exp(error[2] + error[3]))
    return (
        float(centre[0]) - half_width,
        float(centre[1]) - half_height,
        float(centre[0]) + half_width,
        float(centre[1]) + half_height,
    )
