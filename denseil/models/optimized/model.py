"""The inference form of a `DenseIL`, built and checked by `optimize`."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from denseil.common.arguments import checked
from denseil.layers import ClipHead, DenseInteractionHead
from denseil.layers.checks import check_frames
from denseil.layers.dense_attention import DenseAttention
from denseil.models.clip_model import ClipModel
from denseil.models.denseil import DenseIL
from denseil.models.identity import model_id, weights_digest
from denseil.models.optimized.agreement import Agreement
from denseil.models.optimized.fold import fold_batch_norms
from denseil.models.optimized.fused_decoder import FusedHead

CPU_CHUNK = 16


class OptimizedDenseIL(ClipModel):
    """Inference model made by `optimize`, with the embeddings of the original `DenseIL` up to rounding.

    It is always in eval mode, so calling it returns embeddings; its parameters take no gradients.

    Attributes:
        source_weights: Digest of the original's weights.
        dtype: Precision of the products.
        steps: The optimisations, one line each.
        agreement: Agreement with the original.
    """

    agreement: Agreement

    @checked
    def __init__(self, model: DenseIL, dtype: torch.dtype, *, compile: bool = False) -> None:
        super().__init__()
        self.dtype, self.fused_levels = dtype, model.fused_levels
        self.pretrained_cfg, self.denseil_cfg = dict(model.pretrained_cfg), dict(model.denseil_cfg)
        self.encoder = copy.deepcopy(model.encoder).eval()
        frame = torch.zeros(1, 3, *model.preprocessing.size, device=next(model.parameters()).device)
        folded = fold_batch_norms(self.encoder, lambda: self.encoder(frame))
        self.encoder.to(dtype).to(memory_format=torch.channels_last)
        self.decoder, steps = _fuse(model.decoder, dtype)
        self.norm = copy.deepcopy(model.neck.bn).float()
        self.requires_grad_(False).eval()
        self.source_weights, self._model_args = weights_digest(model), getattr(model, "_model_args", {})
        self.steps = [
            f"{folded} batch norms folded into convolutions",
            f"weights and products in {str(dtype).removeprefix('torch.')}, frames channels_last",
            *steps,
        ]
        if compile:
            self.encoder.net.compile(options={"freezing": True})
            self.steps.append("encoder compiled, at its first use with each kind of shape")

    @property
    def model_id(self) -> str:
        """Identity of the original, with this model's preprocessing; see `denseil.models.model_id`."""
        return model_id(self)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Compute part tokens of single frames, in `dtype`; see `ClipModel.encode_frames`.

        On a CPU a few frames are computed at a time, so that their activations fit its cache.
        """
        check_frames(frames)
        frames = frames.to(self.dtype, memory_format=torch.channels_last)
        parts = frames.split(CPU_CHUNK) if frames.is_cpu else [frames]
        return torch.cat([self.decoder.pool(self.encoder(part)) for part in parts])

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Compute embeddings from clip features (B, num_features), in float32."""
        bn = self.norm
        return F.batch_norm(x.float(), bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)

    def train(self, mode: bool = True) -> OptimizedDenseIL:
        """Stay in eval mode for any `mode`."""
        super().train(False)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OptimizedDenseIL:
        probe = torch.empty(0, dtype=self.dtype)
        if fn(probe).dtype != self.dtype or fn(probe.float()).dtype != torch.float32:
            raise ValueError(f"an optimised model keeps its types, {self.dtype} here: choose with optimize(dtype=...)")
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


def _fuse(head: ClipHead, dtype: torch.dtype) -> tuple[ClipHead, list[str]]:
    """Build the head for inference, and describe the changes."""
    if not isinstance(head, DenseInteractionHead):
        return copy.deepcopy(head), []
    fusion = head.interaction.blocks[0].fusion
    if fusion is not None and not isinstance(fusion, DenseAttention):
        return copy.deepcopy(head).to(dtype), []  # Dense Sum. and Dense Concat. are not optimised
    steps = ["queries, keys and values of a block from one product, positions looked up"]
    if fusion is not None:
        steps.insert(0, f"keys and values of all levels for all {len(head.interaction.blocks)} blocks in one product")
    return FusedHead(head, dtype), steps
