"""The batch-hard triplet loss (Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.common.arguments import checked, shown
from denseil.losses._gather import whole_batch


class BatchHardTriplet(nn.Module):
    """Batch-hard triplet loss: each clip's farthest positive should be nearer than its nearest negative.

    The loss of an anchor is max(0, d_p - d_n + margin), or log(1 + exp(d_p - d_n)) with a soft margin; the loss of the
    batch is the mean over anchors that have a positive (another clip of the identity) and a negative, zero if none has.
    It is computed in float32, even under autocast.

    Args:
        margin: In the distance's units; None for the soft margin.
        distance: "euclidean" (not squared), or "cosine", 1 - cos.
        gather: Compute the loss on the batches of all ranks together. Its gradient, averaged by DDP, is that of one
            process with the whole batch. All ranks must hold the same number of clips.

    Raises:
        ValueError: If the margin is negative or not finite, or the distance unknown.
    """

    @checked
    def __init__(
        self,
        margin: float | None = 0.3,
        *,
        distance: Literal["euclidean", "cosine"] = "euclidean",
        gather: bool = False,
    ) -> None:
        super().__init__()
        if margin is not None and not 0 <= margin < math.inf:
            raise ValueError(f"margin={margin}: give a number of at least 0, or None for the soft margin")
        if distance not in ("euclidean", "cosine"):
            raise ValueError(f"distance={shown(distance)}: choose 'euclidean' or 'cosine'")
        self.margin, self.distance, self.gather = margin, distance, gather

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss, a scalar.

        Args:
            features: (B, D).
            labels: (B,) identities.

        Raises:
            ValueError: If the shapes do not fit.
        """
        features, labels = whole_batch(features, labels, gather=self.gather)
        with torch.autocast(features.device.type, enabled=False):
            distances = self._distances(features.float())  # (B, B)
            same = labels[:, None] == labels[None]
            positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            farthest = distances.masked_fill(~positive, -torch.inf).amax(1)
            nearest = distances.masked_fill(same, torch.inf).amin(1)
            usable = positive.any(1) & ~same.all(1)
            gap = torch.where(usable, farthest - nearest, 0)  # selecting the usable ones would wait for the device
            losses = F.softplus(gap) if self.margin is None else F.relu(gap + self.margin)
            return (losses * usable).sum() / usable.sum().clamp(min=1)

    def _distances(self, features: Tensor) -> Tensor:
        if self.distance == "cosine":
            unit = F.normalize(features, dim=1)
            return 1 - unit @ unit.T
        # Not by a matrix product, which would lose precision in small distances.
        return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")

    def extra_repr(self) -> str:
        """Describe the loss's arguments, for `print`."""
        return f"margin={self.margin}, distance={self.distance!r}, gather={self.gather}"
