"""Checks of user input, shared by the layers."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(map(repr, choices))}")


def check_heads(dim: int, num_heads: int) -> None:
    """Raise ValueError unless `num_heads` heads divide `dim`."""
    if num_heads < 1 or dim % num_heads:
        raise ValueError(f"dim={dim} cannot be split into num_heads={num_heads} heads; num_heads must divide dim")


def check_frames(frames: Tensor) -> None:
    """Raise TypeError unless pixels are floating point, as normalised ones are."""
    if not frames.is_floating_point():
        raise TypeError(
            f"frames have dtype {frames.dtype}; convert them to float and normalise with the model's mean, std"
        )


def check_frame_mask(mask: Tensor | None, batch: int, frames: int) -> None:
    """Raise unless `mask` is a bool (B, T) tensor with a real frame in every row, or None with frames at all.

    While compiling or exporting nothing is checked: the answer would depend on data.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If its shape is wrong, a row is all False, or there is no frame.
    """
    if torch.compiler.is_compiling():
        return
    if not frames:
        raise ValueError("clips of T=0 frames have no embedding: leave them out")
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"mask has dtype {mask.dtype}; it must be torch.bool, True where a frame is real")
    if mask.shape != (batch, frames):
        raise ValueError(f"mask has shape {tuple(mask.shape)}; clips of B={batch}, T={frames} need ({batch}, {frames})")
    if mask.device.type != "meta" and not mask.any(1).all():
        empty = (~mask.any(1)).nonzero().flatten().tolist()
        raise ValueError(f"mask rows {empty} are all False: every clip needs at least one real frame; drop those clips")
