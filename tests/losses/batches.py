"""Batches for the losses on features."""

import torch
from torch import Tensor


def batch(identities: int = 5, each: int = 4, dim: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features (identities * each, dim) with a gradient, and their labels, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(identities).repeat_interleave(each)
    features = torch.randn(len(labels), dim, generator=generator) + 0.3 * labels[:, None]
    order = torch.randperm(len(labels), generator=generator)
    return features[order].requires_grad_(), labels[order]
