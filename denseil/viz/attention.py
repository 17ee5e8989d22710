"""Dense attention summed by level, frame and part, for pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from denseil.common.arguments import checked, checked_class
from denseil.data import read_frame, sample_even
from denseil.data.images import resize_image
from denseil.models import ClipModel, unwrap
from denseil.models.attention_maps import AttentionMap


@checked_class
@dataclass(frozen=True)
class Attention:
    """Share of the attention on each part of each frame, by level.

    Args:
        levels: Level of each row of `shares`: 0 for the decoder's own tokens, 1 to 4 for the encoder's stages.
        shares: (L, T, P), summing to 1.
        frames: Paths of the T frames' images, or empty.
    """

    levels: tuple[int, ...]
    shares: Tensor
    frames: tuple[str, ...] = ()

    @property
    def cells(self) -> list[tuple[str, float, list[list[tuple[float, float]]]]]:
        """Return for each level its name, its share, and per frame its parts as (share, strength from 0 to 1)."""
        largest = float(self.shares.max()) or 1.0
        return [
            (
                f"Z{level}" if level else "H",
                float(rows.sum()),
                [[(share, share / largest) for share in parts] for parts in rows.tolist()],
            )
            for level, rows in zip(self.levels, self.shares, strict=True)
        ]


@torch.inference_mode()
@checked
def attend(model: nn.Module, frames: Sequence[str], *, block: int = -1) -> Attention:
    """Compute a block's dense attention on a clip of evenly spaced frames of a tracklet.

    An unreadable frame is replaced by its neighbour, as in `evaluate` (see `denseil.data.read_frame`).

    Args:
        model: A model in eval mode.
        frames: Paths of the tracklet's crops.
        block: Index of the decoder block, from 0; the last one by default.

    Raises:
        ValueError: If the model has no dense attention (`depth=0`, or another fusion), or no such block, or no frame
            can be read.
    """
    model = unwrap(model)
    if not isinstance(model, ClipModel) or not model.fused_levels:
        raise ValueError("the model has no dense attention to show: its depth is 0, or its fusion another")
    prepared = model.preprocessing
    positions = sample_even(len(frames), prepared.clip_len).tolist()
    paths = tuple(frames[position] for position in positions)
    pixels = np.stack([resize_image(read_frame(frames, at, name=frames[0]), prepared.size) for at in positions])
    clip = prepared.normalize(torch.from_numpy(pixels).movedim(-1, -3))[None]
    maps = model.attention_maps(clip.to(next(model.parameters())))
    if not -len(maps) <= block < len(maps):
        raise ValueError(f"block={block}: the model has {len(maps)} blocks, numbered from 0")
    return attention_by_frame(maps[block], 0, paths)


@checked
def attention_by_frame(attention: AttentionMap, clip: int = 0, frames: tuple[str, ...] = ()) -> Attention:
    """Average the dense attention of one clip over heads and queries.

    Args:
        attention: The weights of one block, an element of `model.attention_maps(clips)`.
        clip: Index of the clip in the batch.
        frames: Paths of the clip's T frames, or empty.

    Raises:
        ValueError: If the clip does not exist, or the number of paths is not T.
    """
    if not 0 <= clip < len(attention.weights):
        raise ValueError(f"clip is {clip}; the attention is of {len(attention.weights)} clips")
    of_key = attention.weights[clip].float().mean(dim=(0, 1)).cpu()  # (K,)
    level, frame, part = (labels.cpu() for labels in (attention.level, attention.frame, attention.part))
    levels, row = level.unique(return_inverse=True)
    num_frames, num_parts = int(frame.max()) + 1, int(part.max()) + 1
    if frames and len(frames) != num_frames:
        raise ValueError(f"{len(frames)} pictures for {num_frames} frames; give one a frame")
    shares = torch.zeros(len(levels), num_frames, num_parts)
    shares.index_put_((row, frame, part), of_key, accumulate=True)
    return Attention(tuple(levels.tolist()), shares, frames)
