"""What the paper trains for (Section 4.2): cross-entropy over identities plus the batch-hard triplet loss."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.losses.triplet import BatchHardTriplet


class ReIDLosses(NamedTuple):
    """The objective and its parts, each a scalar in float32.

    Attributes:
        total: What to call `backward` on.
        cross_entropy: Its first part, before its weight.
        triplet: Its second part, before its weight.
    """

    total: Tensor
    cross_entropy: Tensor
    triplet: Tensor


class ReIDObjective(nn.Module):
    """Cross-entropy plus batch-hard triplet, weighted.

    Args:
        margin: Of the triplet loss; None for the soft margin. The paper names none, 0.3 is its base code's.
        distance: "euclidean" or "cosine".
        label_smoothing: Of the cross-entropy, 0 to 1; the paper's is plain.
        triplet_weight: Weight of the triplet loss; the cross-entropy's is 1.
        gather: Whether the triplet loss sees the batches of all ranks; see `BatchHardTriplet`.
        standardize: Whether the triplet loss sees features standardised over this rank's batch, as after a batch norm
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
        gather: bool = False,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing <= 1 or triplet_weight < 0:
            raise ValueError(
                "label_smoothing is 0 to 1 and triplet_weight at least 0, "
                f"got label_smoothing={label_smoothing}, triplet_weight={triplet_weight}"
            )
        self.label_smoothing, self.triplet_weight, self.standardize = label_smoothing, triplet_weight, standardize
        self.triplet = BatchHardTriplet(margin, distance=distance, gather=gather)

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
        return ReIDLosses(cross_entropy + self.triplet_weight * triplet, cross_entropy, triplet)
