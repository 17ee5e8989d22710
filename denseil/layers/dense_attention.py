"""Dense Attention (Eq. 3): attend to the pooled CNN features of several levels and to H^r at once."""

from typing import Literal, overload

import torch
from torch import Tensor, nn

from denseil.layers.attention import MultiHeadAttention


class DenseAttention(nn.Module):
    """DenseAttn(Q, K, V) with Q from H^r, and K and V from [PPool(Z^1), ..., PPool(Z^L), H^r].

    The levels' tokens come projected to one width, side by side, as `memory`; one W_k and one W_v serve the whole
    concatenation, as Equation 3 has it. Nothing here knows about images.

    Args:
        dim: D, the width of the tokens.
        num_heads: Heads; must divide `dim`.
        attend_self: Whether H^r is among keys and values. Without it, and with the highest level alone as memory,
            this is the encoder-decoder attention of CNN-TransDec (Section 3.4).
        bias: Whether the projections have biases.
        attn_drop: Dropout on the attention weights while training.

    Raises:
        ValueError: If `num_heads` does not divide `dim`.
    """

    def __init__(
        self, dim: int, num_heads: int = 8, *, attend_self: bool = True, bias: bool = False, attn_drop: float = 0.0
    ) -> None:
        super().__init__()
        self.attend_self = attend_self
        self.attention = MultiHeadAttention(dim, num_heads, bias=bias, attn_drop=attn_drop)

    @overload
    def forward(
        self,
        h: Tensor,
        memory: Tensor,
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        need_weights: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        h: Tensor,
        memory: Tensor,
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        need_weights: Literal[True],
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self,
        h: Tensor,
        memory: Tensor,
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from H^r to the levels and to H^r itself.

        Args:
            h: H^r, (B, N, D).
            memory: The levels' tokens, (B, M, D), lowest level first.
            mask: Bool (B, N), True where a token of `h` is real.
            memory_mask: Bool (B, M), True where a token of `memory` is real.
            need_weights: Return the attention weights as well.

        Returns:
            (B, N, D), and with `need_weights` the weights (B, heads, N, K); the K = M + N keys are those of
            `memory`, then those of `h` (K = M without `attend_self`).
        """
        if self.attend_self:
            memory_mask = _join_masks(memory, memory_mask, h, mask)
            memory = torch.cat([memory, h], 1)  # (B, M + N, D), the bracket of Eq. 3
        out: Tensor | tuple[Tensor, Tensor] = self.attention(h, memory, mask=memory_mask, need_weights=need_weights)
        return out


def _join_masks(memory: Tensor, memory_mask: Tensor | None, h: Tensor, mask: Tensor | None) -> Tensor | None:
    """Masks of the tokens [memory, h], (B, M + N); None where all are real."""
    if mask is None and memory_mask is None:
        return None
    if memory_mask is None:
        memory_mask = memory.new_ones(memory.shape[:2], dtype=torch.bool)
    if mask is None:
        mask = h.new_ones(h.shape[:2], dtype=torch.bool)
    return torch.cat([memory_mask, mask], 1)
