"""Child processes of tests, forked from one server that has imported torch and the training once.

A fresh interpreter would take seconds of CPU for its imports. A fork of the test process itself would copy locks that
its other threads hold; the server has one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

PATIENCE = 300  # seconds


@cache
def context() -> Any:
    """The context of multiprocessing that forks from one server; where there is no fork, the test is skipped."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork, which this system lacks")
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["torch", "torch.distributed", "denseil.training", "accelerate.tracking"])
    return forking


def start(
    function: Callable[..., Any], *arguments: Any, log: Path, environment: Mapping[str, str] | None = None
) -> Any:
    """Start a child; its output goes to `log`."""
    child = context().Process(target=_run, args=(function, arguments, str(log), dict(environment or {})))
    child.start()
    return child


def finish(child: Any, log: Path) -> None:
    """Wait for a child, which must end without an error."""
    child.join(PATIENCE)
    assert child.exitcode == 0, f"exit code {child.exitcode}\n{log.read_text()}"


def _run(function: Callable[..., Any], arguments: tuple[Any, ...], log: str, environment: dict[str, str]) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update({"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment})
    multiprocessing.set_start_method("fork", force=True)  # so that a loader's workers end with the child
    torch.set_num_threads(1)
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def launcher(rank: int, world: int, port: int) -> dict[str, str]:
    """The environment that torchrun gives a process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **LOOPBACK,
    }


LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
"""Gloo otherwise looks up the machine's own name, which a container's network may not know."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_ranks(function: Callable[..., None], folder: Path, *arguments: Any, world: int = 2) -> None:
    """Call `function(rank, world, *arguments)` in each process of a gloo group that meets in a file of `folder`."""
    logs = [folder / f"rank{rank}.log" for rank in range(world)]
    children = [
        start(_rank, function, rank, world, str(folder), arguments, log=log, environment=LOOPBACK)
        for rank, log in enumerate(logs)
    ]
    for child, log in zip(children, logs, strict=True):
        finish(child, log)


def _rank(function: Callable[..., None], rank: int, world: int, folder: str, arguments: tuple[Any, ...]) -> None:
    """Nobody leaves before all have done: a peer that is still reading would see its connection closed."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    function(rank, world, *arguments)
    Path(folder, f"done{rank}").touch()
    deadline = time.monotonic() + PATIENCE
    while not all(Path(folder, f"done{other}").exists() for other in range(world)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"rank {rank} waited {PATIENCE} s for the others")
        time.sleep(0.01)
    dist.destroy_process_group()
