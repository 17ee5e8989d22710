"""Device, precision and processes of a training."""

from __future__ import annotations

import os
from typing import Any

import torch

from denseil.common.extras import need
from denseil.common.processes import best_device
from denseil.training.config import TrainConfig


def make_accelerator(config: TrainConfig) -> Any:
    """Build accelerate's Accelerator for a config.

    Raises:
        ModuleNotFoundError: If accelerate is not installed.
        ValueError: If the device does not exist on this machine.
    """
    accelerate = need("accelerate", to="train", extra="train")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    _choose_device(config.device, world)
    # Its settings are global; a second training in one process may want others.
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=world == 1)
    accelerate.state.GradientState._reset_state()
    return accelerate.Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        gradient_accumulation_steps=config.accumulate,
        cpu=config.device == "cpu",
    )


def _choose_device(name: str, world: int) -> None:
    """Check a named device, and select it for accelerate."""
    if name in ("auto", "cpu"):
        return
    device, best = torch.device(name), best_device()
    if device.type != best.type:
        raise ValueError(f"device={name!r}: torch finds no {device.type} here, only {best.type}")
    if ":" not in name:
        return
    if world > 1:
        raise ValueError(f"device={name!r}: each of {world} processes has a device of its own; give {device.type!r}")
    count = torch.accelerator.device_count()
    if device.index >= count:
        raise ValueError(f"device={name!r}: there are {count}, counted from 0")
    if device.type == "cuda":
        torch.cuda.set_device(device)
