"""The optimizer and its groups: encoder and the rest, with and without weight decay."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from denseil.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig, objective: object = None) -> Optimizer:
    """Adam or AdamW over the parameters that are trained, in up to four groups, each with its `lr_factor`.

    Vectors (norms and biases) and what the model's `no_weight_decay` names have no weight decay.
    Parameters of an objective, such as the centres of a center loss, are a group of their own.
    """
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    names = getattr(model, "no_weight_decay", None)
    spared: set[str] = set(names()) if callable(names) else set()
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
    own = [p for p in objective.parameters() if p.requires_grad] if isinstance(objective, nn.Module) else []
    if own:
        settings.append({"params": own, "lr_factor": 1.0, "weight_decay": 0.0})
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(settings, lr=config.lr, fused=True)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give each group the rate times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
