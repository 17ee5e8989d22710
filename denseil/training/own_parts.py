"""Checks of a model before training."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import nn

from denseil.models import check_saving, unwrap
from denseil.models.interface import Preprocessing, preprocessing_of
from denseil.training.config import TrainConfig

logger = logging.getLogger(__name__)


def check_model(model: nn.Module, config: TrainConfig) -> None:
    """Check that a model has the parts that the config needs, and weights that can be trained and saved.

    Raises:
        TypeError: If it is not an `nn.Module` with `num_features`, or it is wrapped by `torch.compile` or DDP.
        ValueError: If a field needs a part that it does not have, its weights are not float32, or it cannot be saved.
    """
    if not isinstance(model, nn.Module) or not isinstance(getattr(model, "num_features", None), int):
        raise TypeError(
            f"model={type(model).__name__}: give an nn.Module with num_features, called as model(clips), which returns "
            "(logits, features) while training"
        )
    name = type(model).__name__
    if unwrap(model) is not model:
        raise TypeError(
            f"the model is wrapped in a {name}: give the module inside; compile=default compiles it, and accelerate "
            "or torchrun distribute it"
        )
    if not isinstance(getattr(model, "encoder", None), nn.Module):
        for field, value, default in (
            ("freeze_bn", config.freeze_bn == "encoder", False),
            ("encoder_lr", config.encoder_lr, 1),
        ):
            if value != default:
                raise ValueError(f"{field}={getattr(config, field)}: {name} has no part named encoder")
    for weight, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise ValueError(f"{weight} of {name} is {parameter.dtype}: train in float32, with precision=bf16 or fp16")
    check_saving(model)  # before hours of computing


def fit_preprocessing(
    model: nn.Module, given: Preprocessing | None, config: TrainConfig, *, trained: bool
) -> Preprocessing:
    """Return the preprocessing, with the size and clip length of the training, and set it on the model.

    Args:
        model: The model.
        given: Preprocessing instead of the model's own.
        config: Training configuration.
        trained: Whether the model may have been trained at its own size, so that another size is worth a warning.

    Raises:
        ValueError: If the given preprocessing has another size or clip length than the config.
    """
    frames = preprocessing_of(model, given)
    fitted = replace(frames, size=(config.height, config.width), clip_len=config.clip_len)
    if given is not None and fitted != given:
        raise ValueError(
            f"preprocessing has size={given.size} and clip_len={given.clip_len}, the config height={config.height}, "
            f"width={config.width} and clip_len={config.clip_len}: make them the same"
        )
    if trained and fitted.size != frames.size:
        logger.warning(
            "frames of the model were %d x %d pixels; from now on they are %d x %d, by height and width of the config",
            *(*frames.size, *fitted.size),
        )
    if getattr(model, "preprocessing", None) != fitted:
        model.preprocessing = fitted  # type: ignore[assignment]
    return fitted
