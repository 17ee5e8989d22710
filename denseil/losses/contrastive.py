"""The supervised contrastive loss (Khosla et al., "Supervised Contrastive Learning", 2020)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.common.arguments import checked
from denseil.losses._gather import whole_batch


class SupervisedContrastive(nn.Module):
    """Supervised contrastive loss: each clip should be most similar to the other clips of its identity.

    The loss of an anchor is the mean over its positives of -log softmax, over all other clips, of cosine / temperature
    (L_out in the paper); the loss of the batch is the mean over anchors that have a positive, zero if none has. Unlike
    the batch-hard triplet loss it uses all pairs. It is computed in float32, even under autocast.

    Args:
        temperature: Divides the cosines; smaller values concentrate on the hardest pairs.
        gather: As in `BatchHardTriplet`.

    Raises:
        ValueError: If the temperature is not positive and finite.
    """

    @checked
    def __init__(self, temperature: float = 0.1, *, gather: bool = False) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature={temperature}: give a number above 0")
        self.temperature, self.gather = temperature, gather

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
            unit = F.normalize(features.float(), dim=1)
            itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            logits = (unit @ unit.T / self.temperature).masked_fill(itself, torch.finfo(torch.float32).min)  # (B, B)
            positive = (labels[:, None] == labels[None]) & ~itself
            count = positive.sum(1)
            log_p = logits.log_softmax(1).masked_fill(~positive, 0).sum(1) / count.clamp(min=1)
            return -log_p.sum() / (count > 0).sum().clamp(min=1)

    def extra_repr(self) -> str:
        """Describe the loss's arguments, for `print`."""
        return f"temperature={self.temperature}, gather={self.gather}"
