"""From a config to everything that a training needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

import denseil.models as models
from denseil.common.extras import need
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
from denseil.losses import ReIDObjective
from denseil.models import DenseIL, ReIDOutput
from denseil.training.config import TrainConfig
from denseil.training.optimizer import make_optimizer


@dataclass
class Training:
    """All parts of a training, built and checked.

    Attributes:
        config: What it was built from.
        accelerator: accelerate's, for devices, precision and processes.
        dataset: Train, query and gallery.
        model: The model itself.
        wrapped: The model as accelerate prepared it.
        optimizer: As accelerate prepared it.
        objective: The losses.
        clips: The clips of the training tracklets.
        sampler: This process's share of each batch.
        loader: Batches of this process.
        num_classes: Training identities.
        steps_per_epoch: Steps of the optimizer in an epoch.
    """

    config: TrainConfig
    accelerator: Any
    dataset: VideoReIDDataset
    model: DenseIL
    wrapped: nn.Module
    optimizer: Any
    objective: ReIDObjective
    clips: ClipDataset
    sampler: PKSampler
    loader: DataLoader[ClipBatch]
    num_classes: int
    steps_per_epoch: int

    def start_epoch(self, epoch: int) -> None:
        """Choose what an epoch draws: tracklets, clips, dropout. So epochs are alike however the run got to them."""
        self.sampler.set_epoch(epoch)
        self.clips.set_epoch(epoch)
        seeds = np.random.SeedSequence((self.config.seed, epoch, self.accelerator.process_index))
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        self.wrapped.train()
        frozen: nn.Module = {"none": nn.Identity(), "encoder": self.model.encoder, "all": self.model}[
            self.config.freeze_bn
        ]
        for module in frozen.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

    def to_device(self, batch: ClipBatch) -> tuple[Tensor, Tensor]:
        """A batch's clips (B, T, 3, H, W) as the model takes them, and its labels (B,)."""
        device, cfg = self.accelerator.device, self.model.pretrained_cfg
        clips = normalize(batch.clips.to(device, non_blocking=True), cfg["mean"], cfg["std"])
        return clips, batch.labels.to(device, non_blocking=True)

    def step(self, batch: ClipBatch) -> Tensor:
        """Forward, backward and, where accumulation ends, a step of the optimizer.

        Returns:
            Total loss and its parts (4,), in the order of `ReIDLosses`, detached.
        """
        clips, labels = self.to_device(batch)
        with self.accelerator.accumulate(self.wrapped):
            output: ReIDOutput = self.wrapped(clips)
            losses = self.objective(output.logits, output.features, labels)
            self.accelerator.backward(losses.total)
            if self.config.clip_grad is not None and self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.config.clip_grad)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return torch.stack([loss.detach() for loss in losses])


def set_up(config: TrainConfig) -> Training:
    """Read the dataset, build the model, optimizer and loader, and prepare them for the devices at hand.

    Raises:
        ModuleNotFoundError: If accelerate is not installed.
        KeyError: If the dataset, the model or the backbone is unknown.
        TypeError: If an argument in `model_args` or `data_args` is unknown.
        ValueError: If there are too few identities, or what was asked for does not fit together.
        FileNotFoundError: If files are missing.
    """
    accelerator = _accelerator(config)
    dataset = read_dataset(config.dataset, config.root, **config.data_args)
    train = _training_tracklets(dataset)
    labels = label_map(train)
    if config.validate_every and not (dataset.query and dataset.gallery):
        raise ValueError(
            f"{config.dataset} at {config.root} has {len(dataset.query)} queries and {len(dataset.gallery)} gallery "
            "tracklets: set validate_every=0 and test_frames=none to train without judging"
        )
    world, rank = accelerator.num_processes, accelerator.process_index
    sampler = PKSampler(train, config.num_ids, config.num_tracklets, seed=config.seed, rank=rank, world=world)
    steps = sampler.num_batches // config.accumulate
    if not steps:
        raise ValueError(
            f"accumulate={config.accumulate}: an epoch has only {sampler.num_batches} batches of {config.num_ids} "
            "identities"
        )
    model = build_model(config, num_classes=len(labels))
    if config.sync_bn:
        if accelerator.device.type == "cpu":
            raise ValueError("sync_bn=True: torch has it on GPUs only")
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if config.channels_last:
        model.to(memory_format=torch.channels_last)
    model.to(accelerator.device)
    optimizer: Optimizer = make_optimizer(model, config)
    wrapped, prepared = accelerator.prepare(model, optimizer)
    clips = ClipDataset(
        train,
        clip_len=config.clip_len,
        transform=config.transform(model.pretrained_cfg["mean"]),
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
        pin_memory=accelerator.device.type == "cuda",
    )
    return Training(
        config=config,
        accelerator=accelerator,
        dataset=dataset,
        model=model,
        wrapped=wrapped,
        optimizer=prepared,
        objective=config.objective(),
        clips=clips,
        sampler=sampler,
        loader=loader,
        num_classes=len(labels),
        steps_per_epoch=steps,
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


def _training_tracklets(dataset: VideoReIDDataset) -> list[Tracklet]:
    """Those of real persons."""
    train = [tracklet for tracklet in dataset.train if tracklet.pid >= 0]
    if not train:
        raise ValueError(f"dataset {dataset.name!r} has no training tracklets")
    return train


def _accelerator(config: TrainConfig) -> Any:
    accelerate = need("accelerate", to="train", extra="train")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    # Its settings are global; a second training in one process may want others.
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=world == 1)
    accelerate.state.GradientState._reset_state()
    return accelerate.Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        gradient_accumulation_steps=config.accumulate,
        cpu=config.device == "cpu",
    )
