"""The rows that `frozen` trains beside those of `denseil.training.tables()`: a control, and variants of the decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denseil import create_model
from denseil.layers import ClipHead, DenseInteractionHead, PartPool
from denseil.layers.head import clip_mean
from denseil.models import DenseIL
from denseil.training.ablation_tables import Row


class Linear(ClipHead):
    """The mean of the tokens, and a linear layer."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.in_channels, self.dim = [width], dim
        self.pool_parts, self.proj = PartPool(1), nn.Linear(width, dim)

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        projected: Tensor = self.proj(clip_mean(tokens, mask))
        return projected


class WithMean(ClipHead):
    """A decoder, and the mean of the highest level: side by side, or, projected to one width, added."""

    def __init__(self, decoder: ClipHead, width: int, *, added: bool) -> None:
        super().__init__()
        self.decoder, self.width, self.pool_parts = decoder, width, decoder.pool_parts
        self.in_channels = decoder.in_channels
        self.proj = nn.Linear(width, decoder.dim) if added else None
        self.dim = decoder.dim if added else decoder.dim + width

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        decoded = self.decoder.decode(tokens, mask)
        mean = clip_mean(tokens[..., -self.width :], mask)
        return torch.cat([mean, decoded], -1) if self.proj is None else decoded + self.proj(mean)


CONTROL = Row("averaged, linear", {"depth": 0})
ADDED, BESIDE = Row("mean added"), Row("mean beside")
ZERO, NO_NORM = Row("branches start at zero"), Row("no LayerNorm on levels")
VARIANTS = [
    BESIDE,
    ADDED,
    ZERO,
    NO_NORM,
    Row("dropout 0.1", {"drop": 0.1}),
    Row("rate x 3", train={"lr": 0.0015}),
    Row("rate / 3", train={"lr": 0.00017}),
    Row("weight decay x 6", train={"weight_decay": 0.3}),
]


def build(row: Row, num_classes: int, seed: int) -> DenseIL:
    """A model of a row with a frozen encoder."""
    torch.manual_seed(seed)
    model = create_model("denseil_mobilenetv2", num_classes=num_classes, **{"drop": 0.0, **row.model})
    width = model.encoder.channels[-1]
    if row is CONTROL:
        model.decoder = Linear(width, 256)
    elif row in (ADDED, BESIDE):
        model.decoder = WithMean(model.decoder, width, added=row is ADDED)
    elif row is NO_NORM:
        model.decoder.level_norms = nn.ModuleList(nn.Identity() for _ in model.decoder.level_norms)
    elif row is ZERO:
        start_at_zero(model.decoder)
    model.neck = type(model.neck)(model.decoder.dim, num_classes)
    model.encoder.requires_grad_(False)
    return model


def start_at_zero(head: DenseInteractionHead) -> None:
    """Let every residual branch begin with the output 0."""
    for block in head.interaction.blocks:
        for branch in (block.self_attn.out_proj, block.fusion.attention.out_proj, block.ffn[2]):
            nn.init.zeros_(branch.weight)
            if branch.bias is not None:
                nn.init.zeros_(branch.bias)
