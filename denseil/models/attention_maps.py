"""Attention maps of a model, with a label on every key."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionMap:
    """The Dense Attention weights of one decoder block, with a label on every key (the source of Figure 4).

    Attributes:
        weights: (B, heads, T * P, K); the queries run over (frame, part). The last axis sums to 1.
        level: (K,) int64, the encoder level 1..4 of each key, 0 for H^r.
        frame: (K,) int64, the position 0..T-1 of the key's frame in the clip.
        part: (K,) int64, the key's part 0..P-1, top to bottom.
    """

    weights: Tensor
    level: Tensor
    frame: Tensor
    part: Tensor


def label_keys(blocks: Sequence[Tensor], levels: Sequence[int], frames: int, parts: int) -> list[AttentionMap]:
    """Label the keys of every block's weights (B, heads, T * P, K).

    Args:
        blocks: The weights; keys run over (level, frame, part), then over H^r's (frame, part).
        levels: Encoder levels of the keys, ascending.
        frames: T.
        parts: P.
    """
    device = blocks[0].device
    axes = torch.meshgrid(
        torch.tensor([*levels, 0], device=device),
        torch.arange(frames, device=device),
        torch.arange(parts, device=device),
        indexing="ij",
    )
    keys = blocks[0].shape[-1]  # without attend_self, H^r's keys, the last, are absent
    level, frame, part = (axis.flatten()[:keys] for axis in axes)
    return [AttentionMap(block, level, frame, part) for block in blocks]
