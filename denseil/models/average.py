"""The mean of several models' weights."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeVar

from torch import nn

from denseil.models.identity import settings_of_vectors

Model = TypeVar("Model", bound=nn.Module)


def average(models: Sequence[Model], shares: Sequence[float] | None = None) -> Model:
    """Return a model with the weighted mean of several models' weights and statistics.

    Models that were trained from the same weights, in different order, are often better at their mean than alone
    (Wortsman et al., *Model soups*, ICML 2022).

    Args:
        models: Models of one architecture; they are not changed.
        shares: Share of each, with sum 1; equal by default.

    Raises:
        ValueError: If there is no model, a share is missing, the shares do not sum to 1, or the models' classes,
            arguments or shapes differ.
    """
    shares = [1 / len(models)] * len(models) if shares is None and models else list(shares or ())
    if not models or len(shares) != len(models) or not abs(sum(shares) - 1) <= 1e-6:
        raise ValueError(f"{len(models)} models and shares {shares}: give at least one model, and shares with sum 1")
    settings = [settings_of_vectors(model) for model in models]
    for name in sorted({name for each in settings for name in each}):
        if any(each.get(name) != settings[0].get(name) for each in settings):
            raise ValueError(f"the models differ in {name}: give models of one architecture, made with equal arguments")
    states = [model.state_dict() for model in models]
    mean = {}
    for name, value in states[0].items():
        own = [state.get(name) for state in states]
        if any(len(state) != len(states[0]) for state in states) or any(
            each is None or each.shape != value.shape for each in own
        ):
            raise ValueError(f"{name} is not in all models with one shape: give models of one architecture")
        mean[name] = sum(
            share * each.cpu().double() for share, each in zip(shares, own, strict=True) if each is not None
        )
    averaged = deepcopy(models[0])
    averaged.load_state_dict({name: each.to(states[0][name].dtype) for name, each in mean.items()})
    return averaged
