"""Common first steps of verbs that compute: seed, processes, device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from denseil.models import DenseIL


def begin(device: str, seed: int) -> tuple[torch.device, bool]:
    """Seed torch, join the process group of a launcher, if any, and choose a device.

    Returns:
        The device, and whether this is the main process, which prints and writes.
    """
    import torch

    from denseil.common.processes import join_processes

    torch.manual_seed(seed)
    return join_processes(device)


def dtype_of(precision: str) -> torch.dtype | None:
    """Return the type for autocast; None for float32."""
    import torch

    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def open_model(
    model: str,
    device: torch.device,
    *,
    checkpoint: Path | None,
    random_weights: bool,
    model_args: dict[str, Any] | None,
) -> DenseIL:
    """Open a model with the options of `options.weights`, in eval mode on a device."""
    import denseil

    pretrained = checkpoint is None and not random_weights
    return denseil.create_model(model, pretrained, checkpoint_path=checkpoint, **(model_args or {})).to(device).eval()
