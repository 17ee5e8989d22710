"""Building the optimizer and its parameter groups, by timm."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from timm.optim import (  # type: ignore[attr-defined]
    create_optimizer_v2,
    param_groups_layer_decay,
    param_groups_weight_decay,
)
from torch import nn
from torch.optim import Optimizer

from denseil.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig, objective: object = None) -> Optimizer:
    """Build Adam or AdamW over the trainable parameters, in groups that each have an `lr_factor`.

    Norms, biases and the names in the model's `no_weight_decay()` have no weight decay. With `layer_decay` the groups
    are timm's, by the model's `group_matcher`. `encoder_lr` is a factor on the encoder's groups. Parameters of an
    objective, such as the centres of a center loss, are a group of their own.

    Raises:
        ValueError: If `layer_decay` is set and the model has no `group_matcher`.
    """
    optimizer: Optimizer = create_optimizer_v2(
        model,
        config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        param_group_fn=partial(_groups, config=config, objective=objective),
        fused=True,
    )
    return optimizer


def _groups(model: nn.Module, *, config: TrainConfig, objective: object) -> list[dict[str, Any]]:
    """Split timm's groups by encoder and the rest."""
    names = getattr(model, "no_weight_decay", None)
    spared = set(names()) if callable(names) else set()
    if config.layer_decay is None:  # decay of 1: at 0 timm would make one group, and a checkpoint's order would differ
        groups = param_groups_weight_decay(model, 1.0, no_weight_decay_list=spared)
    elif callable(getattr(model, "group_matcher", None)):
        groups = param_groups_layer_decay(model, 1.0, no_weight_decay_list=spared, layer_decay=config.layer_decay)
    else:
        raise ValueError(
            f"layer_decay={config.layer_decay}: {type(model).__name__} has no group_matcher(), by which timm orders "
            "parameters by depth; add one, or set layer_decay to null"
        )
    encoder = {id(p) for name, p in model.named_parameters() if name.startswith("encoder.")}
    split = [
        {
            "params": parameters,
            "lr_factor": group.get("lr_scale", 1.0) * (config.encoder_lr if inside else 1.0),
            "weight_decay": group["weight_decay"] * config.weight_decay,
        }
        for inside in (False, True)
        for group in groups
        if (parameters := [p for p in group["params"] if (id(p) in encoder) == inside])
    ]
    own = _trainable(objective.parameters()) if isinstance(objective, nn.Module) else []
    return split + ([{"params": own, "lr_factor": 1.0, "weight_decay": 0.0}] if own else [])


def _trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set each group's learning rate to `lr` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
