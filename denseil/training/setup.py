"""From a config to everything that a training needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

import denseil.models as models
from denseil.common.extras import need
from denseil.common.processes import best_device
from denseil.data import (
    ClipBatch,
    ClipDataset,
    PKSampler,
    Tracklet,
    VideoReIDDataset,
    clip_loader,
    label_map,
    normalize,
    read_dataset,
)
from denseil.losses import Objective
from denseil.models import DenseIL
from denseil.models.interface import Preprocessing, preprocessing_of
from denseil.training.callbacks import check_callbacks
from denseil.training.config import TrainConfig
from denseil.training.data_checks import check_evaluation, fingerprint
from denseil.training.optimizer import make_optimizer


@dataclass
class Training:
    """All parts of a training, built and checked.

    Attributes:
        config: What it was built from.
        accelerator: accelerate's, for devices, precision and processes.
        dataset: Train, query and gallery.
        model: The model itself, any module that follows `denseil.models.interface.VideoEncoder`.
        preprocessing: How its frames are prepared.
        wrapped: The model as accelerate prepared it.
        optimizer: As accelerate prepared it.
        objective: The losses.
        clips: The clips of the training tracklets.
        sampler: This process's share of each batch.
        loader: Batches of this process.
        num_classes: Training identities.
        steps_per_epoch: Steps of the optimizer in an epoch.
        data: Fingerprint of the training tracklets.
        callbacks: Objects that are told of steps, epochs and results.
    """

    config: TrainConfig
    accelerator: Any
    dataset: VideoReIDDataset
    model: nn.Module
    preprocessing: Preprocessing
    wrapped: nn.Module
    optimizer: Any
    objective: Objective
    clips: ClipDataset
    sampler: PKSampler
    loader: DataLoader[ClipBatch]
    num_classes: int
    steps_per_epoch: int
    data: str
    callbacks: Sequence[object] = ()

    def start_epoch(self, epoch: int) -> None:
        """Choose what an epoch draws: tracklets, clips, dropout. So epochs are alike however the run got to them."""
        self.sampler.set_epoch(epoch)
        self.clips.set_epoch(epoch)
        seeds = np.random.SeedSequence((self.config.seed, epoch, self.accelerator.process_index))
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        self.wrapped.train()
        frozen = {"none": None, "encoder": getattr(self.model, "encoder", None), "all": self.model}
        part = frozen[self.config.freeze_bn]
        for module in part.modules() if isinstance(part, nn.Module) else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

    def to_device(self, batch: ClipBatch) -> tuple[Tensor, Tensor]:
        """A batch's clips (B, T, 3, H, W) as the model takes them, and its labels (B,)."""
        device, frames = self.accelerator.device, self.preprocessing
        clips = batch.clips.to(device, non_blocking=True)
        if frames.color_order == "BGR":
            clips = clips.flip(2)
        clips = normalize(clips, frames.mean, frames.std)
        return clips, batch.labels.to(device, non_blocking=True)


def set_up(
    config: TrainConfig,
    *,
    model: nn.Module | None = None,
    dataset: Any = None,
    objective: Objective | None = None,
    callbacks: Sequence[object] = (),
    preprocessing: Preprocessing | None = None,
) -> Training:
    """Read the dataset, build the model, optimizer and loader, and prepare them for the devices at hand.

    Everything that can be known before the first step is checked. Arguments are those of `train`.

    Raises:
        ModuleNotFoundError: If accelerate is not installed.
        KeyError: If the dataset, the model or the backbone is unknown.
        TypeError: If an argument in `model_args` or `data_args` is unknown.
        ValueError: If there are too few identities, or what was asked for does not fit together.
        FileNotFoundError: If files are missing.
    """
    accelerator = _accelerator(config)
    callbacks = check_callbacks(callbacks)
    dataset = _own_dataset(dataset) if dataset else read_dataset(config.dataset, config.root, **config.data_args)
    train = _training_tracklets(dataset)
    labels = label_map(train)
    if config.validate_every or config.test_frames != "none":
        check_evaluation(dataset, config.protocol)
    world, rank = accelerator.num_processes, accelerator.process_index
    sampler = PKSampler(train, config.num_ids, config.num_tracklets, seed=config.seed, rank=rank, world=world)
    steps = sampler.num_batches // config.accumulate
    if not steps:
        raise ValueError(
            f"accumulate={config.accumulate}: an epoch has only {sampler.num_batches} batches of {config.num_ids} "
            "identities"
        )
    model = build_model(config, num_classes=len(labels)) if model is None else _own_model(model, config)
    frames = _fit_preprocessing(model, preprocessing, config)
    if config.sync_bn:
        if accelerator.device.type == "cpu":
            raise ValueError("sync_bn=True: torch has it on GPUs only")
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if config.channels_last:
        for parameter in model.parameters():
            if parameter.dim() == 4:  # kernels of convolutions over space; those over time have no such order
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    model.to(accelerator.device)
    objective = objective or config.objective()
    if isinstance(objective, nn.Module):
        objective.to(accelerator.device)
        if world > 1 and any(parameter.requires_grad for parameter in objective.parameters()):
            raise ValueError(f"{type(objective).__name__} has parameters of its own: train it in one process")
    optimizer: Optimizer = make_optimizer(model, config, objective)
    wrapped, prepared = accelerator.prepare(model, optimizer)
    clips = ClipDataset(
        train,
        clip_len=config.clip_len,
        transform=config.transform(frames.mean if frames.color_order == "RGB" else frames.mean[::-1]),
        labels=labels,
        seed=config.seed,
    )
    loader = clip_loader(
        clips,
        config.num_ids * config.num_tracklets // world,
        sampler=sampler,
        num_workers=config.workers,
        reuse=True,
        persistent_workers=config.workers > 0,
        generator=torch.Generator(),  # without its own it would consume numbers of the global one, which dropout uses
        pin_memory=accelerator.device.type == "cuda",
    )
    return Training(
        config=config,
        accelerator=accelerator,
        dataset=dataset,
        model=model,
        preprocessing=frames,
        wrapped=wrapped,
        optimizer=prepared,
        objective=objective,
        clips=clips,
        sampler=sampler,
        loader=loader,
        num_classes=len(labels),
        steps_per_epoch=steps,
        data=fingerprint(train),
        callbacks=callbacks,
    )


def build_model(config: TrainConfig, num_classes: int) -> DenseIL:
    """The model at its start, the same on every process.

    Raises:
        ValueError: If `init` is "model" and the name is not of saved weights, or a weights file does not fit.
        ConnectionError: If `init` is "timm" and the Hub cannot be reached.
    """
    torch.manual_seed(config.seed)
    args = dict(config.model_args)
    if config.init == "timm":
        args["pretrained_backbone"] = True
    try:
        model = models.create_model(config.model, config.init == "model", num_classes=num_classes, **args)
    except OSError as error:
        if config.init != "timm":
            raise
        raise ConnectionError(
            f"ImageNet weights for the encoder could not be fetched ({error}); give init=FILE with its weights, or "
            "init=random"
        ) from error
    if config.init not in ("timm", "random", "model"):
        models.load_backbone(model, models.read_weights(config.init), origin=config.init)
    model.pretrained_cfg.update(input_size=(3, config.height, config.width))
    model.denseil_cfg = {**model.denseil_cfg, "clip_len": config.clip_len}
    if config.grad_checkpointing:
        model.set_grad_checkpointing()
    return model


def _own_model(model: nn.Module, config: TrainConfig) -> nn.Module:
    """Check that a model of one's own can do what the config asks of it."""
    if not isinstance(model, nn.Module) or not isinstance(getattr(model, "num_features", None), int):
        raise TypeError(
            f"model={type(model).__name__}: give an nn.Module with num_features, called as model(clips), which returns "
            "(logits, features) while training"
        )
    if not isinstance(getattr(model, "encoder", None), nn.Module):
        for name, value, default in (
            ("freeze_bn", config.freeze_bn == "encoder", False),
            ("encoder_lr", config.encoder_lr, 1),
        ):
            if value != default:
                raise ValueError(f"{name}={getattr(config, name)}: {type(model).__name__} has no part named encoder")
    if config.grad_checkpointing:
        switch = getattr(model, "set_grad_checkpointing", None)
        if not callable(switch):
            raise ValueError(f"grad_checkpointing=True: {type(model).__name__} has no set_grad_checkpointing()")
        switch()
    return model


def _fit_preprocessing(model: nn.Module, given: Preprocessing | None, config: TrainConfig) -> Preprocessing:
    """Return how frames are prepared, with the size and clip length of the training, and set it on the model."""
    frames = preprocessing_of(model, given)
    fitted = replace(frames, size=(config.height, config.width), clip_len=config.clip_len)
    if given is not None and fitted != given:
        raise ValueError(
            f"preprocessing has size={given.size} and clip_len={given.clip_len}, the config height={config.height}, "
            f"width={config.width} and clip_len={config.clip_len}: make them the same"
        )
    if getattr(model, "preprocessing", None) != fitted:
        model.preprocessing = fitted  # type: ignore[assignment]
    return fitted


def _own_dataset(dataset: Any) -> VideoReIDDataset:
    """Return a dataset as the library's own type."""
    if isinstance(dataset, VideoReIDDataset):
        return dataset
    parts: list[list[Tracklet]] = []
    for name in ("train", "query", "gallery"):
        part = getattr(dataset, name, None)
        if part is None or not all(isinstance(tracklet, Tracklet) for tracklet in part):
            raise TypeError(f"dataset={type(dataset).__name__}: its .{name} must be a list of denseil.data.Tracklet")
        parts.append(list(part))
    return VideoReIDDataset(parts[0], parts[1], parts[2], name=str(getattr(dataset, "name", type(dataset).__name__)))


def _training_tracklets(dataset: VideoReIDDataset) -> list[Tracklet]:
    """Those of real persons."""
    train = [tracklet for tracklet in dataset.train if tracklet.pid >= 0]
    if not train:
        raise ValueError(f"dataset {dataset.name!r} has no training tracklets")
    return train


def _accelerator(config: TrainConfig) -> Any:
    accelerate = need("accelerate", to="train", extra="train")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    _choose_device(config.device, world)
    # Its settings are global; a second training in one process may want others.
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=world == 1)
    accelerate.state.GradientState._reset_state()
    return accelerate.Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        gradient_accumulation_steps=config.accumulate,
        cpu=config.device == "cpu",
    )


def _choose_device(name: str, world: int) -> None:
    """Make a device that is named the one that accelerate takes."""
    if name in ("auto", "cpu"):
        return
    device, best = torch.device(name), best_device()
    if device.type != best.type:
        raise ValueError(f"device={name!r}: torch finds no {device.type} here, only {best.type}")
    if ":" not in name:
        return
    if world > 1:
        raise ValueError(f"device={name!r}: each of {world} processes has a device of its own; give {device.type!r}")
    count = torch.accelerator.device_count()
    if device.index >= count:
        raise ValueError(f"device={name!r}: there are {count}, counted from 0")
    if device.type == "cuda":
        torch.cuda.set_device(device)
