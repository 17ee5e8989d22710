"""Agreement of the embeddings of an optimised model with those of the original."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from denseil.common.arguments import checked
from denseil.common.text import counted


@dataclass(frozen=True)
class Agreement:
    """Agreement of two models' embeddings of the same clips.

    Embeddings are centred first by subtracting their mean over all clips, because a common component would hide
    differences.

    Attributes:
        mean_cosine: Cosine of the centred embeddings, mean over clips.
        min_cosine: The smallest of these cosines.
        same_neighbour: The share of clips whose nearest other clip, by cosine, is the same.
        clips: Number of clips compared.
    """

    mean_cosine: float
    min_cosine: float
    same_neighbour: float
    clips: int

    def __str__(self) -> str:
        return (
            f"centred cosine {self.mean_cosine:.4f} (least {self.min_cosine:.4f}), "
            f"same nearest neighbour {self.same_neighbour:.0%}, on {counted(self.clips, 'clip')}"
        )


@checked
def agreement(expected: Tensor, found: Tensor) -> Agreement:
    """Compare embeddings (B, D) of the same B >= 3 clips. Non-finite values make every figure 0.

    Raises:
        ValueError: If there are fewer than 3 clips, or the shapes differ.
    """
    if expected.shape != found.shape or len(expected) < 3:
        raise ValueError(f"compare at least 3 clips: got {tuple(expected.shape)} and {tuple(found.shape)}")
    if not found.isfinite().all():
        return Agreement(0.0, 0.0, 0.0, len(found))
    expected, found = expected.cpu().double(), found.cpu().double()  # some devices have no double precision
    cosine = F.cosine_similarity(expected - expected.mean(0), found - found.mean(0))
    same = (_nearest(expected) == _nearest(found)).double().mean()
    return Agreement(cosine.mean().item(), cosine.min().item(), same.item(), len(found))


def _nearest(vectors: Tensor) -> Tensor:
    unit = F.normalize(vectors)
    return (unit @ unit.T).fill_diagonal_(-2).argmax(1)


def patterns(size: tuple[int, int], count: int = 16, frames: int = 2) -> Tensor:
    """Sample clips (count, frames, 3, H, W) that differ as normalised images do: a coarse colour pattern and noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, 8, 4, generator=generator)
    smooth = F.interpolate(coarse, size=size, mode="bicubic")
    return smooth[:, None] + 0.1 * torch.randn(count, frames, 3, *size, generator=generator)
