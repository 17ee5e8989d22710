"""The model of a training: built from the config, with its initial weights, and prepared for the device."""

from __future__ import annotations

import logging

import torch
from timm.layers import convert_sync_batchnorm  # type: ignore[attr-defined]
from torch import nn

import denseil.models as models
from denseil.models import DenseIL
from denseil.training.config import TrainConfig

logger = logging.getLogger(__name__)


def build_model(config: TrainConfig, num_classes: int, *, initialize: bool = True) -> nn.Module:
    """Build the model with its initial weights, the same on every process, or with random ones if not `initialize`.

    Raises:
        ValueError: If `init` is "model" and the name is not of saved weights, a weights file does not fit, or the model
            has no encoder to initialise.
        ConnectionError: If `init` is "timm" and the Hub cannot be reached.
    """
    torch.manual_seed(config.seed)
    args = dict(config.model_args)
    if not initialize:
        return models.create_model(config.model, num_classes=num_classes, **args)
    if config.init == "timm":
        args["pretrained_backbone"] = True
    if config.init != "model" and (not models.is_model(config.model) or "." in config.model):
        logger.warning(
            "the weights of model=%s are not used, because of init=%s; init=model fine-tunes them",
            *(config.model, config.init),
        )
    instead = "give init=random, or init=model for the weights of a saved model"
    try:
        model: nn.Module = models.create_model(config.model, config.init == "model", num_classes=num_classes, **args)
    except TypeError as error:
        if config.init != "timm" or "pretrained_backbone" not in str(error):
            raise
        raise ValueError(f"init=timm: {config.model} takes no pretrained_backbone: {instead}") from error
    except OSError as error:
        if config.init != "timm":
            raise
        raise ConnectionError(
            f"ImageNet weights for the encoder could not be fetched ({error}); give init=FILE with its weights, or "
            "init=random"
        ) from error
    if config.init not in ("timm", "random", "model"):
        if not isinstance(model, DenseIL):
            raise ValueError(f"init={config.init}: {config.model} is no DenseIL, whose encoder it would be: {instead}")
        models.load_backbone(model, models.read_weights(config.init), origin=config.init)
    return model


def prepare_model(model: nn.Module, config: TrainConfig, device: torch.device) -> None:
    """Make a model ready to be trained on a device, in place.

    The fields `grad_checkpointing`, `sync_bn`, `channels_last`, `encoder_lr=0` and `compile` are applied. Thresholds
    are dropped: they were measured with the weights that are about to change.

    Raises:
        ValueError: If `sync_bn` is given on a CPU, or the model has no gradient checkpointing.
    """
    block = getattr(model, "denseil_cfg", None)
    if isinstance(block, dict) and "thresholds" in block:
        kept = {name: value for name, value in block.items() if name != "thresholds"}
        model.denseil_cfg = kept  # type: ignore[assignment]
    if config.grad_checkpointing:
        switch = getattr(model, "set_grad_checkpointing", None)
        if not callable(switch):
            raise ValueError(f"grad_checkpointing=True: {type(model).__name__} has no set_grad_checkpointing()")
        switch()
    if config.sync_bn:
        if device.type == "cpu":
            raise ValueError("sync_bn=True: torch has it on GPUs only")
        convert_sync_batchnorm(model)  # torch's own would drop the activation in timm's batch norms
    if config.channels_last:
        for parameter in model.parameters():
            if parameter.dim() == 4:  # kernels of 2D convolutions; 3D ones have no such memory format
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    model.to(device)
    if config.encoder_lr == 0:
        model.get_submodule("encoder").requires_grad_(False)
    if config.compile != "none":
        model.compile(mode=config.compile, dynamic=False)
