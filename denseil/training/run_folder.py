"""The output folder of a training: the model, its card, and a record of config and environment."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import safetensors
import timm
import torch
import torchvision

from denseil._version import __version__
from denseil.common.extras import need
from denseil.common.files import replacing
from denseil.common.text import counted
from denseil.metrics import RankingResult
from denseil.models import save_pretrained
from denseil.training.setup import Training

LOCK = ".lock"


@contextmanager
def only_run(folder: Path, *, create: bool) -> Iterator[None]:
    """Lock the folder of a run against a second training. The main process holds the lock for all processes.

    Raises:
        FileExistsError: If another training holds the lock.
    """
    if os.environ.get("RANK", "0") != "0" or not (create or folder.is_dir()):
        yield
        return
    filelock = need("filelock", to="train", extra="train")
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise FileExistsError(
            f"another training is writing to {folder}: wait until it has ended, or choose another output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def save_model(training: Training, folder: Path, result: RankingResult | None) -> None:
    """Write the model, its card, train.yaml, environment.json and, if there is a result, result.json."""
    config = training.config
    persons, tracklets = training.num_classes, len(training.clips)
    card = {
        "data": (
            f"Trained on {training.dataset.name}: {counted(tracklets, 'tracklet')} of {counted(persons, 'person')}, "
            f"{counted(config.epochs, 'epoch')} of {counted(training.steps_per_epoch, 'step')}; `train.yaml` has the "
            "rest. Weights carry the terms of their data."
        )
    }
    if result is not None:
        card["results"] = f"On {training.dataset.name}:\n\n```\n{result}\n```"
    folder.mkdir(parents=True, exist_ok=True)
    save_pretrained(training.model, folder, card=card)
    config.save(folder / "train.yaml")
    with replacing(folder / "environment.json") as temporary:
        temporary.write_text(json.dumps(environment(training), indent=2) + "\n", encoding="utf-8")
    if result is not None:
        result.save(folder / "result.json")


def environment(training: Training) -> dict[str, str | int]:
    """Describe the software and hardware of a training."""
    device = training.accelerator.device
    return {
        "denseil": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type} {platform.machine()}",
        "processes": training.accelerator.num_processes,
        "threads": torch.get_num_threads(),
    }
