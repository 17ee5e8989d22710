"""The model of a training: built from the config, with its initial weights, and prepared for the device."""

from __future__ import annotations

import torch
from timm.layers import convert_sync_batchnorm  # type: ignore[attr-defined]
from torch import nn

import denseil.models as models
from denseil.models import DenseIL
from denseil.training.config import TrainConfig


def build_model(config: TrainConfig, num_classes: int) -> DenseIL:
    """Build the model with its initial weights, the same on every process.

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
    block = {name: value for name, value in model.denseil_cfg.items() if name != "thresholds"}  # of the initial weights
    model.denseil_cfg = {**block, "clip_len": config.clip_len}
    if config.grad_checkpointing:
        model.set_grad_checkpointing()
    return model


def prepare_model(model: nn.Module, config: TrainConfig, device: torch.device) -> None:
    """Move a model to the device, and apply `sync_bn`, `channels_last`, `encoder_lr=0` and `compile`, in place.

    Raises:
        ValueError: If `sync_bn` is given on a CPU.
    """
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
