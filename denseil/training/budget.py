"""Fitting the epochs of an ablation to a time budget, by timing a few steps of each row."""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, islice, pairwise, repeat
from pathlib import Path
from typing import NamedTuple

import torch

from denseil.common.files import replacing
from denseil.training.config import TrainConfig
from denseil.training.setup import set_up
from denseil.training.train import training_step

logger = logging.getLogger(__name__)

FITTED = "fitted.json"
WARM_UP, TIMED = 3, 8  # steps
SPARE = 0.1  # of the budget, for checkpoints and for the load of parallel trainings


class Cost(NamedTuple):
    """Cost of the training of a row, in seconds.

    Attributes:
        start: Reading the dataset and building the model.
        epoch: One epoch.
        end: Evaluation: a forward pass of every test frame, at a third of a training step's cost.
    """

    start: float
    epoch: float
    end: float


def row_cost(config: TrainConfig) -> Cost:
    """Build a training and time a few of its steps; nothing is written."""
    begun = time.perf_counter()
    training = set_up(config)
    start = time.perf_counter() - begun
    training.start_epoch(0)
    batches = chain.from_iterable(repeat(training.loader))
    ends = []
    for batch in islice(batches, WARM_UP + TIMED):
        training_step(training, batch)
        if training.accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
    timed = ends[WARM_UP - 1 :]
    step = statistics.median(b - a for a, b in pairwise(timed)) * config.accumulate  # with the wait for its data
    tested = sum(len(each.frames) for part in (training.dataset.query, training.dataset.gallery) for each in part)
    frames = config.num_ids * config.num_tracklets * config.clip_len * config.accumulate
    return Cost(start, step * training.steps_per_epoch, step * tested / frames / 3)


def with_budget(
    config: TrainConfig, folder: Path, *, minutes: float, seeds: int, parallel: int, costs: Iterable[Cost]
) -> TrainConfig:
    """Fit the epochs of an ablation to a time budget, or read those that an earlier call fitted.

    The warm-up is at most a quarter of the epochs. `costs`, which may be a generator that measures them, is used only
    where nothing has been fitted yet.
    """
    kept = folder / FITTED
    if kept.is_file():
        fitted = json.loads(kept.read_text(encoding="utf-8"))
        return replace(config, **fitted)
    begun = time.monotonic()
    rows = list(costs)
    left = (60 * minutes - (time.monotonic() - begun)) * (1 - SPARE) * parallel
    fixed, epoch = seeds * sum(row.start + row.end for row in rows), seeds * sum(row.epoch for row in rows)
    epochs = int((left - fixed) / epoch)
    several = (seeds * len(rows), parallel)
    if epochs >= 1:
        logger.info(
            "%d trainings, %d at a time: %d epochs each fit into %g minutes (%.1f s an epoch on average)",
            *(*several, epochs, minutes, epoch / seeds / len(rows)),
        )
    else:
        epochs = 1
        logger.warning(
            "%d trainings, %d at a time, do not fit into %g minutes with one epoch each: they will take about %.1f",
            *(*several, minutes, (fixed + epoch) / parallel / 60),
        )
    fitted = {"epochs": epochs, "warmup": min(config.warmup, epochs / 4)}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as temporary:
        temporary.write_text(json.dumps(fitted), encoding="utf-8")
    return replace(config, **fitted)
