"""The paper's alternatives to Dense Attention, Dense Sum. and Dense Concat. (Section 4.3, Table 1a)."""

from typing import Literal, get_args

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers._linear import xavier_linear
from denseil.layers.checks import check_choice, check_size
from denseil.layers.dense_attention import DenseAttention

FusionName = Literal["attention", "sum", "concat", "none"]


class DenseSum(nn.Module):
    """Sum the levels' tokens at each position; the block adds the result to H^r."""

    reads_h = False  # it uses only the shape of h, so the block has no norm before it

    def forward(
        self, h: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Sum memory (B, L * N, D) over its L levels, to (B, N, D).

        Args:
            h: (B, N, D), only for N.
            memory: The levels' tokens.
            mask: Unused: positions do not mix.
            memory_mask: Unused.
        """
        return reduce(memory, "b (l n) d -> b n d", "sum", n=h.shape[1])


class DenseConcat(nn.Module):
    """One linear layer over [PPool(Z^1), ..., PPool(Z^L), H^r], concatenated along the channels.

    Args:
        dim: D, the width of the tokens.
        num_levels: L, the number of levels in `memory`.
    """

    @checked
    def __init__(self, dim: int, num_levels: int) -> None:
        super().__init__()
        check_size("dim", dim)
        check_size("num_levels", num_levels)
        self.num_levels = num_levels
        self.proj = xavier_linear((num_levels + 1) * dim, dim)

    def forward(
        self, h: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Fuse h (B, N, D) with memory (B, L * N, D), to (B, N, D).

        Args:
            h: H^r.
            memory: The levels' tokens.
            mask: Unused: positions do not mix.
            memory_mask: Unused.
        """
        levels = rearrange(memory, "b (l n) d -> b n (l d)", l=self.num_levels)
        fused: Tensor = self.proj(torch.cat([levels, h], -1))
        return fused


def build_fusion(
    name: FusionName,
    dim: int,
    *,
    num_levels: int,
    num_heads: int = 8,
    attend_self: bool = True,
    attn_drop: float = 0.0,
) -> nn.Module | None:
    """Build the fusion module of one decoder block.

    Args:
        name: "attention" (Dense Attention), "sum", "concat", or "none" for a block without fusion (CNN-TransEnc).
        dim: D, the width of the tokens.
        num_levels: L, the levels in memory.
        num_heads: Heads of "attention".
        attend_self: Whether "attention" attends to H^r too.
        attn_drop: Dropout on the weights of "attention".

    Raises:
        ValueError: If the name is unknown, or there are no levels to fuse.
    """
    check_choice("fusion", name, get_args(FusionName))
    if name == "none":
        return None
    if num_levels < 1:
        raise ValueError(f"fusion={name!r} needs at least one level to fuse; use fusion='none' for CNN-TransEnc")
    if name == "attention":
        return DenseAttention(dim, num_heads, attend_self=attend_self, attn_drop=attn_drop)
    return DenseSum() if name == "sum" else DenseConcat(dim, num_levels)
