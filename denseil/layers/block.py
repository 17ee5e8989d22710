"""One block of the Dense Interaction decoder (Section 3.2), Pre-LN."""

from torch import Tensor, nn

from denseil.common.arguments import checked, shown
from denseil.layers._linear import xavier_linear
from denseil.layers.attention import SelfAttention
from denseil.layers.checks import check_dropout, check_heads, check_size
from denseil.layers.dense_attention import DenseAttention


class DIDecoderBlock(nn.Module):
    """Self-attention, a fusion with the encoder's levels, and a feed-forward layer; each inside a residual.

    Args:
        dim: D, the width of the tokens.
        num_heads: Heads of the self-attention.
        ffn_dim: Hidden width of the feed-forward layer.
        fusion: A module called as `fusion(h, memory, mask=, memory_mask=)` -> (B, N, D), such as `DenseAttention`,
            `DenseSum` or `DenseConcat`; None leaves it out (Figure 2a).
        drop: Dropout on each residual branch.
        attn_drop: Dropout on the self-attention's weights.

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If the fusion is not a module, such as the name of one.
    """

    @checked
    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        ffn_dim: int = 2048,
        *,
        fusion: nn.Module | None = None,
        drop: float = 0.1,
        attn_drop: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads(dim, num_heads)
        check_dropout("drop", drop)
        _check_fusion(fusion)
        self.self_norm = nn.LayerNorm(dim)
        self.self_attn = SelfAttention(dim, num_heads, attn_drop=attn_drop)
        self.fusion_norm = nn.LayerNorm(dim) if getattr(fusion, "reads_h", fusion is not None) else nn.Identity()
        self.fusion = fusion
        self.ffn_norm = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, ffn_dim)
        self.drop = nn.Dropout(drop)

    def forward(
        self,
        h: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """Refine the tokens H^{r-1} to H^r.

        Args:
            h: (B, N, D).
            memory: The levels' tokens, (B, M, D); not needed without a fusion.
            mask: Bool (B, N), True where a token of `h` is real.
            memory_mask: Bool (B, M), True where a token of `memory` is real.

        Returns:
            (B, N, D).
        """
        h = h + self.drop(self.self_attn(self.self_norm(h), mask=mask))  # Fig. 2c, bottom: self-attention
        if self.fusion is not None:
            fused = self.fusion(self.fusion_norm(h), memory, mask=mask, memory_mask=memory_mask)
            h = h + self.drop(fused)  # Fig. 2c, middle: Dense Attention
        h = h + self.drop(self.ffn(self.ffn_norm(h)))  # Fig. 2c, top: feed-forward
        return h

    def attention_map(
        self, h: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Compute the weights (B, heads, N, K) of the block's Dense Attention; arguments as in `forward`.

        Raises:
            TypeError: If the block's fusion is not Dense Attention.
        """
        if not isinstance(self.fusion, DenseAttention):
            raise TypeError(f"a block with fusion {type(self.fusion).__name__} has no attention weights")
        h = h + self.drop(self.self_attn(self.self_norm(h), mask=mask))
        return self.fusion.weights(self.fusion_norm(h), memory, mask=mask, memory_mask=memory_mask)


def _check_fusion(fusion: object) -> None:
    if isinstance(fusion, type) or not (fusion is None or callable(fusion)):
        raise TypeError(f"fusion={shown(fusion)}: give a module, such as DenseAttention(dim, num_heads)")


class FeedForward(nn.Sequential):
    """FFN(x) = w_2 max(w_1 x + b_1, 0) + b_2 (Section 2.2), on tokens (..., D)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        check_size("ffn_dim", hidden_dim)
        super().__init__(xavier_linear(dim, hidden_dim), nn.ReLU(), xavier_linear(hidden_dim, dim))
