"""Resuming a run: its state in checkpoints, and the checks that it is the same run."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from denseil.common.text import counted, plain
from denseil.models import DenseIL, current_names
from denseil.training.checkpoints import (
    Checkpoint,
    has_checkpoints,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from denseil.training.config import TrainConfig
from denseil.training.setup import Training

logger = logging.getLogger(__name__)

CONFIG = "train.yaml"
CHECKPOINTS = "checkpoints"


def check_run(output: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that a new run does not overwrite another, and that a resumed run is the one in the folder.

    Raises:
        FileExistsError: If the folder holds a run and `resume` is not given.
        FileNotFoundError: If there is no run to resume.
        ValueError: If its config differs in a field that the weights depend on.
    """
    there = (output / CONFIG).exists()
    if not resume:
        if there:
            raise FileExistsError(f"{output} holds a run already: resume it, or choose another output")
        if has_checkpoints(output / CHECKPOINTS):
            raise FileExistsError(f"{output} holds checkpoints of a run without its {CONFIG}: choose another output")
        return
    if not there:
        raise FileNotFoundError(f"{output} holds no run to resume: it has no {CONFIG}")
    before = TrainConfig.load(output / CONFIG)
    changed = config.changed_from(before)
    if changed:
        name = changed[0]
        raise ValueError(
            f"{output} was started with {name}={getattr(before, name)!r}, not {getattr(config, name)!r}"
            + (f" (other fields that differ: {', '.join(changed[1:])})" if changed[1:] else "")
            + ": resume it with the same config, or choose another output"
        )


def save_state(training: Training, epoch: int, best: float) -> None:
    """Write a checkpoint after `epoch` epochs, with the best mAP so far.

    Raises:
        OSError: If it cannot be written; earlier ones are kept.
    """
    config, output, scaler = training.config, Path(training.config.output), training.accelerator.scaler
    state = {
        "epoch": epoch,
        "config": asdict(config),
        "best": best,
        "scaler": scaler.state_dict() if scaler else None,
        "data": training.data,
        "processes": training.accelerator.num_processes,
        **_given_parts(training),
    }
    tensors = {
        "model": training.model.state_dict(),
        "optimizer": optimizer_tensors(training.optimizer, training.named_parameters()),
    }
    if isinstance(training.objective, nn.Module) and (own := training.objective.state_dict()):
        tensors["objective"] = own
    if not (output / CONFIG).exists():  # deleted in the meantime; a run cannot be resumed without it
        config.save(output / CONFIG)
    save_checkpoint(output / CHECKPOINTS, epoch, state, tensors)


def restore_state(training: Training, checkpoint: Checkpoint) -> tuple[int, float]:
    """Restore a checkpoint of a run.

    Returns:
        Epochs done, and the best mAP so far.

    Raises:
        ValueError: If the run was started with another config, which train.yaml no longer holds, other training
            tracklets, another model, another objective or another preprocessing.
    """
    begun = checkpoint.state.get("config")
    if begun is not None and (changed := training.config.changed_from(TrainConfig.from_dict(begun))):
        name = changed[0]
        raise ValueError(
            f"{Path(training.config.output, CONFIG)} has {name}={getattr(training.config, name)!r}, but the run was "
            f"started with {begun.get(name)!r}: change it back, or choose another output"
        )
    data = checkpoint.state.get("data")
    if data is None:
        logger.info("%s has no fingerprint of its data: whether they are the same is not checked", checkpoint.path)
    elif data != training.data:
        raise ValueError(
            f"{training.config.output} was started with other training tracklets (other names, identities, cameras or "
            "frames): resume it with those, or choose another output"
        )
    processes = training.accelerator.num_processes
    if (before := checkpoint.state.get("processes", processes)) != processes:
        logger.warning(
            "%s was trained by %s so far, and goes on with %d: it will end in other weights",
            *(training.config.output, counted(before, "process", "processes"), processes),
        )
    _restore_modules(training, checkpoint)
    if checkpoint.state["scaler"] is not None and training.accelerator.scaler is not None:
        training.accelerator.scaler.load_state_dict(checkpoint.state["scaler"])
    return int(checkpoint.state["epoch"]), float(checkpoint.state["best"])


def _given_parts(training: Training) -> dict[str, Any]:
    """Describe what `train` may be given and the config does not say: the objective by its name, the preprocessing."""
    objective, frames = training.objective, training.preprocessing.to_dict()
    del frames["frames"]  # of evaluations
    return {"objective": getattr(objective, "__qualname__", type(objective).__qualname__), "preprocessing": frames}


def _restore_modules(training: Training, checkpoint: Checkpoint) -> None:
    """Restore the model, the objective and the optimizer, which must be those of the run."""
    tensors, objective = checkpoint.tensors["model"], training.objective
    own = objective.state_dict() if isinstance(objective, nn.Module) else {}
    if bool(own) != ("objective" in checkpoint.tensors):
        raise ValueError(
            f"{training.config.output} was started with an objective {'without' if own else 'with'} weights of its "
            "own: resume it with the same objective, or choose another output"
        )
    for part, name in _given_parts(training).items():
        if (before := checkpoint.state.get(part, name)) != name:  # checkpoints of earlier versions do not say
            raise ValueError(
                f"{training.config.output} was started with {part} {before}, not {name}: resume it with the same, or "
                "choose another output"
            )
    try:
        training.model.load_state_dict(current_names(tensors) if isinstance(training.model, DenseIL) else tensors)
        if own and isinstance(objective, nn.Module):
            objective.load_state_dict(checkpoint.tensors["objective"])
        restore_optimizer(training.optimizer, checkpoint.tensors["optimizer"], training.named_parameters())
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{training.config.output} was started with another model or objective ({plain(str(error))}): resume it "
            "with the same, or choose another output"
        ) from error
