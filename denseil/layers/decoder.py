"""The Dense Interaction decoder (Section 3.2, Figure 2c), Pre-LN."""

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from denseil.layers._linear import xavier_linear
from denseil.layers.attention import MultiHeadAttention
from denseil.layers.fusion import FusionName, build_fusion


class DIDecoderBlock(nn.Module):
    """Self-attention, a fusion with the encoder's levels, and a feed-forward layer; each inside a residual.

    Args:
        dim: D, the width of the tokens.
        num_heads: Heads of the self-attention.
        ffn_dim: Hidden width of the feed-forward layer.
        fusion: A module called as `fusion(h, memory, mask=, memory_mask=)` -> (B, N, D), such as `DenseAttention`
            (Figure 2c), `DenseSum` or `DenseConcat`; None leaves it out (Figure 2a).
        drop: Dropout on each residual branch.
        attn_drop: Dropout on the self-attention's weights.
    """

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
        self.self_norm = nn.LayerNorm(dim)
        self.self_attn = MultiHeadAttention(dim, num_heads, attn_drop=attn_drop)
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
        weights: list[Tensor] | None = None,
    ) -> Tensor:
        """Refine the tokens H^{r-1} to H^r.

        Args:
            h: (B, N, D).
            memory: The levels' tokens, (B, M, D); not needed without a fusion.
            mask: Bool (B, N), True where a token of `h` is real.
            memory_mask: Bool (B, M), True where a token of `memory` is real.
            weights: A list to append the Dense Attention's weights (B, heads, N, K) to.

        Returns:
            (B, N, D).
        """
        x = self.self_norm(h)
        h = h + self.drop(self.self_attn(x, x, mask=mask))
        if self.fusion is not None:
            x = self.fusion_norm(h)
            if weights is None:
                fused = self.fusion(x, memory, mask=mask, memory_mask=memory_mask)
            else:
                fused, block_weights = self.fusion(x, memory, mask=mask, memory_mask=memory_mask, need_weights=True)
                weights.append(block_weights)
            h = h + self.drop(fused)
        h = h + self.drop(self.ffn(self.ffn_norm(h)))
        return h


class FeedForward(nn.Sequential):
    """FFN(x) = w_2 max(w_1 x + b_1, 0) + b_2 (Section 2.2), on tokens (..., D)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__(xavier_linear(dim, hidden_dim), nn.ReLU(), xavier_linear(hidden_dim, dim))


class DIDecoder(nn.Module):
    """R Dense Interaction blocks and a final LayerNorm.

    Args:
        dim: D, the width of the tokens.
        depth: R, the number of blocks.
        num_heads: Heads of every attention.
        ffn_dim: Hidden width of the feed-forward layers.
        fusion: "attention", "sum", "concat" or "none" (see `build_fusion`).
        num_levels: L, the encoder levels in `memory`.
        attend_self: Whether Dense Attention attends to H^r too.
        drop: Dropout on residual branches.
        attn_drop: Dropout on attention weights.

    Raises:
        ValueError: If `depth` is less than 1, `num_heads` does not divide `dim`, or the fusion is unknown.
    """

    def __init__(
        self,
        dim: int = 2048,
        depth: int = 4,
        num_heads: int = 8,
        ffn_dim: int = 2048,
        *,
        fusion: FusionName = "attention",
        num_levels: int = 3,
        attend_self: bool = True,
        drop: float = 0.1,
        attn_drop: float = 0.0,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth={depth}: a decoder has at least 1 block; depth=0 is the baseline of DenseIL")
        self.blocks = nn.ModuleList(
            DIDecoderBlock(
                dim,
                num_heads,
                ffn_dim,
                fusion=build_fusion(
                    fusion,
                    dim,
                    num_levels=num_levels,
                    num_heads=num_heads,
                    attend_self=attend_self,
                    attn_drop=attn_drop,
                ),
                drop=drop,
                attn_drop=attn_drop,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.grad_checkpointing = False

    def forward(
        self,
        h: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        weights: list[Tensor] | None = None,
    ) -> Tensor:
        """Run all blocks; arguments and result as in `DIDecoderBlock.forward`, H^0 in and LN(H^R) out."""
        for block in self.blocks:
            if self.grad_checkpointing and self.training and weights is None:
                h = checkpoint(block, h, memory, mask=mask, memory_mask=memory_mask, use_reentrant=False)
            else:
                h = block(h, memory, mask=mask, memory_mask=memory_mask, weights=weights)
        h = self.norm(h)
        return h
