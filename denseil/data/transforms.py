"""Augmentation of whole uint8 clips, and their normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denseil.common import imagenet
from denseil.common.arguments import checked, checked_class
from denseil.data.appearance import Appearance, ClipAppearance
from denseil.data.images import resize_image


class ClipAugmentation(NamedTuple):
    """The random parameters of one clip, sampled by `ClipTransform.sample`.

    Attributes:
        down: Pixels by which its frames are moved down.
        right: Pixels by which they are moved to the right.
        mirrored: (T,) bool, which frames are mirrored.
        appearance: Its crop, resolution, blur and colours.
        box: Top, left, height and width of the erased box; None for none.
    """

    down: int
    right: int
    mirrored: NDArray[np.bool_]
    appearance: ClipAppearance
    box: tuple[int, int, int, int] | None


@checked_class
@dataclass(frozen=True)
class ClipTransform:
    """Resize, mirror, shift and erase the frames of a clip, all in uint8.

    With the size alone it only resizes, as for testing. `ClipTransform.training(size)` is the paper's augmentation
    (Section 4.2): each frame is mirrored independently, and one box is erased in all frames of a clip. Padding and
    cropping, which the paper does not mention but its base code has, use one offset per clip.

    Attributes:
        size: Height and width in pixels, those of the model: `model.pretrained_cfg["input_size"][1:]`.
        flip: Probability that a frame is mirrored.
        pad: Black border in pixels, added before a random crop of `size`.
        erase: Probability that a box is erased (Zhong et al., 2020: 2 to 40 % of the area, aspect ratio 0.3 to 3.3).
        fill: Colour of erased boxes, RGB 0 to 255. The mean colour becomes zero after normalisation.
        appearance: Appearance augmentation; not in the paper.
    """

    size: tuple[int, int]
    flip: float = 0.0
    pad: int = 0
    erase: float = 0.0
    fill: tuple[int, int, int] = (124, 116, 104)
    appearance: Appearance = Appearance()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.pad < 0 or not (0 <= self.flip <= 1 and 0 <= self.erase <= 1):
            raise ValueError(f"size is positive, pad not negative, flip and erase are probabilities; got {self}")
        if not all(0 <= value <= 255 for value in self.fill):
            raise ValueError(f"fill={self.fill}: a colour is 0 to 255 (of a mean, which is 0 to 1, 255 times that)")

    @classmethod
    def training(cls, size: tuple[int, int], *, mean: Sequence[float] = imagenet.MEAN) -> ClipTransform:
        """Build the paper's augmentation.

        Args:
            size: Height and width in pixels, those of the model: `model.pretrained_cfg["input_size"][1:]`.
            mean: Colour of erased boxes, the model's `pretrained_cfg["mean"]`.
        """
        red, green, blue = (round(255 * value) for value in mean)
        return cls(size, flip=0.5, pad=10, erase=0.5, fill=(red, green, blue))

    def __call__(self, frames: Iterable[NDArray[np.uint8]], rng: np.random.Generator, out: NDArray[np.uint8]) -> None:
        """Write transformed frames into `out`.

        Args:
            frames: T arrays (H, W, 3) of any sizes, read one at a time, so they may share memory.
            rng: Random generator.
            out: Array (T, *size, 3), overwritten.
        """
        chosen = self.sample(len(out), rng)
        out[:, _outside(chosen.down)] = 0
        out[:, :, _outside(chosen.right)] = 0
        targets = out[:, _inside(chosen.down), _inside(chosen.right)]
        source = _inside(-chosen.down), _inside(-chosen.right)
        appearance = chosen.appearance
        for frame, target, mirror in zip(frames, targets, chosen.mirrored, strict=True):
            image = appearance.degrade(resize_image(appearance.crop(frame), self.size))
            if mirror:
                image = torch.from_numpy(image).flip(1).numpy()  # SIMD; numpy's reversed copy takes ten times as long
            target[:] = image[source]
        appearance.tint(targets)
        if chosen.box is not None:
            top, left, h, w = chosen.box
            out[:, top : top + h, left : left + w] = np.full((h, w, 3), self.fill, dtype=np.uint8)

    def sample(self, num_frames: int, rng: np.random.Generator) -> ClipAugmentation:
        """Sample the random parameters of one clip, independently of its pixels."""
        down, right = rng.integers(-self.pad, self.pad + 1, 2).tolist()
        mirrored = rng.random(num_frames) < self.flip
        appearance = self.appearance.sample(rng)
        box = self._sample_box(rng) if rng.random() < self.erase else None
        return ClipAugmentation(down, right, mirrored, appearance, box)

    def _sample_box(self, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
        """Sample the box to erase. As published, nothing is erased if 100 boxes in a row do not fit."""
        height, width = self.size
        for _ in range(100):
            area, aspect = rng.uniform(0.02, 0.4) * height * width, rng.uniform(0.3, 1 / 0.3)
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < h < height and 0 < w < width:
                return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
        return None


def _inside(shift: int) -> slice:
    """Return the slice of one axis that an image moved by `shift` pixels still covers."""
    return slice(shift, None) if shift >= 0 else slice(None, shift)


def _outside(shift: int) -> slice:
    """Return the slice that it no longer covers."""
    return slice(None, shift) if shift >= 0 else slice(shift, None)


@lru_cache(maxsize=8)
def _affine(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return factor and summand of each channel; cached, because every creation on a device would wait for it."""
    with torch.inference_mode(False):
        centre, spread = (torch.tensor(values, dtype=torch.float32, device=device) for values in (mean, std))
        return 1 / (255 * spread), -centre / spread


@checked
def normalize(clips: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise uint8 pixels for a model: (pixel / 255 - mean) / std, on the clips' device.

    Args:
        clips: (..., 3, H, W) uint8.
        mean: Mean per channel, as in `model.pretrained_cfg["mean"]`.
        std: Standard deviation per channel, as in `model.pretrained_cfg["std"]`.

    Returns:
        Float32 of the same shape and memory format.

    Raises:
        TypeError: If the clips are not uint8: they may be normalised already.
    """
    if clips.dtype != torch.uint8:
        raise TypeError(f"normalize takes uint8 pixels, got {clips.dtype}")
    scale, shift = _affine(tuple(mean), tuple(std), clips.device)
    if clips.stride(-3) == 1:  # channels last, as the loader gives: run over rows of W x 3, not over 3 values at a time
        rows = clips.movedim(-3, -1)
        width = rows.shape[-2]
        rows = torch.addcmul(shift.repeat(width), rows.flatten(-2).float(), scale.repeat(width))
        return rows.reshape(*rows.shape[:-1], width, 3).movedim(-1, -3)
    return torch.addcmul(shift[:, None, None], clips.float(), scale[:, None, None])
