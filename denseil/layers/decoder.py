"""The Dense Interaction decoder: R blocks and a final LayerNorm (Section 3.2, Figure 2c)."""

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from denseil.common.arguments import checked
from denseil.layers.block import DIDecoderBlock
from denseil.layers.checks import check_size
from denseil.layers.fusion import FusionName, build_fusion


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
        ValueError: If an argument is out of its range.
    """

    @checked
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
        check_size("depth", depth)
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
    ) -> Tensor:
        """Run all blocks on H^0 and return LN(H^R); arguments as in `DIDecoderBlock.forward`."""
        for block in self.blocks:
            if self.grad_checkpointing and self.training:
                h = checkpoint(block, h, memory, mask=mask, memory_mask=memory_mask, use_reentrant=False)
            else:
                h = block(h, memory, mask=mask, memory_mask=memory_mask)
        h = self.norm(h)
        return h

    def attention_maps(
        self, h: Tensor, memory: Tensor, *, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> list[Tensor]:
        """Compute the Dense Attention's weights (B, heads, N, K) of every block; arguments as in `forward`.

        Raises:
            TypeError: If the blocks have no Dense Attention.
        """
        maps = []
        for block in self.blocks:
            assert isinstance(block, DIDecoderBlock)
            maps.append(block.attention_map(h, memory, mask=mask, memory_mask=memory_mask))
            h = block(h, memory, mask=mask, memory_mask=memory_mask)
        return maps
