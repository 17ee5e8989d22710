"""How much of a training's time is spent outside forward, backward and optimizer.

    python -m tests.benchmarks.training_loop

Recipe `small` from random weights, each training tracklet of mars_tiny as a person. A ratio within one run.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from denseil.data import read_dataset, write_manifest
from denseil.training import TrainConfig
from denseil.training.progress import Progress
from denseil.training.setup import set_up
from denseil.training.train import _run_epoch
from tests.data.test_mars import TINY


def main(copies: int = 4) -> None:
    spent = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal spent
            start = time.perf_counter()
            value = function(*args, **kwargs)
            spent += time.perf_counter() - start
            return value

        return call

    with tempfile.TemporaryDirectory() as folder:
        dataset = read_dataset("mars", TINY)
        persons = [dataclasses.replace(t, pid=8 * c + i) for c in range(copies) for i, t in enumerate(dataset.train)]
        manifest = write_manifest(dataclasses.replace(dataset, train=persons), Path(folder, "people.csv"))
        training = set_up(TrainConfig.from_recipe("small", root=str(manifest), init="random", device="cpu"))
        training.wrapped.forward = timed(training.wrapped.forward)
        training.objective.forward = timed(training.objective.forward)
        training.accelerator.backward = timed(training.accelerator.backward)
        training.accelerator.clip_grad_norm_ = timed(training.accelerator.clip_grad_norm_)
        training.optimizer.step = timed(training.optimizer.step)
        steps = training.steps_per_epoch
        progress = Progress(Path(folder), epoch=0, steps_per_epoch=steps, epochs=3, log_every=5, main=True)
        _run_epoch(training, progress, 0)  # workers start, memory is fetched
        spent, start = 0.0, time.perf_counter()
        for epoch in (1, 2):
            _run_epoch(training, progress, epoch)
        wall = time.perf_counter() - start
        progress.close()
    print(
        f"{2 * steps} steps of {wall / steps / 2:.2f} s; {1 - spent / wall:.1%} outside forward, backward and optimizer"
    )


if __name__ == "__main__":
    main()
