"""BNNeck: the final batch norm and the classifier without bias (Section 3.4)."""

from typing import NamedTuple

from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers.checks import check_size


class ReIDOutput(NamedTuple):
    """Output of a re-ID model while training, as `logits, features = model(clips)`.

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

    @checked
    def __init__(self, dim: int, num_classes: int = 0) -> None:
        super().__init__()
        check_size("dim", dim)
        self.dim = dim
        self.bn = nn.BatchNorm1d(dim)
        self.bn.bias.requires_grad_(False)
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier with a new one (std 0.001) for `num_classes` identities; 0 removes it.

        Without a classifier no loss reaches the batch norm's scale: it then takes no gradient, so that
        `DistributedDataParallel` does not wait for one.
        """
        check_size("num_classes", num_classes, least=0)
        self.num_classes = num_classes
        weight = self.bn.weight.requires_grad_(num_classes > 0)
        self.classifier: nn.Linear | None = None
        if num_classes:
            self.classifier = nn.Linear(self.dim, num_classes, bias=False, device=weight.device, dtype=weight.dtype)
            nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, features: Tensor) -> ReIDOutput | Tensor:
        """Compute logits, or embeddings, from clip features (B, D).

        Returns:
            While training `ReIDOutput(logits, features)`; in eval mode the embedding (B, D), the feature after the
            batch norm, not L2-normalised.
        """
        embedding: Tensor = self.bn(features)
        if not self.training:
            return embedding
        return ReIDOutput(None if self.classifier is None else self.classifier(embedding), features)
