"""Multi-head attention (Eq. 1), with a fused path and an explicit one that returns its weights."""

from typing import Literal, overload

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from denseil.layers._checks import check_heads
from denseil.layers._linear import xavier_linear


class MultiHeadAttention(nn.Module):
    """Softmax(Q K^T / sqrt(d)) V with h heads, as in Vaswani et al. (2017).

    Equation 1's d is read per head, so the layer equals `torch.nn.MultiheadAttention` with the same weights.
    As Equations 2 and 3 print them, the projections have no biases by default.

    Args:
        dim: D, the width of queries, keys, values and output.
        num_heads: h; must divide `dim`.
        bias: Whether the four projections have biases.
        attn_drop: Dropout on the attention weights while training.

    Raises:
        ValueError: If `num_heads` does not divide `dim`.
    """

    def __init__(self, dim: int, num_heads: int = 8, *, bias: bool = False, attn_drop: float = 0.0) -> None:
        super().__init__()
        check_heads(dim, num_heads)
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.q_proj = xavier_linear(dim, dim, bias=bias)  # W_q
        self.k_proj = xavier_linear(dim, dim, bias=bias)  # W_k
        self.v_proj = xavier_linear(dim, dim, bias=bias)  # W_v
        self.out_proj = xavier_linear(dim, dim, bias=bias)

    @overload
    def forward(
        self, query: Tensor, memory: Tensor, *, mask: Tensor | None = None, need_weights: Literal[False] = False
    ) -> Tensor: ...

    @overload
    def forward(
        self, query: Tensor, memory: Tensor, *, mask: Tensor | None = None, need_weights: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self, query: Tensor, memory: Tensor, *, mask: Tensor | None = None, need_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from query tokens to memory tokens.

        Args:
            query: (B, N, D).
            memory: (B, K, D), the source of keys and values.
            mask: Bool (B, K), True where a memory token may be attended to.
            need_weights: Take the explicit path and return the weights as well.

        Returns:
            (B, N, D), and with `need_weights` the weights (B, h, N, K), whose last axis sums to 1.
        """
        q = self._split_heads(self.q_proj(query))  # (B, h, N, D / h)
        k = self._split_heads(self.k_proj(memory))  # (B, h, K, D / h)
        v = self._split_heads(self.v_proj(memory))
        key_mask = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, K)
        drop = self.attn_drop if self.training else 0.0
        if not need_weights:
            return self._join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=key_mask, dropout_p=drop))
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5  # (B, h, N, K)
        if key_mask is not None:
            scores = scores.masked_fill(~key_mask, -torch.inf)
        weights = scores.softmax(-1)
        return self._join_heads(F.dropout(weights, drop) @ v), weights

    def _split_heads(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (h d) -> b h n d", h=self.num_heads)

    def _join_heads(self, heads: Tensor) -> Tensor:
        out: Tensor = self.out_proj(rearrange(heads, "b h n d -> b n (h d)"))
        return out
