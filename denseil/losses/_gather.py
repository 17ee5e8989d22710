"""Gathering a batch that is split over processes."""

import torch
import torch.distributed as dist
from torch import Tensor


class _AllGather(torch.autograd.Function):
    """All-gather whose backward pass sums the gradients that all ranks' losses have for this rank's share."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, share: Tensor) -> Tensor:
        parts = [torch.empty_like(share) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, share.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole.chunk(dist.get_world_size())[dist.get_rank()]


def gather_ranks(share: Tensor) -> Tensor:
    """All-gather along the batch: (B, ...) to (world * B, ...), in rank order; a no-op without a process group.

    Every rank must give the same shape. The gradient of a share is the sum over the ranks' losses, which DDP's mean
    over ranks turns into the gradient of the mean loss.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return share
    gathered: Tensor = _AllGather.apply(share)
    return gathered


def whole_batch(features: Tensor, labels: Tensor, *, gather: bool) -> tuple[Tensor, Tensor]:
    """Return features (B, D) and labels (B,), with `gather` those of all ranks together.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if features.dim() != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"features are (B, D) and labels (B,), got {tuple(features.shape)} and {tuple(labels.shape)}")
    return (gather_ranks(features), gather_ranks(labels)) if gather else (features, labels)
