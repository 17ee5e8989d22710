"""Training on a CPU: the step of recipe `people` with its loader, with cached frames, in bfloat16, and compiled.

    python -m tests.benchmarks.cpu
    python -m tests.benchmarks.cpu --ways loader cached --rounds 5

Random weights and the rendered people in the package (128 x 64), 24 identities x 2 tracklets x 4 frames. Ways alternate
within one run; read the ratios. The loader has one worker process, as the recipe says, on the cores of the step; it
prepares two batches while the other ways run, so give each turn many `--steps`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch

from denseil.common.heap import keep_heap
from denseil.data import ClipBatch
from denseil.synth import sample
from denseil.training import TrainConfig
from denseil.training.setup import Training, set_up
from denseil.training.train import training_step
from tests.benchmarks.rounds import alternate, ratio, report

WAYS: dict[str, dict[str, Any]] = {
    "loader": {"cache": "none"},
    "cached": {"cache": "ram"},
    "cached, bf16": {"cache": "ram", "precision": "bf16"},
    "cached, compiled": {"cache": "ram", "compile": "default"},
}


def batches(training: Training) -> Iterator[ClipBatch]:
    for epoch in count():
        training.start_epoch(epoch)
        yield from training.loader


def steps(folder: Path, number: int, **fields: Any) -> Callable[[], None]:
    """Train `number` steps at each call."""
    own = {"root": str(sample()), "output": str(folder), "init": "random", "device": "cpu", "test_frames": "none"}
    training = set_up(TrainConfig.from_recipe("people", **own, validate_every=0, **fields))
    source = batches(training)

    def run() -> None:
        for _, batch in zip(range(number), source, strict=False):
            training_step(training, batch)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    keep_heap()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        ways = {name: steps(Path(folder, "run"), options.steps, **WAYS[name]) for name in options.ways}
        seconds = alternate(ways, options.rounds)
    first, *others = options.ways
    ratios = [ratio(f"{first} / {other}", seconds, first, other, aim="1.15 or more") for other in others]
    size = f"{options.steps} steps of recipe people (192 frames each)"
    title = f"{size}, {options.threads} threads, {options.rounds} rounds"
    result = report(title, seconds, ratios)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
