"""A training step against the encoder and the mean, by their multiply-adds: `python -m tests.benchmarks.training`.

Forward, both losses, backward and Adam, float32; in alternation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

import denseil
from denseil.losses import ReIDObjective
from denseil.models import DenseIL
from tests.benchmarks.rounds import alternate, ratio, report


def step(model: DenseIL, batch: int) -> Callable[[], None]:
    """One step on `batch` clips of 8 frames, two of each identity."""
    optimizer, objective = torch.optim.Adam(model.parameters(), lr=1e-5), ReIDObjective()
    clips, labels = torch.randn(batch, 8, 3, 256, 128), torch.arange(batch) // 2
    model.train()

    def run() -> None:
        optimizer.zero_grad()
        logits, features = model(clips)
        objective(logits, features, labels).total.backward()
        optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="denseil_resnet50")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = denseil.create_model(options.model, num_classes=625)
    mean = denseil.create_model(options.model, depth=0, num_classes=625)
    scale = denseil.profile(mean).macs / denseil.profile(model).macs
    seconds = alternate(
        {"step": step(model, options.batch), "step, encoder and mean": step(mean, options.batch)}, options.rounds
    )
    ratios = [
        ratio("step / encoder and mean", seconds, "step", "step, encoder and mean"),
        ratio("the same, by their multiply-adds", seconds, "step", "step, encoder and mean", scale=scale),
    ]
    title = f"{options.model}, {options.batch} clips of 8 frames, {options.threads} threads, {options.rounds} rounds"
    result = report(title, seconds, ratios)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
