"""Which device to work on, and the other processes of `accelerate launch` or `torchrun`."""

from __future__ import annotations

import os

import torch

from denseil.data._extras import need


def join_processes(device: str = "auto") -> tuple[torch.device, bool]:
    """Join the process group that a launcher asks for, if any, and choose this process's device.

    Args:
        device: "auto" for an accelerator where there is one, else the CPU; or a torch device, such as "cpu".

    Returns:
        The device, and whether this process is the one that prints and writes.

    Raises:
        ModuleNotFoundError: If there are several processes and accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        accelerate = need("accelerate", to="work in several processes", extra="train")
        state = accelerate.PartialState(cpu=device == "cpu")
        return state.device, bool(state.is_main_process)
    if device != "auto":
        return torch.device(device), True
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu"), True
