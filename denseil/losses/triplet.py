"""The batch-hard triplet loss (Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.losses._gather import whole_batch


class BatchHardTriplet(nn.Module):
    """For every clip of a batch, its farthest positive must be nearer than its nearest negative.

    The loss of an anchor is max(0, d_p - d_n + margin), or log(1 + exp(d_p - d_n)) with a soft margin; that of the
    batch is the mean over anchors that have a positive (another clip of the identity) and a negative, zero if none has.
    It is computed in float32 whatever the autocast.

    Args:
        margin: In the distance's units; None for the soft margin.
        distance: "euclidean" (not squared), or "cosine", 1 - cos.
        gather: Whether the batch is that of all ranks together. Each then computes the same loss, with a gradient
            that DDP's mean turns into that of one process with the whole batch. Ranks must hold equally many clips.

    Raises:
        ValueError: If the margin is negative or the distance unknown.
    """

    def __init__(
        self,
        margin: float | None = 0.3,
        *,
        distance: Literal["euclidean", "cosine"] = "euclidean",
        gather: bool = False,
    ) -> None:
        super().__init__()
        if margin is not None and margin < 0:
            raise ValueError(f"margin={margin}: it is at least 0, or None for the soft margin")
        if distance not in ("euclidean", "cosine"):
            raise ValueError(f"distance is 'euclidean' or 'cosine', got {distance!r}")
        self.margin, self.distance, self.gather = margin, distance, gather

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar.

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
            gap = (farthest - nearest)[usable]
            losses = F.softplus(gap) if self.margin is None else F.relu(gap + self.margin)
            return losses.sum() / usable.sum().clamp(min=1)

    def _distances(self, features: Tensor) -> Tensor:
        if self.distance == "cosine":
            unit = F.normalize(features, dim=1)
            return 1 - unit @ unit.T
        # Without the matrix product's shortcut, which loses the small distances that batch-hard picks.
        return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"margin={self.margin}, distance={self.distance!r}, gather={self.gather}"
