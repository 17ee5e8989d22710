"""Data of strips of frames on a page, plain or with the attention on each part of the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from denseil.common.arguments import checked, checked_class
from denseil.viz.attention import Attention

LEAST = 0.1  # share of a level with a strip of its own


@checked_class
@dataclass(frozen=True)
class Strip:
    """Frames of one tracklet, side by side.

    Args:
        label: Short text under the frames, such as the camera.
        pictures: Paths of the frames' images.
        parts: Per frame, how strongly each horizontal part is tinted, from 0 to 1 and top to bottom; empty for no tint.
    """

    label: str
    pictures: Sequence[str]
    parts: Sequence[Sequence[float]] = ()


@checked_class
@dataclass(frozen=True)
class StripRow:
    """One row of a page: a person or a tracklet, with its strips.

    Args:
        name: Title of the row.
        strips: Its strips, in the order to show.
        details: Short texts under the title.
    """

    name: str
    strips: Sequence[Strip]
    details: Sequence[str] = ()


@checked
def attention_strips(attention: Attention) -> list[Strip]:
    """Make a strip of the attention summed over levels, and one of each level with at least a tenth of it.

    In each strip the part with the largest share has the strongest tint, the one with the smallest has none.
    """
    strips = [_strip("all levels", attention.shares.sum(0), attention.frames)]
    for level, shares in zip(attention.levels, attention.shares, strict=True):
        if (share := float(shares.sum())) >= LEAST:
            strips.append(
                _strip(f"{'Z' if level else 'H'}{level or ''}, {100 * share:.0f} %", shares, attention.frames)
            )
    return strips


def _strip(label: str, shares: Tensor, pictures: Sequence[str]) -> Strip:
    """Make the strip of shares (T, P)."""
    low, high = float(shares.min()), float(shares.max())
    scaled = (shares - low) / ((high - low) or 1.0)
    return Strip(f"{label}: {100 * low:.1f} to {100 * high:.1f} % a part", pictures, scaled.tolist())
