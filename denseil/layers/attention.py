"""Multi-head attention (Equation 1) and the self-attention of a clip's tokens (Equation 2), Sections 2.2 and 3.2."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers._linear import xavier_linear
from denseil.layers.checks import check_dropout, check_heads, check_mask


def attend(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, drop: float = 0.0) -> Tensor:
    """Compute Softmax(Q K^T / sqrt(d)) V for each head, by torch's fused kernel.

    Args:
        q: Queries (B, h, N, d).
        k: Keys (B, h, K, d).
        v: Values (B, h, K, d).
        mask: Bool (B, K), True where a key may be attended to.
        drop: Dropout probability of the attention weights.

    Returns:
        (B, h, N, d).

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If its shape is wrong.
    """
    check_mask(mask, k.shape[0], k.shape[2])
    key_mask = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, K)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=key_mask, dropout_p=drop)  # Eq. 1


def attention_weights(q: Tensor, k: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Compute Softmax(Q K^T / sqrt(d)), the weights that `attend` does not materialise.

    Args:
        q: Queries (B, h, N, d).
        k: Keys (B, h, K, d).
        mask: Bool (B, K), True where a key may be attended to.

    Returns:
        (B, h, N, K); the last axis sums to 1.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If its shape is wrong.
    """
    check_mask(mask, k.shape[0], k.shape[2])
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5  # (B, h, N, K)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
    weights: Tensor = scores.softmax(-1)
    return weights


class _Projections(nn.Module):
    """W_q, W_k, W_v and the output projection of multi-head attention, without biases by default, as printed."""

    @checked
    def __init__(self, dim: int, num_heads: int = 8, *, bias: bool = False, attn_drop: float = 0.0) -> None:
        super().__init__()
        check_heads(dim, num_heads)
        check_dropout("attn_drop", attn_drop)
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.q_proj = xavier_linear(dim, dim, bias=bias)  # W_q
        self.k_proj = xavier_linear(dim, dim, bias=bias)  # W_k
        self.v_proj = xavier_linear(dim, dim, bias=bias)  # W_v
        self.out_proj = xavier_linear(dim, dim, bias=bias)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Attend with projected tokens (B, N, D) and (B, K, D), head by head, and project the result (B, N, D)."""
        drop = self.attn_drop if self.training else 0.0
        heads = attend(self._split_heads(q), self._split_heads(k), self._split_heads(v), mask=mask, drop=drop)
        out: Tensor = self.out_proj(rearrange(heads, "b h n d -> b n (h d)"))
        return out

    def _split_heads(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (h d) -> b h n d", h=self.num_heads)


class SelfAttention(_Projections):
    """Multi-head self-attention: queries, keys and values of the same tokens.

    Args:
        dim: D, the width of the tokens.
        num_heads: h; must divide `dim`.
        bias: Whether the four projections have biases.
        attn_drop: Dropout on the attention weights while training.

    Raises:
        ValueError: If `num_heads` does not divide `dim`, or `attn_drop` is not in [0, 1).
    """

    def forward(self, z: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Relate tokens to each other.

        Args:
            z: Tokens (B, N, D).
            mask: Bool (B, N), True where a token may be attended to.

        Returns:
            (B, N, D).

        Raises:
            TypeError: If the mask is not boolean.
            ValueError: If its shape is wrong.
        """
        q, k, v = self.q_proj(z), self.k_proj(z), self.v_proj(z)  # Eq. 2
        return self._attend(q, k, v, mask)


class MultiHeadAttention(_Projections):
    """Multi-head attention from query tokens to other tokens, as in Vaswani et al. (2017).

    Equation 1's d is read per head, so the layer equals `torch.nn.MultiheadAttention` with the same weights.

    Args:
        dim: D, the width of queries, keys, values and output.
        num_heads: h; must divide `dim`.
        bias: Whether the four projections have biases.
        attn_drop: Dropout on the attention weights while training.

    Raises:
        ValueError: If `num_heads` does not divide `dim`, or `attn_drop` is not in [0, 1).
    """

    def forward(self, query: Tensor, memory: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Attend from query tokens to memory tokens.

        Args:
            query: (B, N, D).
            memory: (B, K, D), the source of keys and values.
            mask: Bool (B, K), True where a memory token may be attended to.

        Returns:
            (B, N, D).

        Raises:
            TypeError: If the mask is not boolean.
            ValueError: If its shape is wrong.
        """
        return self._attend(self.q_proj(query), self.k_proj(memory), self.v_proj(memory), mask)

    def weights(self, query: Tensor, memory: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Compute the attention weights (B, h, N, K), before dropout; arguments as in `forward`."""
        q, k = self._split_heads(self.q_proj(query)), self._split_heads(self.k_proj(memory))
        return attention_weights(q, k, mask=mask)
