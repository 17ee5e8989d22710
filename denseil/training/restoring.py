"""Restoring what training changes on a model besides its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from denseil.training.setup import Training


@contextmanager
def trainable_again(model: nn.Module | None) -> Iterator[None]:
    """At the end, let a given model's parameters need gradients as before; encoder_lr=0 freezes the encoder's."""
    before = [] if model is None else [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, needed in before:
            parameter.requires_grad_(needed)


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
