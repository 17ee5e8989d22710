"""Checks of a user's model or dataset before training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from denseil.data import Tracklet, VideoReIDDataset
from denseil.models.interface import Preprocessing, preprocessing_of
from denseil.training.config import TrainConfig


def own_model(model: nn.Module, config: TrainConfig) -> nn.Module:
    """Check that a user's model has the parts that the config needs.

    Raises:
        TypeError: If it is not an `nn.Module` with `num_features`.
        ValueError: If a field needs a part that it does not have.
    """
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
    block = getattr(model, "denseil_cfg", None)
    if isinstance(block, dict) and "thresholds" in block:  # measured with the weights that are about to change
        model.denseil_cfg = {name: value for name, value in block.items() if name != "thresholds"}  # type: ignore[assignment]
    return model


def fit_preprocessing(model: nn.Module, given: Preprocessing | None, config: TrainConfig) -> Preprocessing:
    """Return the preprocessing, with the size and clip length of the training, and set it on the model."""
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


def own_dataset(dataset: Any) -> VideoReIDDataset:
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
