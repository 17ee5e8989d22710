"""Verbs on models."""

from __future__ import annotations

from typing import Any

import torch

import denseil


def version() -> int:
    """Print the version."""
    print(denseil.__version__)
    return 0


def models(filter: str = "", frames: int = 4) -> int:
    """List the models and what they cost.

    Args:
        filter: A wildcard filter, such as "denseil_res*".
        frames: T, the frames of a clip that the multiply-adds are counted for.
    """
    pretrained = {name.partition(".")[0] for name in denseil.list_pretrained()}
    rows = [(name, _profile(name, frames, (256, 128), {})) for name in denseil.list_models(filter)]
    print(f"{'model':24} {'params':>9} {'encoder':>9} {'GMACs':>7} {'encoder':>8} {'decoder':>8}  weights")
    for name, cost in rows:
        encoder, parts = cost.encoder_params or 0, (cost.encoder_macs or 0, cost.decoder_macs or 0)
        print(
            f"{name:24} {cost.params / 1e6:7.1f} M {encoder / 1e6:7.1f} M {cost.macs / 1e9:7.2f}"
            f" {parts[0] / 1e9:8.2f} {parts[1] / 1e9:8.2f}  {'yes' if name in pretrained else 'none'}"
        )
    print(f"GMACs: 10^9 multiply-adds of one clip of T = {frames} frames of 256 x 128.")
    return 0


def profile(
    name: str, frames: int = 4, size: tuple[int, int] = (256, 128), model_args: dict[str, Any] | None = None
) -> int:
    """Count the parameters and the multiply-adds of one model.

    Args:
        name: A model name, as for `denseil.create_model`.
        frames: T, the frames of a clip.
        size: Height and width of a frame in pixels.
        model_args: Arguments of the model, such as '{"backbone": "convnext_tiny", "dim": 256}'.
    """
    print(_profile(name, frames, size, model_args or {}))
    return 0


def _profile(name: str, frames: int, size: tuple[int, int], model_args: dict[str, Any]) -> denseil.models.Profile:
    with torch.device("meta"):  # nothing is computed: no need of memory for weights
        model = denseil.create_model(name, **model_args)
    return denseil.profile(model, frames=frames, size=size)
