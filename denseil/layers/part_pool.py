"""Horizontal partition, PPool of the paper (Section 3.1)."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers.checks import check_size


class PartPool(nn.Module):
    """Average each of P horizontal stripes of a feature map into one vector.

    If the height is not a multiple of P, neighbouring stripes share their border rows, as in adaptive average pooling.

    Args:
        num_parts: P, the number of stripes, top to bottom.

    Raises:
        ValueError: If `num_parts` is less than 1 or too large.
    """

    @checked
    def __init__(self, num_parts: int = 4) -> None:
        super().__init__()
        check_size("num_parts", num_parts)
        self.num_parts = num_parts

    def forward(self, maps: Tensor) -> Tensor:
        """Pool maps (N, C, H, W) to part vectors (N, P, C)."""
        parts = F.adaptive_avg_pool2d(maps, (self.num_parts, 1))  # (N, C, P, 1)
        return rearrange(parts, "n c p 1 -> n p c")

    def extra_repr(self) -> str:
        """Describe the layer's arguments, for `print`."""
        return f"num_parts={self.num_parts}"
