"""The contract of a training objective, which any function or module can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from torch import Tensor

from denseil.common.arguments import checked, shown

Losses: TypeAlias = "Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]"
"""A scalar, or scalars by name with "total" among them (a NamedTuple too). `total` is minimised, all are logged."""


class Objective(Protocol):
    """A function of a batch's model outputs and labels that training minimises.

    Called as `objective(logits, features, labels)` with logits (B, identities), or None without a classifier, features
    (B, D) before the neck, and labels (B,) int64. It returns a scalar, or a dict of scalars with "total" among them:
    "total" is what is minimised, and every entry is logged under its name.
    """

    def __call__(self, logits: Tensor | None, features: Tensor, labels: Tensor) -> Losses:
        """Compute the loss of a batch."""


@checked
def named_losses(losses: Losses) -> dict[str, Tensor]:
    """Give the result of an objective as scalars by name, "total" first.

    Raises:
        TypeError: If it is neither a scalar tensor nor scalar tensors by name.
        ValueError: If there is no "total" among the names.
    """
    named = {"total": losses} if isinstance(losses, Tensor) else losses
    if isinstance(named, tuple) and hasattr(named, "_asdict"):
        named = named._asdict()
    if not isinstance(named, Mapping):
        raise TypeError(f"the objective returned a {type(losses).__name__}: return a scalar tensor, or a dict of them")
    if "total" not in named:
        raise ValueError(
            f"the objective returned {', '.join(map(repr, named)) or 'nothing'}: name the loss to minimise 'total'"
        )
    for name, value in named.items():
        if not isinstance(name, str):
            raise TypeError(f"the objective returned a loss named {shown(name)}: name losses by text")
        if not isinstance(value, Tensor) or value.numel() != 1:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"the objective's {shown(name)} is {shape}: return scalar tensors, such as losses.mean()")
    return {"total": named["total"], **named}
