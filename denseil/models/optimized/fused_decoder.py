"""The Dense Interaction head for inference, with fewer and larger matrix products."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from denseil.layers import AttentionHead, DenseInteractionHead, DIDecoderBlock
from denseil.layers.attention import attend, attention_weights
from denseil.layers.checks import check_frame_mask, check_token_width
from denseil.layers.dense_attention import DenseAttention
from denseil.layers.head import clear_padding, clip_mean
from denseil.models.optimized.packed_linear import PackedLinear

POSITIONS = 64  # frames with precomputed positional embeddings
Pair = tuple[Tensor, Tensor]  # keys and values (B, h, L * T * P, D / h)


class FusedHead(AttentionHead):
    """Inference form of a `DenseInteractionHead` with Dense Attention or without a fusion.

    Keys and values of the levels do not depend on H^r: those of all blocks come from one product, before the first
    block. Queries, keys and values of H^r come from one product each. Positions are looked up. Products are computed
    in `dtype`; sums, norms and positions stay in float32.

    Args:
        head: The head whose weights are copied.
        dtype: Precision of the products.
    """

    def __init__(self, head: DenseInteractionHead, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_channels, self.dim, self.dtype = head.in_channels, head.dim, dtype
        self.pool_parts, self.pos_emb = copy.deepcopy(head.pool_parts), copy.deepcopy(head.pos_emb)
        self.norm = _copy(head.interaction.norm)
        self.query_proj = PackedLinear([head.query_proj], dtype)
        self.level_projs = nn.ModuleList(PackedLinear([proj], dtype) for proj in head.level_projs)
        self.query_norm = _copy(head.query_norm)
        self.level_norms = nn.ModuleList(_copy(norm) for norm in head.level_norms)
        blocks = [block for block in head.interaction.blocks if isinstance(block, DIDecoderBlock)]
        self.blocks = nn.ModuleList(FusedBlock(block, dtype) for block in blocks)
        fusions = [block.fusion.attention for block in blocks if isinstance(block.fusion, DenseAttention)]
        self.num_heads = blocks[0].self_attn.num_heads
        keys_values = [proj for fusion in fusions for proj in (fusion.k_proj, fusion.v_proj)]
        self.memory_proj = PackedLinear(keys_values, dtype) if fusions else None  # D -> R * 2 * D
        frames = torch.arange(POSITIONS + 1, device=head.query_proj.weight.device)  # 0 is for padding
        self.positions: Tensor  # (POSITIONS + 1, P, D)
        self.register_buffer("positions", self.pos_emb.embedding(frames, self.pool_parts.num_parts), persistent=False)

    @property
    def has_dense_attention(self) -> bool:
        """Whether the blocks have Dense Attention, and so attention maps."""
        return self.memory_proj is not None

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Turn part tokens into clip features, float32; see `DenseInteractionHead.decode`."""
        h, memory, token_mask = self._embed(tokens, mask)
        for block, pair in zip(self.blocks, memory, strict=True):
            h = block(h, pair, mask=token_mask)
        return clip_mean(rearrange(self.norm(h), "b (t p) d -> b t p d", p=tokens.shape[2]), mask)

    def attention_maps(self, tokens: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Compute the attention weights of every block, float32; see `AttentionHead.attention_maps`."""
        h, memory, token_mask = self._embed(tokens, mask)
        maps = []
        for block, pair in zip(self.blocks, memory, strict=True):
            assert isinstance(block, FusedBlock)
            if pair is None:
                raise ValueError("this head has no Dense Attention to show; build it with fusion='attention'")
            maps.append(block.attention_map(h, pair, mask=token_mask))
            h = block(h, pair, mask=token_mask)
        return maps

    def _embed(self, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Sequence[Pair | None], Tensor | None]:
        """H^0 (B, T * P, D), the levels' keys and values for each block, and the mask of H^0's tokens."""
        check_token_width(tokens, self.in_channels)
        check_frame_mask(mask, *tokens.shape[:2])
        levels = clear_padding(tokens.to(self.dtype), mask).split(self.in_channels, -1)
        positions = self._positions(tokens.shape[1], mask)
        h = rearrange(self.query_norm(self.query_proj(levels[-1]).float()) + positions, "b t p d -> b (t p) d")
        token_mask = None if mask is None else repeat(mask, "b t -> b (t p)", p=tokens.shape[2])
        return h, self._memory(levels, positions), token_mask

    def _positions(self, frames: int, mask: Tensor | None) -> Tensor:
        """Return positional embeddings (T, P, D), or (B, T, P, D) of the ranks among real frames under a mask."""
        device = self.positions.device
        ranks = torch.arange(1, frames + 1, device=device) if mask is None else mask.long().cumsum(-1)
        if frames > POSITIONS:
            return self.pos_emb.embedding(ranks, self.pool_parts.num_parts)
        return self.positions[ranks]

    def _memory(self, levels: Sequence[Tensor], positions: Tensor) -> Sequence[Pair | None]:
        """Compute the levels' keys and values for each block; None without a fusion."""
        if self.memory_proj is None:
            return [None] * len(self.blocks)
        embedded = [
            rearrange(norm(proj(level).float()) + positions, "b t p d -> b (t p) d")
            for level, proj, norm in zip(levels, self.level_projs, self.level_norms, strict=False)
        ]
        projected: Tensor = self.memory_proj(torch.cat(embedded, 1))  # (B, M, R * 2 * D)
        heads = rearrange(projected, "b m (r two h d) -> r two b h m d", two=2, r=len(self.blocks), h=self.num_heads)
        return [(keys, values) for keys, values in heads]


class FusedBlock(nn.Module):
    """Inference form of a `DIDecoderBlock`."""

    def __init__(self, block: DIDecoderBlock, dtype: torch.dtype) -> None:
        super().__init__()
        own, fusion = block.self_attn, block.fusion
        self.num_heads = own.num_heads
        self.self_norm, self.ffn_norm = _copy(block.self_norm), _copy(block.ffn_norm)
        self.self_qkv = PackedLinear([own.q_proj, own.k_proj, own.v_proj], dtype)
        self.self_out = PackedLinear([own.out_proj], dtype)
        self.ffn_in, self.ffn_out = PackedLinear([block.ffn[0]], dtype, relu=True), PackedLinear([block.ffn[2]], dtype)
        if isinstance(fusion, DenseAttention):
            dense = fusion.attention
            self.attend_self = fusion.attend_self
            self.fusion_norm = _copy(block.fusion_norm)
            of_h = [dense.q_proj, dense.k_proj, dense.v_proj] if fusion.attend_self else [dense.q_proj]
            self.fusion_qkv = PackedLinear(of_h, dtype)
            self.fusion_out = PackedLinear([dense.out_proj], dtype)

    def forward(self, h: Tensor, memory: Pair | None, *, mask: Tensor | None) -> Tensor:
        """Refine H^{r-1} (B, N, D), float32, to H^r, with the levels' keys and values of this block."""
        h = self._self_attention(h, mask)
        if memory is not None:
            q, k, v, key_mask = self._dense_attention_inputs(h, memory, mask)
            h = h + self.fusion_out(_join(attend(q, k, v, mask=key_mask)))
        return h + self.ffn_out(self.ffn_in(self.ffn_norm(h)))  # type: ignore[no-any-return]

    def attention_map(self, h: Tensor, memory: Pair, *, mask: Tensor | None) -> Tensor:
        """Compute the Dense Attention's weights (B, heads, N, K), float32; arguments as in `forward`."""
        q, k, _, key_mask = self._dense_attention_inputs(self._self_attention(h, mask), memory, mask)
        return attention_weights(q.float(), k.float(), mask=key_mask)

    def _self_attention(self, h: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self._heads(self.self_qkv(self.self_norm(h)))
        return h + self.self_out(_join(attend(q, k, v, mask=mask)))  # type: ignore[no-any-return]

    def _dense_attention_inputs(
        self, h: Tensor, memory: Pair, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Queries (B, h, N, d), keys and values (B, h, K, d), and the keys' mask (B, K)."""
        q, *own = self._heads(self.fusion_qkv(self.fusion_norm(h)))
        k, v = (torch.cat(pair, 2) for pair in zip(memory, own, strict=True)) if own else memory
        levels = memory[0].shape[2] // h.shape[1]
        return q, k, v, None if mask is None else mask.repeat(1, levels + self.attend_self)

    def _heads(self, projected: Tensor) -> Sequence[Tensor]:
        """Each D of (B, N, n * D) as (B, h, N, D / h)."""
        dim = self.self_out.in_features
        return list(rearrange(projected, "b t (n h d) -> n b h t d", h=self.num_heads, n=projected.shape[-1] // dim))


def _join(heads: Tensor) -> Tensor:
    return rearrange(heads, "b h n d -> b n (h d)")


def _copy(norm: nn.Module) -> nn.LayerNorm:
    """Copy a LayerNorm, in float32."""
    assert isinstance(norm, nn.LayerNorm)
    own = nn.LayerNorm(norm.normalized_shape, norm.eps, device=norm.weight.device)
    own.load_state_dict(norm.state_dict())
    return own
