"""Augmentation of a batch of clips as tensor operations, on any device.

The random parameters are those of `ClipTransform.sample`, so a batch equals the loader's for the same seed: to the bit
where frames are only mirrored, moved and erased; within Pillow's rounding to uint8 where they are resampled or tinted,
except that contrast is changed about the mean of all pixels, in the loader of every seventh.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denseil.data.appearance import LUMA
from denseil.data.resampling import axis_matrix
from denseil.data.transforms import ClipAugmentation

CHUNK = 8  # clips at a time on a CPU, so that intermediate results stay in its cache


def augment_batch(frames: Tensor, chosen: Sequence[ClipAugmentation], fill: tuple[int, int, int]) -> Tensor:
    """Augment the clips of a batch.

    Args:
        frames: (B, T, 3, H, W) uint8, already of the training's size.
        chosen: The random parameters of each clip.
        fill: Colour of erased boxes, RGB 0 to 255.

    Returns:
        (B, T, 3, H, W) uint8, each frame channels last in memory.
    """
    size = CHUNK if frames.device.type == "cpu" else len(frames)
    out = torch.empty(frames.movedim(2, -1).shape, dtype=torch.uint8, device=frames.device)  # (B, T, H, W, 3)
    for start in range(0, len(frames), size):
        part = slice(start, start + size)
        out[part] = _augment(frames[part], chosen[part], fill).movedim(2, -1)
    return out.movedim(-1, 2)


def _augment(frames: Tensor, chosen: Sequence[ClipAugmentation], fill: tuple[int, int, int]) -> Tensor:
    frames = _resample(frames, chosen)
    frames = _mirror_and_move(frames, chosen)
    frames = _tint(frames, chosen)
    if any(each.box is not None for each in chosen):
        colour = put(torch.tensor(fill, dtype=torch.uint8), frames.device)
        frames = torch.where(_boxes(frames, chosen), colour[:, None, None], frames)
    return frames


def _resample(frames: Tensor, chosen: Sequence[ClipAugmentation]) -> Tensor:
    """Cut sides off, resize back, show at low resolution, blur."""
    drawn = [each.appearance for each in chosen]
    wanted = [index for index, each in enumerate(drawn) if any(each.sides) or each.scale != 1 or each.blur]
    if not wanted:
        return frames
    height, width = frames.shape[-2:]
    sides = np.array([drawn[index].sides for index in wanted])
    first, last = (sides[:, [0, 2]] * (height, width)).astype(int), (sides[:, [1, 3]] * (height, width)).astype(int)
    scale = torch.tensor([drawn[index].scale for index in wanted], dtype=torch.float64)
    sigma = torch.tensor([drawn[index].blur for index in wanted], dtype=torch.float32)

    def matrix(axis: int, size: int) -> Tensor:
        start, length = first[:, axis], size - last[:, axis] - first[:, axis]
        made = axis_matrix(torch.from_numpy(start), torch.from_numpy(length), scale, sigma, size)
        return put(made, frames.device)

    down, across = matrix(0, height), matrix(1, width)  # (B, H, H), (B, W, W)
    every = len(wanted) == len(frames)
    rows = put(torch.tensor(wanted), frames.device)
    clips = (frames if every else frames.index_select(0, rows)).permute(0, 3, 1, 2, 4)  # (B, H, T, 3, W)
    shape = clips.shape
    clips = down @ clips.float().contiguous().flatten(2)  # (B, H, T * 3 * W)
    clips = clips.view(len(wanted), -1, width) @ across.mT  # (B, H * T * 3, W)
    clips = clips.add_(0.5).clamp_(0, 255).to(torch.uint8).view(shape).permute(0, 2, 3, 1, 4)  # (B, T, 3, H, W)
    if every:
        return clips
    return frames.index_copy(0, rows, clips)


def _mirror_and_move(frames: Tensor, chosen: Sequence[ClipAugmentation]) -> Tensor:
    """Mirror single frames, then move each clip; pixels from outside are black."""
    mirrored = put(torch.from_numpy(np.stack([each.mirrored for each in chosen])), frames.device)
    if any(each.mirrored.any() for each in chosen):
        frames = torch.where(mirrored[:, :, None, None, None], frames.flip(-1), frames)
    if not any(each.down or each.right for each in chosen):
        return frames
    for axis, moves in ((-2, [each.down for each in chosen]), (-1, [each.right for each in chosen])):
        size = frames.shape[axis]
        source = torch.arange(size) - torch.tensor(moves)[:, None]  # (B, size)
        shape = [len(chosen), 1, 1, 1, 1]
        shape[axis] = size
        inside = put(((source >= 0) & (source < size)).view(shape), frames.device)
        source = put(source.clamp(0, size - 1).view(shape), frames.device)
        frames = frames.gather(axis, source.expand(frames.shape)) * inside
    return frames


def _tint(frames: Tensor, chosen: Sequence[ClipAugmentation]) -> Tensor:
    """Change brightness, contrast, saturation and channels of the clips; the black border stays."""
    gains = np.stack([each.appearance.gains for each in chosen])  # (B, 6)
    if (gains == 1).all():
        return frames
    height, width = frames.shape[-2:]
    brightness, contrast, saturation = gains[:, :3].T[..., None, None]  # (B, 1, 1) each
    matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * LUMA
    matrix = brightness * contrast * gains[:, 3:, None] * matrix  # (B, 3, 3)
    inside = np.stack([_inside(each, height, width) for each in chosen])  # (B, H, W)
    share = (brightness * (1 - contrast))[:, 0, 0] / (inside.sum((1, 2)) * frames.shape[1])

    def sent(array: NDArray[Any]) -> Tensor:
        return put(torch.from_numpy(array), frames.device)

    colours = frames.float()  # (B, T, 3, H, W)
    grey = (colours.sum((1, 3, 4)) * sent(LUMA)).sum(1)  # (B,), over all frames
    offset = (grey * sent(share.astype(np.float32)))[:, None, None] * sent(inside)  # (B, H, W)
    red, green, blue = colours.unbind(2)  # (B, T, H, W)
    tinted = torch.stack(
        [
            torch.addcmul(torch.addcmul(torch.addcmul(offset[:, None], r, red), g, green), b, blue)
            for r, g, b in sent(matrix).permute(1, 2, 0)[..., None, None, None]
        ],
        dim=2,
    )
    changed = sent((gains != 1).any(1))[:, None, None, None, None]
    return torch.where(changed, tinted.round_().clamp_(0, 255).to(torch.uint8), frames)


def _inside(each: ClipAugmentation, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a frame that the moved clip covers."""
    rows, columns = np.arange(height) - each.down, np.arange(width) - each.right
    return np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))


def _boxes(frames: Tensor, chosen: Sequence[ClipAugmentation]) -> Tensor:
    """Return the mask of the erased boxes, (B, 1, 1, H, W)."""
    top, left, h, w = torch.tensor([each.box or (0, 0, 0, 0) for each in chosen]).T[..., None]  # (B, 1) each
    rows, columns = (torch.arange(size) for size in frames.shape[-2:])
    in_rows, in_columns = (rows >= top) & (rows < top + h), (columns >= left) & (columns < left + w)
    return put((in_rows[:, :, None] & in_columns[:, None])[:, None, None], frames.device)


def put(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without waiting for its pending work."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
