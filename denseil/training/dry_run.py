"""Plan and cost of a training, from two trial steps."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import chain, islice, repeat

import torch

from denseil.common.arguments import checked
from denseil.common.text import counted
from denseil.training.config import TrainConfig
from denseil.training.optimizer import set_lr
from denseil.training.progress import mean_losses
from denseil.training.schedule import lr_at
from denseil.training.setup import set_up
from denseil.training.train import training_step


@dataclass(frozen=True)
class Plan:
    """Result of a dry run: the plan of a training, after two trial steps.

    Attributes:
        device: Device of the training.
        processes: Number of processes.
        identities: Training identities.
        tracklets: Training tracklets.
        params: Trainable parameters.
        batch: P, K and T of the global batch.
        accumulate: Batches per optimizer step.
        epochs: Number of epochs.
        steps_per_epoch: Optimizer steps per epoch.
        seconds_per_step: Seconds of the second step, including data.
        peak_memory: Peak memory in bytes of this process, or of its GPU; 0 on Windows without a GPU.
        losses: Total loss of the two steps.
    """

    device: str
    processes: int
    identities: int
    tracklets: int
    params: int
    batch: tuple[int, int, int]
    accumulate: int
    epochs: int
    steps_per_epoch: int
    seconds_per_step: float
    peak_memory: int
    losses: tuple[float, float]

    @property
    def hours(self) -> float:
        """Hours of the whole training, without validation."""
        return self.epochs * self.steps_per_epoch * self.seconds_per_step / 3600

    def __str__(self) -> str:
        ids, each, frames = self.batch
        processes, epochs = counted(self.processes, "process", "processes"), counted(self.epochs, "epoch")
        several = f" x {self.accumulate} a step" if self.accumulate > 1 else ""
        return (
            f"{counted(self.tracklets, 'tracklet')} of {counted(self.identities, 'identity', 'identities')}, "
            f"{self.params / 1e6:.1f} M parameters\n"
            f"batch: {ids} identities x {each} tracklets x {frames} frames = {ids * each * frames} frames{several}, "
            f"{processes} on {self.device}\n"
            f"steps: {epochs} x {self.steps_per_epoch} = {self.epochs * self.steps_per_epoch:,}\n"
            f"memory: {self.peak_memory / 2**30:.1f} GiB at the peak of a process\n"
            f"time: {self.seconds_per_step:.2f} s a step, {self.hours:.1f} h in all without validation\n"
            f"loss: {self.losses[0]:.3f}, then {self.losses[1]:.3f}"
        )


@checked
def dry_run(config: TrainConfig) -> Plan:
    """Set up a training as `train` does, run two steps, and write nothing.

    Raises:
        ValueError: As `train`; also its other errors.
    """
    training = set_up(config)
    training.start_epoch(0)
    losses, seconds = [], 0.0
    batches = chain.from_iterable(repeat(training.loader))  # an epoch may have a single batch
    for step in range(2):
        start = time.perf_counter()
        set_lr(training.optimizer, lr_at(config, step, training.steps_per_epoch))
        parts = [training_step(training, batch) for batch in islice(batches, config.accumulate)]
        losses.append(float(mean_losses(parts)["total"]))
        seconds = time.perf_counter() - start
    return Plan(
        device=str(training.accelerator.device),
        processes=training.accelerator.num_processes,
        identities=training.num_classes,
        tracklets=len(training.clips),
        params=sum(p.numel() for p in training.model.parameters() if p.requires_grad),
        batch=(config.num_ids, config.num_tracklets, config.clip_len),
        accumulate=config.accumulate,
        epochs=config.epochs,
        steps_per_epoch=training.steps_per_epoch,
        seconds_per_step=seconds,
        peak_memory=_peak_memory(training.accelerator.device),
        losses=(losses[0], losses[1]),
    )


def _peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes, of the GPU or of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
