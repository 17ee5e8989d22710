"""BNNeck: the batch norm and the bias-free classifier that end the model (Section 3.4)."""

from typing import NamedTuple

from torch import Tensor, nn


class ReIDOutput(NamedTuple):
    """What a re-ID model returns while training, as `logits, features = model(clips)`.

    Attributes:
        logits: Identity scores (B, num_classes), for the cross-entropy; None without a classifier.
        features: Clip features (B, D) before the neck's batch norm, for the triplet loss.
    """

    logits: Tensor | None
    features: Tensor


class BNNeck(nn.Module):
    """Batch norm with a frozen bias, then a classifier without bias.

    The triplet loss sees the feature before the batch norm; cross-entropy and retrieval see it after.

    Args:
        dim: D, the width of a clip feature.
        num_classes: Training identities; 0 for no classifier.

    Raises:
        ValueError: If `num_classes` is negative.
    """

    def __init__(self, dim: int, num_classes: int = 0) -> None:
        super().__init__()
        self.dim = dim
        self.bn = nn.BatchNorm1d(dim)
        self.bn.bias.requires_grad_(False)
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a fresh one (std 0.001) for `num_classes` identities; 0 removes it."""
        if num_classes < 0:
            raise ValueError(f"num_classes={num_classes}: give the number of training identities, or 0 for none")
        self.num_classes = num_classes
        weight = self.bn.weight
        self.classifier: nn.Linear | None = None
        if num_classes:
            self.classifier = nn.Linear(self.dim, num_classes, bias=False, device=weight.device, dtype=weight.dtype)
            nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, features: Tensor) -> ReIDOutput | Tensor:
        """Finish clip features (B, D).

        Returns:
            While training `ReIDOutput(logits, features)`; in eval mode the embedding (B, D), the feature after the
            batch norm, not L2-normalised.
        """
        embedding: Tensor = self.bn(features)
        if not self.training:
            return embedding
        return ReIDOutput(None if self.classifier is None else self.classifier(embedding), features)
