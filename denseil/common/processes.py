"""Choice of the device, and process groups of `accelerate launch` or `torchrun`."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from denseil.common.extras import need


def join_processes(device: str = "auto") -> tuple[torch.device, bool]:
    """Join the launcher's process group, if any, and choose the device of this process.

    Args:
        device: A torch device such as "cpu", or "auto" for an accelerator if there is one, else the CPU.

    Returns:
        The device, and whether this is the main process, which prints and writes.

    Raises:
        ModuleNotFoundError: If there are several processes and accelerate is not installed.
        ValueError: If torch cannot use the device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        accelerate = need("accelerate", to="work in several processes", extra="train")
        patience = timedelta(days=7)  # finished processes wait for the slowest
        state = accelerate.PartialState(cpu=device == "cpu", timeout=patience)
        return state.device, bool(state.is_main_process)
    return choose_device(device), True


def choose_device(name: str | torch.device | int = "auto") -> torch.device:
    """Return the device of a name; "auto" is an accelerator if there is one, else the CPU.

    Raises:
        ValueError: If torch does not know the device, or cannot use it here, or it is meta.
    """
    if name == "auto":
        return best_device()
    device = usable_device(name, also="auto")
    if device.type == "meta":
        raise ValueError("device 'meta' computes nothing: give 'cpu' or an accelerator")
    return device


def usable_device(name: str | torch.device | int, *, also: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: The name.
        also: A further name that the caller takes, for the error.

    Raises:
        ValueError: If torch does not know the device, or cannot use it here.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"device {str(name)!r} cannot be used here ({reason}): give cpu, cuda, cuda:1, mps or {also}"
        ) from error
    return device


def best_device() -> torch.device:
    """Return an accelerator if torch finds one, else the CPU."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def rank_and_world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def wait_for_all() -> None:
    """Wait until all processes have reached this call."""
    if rank_and_world()[1] > 1:
        dist.barrier()


def leave_processes() -> None:
    """Destroy the process group, if any, after all processes are done; otherwise a process can abort at exit."""
    wait_for_all()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
