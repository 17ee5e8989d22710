"""Cropping, resizing and blurring of many clips at once, by one matrix per axis and clip.

Pillow's bilinear resize and Gaussian blur are linear along each axis. So cutting sides off, resizing back, low
resolution and blur of a clip are one matrix for its columns and one for its rows, which differ from Pillow's result
only by its rounding to uint8 in between.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resize_matrix(start: Tensor, length: Tensor, out: Tensor, *, rows: int, columns: int) -> Tensor:
    """Build matrices of Pillow's bilinear resize of an interval of pixels, with antialiasing.

    Args:
        start: (B,) first pixel of the interval.
        length: (B,) length in pixels.
        out: (B,) length of the result in pixels, at most `rows`.
        rows: Rows of the matrices; those past `out` are zero.
        columns: Columns, the pixels of the whole axis.

    Returns:
        (B, rows, columns) float32.
    """
    start, length, out = (value.float()[:, None, None] for value in (start, length, out))
    scale = length / out
    support = scale.clamp(min=1)
    row = torch.arange(rows, device=start.device, dtype=torch.float32)[:, None]
    column = torch.arange(columns, device=start.device, dtype=torch.float32)
    centre = start + (row + 0.5) * scale  # (B, rows, 1)
    weights = (1 - (column + 0.5 - centre).abs() / support).clamp(min=0)
    weights = weights * ((column >= start) & (column < start + length) & (row < out))
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Build matrices of Pillow's Gaussian blur: three box blurs of fractional radius (Gwosdek et al., 2011).

    Args:
        sigma: (B,) radius in pixels, above 0.
        size: Pixels of the axis.

    Returns:
        (B, size, size) float32.
    """
    variance = sigma.float() ** 2 / 3
    whole = ((12 * variance + 1).sqrt() / 2 - 0.5).floor()
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    radius = (whole + part)[:, None, None]
    place = torch.arange(size, device=sigma.device, dtype=torch.float32)
    reach = int(whole.max()) + 1 if len(sigma) else 1
    offsets = torch.arange(-reach, reach + 1, device=sigma.device, dtype=torch.float32)
    weights = (radius[..., 0] + 1 - offsets.abs()).clamp(0, 1) / (2 * radius[..., 0] + 1)  # (B, offsets)
    source = (place[:, None] + offsets).clamp(0, size - 1)  # (size, offsets)
    box = torch.zeros(len(sigma), size, size, dtype=torch.float32, device=sigma.device)
    box.scatter_add_(2, source.long().expand(len(sigma), -1, -1), weights[:, None].expand(-1, size, -1).contiguous())
    return box @ box @ box


def axis_matrix(start: Tensor, length: Tensor, scale: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Build the matrices of an axis: an interval resized to the whole axis, then low resolution, then blur.

    Args:
        start: (B,) first pixel that is kept.
        length: (B,) pixels that are kept.
        scale: (B,) scale of the reduced resolution; 1 for none.
        sigma: (B,) radius of the blur; 0 for none.
        size: Pixels of the axis.

    Returns:
        (B, size, size) float32.
    """
    whole = torch.full_like(length, size)
    matrix = resize_matrix(start, length, whole, rows=size, columns=size)
    low = (scale < 1).nonzero()[:, 0]
    if len(low):
        small = (scale[low].double() * size).round().clamp(min=1).long()
        zero = torch.zeros_like(small)
        down = resize_matrix(zero, whole[low], small, rows=size, columns=size)
        up = resize_matrix(zero, small, whole[low], rows=size, columns=size)
        matrix[low] = up @ (down @ matrix[low])
    blurred = (sigma > 0).nonzero()[:, 0]
    if len(blurred):
        matrix[blurred] = blur_matrix(sigma[blurred], size) @ matrix[blurred]
    return matrix
