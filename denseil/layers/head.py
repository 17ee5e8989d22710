"""Heads: from the feature maps of any encoder to one vector per clip (Sections 3.1 to 3.4)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers._linear import xavier_linear
from denseil.layers.checks import check_frame_mask, check_maps, check_size, check_token_width
from denseil.layers.decoder import DIDecoder
from denseil.layers.dense_attention import DenseAttention
from denseil.layers.fusion import FusionName
from denseil.layers.part_pool import PartPool
from denseil.layers.pos_emb import PosFormula, PosKind, SpatioTemporalPosEmb


class ClipHead(nn.Module, ABC):
    """Base class of heads, which turn feature maps of frames into clip features in two steps.

    `pool` computes the part tokens of each frame; `decode` computes the feature of any set of frames from their tokens.
    Subclasses implement `decode`.

    Attributes:
        in_channels: C_l of each level, lowest first.
        dim: Width of a clip feature.
        pool_parts: The part pooling.
    """

    in_channels: list[int]
    dim: int
    pool_parts: PartPool

    def pool(self, maps: Sequence[Tensor]) -> Tensor:
        """Compute part tokens (N, P, sum of C_l) from maps (N, C_l, H_l, W_l), lowest level first.

        Raises:
            ValueError: If the number, the order or the width of the maps is wrong, or they are of different frames.
        """
        check_maps(maps, self.in_channels)
        return torch.cat([self.pool_parts(level) for level in maps], -1)

    @abstractmethod
    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute clip features (B, dim) from part tokens (B, T, P, sum of C_l) and a bool mask (B, T)."""

    def forward(self, maps: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Turn the maps of clips into clip features.

        Args:
            maps: One tensor (B, T, C_l, H_l, W_l) per level, lowest level first.
            mask: Bool (B, T), True where a frame is real; other frames have no effect.

        Returns:
            (B, dim).

        Raises:
            ValueError: If the number, the order or the width of the maps is wrong, they are of different frames, the
                mask has another shape, or one of its rows is all False.
            TypeError: If the mask is not boolean.
        """
        check_maps(maps, self.in_channels)
        batch, frames = maps[0].shape[:2]
        tokens = self.pool([level.flatten(0, 1) for level in maps])
        return self.decode(tokens.unflatten(0, (batch, frames)), mask)


class AttentionHead(ClipHead):
    """Base class of heads with decoder blocks, which may have Dense Attention."""

    @property
    @abstractmethod
    def has_dense_attention(self) -> bool:
        """Whether the blocks have Dense Attention, and so attention maps."""

    @abstractmethod
    def attention_maps(self, tokens: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Compute the attention weights (B, heads, T * P, K) of every block; arguments as in `decode`.

        The keys run over (level, frame, part), lowest level first, then over H^r's (frame, part).

        Raises:
            ValueError: If the blocks have no Dense Attention.
        """


def clear_padding(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Set tokens (B, T, ...) to zero where the mask (B, T) is False; multiplying would keep NaN."""
    if mask is None:
        return tokens
    return torch.where(mask.view(*mask.shape, *[1] * (tokens.dim() - 2)), tokens, 0)


def clip_mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Average tokens (B, T, P, D) over all parts of the real frames, to (B, D)."""
    if mask is None:
        return tokens.mean((1, 2))
    total = clear_padding(tokens, mask).sum((1, 2))
    return total / (mask.sum(1, keepdim=True) * tokens.shape[2]).to(tokens.dtype)


class BaselineHead(ClipHead):
    """The paper's baseline: the mean of the highest level over space and time (R = 0 in Table 1c).

    Args:
        in_channels: Width of the highest level.
    """

    @checked
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        check_size("in_channels", in_channels)
        self.in_channels, self.dim = [in_channels], in_channels
        self.pool_parts = PartPool(1)

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Average the real frames; see `ClipHead.decode`."""
        check_token_width(tokens, self.in_channels)
        check_frame_mask(mask, *tokens.shape[:2])
        return clip_mean(tokens, mask)


class DenseInteractionHead(AttentionHead):
    """PartPool, projection to one width, STEP-Emb, the DI decoder, and the mean over all tokens (Section 3).

    The last map is the highest level: H^0 is computed from it. The fusion sees all maps, or all but the last without
    `attend_last`. H^0 and each level have one Linear and one LayerNorm, applied once, so that the keys of every level
    and H^r have one scale, which positional embeddings do not dominate.

    Args:
        in_channels: C_l of each level, lowest first.
        dim: D, the width of the decoder and of the result.
        depth: R, the number of decoder blocks.
        num_parts: P, the horizontal parts of a frame.
        num_heads: Heads of every attention; must divide `dim`.
        ffn_dim: Hidden width of the feed-forward layers.
        fusion: "attention", "sum", "concat" or "none".
        attend_self: Whether Dense Attention attends to H^r too.
        attend_last: Whether the highest level is among the levels that the fusion sees.
        pos_kind: "step", "spatial", "temporal" or "none".
        pos_formula: "paper", "vaswani" or "factored".
        drop: Dropout on residual branches.
        attn_drop: Dropout on attention weights.

    Raises:
        ValueError: If an argument is out of its range, with the rule.

    Examples:
        >>> head = DenseInteractionHead([64, 128], dim=32, depth=2)
        >>> maps = [torch.randn(2, 5, 64, 16, 8), torch.randn(2, 5, 128, 8, 4)]
        >>> head(maps).shape
        torch.Size([2, 32])
    """

    @checked
    def __init__(
        self,
        in_channels: Sequence[int],
        dim: int = 2048,
        *,
        depth: int = 4,
        num_parts: int = 4,
        num_heads: int = 8,
        ffn_dim: int = 2048,
        fusion: FusionName = "attention",
        attend_self: bool = True,
        attend_last: bool = True,
        pos_kind: PosKind = "step",
        pos_formula: PosFormula = "paper",
        drop: float = 0.1,
        attn_drop: float = 0.0,
    ) -> None:
        super().__init__()
        if not in_channels:
            raise ValueError("in_channels is empty: give the width of at least one level, the highest last")
        for width in in_channels:
            check_size("in_channels", width)
        self.in_channels = list(in_channels)
        self.dim = dim
        check_size("dim", dim)
        levels = [] if fusion == "none" else self.in_channels if attend_last else self.in_channels[:-1]
        self.pool_parts = PartPool(num_parts)
        self.query_proj = xavier_linear(self.in_channels[-1], dim)
        self.query_norm = nn.LayerNorm(dim)
        self.level_projs = nn.ModuleList(xavier_linear(width, dim) for width in levels)
        self.level_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in levels)
        self.pos_emb = SpatioTemporalPosEmb(dim, kind=pos_kind, formula=pos_formula)
        self.interaction = DIDecoder(
            dim,
            depth,
            num_heads,
            ffn_dim,
            fusion=fusion,
            num_levels=len(levels),
            attend_self=attend_self,
            drop=drop,
            attn_drop=attn_drop,
        )

    @property
    def has_dense_attention(self) -> bool:
        """Whether the blocks have Dense Attention, and so attention maps."""
        return isinstance(self.interaction.blocks[0].fusion, DenseAttention)

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Turn part tokens into clip features.

        Args:
            tokens: (B, T, P, sum of C_l), as `pool` gives them frame by frame.
            mask: Bool (B, T), True where a frame is real.

        Returns:
            (B, dim).

        Raises:
            ValueError: If the tokens' width or the mask's shape is wrong, or a row of the mask is all False.
            TypeError: If the mask is not boolean.
        """
        h, memory, masks = self._embed(tokens, mask)
        h = self.interaction(h, memory, **masks)
        return clip_mean(rearrange(h, "b (t p) d -> b t p d", p=tokens.shape[2]), mask)

    def attention_maps(self, tokens: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Compute the attention weights of every block; see `AttentionHead.attention_maps`."""
        h, memory, masks = self._embed(tokens, mask)
        if memory is None or not self.has_dense_attention:
            raise ValueError("this head has no Dense Attention to show; build it with fusion='attention'")
        return self.interaction.attention_maps(h, memory, **masks)

    def _embed(self, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None, dict[str, Tensor | None]]:
        """H^0 (B, T * P, D), the levels' tokens (B, L * T * P, D), and the masks of both."""
        check_token_width(tokens, self.in_channels)
        check_frame_mask(mask, *tokens.shape[:2])
        levels = clear_padding(tokens, mask).split(self.in_channels, -1)
        h = self.pos_emb(self.query_norm(self.query_proj(levels[-1])), mask)  # H^0, (B, T, P, D)
        token_mask = None if mask is None else repeat(mask, "b t -> b (t p)", p=tokens.shape[2])
        memory_mask = None if token_mask is None else token_mask.repeat(1, len(self.level_projs))
        masks = {"mask": token_mask, "memory_mask": memory_mask}
        return rearrange(h, "b t p d -> b (t p) d"), self._embed_levels(levels, mask), masks

    def _embed_levels(self, levels: Sequence[Tensor], mask: Tensor | None) -> Tensor | None:
        """The levels' tokens at the decoder's width, with positions, concatenated: (B, L * T * P, D)."""
        if not self.level_projs:
            return None
        embedded = [
            self.pos_emb(norm(proj(level)), mask)
            for level, proj, norm in zip(levels, self.level_projs, self.level_norms, strict=False)
        ]
        return torch.cat([rearrange(level, "b t p d -> b (t p) d") for level in embedded], 1)
