"""The default training objective: cross-entropy plus batch-hard triplet loss (Sections 3.4 and 4.2)."""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.common.arguments import checked
from denseil.losses.contrastive import SupervisedContrastive
from denseil.losses.triplet import BatchHardTriplet


class ReIDLosses(NamedTuple):
    """The total loss and its terms, each a scalar in float32.

    Attributes:
        total: The weighted sum, to call `backward` on.
        cross_entropy: Cross-entropy, unweighted.
        triplet: Triplet loss, unweighted.
        contrastive: Supervised contrastive loss, unweighted, not in the paper; 0 at weight 0.
    """

    total: Tensor
    cross_entropy: Tensor
    triplet: Tensor
    contrastive: Tensor


class ReIDObjective(nn.Module):
    """Weighted sum of cross-entropy, batch-hard triplet loss and, optionally, supervised contrastive loss.

    Args:
        margin: Margin of the triplet loss, 0.3 in the paper's base code; None for the soft margin.
        distance: Distance of the triplet loss, "euclidean" or "cosine".
        label_smoothing: Label smoothing of the cross-entropy, 0 to 1; the paper uses none.
        triplet_weight: Weight of the triplet loss; the cross-entropy's is 1.
        contrastive_weight: Weight of the supervised contrastive loss, which the paper does not use.
        temperature: Temperature of the supervised contrastive loss.
        gather: Compute these two losses on the batches of all ranks; see `BatchHardTriplet`.
        standardize: Compute these two losses on features standardised over this rank's batch, as after a batch norm
            without parameters, where AP3D and SINet compute theirs. It keeps features from collapsing to one point.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @checked
    def __init__(
        self,
        *,
        margin: float | None = 0.3,
        distance: Literal["euclidean", "cosine"] = "euclidean",
        label_smoothing: float = 0.0,
        triplet_weight: float = 1.0,
        contrastive_weight: float = 0.0,
        temperature: float = 0.1,
        gather: bool = False,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing={label_smoothing}: give a number from 0 to 1")
        for name, weight in {"triplet_weight": triplet_weight, "contrastive_weight": contrastive_weight}.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name}={weight}: give a number of at least 0")
        self.label_smoothing, self.standardize = label_smoothing, standardize
        self.triplet_weight, self.contrastive_weight = triplet_weight, contrastive_weight
        self.triplet = BatchHardTriplet(margin, distance=distance, gather=gather)
        self.contrastive = SupervisedContrastive(temperature, gather=gather)

    def forward(self, logits: Tensor | None, features: Tensor, labels: Tensor) -> ReIDLosses:
        """Compute the losses of a batch.

        Args:
            logits: (B, identities), from the classifier.
            features: (B, D), before the neck's batch norm.
            labels: (B,) int64 class labels, 0 to identities - 1.

        Raises:
            ValueError: If there are no logits, or the shapes do not fit.
        """
        if logits is None:
            raise ValueError("the model has no classifier: build it with num_classes=len(label_map(dataset.train))")
        for name, value in {"logits": logits, "features": features, "labels": labels}.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{name} is of type {type(value).__name__}; it must be a tensor")
        if logits.dim() != 2 or labels.shape != logits.shape[:1]:
            shapes = f"{tuple(logits.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"logits are (B, identities) and labels (B,), got {shapes}")
        with torch.autocast(logits.device.type, enabled=False):
            cross_entropy = F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
            if self.standardize:
                features = F.batch_norm(features.float(), None, None, training=True)
        triplet = self.triplet(features, labels)
        total = cross_entropy + self.triplet_weight * triplet
        if not self.contrastive_weight:
            return ReIDLosses(total, cross_entropy, triplet, torch.zeros_like(triplet))
        contrastive = self.contrastive(features, labels)
        return ReIDLosses(total + self.contrastive_weight * contrastive, cross_entropy, triplet, contrastive)
