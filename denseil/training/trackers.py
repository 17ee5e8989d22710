"""Accelerate's trackers, which log metrics to TensorBoard or Weights & Biases."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from denseil.common.extras import need
from denseil.training.config import TrainConfig


def start_tracker(config: TrainConfig, *, step: int) -> Any:
    """Start the tracker that a config names, in the folder of its run.

    Weights & Biases reads its own environment variables: WANDB_MODE=offline writes files without a network.

    Args:
        config: Configuration of the training.
        step: Steps done; TensorBoard forgets what an earlier run logged after it.

    Returns:
        An `accelerate.tracking.GeneralTracker`, with `log(values, step)` and `finish()`; None for tracker=none.

    Raises:
        ModuleNotFoundError: If the package of the tracker is not installed.
    """
    if config.tracker == "none":
        return None
    tracking, folder = need("accelerate.tracking", to="train", extra="train"), Path(config.output)
    if config.tracker == "tensorboard":
        need("torch.utils.tensorboard", to="log to TensorBoard (or set tracker=none)", extra="train")
        tracker = tracking.TensorBoardTracker("tensorboard", str(folder), purge_step=step + 1)
    else:
        need("wandb", to="log to Weights & Biases (or set tracker=tensorboard or none)", extra="wandb")
        tracker = tracking.WandBTracker("denseil", name=folder.name, dir=str(folder), resume="auto")
    if hasattr(tracker, "start"):  # before accelerate 1.9 the constructor started it
        tracker.start()
    if config.tracker == "wandb":
        tracker.store_init_configuration(json.loads(json.dumps(asdict(config))))
    return tracker
