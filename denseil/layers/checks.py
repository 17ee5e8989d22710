"""Checks of user input, shared by the layers."""

import operator
from collections.abc import Sequence

import torch
from torch import Tensor

from denseil.common.arguments import shown


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}={shown(value)} is unknown; choose one of {', '.join(map(repr, choices))}")


# No published model comes near these; a config that exceeds them is damaged or hostile.
LARGEST = {
    "depth": 1000,
    "dim": 65536,
    "in_channels": 1048576,
    "ffn_dim": 1048576,
    "num_heads": 65536,
    "num_parts": 1024,
    "num_levels": 1024,
    "num_classes": 10**8,
}


def check_size(name: str, value: int, least: int = 1) -> None:
    """Raise unless an integer argument is from `least` to its maximum in `LARGEST`.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is out of its range.
    """
    try:
        if isinstance(value, bool) or not least <= operator.index(value) <= LARGEST[name]:
            raise ValueError(f"{name}={shown(value)}: give an integer from {least} to {LARGEST[name]}")
    except TypeError:
        raise TypeError(f"{name}={shown(value)}: give an integer from {least} to {LARGEST[name]}") from None


def check_dropout(name: str, value: float) -> None:
    """Raise ValueError unless a dropout probability is in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:  # NaN too
        raise ValueError(f"{name}={shown(value)}: give a dropout probability of at least 0 and below 1")


def check_heads(dim: int, num_heads: int) -> None:
    """Raise unless both are in their range, and `num_heads` divides `dim`."""
    check_size("dim", dim)
    check_size("num_heads", num_heads)
    if dim % num_heads:
        raise ValueError(f"dim={dim} cannot be split into num_heads={num_heads} heads; num_heads must divide dim")


def check_tensor(name: str, value: object) -> None:
    """Raise TypeError unless an argument is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is of type {type(value).__name__}; it must be a tensor")


def check_frames(frames: Tensor) -> None:
    """Raise TypeError unless frames are floating point, as normalised pixels are."""
    check_tensor("frames", frames)
    if not frames.is_floating_point():
        raise TypeError(
            f"frames have dtype {frames.dtype}; convert them to float and normalise with the model's mean, std"
        )


def check_token_width(tokens: Tensor, in_channels: Sequence[int]) -> None:
    """Raise ValueError unless tokens (..., W) are as wide as all levels together."""
    if tokens.shape[-1] != sum(in_channels):
        raise ValueError(f"tokens have width {tokens.shape[-1]}; it must be the sum of the levels {list(in_channels)}")


def check_maps(maps: Sequence[Tensor], in_channels: Sequence[int]) -> None:
    """Raise ValueError unless there is one map (..., C_l, H_l, W_l) per level, lowest first, all of the same frames."""
    widths = [level.shape[-3] for level in maps]
    if widths != list(in_channels):
        raise ValueError(
            f"maps have widths {widths}; they must be {list(in_channels)}, a map for each level, lowest first"
        )
    frames = [tuple(level.shape[:-3]) for level in maps]
    if any(each != frames[0] for each in frames):
        raise ValueError(f"maps have {frames} as the axes before C, H, W: give the maps of the same frames")


def check_mask(mask: Tensor | None, batch: int, number: int, of: str = "keys") -> None:
    """Raise unless `mask` is None, or a bool (B, number) tensor; its shape is not checked while compiling or exporting.

    Raises:
        TypeError: If the mask is not boolean; torch would add a float mask to the scores.
        ValueError: If its shape is wrong; torch would repeat some.
    """
    if mask is None:
        return
    check_tensor("mask", mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask has dtype {mask.dtype}; it must be torch.bool, False where {of} are padding")
    if not torch.compiler.is_compiling() and mask.shape != (batch, number):
        raise ValueError(f"mask has shape {tuple(mask.shape)}; {batch} rows of {number} {of} need ({batch}, {number})")


def check_frame_mask(mask: Tensor | None, batch: int, frames: int) -> None:
    """Raise unless `mask` is None, or a bool (B, T) tensor with at least one real frame in every row.

    Nothing is checked while compiling or exporting, since the outcome would depend on data.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If its shape is wrong, a row is all False, or T is 0.
    """
    if torch.compiler.is_compiling():
        return
    if not frames:
        raise ValueError("clips of T=0 frames have no embedding: leave them out")
    if mask is None:
        return
    check_tensor("mask", mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask has dtype {mask.dtype}; it must be torch.bool, True where a frame is real")
    if mask.shape != (batch, frames):
        raise ValueError(f"mask has shape {tuple(mask.shape)}; clips of B={batch}, T={frames} need ({batch}, {frames})")
    if mask.device.type != "meta" and not mask.any(1).all():
        empty = (~mask.any(1)).nonzero().flatten().tolist()
        raise ValueError(f"mask rows {empty} are all False: every clip needs at least one real frame; drop those clips")
