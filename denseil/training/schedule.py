"""The learning rate as a function of the step, without state."""

from __future__ import annotations

import math

from denseil.training.config import TrainConfig

WARMUP_START = 0.01


def lr_at(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of an optimizer step.

    "step" multiplies it by gamma after every `step_every` epochs (Section 4.2: by 0.1 after every 100). "cosine" decays
    it to zero over the steps after the warm-up (Loshchilov and Hutter, 2017). The warm-up is linear.

    Args:
        config: Training configuration.
        step: Index of the step, from 0.
        steps_per_epoch: Optimizer steps per epoch.
    """
    warmup, total = config.warmup * steps_per_epoch, config.epochs * steps_per_epoch
    if step < warmup:
        return config.lr * (WARMUP_START + (1 - WARMUP_START) * step / warmup)
    if config.schedule == "step":
        return config.lr * config.gamma ** (step // (steps_per_epoch * config.step_every))
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
    return config.lr
