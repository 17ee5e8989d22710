"""The supervised contrastive loss (Khosla et al., "Supervised Contrastive Learning", 2020)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.losses._gather import whole_batch


class SupervisedContrastive(nn.Module):
    """For every clip of a batch, each other clip of its identity must be picked out among all others of the batch.

    The loss of an anchor is the mean over its positives of -log softmax, over all other clips, of cosine / temperature
    (the paper's L_out); that of the batch is the mean over anchors that have a positive, zero if none has. Where the
    batch-hard triplet loss learns from one pair of each kind, this learns from all of them. It is computed in float32
    whatever the autocast.

    Args:
        temperature: Smaller looks at the hardest pairs alone.
        gather: As in `BatchHardTriplet`.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self, temperature: float = 0.1, *, gather: bool = False) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: it is above 0")
        self.temperature, self.gather = temperature, gather

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
            unit = F.normalize(features.float(), dim=1)
            itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            logits = (unit @ unit.T / self.temperature).masked_fill(itself, torch.finfo(torch.float32).min)  # (B, B)
            positive = (labels[:, None] == labels[None]) & ~itself
            count = positive.sum(1)
            log_p = logits.log_softmax(1).masked_fill(~positive, 0).sum(1) / count.clamp(min=1)
            return -log_p.sum() / (count > 0).sum().clamp(min=1)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"temperature={self.temperature}, gather={self.gather}"
