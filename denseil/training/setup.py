"""Building all parts of a training from its config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from denseil.data import (
    CachedClips,
    ClipBatch,
    ClipDataset,
    PKSampler,
    Tracklet,
    VideoReIDDataset,
    clip_loader,
    label_map,
    read_dataset,
)
from denseil.data.batch_augmentation import put
from denseil.data.tracklet import as_dataset
from denseil.losses import Objective
from denseil.models.interface import Preprocessing
from denseil.training.callbacks import check_callbacks
from denseil.training.config import TrainConfig
from denseil.training.data_checks import check_evaluation, fingerprint, wardrobe_groups
from denseil.training.devices import make_accelerator
from denseil.training.model import build_model, prepare_model
from denseil.training.optimizer import make_optimizer
from denseil.training.own_parts import check_model, fit_preprocessing


@dataclass
class Training:
    """All parts of a training, built and checked.

    Attributes:
        config: Configuration of the training.
        accelerator: The `accelerate.Accelerator`, for devices, precision and processes.
        dataset: The dataset, with train, query and gallery.
        model: The model itself, any module that follows `denseil.models.interface.VideoEncoder`.
        preprocessing: Preprocessing of its frames.
        wrapped: The model as prepared by accelerate.
        optimizer: The optimizer as prepared by accelerate.
        objective: The losses.
        clips: The clips of the training tracklets.
        sampler: Samples this process's share of each batch.
        loader: Batches of this process.
        num_classes: Number of training identities.
        steps_per_epoch: Steps of the optimizer in an epoch.
        data: Fingerprint of the training tracklets.
        callbacks: Objects whose methods are called after steps, epochs and results.
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
        """Seed the random choices of an epoch (tracklets, clips, dropout), so a resumed run makes the same ones."""
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

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters by name: those of the model (`model.neck.bn.weight`), then those of the objective."""
        parts = {"model": self.model, "objective": self.objective}
        return {
            f"{part}.{name}": parameter
            for part, module in parts.items()
            if isinstance(module, nn.Module)
            for name, parameter in module.named_parameters()
        }

    def to_device(self, batch: ClipBatch) -> tuple[Tensor, Tensor]:
        """Return a batch's clips (B, T, 3, H, W), normalised for the model, and its labels (B,)."""
        device = self.accelerator.device
        clips = batch.clips.to(device, non_blocking=True)
        return self.preprocessing.normalize(clips), put(batch.labels, device)


def set_up(
    config: TrainConfig,
    *,
    model: nn.Module | None = None,
    dataset: Any = None,
    objective: Objective | None = None,
    callbacks: Sequence[object] = (),
    preprocessing: Preprocessing | None = None,
    initialize: bool = True,
) -> Training:
    """Read the dataset, build the model, optimizer and loader, and prepare them for the devices at hand.

    Whatever can be checked before the first step is checked here. Arguments are those of `train`; without `initialize`
    the initial weights, which those of a checkpoint will replace, are not fetched or read.

    Raises:
        ModuleNotFoundError: If accelerate is not installed.
        KeyError: If the dataset, the model or the backbone is unknown.
        TypeError: If an argument in `model_args` or `data_args` is unknown.
        ValueError: If there are too few identities, or arguments do not fit together.
        FileNotFoundError: If files are missing.
    """
    accelerator = make_accelerator(config)
    callbacks = check_callbacks(callbacks)
    dataset = (
        read_dataset(config.dataset, config.root, **config.data_args)
        if dataset is None
        else as_dataset(dataset, "train", "query", "gallery")
    )
    train = _training_tracklets(dataset)
    labels = label_map(train)
    if config.validate_every or config.test_frames != "none":
        check_evaluation(dataset, config.protocol)
    sampler = _sampler(config, train, accelerator)
    trained = model is not None or config.init == "model"
    model = build_model(config, len(labels), initialize=initialize) if model is None else model
    check_model(model, config)
    frames = fit_preprocessing(model, preprocessing, config, trained=trained)
    prepare_model(model, config, accelerator.device)
    objective = config.make_objective() if objective is None else objective
    if isinstance(objective, nn.Module):
        objective.to(accelerator.device)
        if accelerator.num_processes > 1 and any(parameter.requires_grad for parameter in objective.parameters()):
            raise ValueError(f"{type(objective).__name__} has parameters of its own: train it in one process")
    optimizer: Optimizer = make_optimizer(model, config, objective)
    data = fingerprint(train)
    clips, loader = _loader(config, train, labels, frames, sampler, accelerator)
    wrapped, prepared = accelerator.prepare(model, optimizer)  # last: it replaces the model's `forward`
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
        steps_per_epoch=sampler.num_batches // config.accumulate,
        data=data,
        callbacks=callbacks,
    )


def _sampler(config: TrainConfig, tracklets: list[Tracklet], accelerator: Any) -> PKSampler:
    """Build the sampler of this process's share of each batch, and check that an epoch has a step."""
    groups = wardrobe_groups(config.root) if config.group_share else None
    sampler = PKSampler(
        tracklets,
        config.num_ids,
        config.num_tracklets,
        seed=config.seed,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        groups=groups,
        group_share=config.group_share,
    )
    if sampler.num_batches < config.accumulate:
        raise ValueError(
            f"accumulate={config.accumulate}: an epoch has only {sampler.num_batches} batches of {config.num_ids} "
            "identities"
        )
    return sampler


def _loader(
    config: TrainConfig,
    tracklets: list[Tracklet],
    labels: dict[int, int],
    frames: Preprocessing,
    sampler: PKSampler,
    accelerator: Any,
) -> tuple[ClipDataset, DataLoader[ClipBatch]]:
    """Build the clips of the training tracklets and the loader of their batches."""
    settings: dict[str, Any] = {
        "clip_len": config.clip_len,
        "transform": config.transform(frames.mean if frames.color_order == "RGB" else frames.mean[::-1]),
        "labels": labels,
        "seed": config.seed,
    }
    if config.cache == "none":
        clips, workers = ClipDataset(tracklets, **settings), config.workers
    else:
        place = accelerator.device if config.cache == "device" else "cpu"
        clips = CachedClips(tracklets, device=place, progress=bool(accelerator.is_main_process), **settings)
        workers = 0
    loader = clip_loader(
        clips,
        config.num_ids * config.num_tracklets // accelerator.num_processes,
        sampler=sampler,
        num_workers=workers,
        reuse=True,
        persistent_workers=workers > 0,
        generator=torch.Generator(),  # otherwise it would use the global generator, as dropout does
        pin_memory=accelerator.device.type == "cuda" and config.cache != "device",
    )
    return clips, loader


def _training_tracklets(dataset: VideoReIDDataset) -> list[Tracklet]:
    """Select the training tracklets of identified persons."""
    train = [tracklet for tracklet in dataset.train if tracklet.pid >= 0]
    if not train:
        raise ValueError(
            f"dataset {dataset.name!r} has no training tracklets: none of its split train has a pid of 0 or more"
        )
    return train
