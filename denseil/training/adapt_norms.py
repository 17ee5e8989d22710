"""Batch-norm statistics blended with those of unlabelled data (stage 1 of `adapt`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from denseil.common.modes import evaluating
from denseil.data import ClipDataset, Tracklet
from denseil.models import unwrap
from denseil.models.interface import Preprocessing, preprocessing_of
from denseil.training.config import TrainConfig

BatchNorm: TypeAlias = nn.modules.batchnorm._BatchNorm

BATCH = 32  # clips per batch
MOST = 512  # clips in all: means and variances of a channel do not need more
PRIOR = 48  # the model's own statistics count as much as those of this many clips


def recipe_for(frames: Preprocessing) -> TrainConfig:
    """Return the recipe of the packaged weights, for frames of a model's size."""
    height, width = frames.size
    return TrainConfig.from_recipe("people", height=height, width=width, pad=height // 32)


def share_of(count: int) -> float:
    """Compute the weight of the statistics of some clips, with the model's as a prior (Schneider et al., 2020)."""
    return count / (count + PRIOR)


def batch_norms(model: nn.Module) -> list[BatchNorm]:
    """Return the batch norms of a model that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, BatchNorm) and m.running_mean is not None]


def blend(model: nn.Module, tracklets: Sequence[Tracklet], share: float, *, seed: int = 0) -> None:
    """Move the running statistics of all batch norms towards those of tracklets, in place.

    The clips are augmented as in training: a model's statistics are those of augmented clips, so unaugmented
    clips would differ from them even if the cameras did not.

    While the data are measured, every layer normalises with the blend of its own statistics and those of the batch, so
    that the next layers see inputs as after the blending. The blends are averaged over batches.

    Args:
        model: A model with batch norms; one without is not changed.
        tracklets: Unlabelled tracklets. A random clip of each is used, of at most 512 random ones.
        share: Weight of the data's statistics, 0 to 1.
        seed: Random seed of the clips, of their augmentation and order.
    """
    norms = batch_norms(model)
    if not norms or not tracklets or not share:
        return
    frames = preprocessing_of(unwrap(model))
    device = next(model.parameters()).device
    with _Blending(norms, share) as blending, torch.inference_mode(), evaluating(model):
        for clips in _batches(tracklets, frames, seed):
            model(clips.to(device))
    blending.apply()


class _Blending:
    """Let each norm use its statistics blended with those of the current batch, and average these blends."""

    def __init__(self, norms: list[BatchNorm], share: float) -> None:
        self.norms, self.share = norms, share
        self.before = [(_mean(norm).clone(), _var(norm).clone()) for norm in norms]
        self.total = [(torch.zeros_like(mean), torch.zeros_like(var)) for mean, var in self.before]
        self.count = [0] * len(norms)

    def __enter__(self) -> _Blending:
        self._hooks = [norm.register_forward_pre_hook(partial(self._blend, i)) for i, norm in enumerate(self.norms)]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()
        for norm, (mean, var) in zip(self.norms, self.before, strict=True):
            _mean(norm).copy_(mean)
            _var(norm).copy_(var)

    def _blend(self, place: int, norm: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0]  # (N, C) or (N, C, H, W)
        if values.numel() == values.shape[1]:  # one value of each channel has no variance
            return
        var, mean = torch.var_mean(values.float(), dim=[0, *range(2, values.dim())])
        _mean(norm).copy_(self.before[place][0].lerp(mean, self.share))
        _var(norm).copy_(self.before[place][1].lerp(var, self.share))
        self.total[place][0].add_(_mean(norm))
        self.total[place][1].add_(_var(norm))
        self.count[place] += 1

    def apply(self) -> None:
        """Set the statistics of each norm to the mean of its blends."""
        for norm, (mean, var), count in zip(self.norms, self.total, self.count, strict=True):
            if count:
                _mean(norm).copy_(mean / count)
                _var(norm).copy_(var / count)


def _mean(norm: BatchNorm) -> Tensor:
    assert norm.running_mean is not None
    return norm.running_mean


def _var(norm: BatchNorm) -> Tensor:
    assert norm.running_var is not None
    return norm.running_var


def _batches(tracklets: Sequence[Tracklet], frames: Preprocessing, seed: int) -> Iterator[Tensor]:
    """Normalised clips (B, T, 3, H, W) of tracklets in random order."""
    mean = frames.mean if frames.color_order == "RGB" else frames.mean[::-1]
    clips = ClipDataset(tracklets, clip_len=frames.clip_len, transform=recipe_for(frames).transform(mean), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(tracklets), generator=generator)[:MOST]
    for part in order.split(BATCH):
        yield frames.normalize(clips.__getitems__(part.tolist()).clips)
