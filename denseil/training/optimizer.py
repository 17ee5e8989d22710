"""The optimizer and its groups: encoder and the rest, with and without weight decay."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from denseil.models import DenseIL
from denseil.training.config import TrainConfig


def make_optimizer(model: DenseIL, config: TrainConfig) -> Optimizer:
    """Adam or AdamW over the parameters that are trained, in up to four groups, each with its `lr_factor`.

    Vectors (norms and biases) and what the model's `no_weight_decay` names have no weight decay.
    """
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    spared = model.no_weight_decay()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in spared
            groups.setdefault((name.startswith("encoder."), decays), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr_factor": config.encoder_lr if encoder else 1.0,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (encoder, decays), parameters in sorted(groups.items())
    ]
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(settings, lr=config.lr, fused=True)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give each group the rate times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
