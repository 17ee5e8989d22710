"""What is trained for: by default the paper's cross-entropy plus batch-hard triplet loss (Section 4.2)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.losses.contrastive import SupervisedContrastive
from denseil.losses.triplet import BatchHardTriplet


class ReIDLosses(NamedTuple):
    """The objective and its parts, each a scalar in float32.

    Attributes:
        total: What to call `backward` on.
        cross_entropy: Its first part, before its weight.
        triplet: Its second part, before its weight.
        contrastive: A third part, which the paper does not have, before its weight; 0 at weight 0.
    """

    total: Tensor
    cross_entropy: Tensor
    triplet: Tensor
    contrastive: Tensor


class ReIDObjective(nn.Module):
    """Cross-entropy plus batch-hard triplet, weighted; by option with the supervised contrastive loss.

    Args:
        margin: Of the triplet loss; None for the soft margin. The paper names none, 0.3 is its base code's.
        distance: "euclidean" or "cosine".
        label_smoothing: Of the cross-entropy, 0 to 1; the paper's is plain.
        triplet_weight: Weight of the triplet loss; the cross-entropy's is 1.
        contrastive_weight: Weight of the supervised contrastive loss; the paper has none of it.
        temperature: Of that loss.
        gather: Whether these two losses see the batches of all ranks; see `BatchHardTriplet`.
        standardize: Whether these two see features standardised over this rank's batch, as after a batch norm
            without parameters, where AP3D and SINet take theirs. Features cannot shrink to one point then.

    Raises:
        ValueError: If an argument is out of its range.
    """

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
        if not 0 <= label_smoothing <= 1 or min(triplet_weight, contrastive_weight) < 0:
            raise ValueError(
                "label_smoothing is 0 to 1, triplet_weight and contrastive_weight at least 0, got label_smoothing="
                f"{label_smoothing}, triplet_weight={triplet_weight}, contrastive_weight={contrastive_weight}"
            )
        self.label_smoothing, self.standardize = label_smoothing, standardize
        self.triplet_weight, self.contrastive_weight = triplet_weight, contrastive_weight
        self.triplet = BatchHardTriplet(margin, distance=distance, gather=gather)
        self.contrastive = SupervisedContrastive(temperature, gather=gather)

    def forward(self, logits: Tensor | None, features: Tensor, labels: Tensor) -> ReIDLosses:
        """The losses of a batch.

        Args:
            logits: (B, identities) of the classifier.
            features: (B, D), before the neck's batch norm.
            labels: (B,) int64 class labels, 0 to identities - 1.

        Raises:
            ValueError: If there are no logits, or the shapes do not fit.
        """
        if logits is None:
            raise ValueError("the model has no classifier: build it with num_classes=len(label_map(dataset.train))")
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
