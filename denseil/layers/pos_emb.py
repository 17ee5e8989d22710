"""STEP-Emb, the Spatio-TEmporal Positional Embedding (Section 3.3)."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers.checks import check_choice, check_mask

PosKind = Literal["step", "spatial", "temporal", "none"]
PosFormula = Literal["paper", "vaswani", "factored"]


def sinusoid(position: Tensor, dim: int, formula: PosFormula = "paper") -> Tensor:
    """Compute sinusoidal embeddings of positions counted from 1.

    "paper" (and each half of "factored") is the printed formula: for the hidden index j = 1..d,
    sin(pos / 10000^(j/d)) where j is even and cos of the same where it is odd. "vaswani" counts positions and
    indices from 0 and lets the indices 2k and 2k + 1 share the frequency 10000^(-2k/d).

    Args:
        position: Positions of any shape, counted from 1.
        dim: d, the length of an embedding.
        formula: "vaswani", or "paper" for the printed formula.

    Returns:
        Float32 embeddings, shape `(*position.shape, dim)`.
    """
    index = torch.arange(dim, device=position.device)  # j - 1
    position = position.to(torch.float32).unsqueeze(-1)
    if formula == "vaswani":
        angle = (position - 1) / 10000 ** ((index // 2 * 2).float() / dim)
        return torch.where(index % 2 == 0, angle.sin(), angle.cos())
    angle = position / 10000 ** ((index + 1).float() / dim)  # an integer would become torch's default dtype
    return torch.where(index % 2 == 1, angle.sin(), angle.cos())


class SpatioTemporalPosEmb(nn.Module):
    """Add e_i^p = s^p + t_i to the token of part p in frame i.

    It has no parameters and no buffers: the angles are computed in float32 at every call, so a half-precision
    model keeps exact positions.

    NOTE: with the paper's sum, s^1 + t_2 = s^2 + t_1: (part, frame) and (frame, part) get the same vector.
    "factored" gives part and frame one half of the dimensions each, and no two positions collide.

    Args:
        dim: d, the width of a token.
        kind: Which terms to add: "step" both, "spatial" s^p, "temporal" t_i, "none" nothing (Table 1b).
        formula: "paper", "vaswani" (see `sinusoid`) or "factored".

    Raises:
        ValueError: If `kind` or `formula` is unknown, or `dim` is odd with "factored".
    """

    @checked
    def __init__(self, dim: int, *, kind: PosKind = "step", formula: PosFormula = "paper") -> None:
        super().__init__()
        check_choice("kind", kind, get_args(PosKind))
        check_choice("formula", formula, get_args(PosFormula))
        if formula == "factored" and dim % 2:
            raise ValueError(f"dim={dim}: formula='factored' halves the dimensions; choose an even dim")
        self.dim = dim
        self.kind: PosKind = kind
        self.formula: PosFormula = formula

    def embedding(self, frames: Tensor, num_parts: int) -> Tensor:
        """Compute the embeddings of every part in the given frames.

        Args:
            frames: Temporal indices i, counted from 1, of any shape (..., T).
            num_parts: P; the parts are counted 1..P.

        Returns:
            Float32 tensor (..., T, P, dim).
        """
        parts = torch.arange(1, num_parts + 1, device=frames.device)
        dim = self.dim // 2 if self.formula == "factored" else self.dim
        spatial = sinusoid(parts, dim, self.formula)  # (P, dim)
        temporal = sinusoid(frames, dim, self.formula).unsqueeze(-2)  # (..., T, 1, dim)
        if self.kind in ("temporal", "none"):
            spatial = torch.zeros_like(spatial)
        if self.kind in ("spatial", "none"):
            temporal = torch.zeros_like(temporal)
        if self.formula == "factored":
            shape = (*frames.shape, num_parts, dim)
            return torch.cat([spatial.expand(shape), temporal.expand(shape)], -1)
        return spatial + temporal

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Add the embedding to tokens.

        Args:
            tokens: Part tokens (B, T, P, dim).
            mask: Bool (B, T), True where a frame is real. A frame's index is its rank among the real ones.

        Returns:
            Tokens of the same shape and dtype.

        Raises:
            TypeError: If the mask is not boolean.
            ValueError: If the tokens have another width, or the mask another shape.
        """
        if tokens.dim() != 4 or tokens.shape[-1] != self.dim:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}; they must be (B, T, P, {self.dim})")
        check_mask(mask, tokens.shape[0], tokens.shape[1], of="frames")
        if self.kind == "none":
            return tokens
        if mask is None:
            frames = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)  # (T,)
        else:
            frames = mask.long().cumsum(-1)  # (B, T)
        return tokens + self.embedding(frames, tokens.shape[2]).to(tokens.dtype)

    def extra_repr(self) -> str:
        """Describe the layer's arguments, for `print`."""
        return f"dim={self.dim}, kind={self.kind!r}, formula={self.formula!r}"
