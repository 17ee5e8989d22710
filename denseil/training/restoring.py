"""Restoring what training changes on a model besides its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from denseil.training.setup import Training

SWITCH = "grad_checkpointing"  # timm's attribute of modules that recompute activations


@contextmanager
def settings_restored(model: nn.Module | None) -> Iterator[None]:
    """At the end, undo what the fields encoder_lr=0, grad_checkpointing and compile set on a given model."""
    if not isinstance(model, nn.Module):  # None, or refused later
        yield
        return
    needed = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    switches = [(part, part.__dict__[SWITCH]) for part in model.modules() if SWITCH in part.__dict__]
    compiled = model._compiled_call_impl
    try:
        yield
    finally:
        for parameter, value in needed:
            parameter.requires_grad_(value)
        for part, value in switches:
            part.__dict__[SWITCH] = value
        model._compiled_call_impl = compiled


@contextmanager
def forward_restored(training: Training) -> Iterator[None]:
    """At the end, give the model its own `forward` back: accelerate puts one with autocast in its place."""
    try:
        yield
    finally:
        training.accelerator.unwrap_model(training.wrapped, keep_fp32_wrapper=False)


@contextmanager
def own_forward(model: nn.Module) -> Iterator[None]:
    """Evaluate with the model's own `forward`, as the saved model will be, not with accelerate's under autocast."""
    own, accelerates = (model.__dict__.get(name) for name in ("_original_forward", "forward"))
    if own is None:
        yield
        return
    model.__dict__["forward"] = own
    try:
        yield
    finally:
        model.__dict__["forward"] = accelerates
