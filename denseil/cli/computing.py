"""What verbs that compute do first: seed, device, model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def begin(device: str, seed: int) -> tuple[torch.device, bool]:
    """Seed torch, join the other processes of a launcher, if any, and choose a device.

    Returns:
        The device, and whether this process is the one that prints and writes.
    """
    import torch

    from denseil.common.processes import join_processes

    torch.manual_seed(seed)
    return join_processes(device)


def dtype_of(precision: str) -> torch.dtype | None:
    """The type that a model computes in under autocast; None for float32."""
    import torch

    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
