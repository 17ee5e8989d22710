"""Appearance augmentation of clips: other cameras, loose boxes, distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from denseil.common.arguments import checked_class

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # BT.601, as Pillow


@checked_class
@dataclass(frozen=True)
class Appearance:
    """Appearance augmentation, equal for all frames of a clip; the defaults change nothing.

    It is meant for training on data from other cameras than those of the application, such as rendered people. The
    paper does not use it.

    Attributes:
        crop: Largest share that is cut off each side, 0 to below 0.5, like a badly fitting box.
        low_res: Probability of reducing the resolution to 1/4 to 3/4.
        blur: Probability of Gaussian blur of 0.3 to 1.5 pixels.
        jitter: Strength s of the colour jitter: brightness, contrast and saturation within 1 - s to 1 + s, and each
            channel within 1 - s/4 to 1 + s/4.
        gray: Probability of conversion to greyscale.

    Raises:
        ValueError: If a value is out of its range.
    """

    crop: float = 0.0
    low_res: float = 0.0
    blur: float = 0.0
    jitter: float = 0.0
    gray: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.crop < 0.5 and all(0 <= p <= 1 for p in (self.low_res, self.blur, self.jitter, self.gray))):
            raise ValueError(f"crop is 0 to below 0.5, low_res, blur, jitter and gray are 0 to 1; got {self}")

    def sample(self, rng: np.random.Generator) -> ClipAppearance:
        """Sample the parameters of one clip; disabled parts consume no random numbers."""
        sides = rng.uniform(0, self.crop, 4) if self.crop else np.zeros(4)
        scale = rng.uniform(0.25, 0.75) if self.low_res and rng.random() < self.low_res else 1.0
        blur = rng.uniform(0.3, 1.5) if self.blur and rng.random() < self.blur else 0.0
        gains = 1 + self.jitter * rng.uniform(-1, 1, 6) if self.jitter else np.ones(6)
        gains[3:] = 1 + (gains[3:] - 1) / 4
        if self.gray and rng.random() < self.gray:
            gains[2] = 0.0
        return ClipAppearance(tuple(sides), float(scale), float(blur), gains.astype(np.float32))


@dataclass(frozen=True, eq=False)
class ClipAppearance:
    """Parameters of the appearance of one clip, sampled by `Appearance.sample`.

    Attributes:
        sides: Shares cut off at the top, the bottom, the left and the right.
        scale: Scale of the reduced resolution.
        blur: Radius of the blur in pixels.
        gains: (6,) gains of brightness, contrast, saturation, red, green and blue.
    """

    sides: tuple[float, ...]
    scale: float
    blur: float
    gains: NDArray[np.float32]

    def crop(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut the sides of a frame (H, W, 3)."""
        height, width = frame.shape[:2]
        top, bottom = int(self.sides[0] * height), height - int(self.sides[1] * height)
        left, right = int(self.sides[2] * width), width - int(self.sides[3] * width)
        return frame[top:bottom, left:right]

    def degrade(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Reduce the resolution of a frame (H, W, 3), and blur it."""
        if self.scale == 1 and not self.blur:
            return frame
        image = Image.fromarray(np.ascontiguousarray(frame))
        if self.scale != 1:
            small = (max(1, round(self.scale * image.width)), max(1, round(self.scale * image.height)))
            image = image.resize(small, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)
        if self.blur:
            image = image.filter(ImageFilter.GaussianBlur(self.blur))
        return np.array(image)

    def tint(self, clip: NDArray[np.uint8]) -> None:
        """Change the colours of a clip (T, H, W, 3) in place."""
        if (self.gains == 1).all():
            return
        brightness, contrast, saturation = self.gains[:3]
        matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * LUMA  # row: what makes a channel
        matrix = brightness * contrast * self.gains[3:, None] * matrix
        mean = brightness * float((clip.reshape(-1, 3)[::7].astype(np.float32) @ LUMA).mean())
        colours = clip.astype(np.float32) @ matrix.T + (1 - contrast) * mean
        np.clip(colours, 0, 255, out=colours)
        clip[:] = np.rint(colours).astype(np.uint8)
