"""Trainings side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

import timm
import torch

from denseil.data.datasets import find_reader
from denseil.losses import objective_module
from denseil.training.config import TrainConfig

T = TypeVar("T")
Calls = Callable[[Callable[..., T], Sequence[tuple[Any, ...]]], Iterator[tuple[int, T]]]
"""Calls a function with each tuple of arguments; yields the number of the call and its result, as they come."""


@contextmanager
def side_by_side(config: TrainConfig, parallel: int) -> Iterator[Calls[Any]]:
    """Start `parallel` processes, in which calls run; with 1, calls run one after another in this process.

    The processes are spawned, as CUDA needs it. They import the modules that registered the config's model, objective
    and dataset, divide torch's threads, and show no bars.
    """
    if parallel == 1:
        yield lambda function, calls: ((number, function(*each)) for number, each in enumerate(calls))
        return
    threads = max(1, torch.get_num_threads() // parallel)
    pool = ProcessPoolExecutor(
        parallel,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(threads, _own_modules(config)),
    )

    def calls(function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        numbers = {pool.submit(function, *each): number for number, each in enumerate(arguments)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()

    try:
        yield calls
    finally:
        pool.shutdown(cancel_futures=True)


def _own_modules(config: TrainConfig) -> list[str]:
    """List the modules outside the library in which the config's objective, dataset and model are registered."""
    names = [objective_module(config.objective), find_reader(config.dataset).read.__module__]
    if timm.is_model(config.model):
        names.append(timm.model_entrypoint(config.model).__module__)
    return [name for name in names if name.partition(".")[0] not in ("denseil", "timm", "__main__")]


def _begin(threads: int, modules: Iterable[str]) -> None:
    os.environ["TQDM_DISABLE"] = "1"
    torch.set_num_threads(threads)
    for module in modules:
        import_module(module)
