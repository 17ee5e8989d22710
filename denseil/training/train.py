"""The training loop: set up, step, validate, save, evaluate."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.data import ClipBatch
from denseil.embedding.evaluate import evaluate
from denseil.embedding.tracklet_vectors import FramesPolicy
from denseil.losses import Objective, named_losses
from denseil.metrics import RankingResult
from denseil.models import DenseIL, current_names
from denseil.models.interface import Preprocessing
from denseil.training.callbacks import notify
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
from denseil.training.run_folder import only_run, save_model
from denseil.training.schedule import lr_at
from denseil.training.setup import Training, set_up

logger = logging.getLogger(__name__)

CONFIG = "train.yaml"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
        folder: The folder of the trained model, for `denseil.create_model(folder, pretrained=True)`.
        result: The final evaluation, None for test_frames="none".
        steps: Steps of the optimizer.
    """

    folder: Path
    result: RankingResult | None
    steps: int


@checked
def train(
    config: TrainConfig,
    *,
    model: nn.Module | None = None,
    dataset: Any = None,
    objective: Objective | None = None,
    callbacks: Sequence[object] = (),
    preprocessing: Preprocessing | None = None,
    resume: bool = False,
) -> TrainResult:
    """Train a model.

    The folder `config.output` gets train.yaml, metrics.jsonl, TensorBoard's files, the last two checkpoints, `best/`,
    the model with the best validation mAP, and `final/`. Under `accelerate launch` or `torchrun` all processes train
    one model. Every epoch has its own random generator, so a run that was killed and resumed ends in the weights of one
    that was not (on a CPU: to the bit), for any number of workers.

    Args:
        config: The fields of the training. Its `model`, `model_args` and `init` are not used if `model` is given, its
            `dataset`, `root` and `data_args` are not if `dataset` is, and its losses are not if `objective` is.
        model: Any module that follows `denseil.models.interface.VideoEncoder`; it is trained in place.
        dataset: Any object with lists `train`, `query` and `gallery` of `denseil.data.Tracklet`.
        objective: Called as `objective(logits, features, labels)`; see `denseil.losses.Objective`. Its parameters, if
            it has any, are trained too.
        callbacks: Objects with any of the methods `on_step(training, step, losses)`, `on_epoch(training, epoch)`,
            `on_evaluate(training, result)` and `on_end(training, result)`, called on every process. `step` and `epoch`
            are counts of those done, `losses` maps names to detached scalars.
        preprocessing: How frames are prepared for `model`, if it has no attribute `preprocessing`.
        resume: Continue from the last intact checkpoint of `config.output`, or from the start if it has none.

    Raises:
        ModuleNotFoundError: If the extra `train` is not installed.
        FileExistsError: If the output folder holds another run and `resume` is not given, or a run that is going on.
        FileNotFoundError: If there is no run to resume, or files of the dataset are missing.
        TypeError: If the model, dataset, objective or a callback does not follow its interface.
        ValueError: If fields of the config do not fit together, or they or the data differ from the run to resume.
        RuntimeError: If the loss became NaN or diverged. The last checkpoint before it is kept.
        OSError: If a checkpoint cannot be written. Earlier ones are kept.
    """
    output = Path(config.output)
    with only_run(output, create=not resume):
        _check_output(output, config, resume=resume)
        training = set_up(
            config,
            model=model,
            dataset=dataset,
            objective=objective,
            callbacks=callbacks,
            preprocessing=preprocessing,
        )
        epoch, best = _begin(training, output, resume=resume)
        progress = Progress(
            output,
            epoch=epoch,
            steps_per_epoch=training.steps_per_epoch,
            epochs=config.epochs,
            log_every=config.log_every,
            main=bool(training.accelerator.is_main_process),
        )
        with _closing(progress):
            for number in range(epoch, config.epochs):
                _run_epoch(training, progress, number)
                best = _after_epoch(training, progress, number, best)
                notify(training.callbacks, "on_epoch", training, number + 1)
        return _finish(training, output)


def _begin(training: Training, output: Path, *, resume: bool) -> tuple[int, float]:
    """Restore the last checkpoint, if there is one, and prepare the folder; epochs done and the best mAP so far."""
    checkpoint = last_checkpoint(output / CHECKPOINTS) if resume else None
    epoch, best = _restore(training, checkpoint) if checkpoint else (0, -1.0)
    training.accelerator.wait_for_everyone()
    if training.accelerator.is_main_process:
        for folder in (output / CHECKPOINTS, output / "best", output / "final"):
            clear_unfinished(folder)
        if not resume:
            training.config.save(output / CONFIG)
    return epoch, best


def _finish(training: Training, output: Path) -> TrainResult:
    """Save the model, evaluate it, and save the result beside it."""
    config, main = training.config, bool(training.accelerator.is_main_process)
    if main:
        save_model(training, output / "final", None)
    result = None
    if config.test_frames != "none":
        result = _evaluate(training, config.test_frames, progress=main)
        if main:
            save_model(training, output / "final", result)
    training.accelerator.wait_for_everyone()
    done = TrainResult(output / "final", result, config.epochs * training.steps_per_epoch)
    notify(training.callbacks, "on_end", training, done)
    return done


def _run_epoch(training: Training, progress: Progress, epoch: int) -> None:
    config = training.config
    training.start_epoch(epoch)
    clips = config.num_ids * config.num_tracklets * config.accumulate
    micro_batches = islice(training.loader, training.steps_per_epoch * config.accumulate)
    for index, batch in enumerate(micro_batches):
        lr = lr_at(config, progress.step, training.steps_per_epoch)
        set_lr(training.optimizer, lr)
        losses = training_step(training, batch)
        if (index + 1) % config.accumulate == 0:
            progress.train_step(epoch, losses, lr, clips)
            notify(training.callbacks, "on_step", training, progress.step, losses)


def training_step(training: Training, batch: ClipBatch) -> dict[str, Tensor]:
    """Run forward and backward on a batch and, where accumulation ends, a step of the optimizer.

    Returns:
        The losses by name, "total" first, detached scalars.
    """
    accelerator, config = training.accelerator, training.config
    clips, labels = training.to_device(batch)  # (B, T, 3, H, W), (B,)
    with accelerator.accumulate(training.wrapped):
        logits, features = _outputs(training, training.wrapped(clips))  # (B, identities), (B, D)
        losses = named_losses(training.objective(logits, features, labels))
        accelerator.backward(losses["total"])
        if config.clip_grad is not None and accelerator.sync_gradients:
            accelerator.clip_grad_norm_(training.wrapped.parameters(), config.clip_grad)
        training.optimizer.step()
        training.optimizer.zero_grad()
    return {name: loss.detach() for name, loss in losses.items()}


def _outputs(training: Training, output: Any) -> tuple[Tensor | None, Tensor]:
    """Check what a model returned."""
    name = type(training.model).__name__
    if not isinstance(output, tuple) or len(output) != 2 or not isinstance(output[1], Tensor):
        raise TypeError(f"{name} returned a {type(output).__name__}: while training it must return (logits, features)")
    logits, features = output
    if logits is not None and logits.shape[-1] != training.num_classes:
        raise ValueError(
            f"{name} gives logits of {logits.shape[-1]} identities, but the training tracklets have "
            f"{training.num_classes}: build it with that many"
        )
    return logits, features


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
        result = _evaluate(training, "even8")
        progress.validation(epoch, result)
        if result.mAP > best:
            best = result.mAP
            if training.accelerator.is_main_process:
                save_model(training, output / "best", result)
    if saves and training.accelerator.is_main_process:
        scaler = training.accelerator.scaler
        state = {
            "epoch": epoch + 1,
            "best": best,
            "scaler": scaler.state_dict() if scaler else None,
            "data": training.data,
        }
        tensors = {"model": weights, "optimizer": optimizer_tensors(training.optimizer)}
        if isinstance(training.objective, nn.Module) and (own := training.objective.state_dict()):
            tensors["objective"] = own
        if not (output / CONFIG).exists():  # deleted meanwhile; without it there is nothing to resume
            config.save(output / CONFIG)
        save_checkpoint(output / CHECKPOINTS, epoch + 1, state, tensors)
    training.accelerator.wait_for_everyone()
    progress.pause()
    return best


def _restore(training: Training, checkpoint: Checkpoint) -> tuple[int, float]:
    """Epochs done and the best mAP."""
    data = checkpoint.state.get("data")
    if data is None:
        logger.info("%s has no fingerprint of its data: whether they are the same is not checked", checkpoint.path)
    elif data != training.data:
        raise ValueError(
            f"{training.config.output} was begun with other training tracklets (other names, identities, cameras or "
            "frames): resume it with those, or begin another"
        )
    tensors = checkpoint.tensors["model"]
    training.model.load_state_dict(current_names(tensors) if isinstance(training.model, DenseIL) else tensors)
    if isinstance(training.objective, nn.Module) and "objective" in checkpoint.tensors:
        training.objective.load_state_dict(checkpoint.tensors["objective"])
    restore_optimizer(training.optimizer, checkpoint.tensors["optimizer"])
    if checkpoint.state["scaler"] is not None and training.accelerator.scaler is not None:
        training.accelerator.scaler.load_state_dict(checkpoint.state["scaler"])
    return int(checkpoint.state["epoch"]), float(checkpoint.state["best"])


def _evaluate(training: Training, frames: FramesPolicy, *, progress: bool = False) -> RankingResult:
    result = evaluate(
        training.model,
        training.dataset,
        preprocessing=training.preprocessing,
        frames=frames,
        protocol=training.config.protocol,
        progress=progress,
    )
    notify(training.callbacks, "on_evaluate", training, result)
    return result


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
