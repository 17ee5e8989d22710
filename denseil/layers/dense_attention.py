"""Dense Attention (Section 3.2, Equation 3): attend to the encoder's pooled features and to H^r at once."""

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers.attention import MultiHeadAttention


class DenseAttention(nn.Module):
    """DenseAttn(Q, K, V) with Q from H^r, and K and V from [PPool(Z^1), ..., PPool(Z^L), H^r].

    `memory` holds the levels' tokens, projected to one width and concatenated: one W_k and one W_v serve the whole
    concatenation, as in the paper. The layer does not depend on images.

    Args:
        dim: D, the width of the tokens.
        num_heads: Heads; must divide `dim`.
        attend_self: Whether H^r is among keys and values. Without it, and with only the highest level as memory, this
            is the encoder-decoder attention of CNN-TransDec (Section 3.4).
        bias: Whether the projections have biases.
        attn_drop: Dropout on the attention weights while training.

    Raises:
        ValueError: If `num_heads` does not divide `dim`, or `attn_drop` is not in [0, 1).
    """

    @checked
    def __init__(
        self, dim: int, num_heads: int = 8, *, attend_self: bool = True, bias: bool = False, attn_drop: float = 0.0
    ) -> None:
        super().__init__()
        self.attend_self = attend_self
        self.attention = MultiHeadAttention(dim, num_heads, bias=bias, attn_drop=attn_drop)

    def forward(
        self, h: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Attend from H^r to the levels and to H^r itself.

        Args:
            h: H^r, (B, N, D).
            memory: The levels' tokens, (B, M, D), lowest level first.
            mask: Bool (B, N), True where a token of `h` is real.
            memory_mask: Bool (B, M), True where a token of `memory` is real.

        Returns:
            (B, N, D).
        """
        keys, key_mask = self._keys(h, memory, mask, memory_mask)
        out: Tensor = self.attention(h, keys, mask=key_mask)
        return out

    def weights(
        self, h: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Compute the attention weights (B, heads, N, K), before dropout; arguments as in `forward`.

        The K = M + N keys are those of `memory`, then those of `h`; K = M without `attend_self`.
        """
        keys, key_mask = self._keys(h, memory, mask, memory_mask)
        return self.attention.weights(h, keys, mask=key_mask)

    def _keys(
        self, h: Tensor, memory: Tensor, mask: Tensor | None, memory_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The tokens that keys and values are made from, (B, K, D), and their mask (B, K)."""
        if not self.attend_self:
            return memory, memory_mask
        keys = torch.cat([memory, h], 1)  # Eq. 3: [PPool(Z^1), ..., PPool(Z^L), H^r]
        return keys, _join_masks(memory, memory_mask, h, mask)


def _join_masks(memory: Tensor, memory_mask: Tensor | None, h: Tensor, mask: Tensor | None) -> Tensor | None:
    """Mask of the tokens [memory, h], (B, M + N); None where all are real."""
    if mask is None and memory_mask is None:
        return None
    if memory_mask is None:
        memory_mask = memory.new_ones(memory.shape[:2], dtype=torch.bool)
    if mask is None:
        mask = h.new_ones(h.shape[:2], dtype=torch.bool)
    return torch.cat([memory_mask, mask], 1)
