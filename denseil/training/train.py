"""The training loop: set up, step, validate, save, evaluate."""

from __future__ import annotations

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
from denseil.models.interface import Preprocessing
from denseil.training.callbacks import notify
from denseil.training.checkpoints import Checkpoint, clear_unfinished, last_checkpoint
from denseil.training.config import TrainConfig
from denseil.training.optimizer import set_lr
from denseil.training.progress import Progress, all_finite, loggable, mean_losses
from denseil.training.restoring import forward_restored, own_forward, settings_restored
from denseil.training.resume import CHECKPOINTS, CONFIG, check_run, restore_state, save_state
from denseil.training.run_folder import only_run, save_model
from denseil.training.schedule import lr_at
from denseil.training.setup import Training, set_up
from denseil.training.trackers import start_tracker


@dataclass(frozen=True)
class TrainResult:
    """Result of a training.

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

    The folder `config.output` gets train.yaml, metrics.jsonl, the tracker's files, the last two checkpoints, `best/`,
    the model with the best validation mAP, and `final/`. Under `accelerate launch` or `torchrun` all processes train
    one model. Every epoch has its own random generator, so a run that was killed and resumed ends in the weights of an
    uninterrupted one (on a CPU, to the bit), for any number of workers.

    Args:
        config: Training configuration. Its `model`, `model_args` and `init` are not used if `model` is given, its
            `dataset`, `root` and `data_args` are not if `dataset` is, and its losses are not if `objective` is.
        model: Any module that follows `denseil.models.interface.VideoEncoder`; it is trained in place.
        dataset: Any object with lists `train`, `query` and `gallery` of `denseil.data.Tracklet`.
        objective: Called as `objective(logits, features, labels)`; see `denseil.losses.Objective`. Its parameters, if
            it has any, are trained too.
        callbacks: Objects with any of the methods `on_step(training, step, losses)`, `on_epoch(training, epoch)`,
            `on_evaluate(training, result)` and `on_end(training, result)`, called on every process. `step` and `epoch`
            are counts of those done, `losses` maps names to detached scalars.
        preprocessing: Preprocessing of frames for `model`, if it has no attribute `preprocessing`.
        resume: Continue from the last intact checkpoint in `config.output`, or from the start if there is none.

    Raises:
        ModuleNotFoundError: If the extra `train`, or the package of the tracker, is not installed.
        FileExistsError: If the output folder holds another run and `resume` is not given, or a run in progress.
        FileNotFoundError: If there is no run to resume, or files of the dataset are missing.
        TypeError: If the model, dataset, objective or a callback does not follow its interface.
        ValueError: If fields of the config do not fit together, or they or the data differ from the run to resume.
        RuntimeError: If the loss became NaN or diverged. The last checkpoint before it is kept.
        OSError: If a checkpoint cannot be written. Earlier ones are kept.
    """
    output = Path(config.output)
    with only_run(output, create=not resume), settings_restored(model):
        check_run(output, config, resume=resume)
        checkpoint = last_checkpoint(output / CHECKPOINTS) if resume else None
        training = set_up(
            config,
            model=model,
            dataset=dataset,
            objective=objective,
            callbacks=callbacks,
            preprocessing=preprocessing,
            initialize=checkpoint is None,
        )
        with forward_restored(training):
            epoch, best = _begin(training, output, checkpoint, resume=resume)
            del checkpoint  # its tensors
            with _reporting(training, output, epoch) as progress:
                for number in range(epoch, config.epochs):
                    _run_epoch(training, progress, number)
                    best = _after_epoch(training, progress, number, best)
                    notify(training.callbacks, "on_epoch", training, number + 1)
            return _finish(training, output)


def _begin(training: Training, output: Path, checkpoint: Checkpoint | None, *, resume: bool) -> tuple[int, float]:
    """Restore the last checkpoint, if any, and prepare the folder; return epochs done and the best mAP so far."""
    epoch, best = restore_state(training, checkpoint) if checkpoint else (0, -1.0)
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
    parts: list[dict[str, Tensor]] = []  # the losses of the micro-batches of one step
    for batch in micro_batches:
        lr = lr_at(config, progress.step, training.steps_per_epoch)
        set_lr(training.optimizer, lr)
        parts.append(training_step(training, batch))
        if len(parts) == config.accumulate:
            losses, parts = mean_losses(parts), []
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
        losses = loggable(named_losses(training.objective(logits, features, labels)))
        accelerator.backward(losses["total"])
        if config.clip_grad is not None and accelerator.sync_gradients:
            accelerator.clip_grad_norm_(training.named_parameters().values(), config.clip_grad)
        training.optimizer.step()
        training.optimizer.zero_grad()
    return {name: loss.detach() for name, loss in losses.items()}


def _outputs(training: Training, output: Any) -> tuple[Tensor | None, Tensor]:
    """Check what a model returned."""
    name = type(training.model).__name__
    if not isinstance(output, tuple) or len(output) != 2 or not isinstance(output[1], Tensor):
        raise TypeError(f"{name} returned a {type(output).__name__}: while training it must return (logits, features)")
    logits, features = output
    used = getattr(training.objective, "uses_logits", True)
    if used and logits is not None and logits.shape[-1] != training.num_classes:
        raise ValueError(
            f"{name} gives logits of {logits.shape[-1]} identities, but the training tracklets have "
            f"{training.num_classes}: build it with that many"
        )
    return logits, features


def _after_epoch(training: Training, progress: Progress, epoch: int, best: float) -> float:
    """Validate and save if it is time to; return the best mAP so far."""
    config, output, last = training.config, Path(training.config.output), epoch + 1 == training.config.epochs
    saves = last or (epoch + 1) % config.save_every == 0
    validates = config.validate_every > 0 and (last or (epoch + 1) % config.validate_every == 0)
    if not (saves or validates):
        return best
    if not all_finite([*training.model.state_dict().values(), *training.named_parameters().values()]):
        raise RuntimeError(f"weights became NaN or infinite in epoch {epoch + 1}: training is stopped. Try a lower lr")
    if validates:
        result = _evaluate(training, "even8")
        progress.validation(epoch, result)
        if result.mAP > best:
            best = result.mAP
            if training.accelerator.is_main_process:
                save_model(training, output / "best", result)
    if saves and training.accelerator.is_main_process:
        save_state(training, epoch + 1, best)
    training.accelerator.wait_for_everyone()
    progress.pause()
    return best


def _evaluate(training: Training, frames: FramesPolicy, *, progress: bool = False) -> RankingResult:
    with own_forward(training.model):
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


@contextmanager
def _reporting(training: Training, output: Path, epoch: int) -> Iterator[Progress]:
    """Report a training that goes on after `epoch` epochs, and close the report at the end."""
    config, main = training.config, bool(training.accelerator.is_main_process)
    progress = Progress(
        output,
        epoch=epoch,
        steps_per_epoch=training.steps_per_epoch,
        epochs=config.epochs,
        log_every=config.log_every,
        main=main,
        tracker=start_tracker(config, step=epoch * training.steps_per_epoch) if main else None,
    )
    try:
        yield progress
    finally:
        progress.close()
