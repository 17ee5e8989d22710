"""The training: build, loop, judge, save."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from denseil.embedding.evaluate import evaluate
from denseil.embedding.tracklet_vectors import FramesPolicy
from denseil.metrics import RankingResult
from denseil.models import current_names
from denseil.training.checkpoints import (
    Checkpoint,
    clear_unfinished,
    last_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from denseil.training.config import TrainConfig
from denseil.training.optimizer import set_lr
from denseil.training.progress import Progress, all_finite
from denseil.training.run_folder import save_model
from denseil.training.schedule import lr_at
from denseil.training.setup import Training, set_up

CONFIG = "train.yaml"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves.

    Attributes:
        folder: Of the trained model: `denseil.create_model(f"local-dir:{folder}", pretrained=True)`.
        result: How it was judged, None for test_frames="none".
        steps: Steps of the optimizer.
    """

    folder: Path
    result: RankingResult | None
    steps: int


def train(config: TrainConfig, *, resume: bool = False) -> TrainResult:
    """Train a model.

    The folder `config.output` gets train.yaml, metrics.jsonl, TensorBoard's files, the last two checkpoints, `best/`,
    the model with the best validation, and at the end `final/`. Under `accelerate launch` or `torchrun` all processes
    train one model. Every epoch draws from a generator of its own, so a run that was killed and resumed ends in the
    weights of one that was not (on a CPU: to the bit).

    Args:
        config: What to do.
        resume: Go on from the last whole checkpoint of `config.output`, from the start if it has none.

    Raises:
        ModuleNotFoundError: If the extra `train` is not installed.
        FileExistsError: If the output folder holds another run and `resume` is not given.
        FileNotFoundError: If there is no run to resume, or files of the dataset are missing.
        ValueError: If something in the config does not fit, or it differs from that of the run to resume.
        RuntimeError: If the loss became NaN or diverged. The last checkpoint from before is kept.
        OSError: If a checkpoint cannot be written. Those before it are kept.
    """
    output = Path(config.output)
    _check_output(output, config, resume=resume)
    training = set_up(config)
    main = bool(training.accelerator.is_main_process)
    if main:
        output.mkdir(parents=True, exist_ok=True)
        clear_unfinished(output / CHECKPOINTS)
        if not resume:
            config.save(output / CONFIG)
    training.accelerator.wait_for_everyone()
    checkpoint = last_checkpoint(output / CHECKPOINTS) if resume else None
    epoch, best = _restore(training, checkpoint) if checkpoint else (0, -1.0)
    progress = Progress(
        output,
        epoch=epoch,
        steps_per_epoch=training.steps_per_epoch,
        epochs=config.epochs,
        log_every=config.log_every,
        main=main,
    )
    with _closing(progress):
        for number in range(epoch, config.epochs):
            _run_epoch(training, progress, number)
            best = _after_epoch(training, progress, number, best)
    result = None
    if config.test_frames != "none":
        result = _judge(training, config.test_frames, progress=main)
    if main:
        save_model(training, output / "final", result)
    training.accelerator.wait_for_everyone()
    return TrainResult(output / "final", result, config.epochs * training.steps_per_epoch)


def _run_epoch(training: Training, progress: Progress, epoch: int) -> None:
    config = training.config
    training.start_epoch(epoch)
    clips = config.num_ids * config.num_tracklets * config.accumulate
    micro_batches = islice(training.loader, training.steps_per_epoch * config.accumulate)
    for index, batch in enumerate(micro_batches):
        lr = lr_at(config, progress.step, training.steps_per_epoch)
        set_lr(training.optimizer, lr)
        losses = training.step(batch)
        if (index + 1) % config.accumulate == 0:
            progress.train_step(epoch, losses, lr, clips)


def _after_epoch(training: Training, progress: Progress, epoch: int, best: float) -> float:
    """Validate and save where it is time; the best mAP so far."""
    config, output, last = training.config, Path(training.config.output), epoch + 1 == training.config.epochs
    saves = last or (epoch + 1) % config.save_every == 0
    validates = config.validate_every > 0 and (last or (epoch + 1) % config.validate_every == 0)
    if not (saves or validates):
        return best
    weights = training.model.state_dict()
    if not all_finite(weights):
        raise RuntimeError(f"weights became NaN or infinite in epoch {epoch + 1}: training is stopped. Try a lower lr")
    if validates:
        result = _judge(training, "even8")
        progress.validation(epoch, result)
        if result.mAP > best:
            best = result.mAP
            if training.accelerator.is_main_process:
                save_model(training, output / "best", result)
    if saves and training.accelerator.is_main_process:
        scaler = training.accelerator.scaler
        state = {"epoch": epoch + 1, "best": best, "scaler": scaler.state_dict() if scaler else None}
        tensors = {"model": weights, "optimizer": optimizer_tensors(training.optimizer)}
        save_checkpoint(output / CHECKPOINTS, epoch + 1, state, tensors)
    training.accelerator.wait_for_everyone()
    progress.pause()
    return best


def _restore(training: Training, checkpoint: Checkpoint) -> tuple[int, float]:
    """Epochs done and the best mAP."""
    training.model.load_state_dict(current_names(checkpoint.tensors["model"]))
    restore_optimizer(training.optimizer, checkpoint.tensors["optimizer"])
    if checkpoint.state["scaler"] is not None and training.accelerator.scaler is not None:
        training.accelerator.scaler.load_state_dict(checkpoint.state["scaler"])
    return int(checkpoint.state["epoch"]), float(checkpoint.state["best"])


def _judge(training: Training, frames: FramesPolicy, *, progress: bool = False) -> RankingResult:
    return evaluate(
        training.model, training.dataset, frames=frames, protocol=training.config.protocol, progress=progress
    )


def _check_output(output: Path, config: TrainConfig, *, resume: bool) -> None:
    """Refuse to mix two runs."""
    there = (output / CONFIG).exists()
    if not resume:
        if there:
            raise FileExistsError(f"{output} holds a run already: resume it, or choose another output")
        return
    if not there:
        raise FileNotFoundError(f"{output} holds no run to resume: it has no {CONFIG}")
    before = TrainConfig.load(output / CONFIG)
    changed = config.changed_from(before)
    if changed:
        name = changed[0]
        raise ValueError(
            f"{output} was begun with {name}={getattr(before, name)!r}, not {getattr(config, name)!r}"
            + (f" (and so with {', '.join(changed[1:])})" if changed[1:] else "")
            + ": resume it as it was, or begin another"
        )


@contextmanager
def _closing(progress: Progress) -> Iterator[None]:
    try:
        yield
    finally:
        progress.close()
