"""The registry of training objectives, so that a config can name one of your own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from denseil.common.arguments import checked
from denseil.common.text import did_you_mean
from denseil.losses.interface import Objective
from denseil.losses.objective import ReIDObjective

_Factory = TypeVar("_Factory", bound=Callable[..., Objective])
_factories: dict[str, Callable[..., Objective]] = {"reid": ReIDObjective}


def register_objective(name: str) -> Callable[[_Factory], _Factory]:
    """Register a class, or a function that builds an objective, under a name that configs can give.

    Registering a name again replaces it.

    Args:
        name: The name; "reid" is `ReIDObjective`, the default.

    Raises:
        ValueError: If the name is empty or "reid".

    Examples:
        ```python
        @denseil.losses.register_objective("mine")
        class MyObjective(nn.Module):
            def forward(self, logits, features, labels):
                return F.cross_entropy(logits, labels)
        ```
    """
    if not name or name == "reid":
        raise ValueError(f"objective name {name!r} is taken or empty: choose another")

    def register(factory: _Factory) -> _Factory:
        _factories[name] = factory
        return factory

    return register


@checked
def create_objective(name: str, **arguments: Any) -> Objective:
    """Build a registered objective.

    Args:
        name: A registered name.
        arguments: Arguments of the registered class or function.

    Raises:
        KeyError: If the name is unknown.
    """
    return _factory(name)(**arguments)


@checked
def objective_module(name: str) -> str:
    """Name the module in which an objective is defined, which another process must import to know it.

    Raises:
        KeyError: If the name is unknown.
    """
    return _factory(name).__module__


@checked
def list_objectives() -> list[str]:
    """Registered names, "reid" first."""
    return list(_factories)


def _factory(name: str) -> Callable[..., Objective]:
    if name not in _factories:
        hint = did_you_mean(name, _factories) or f"known: {', '.join(_factories)}"
        raise KeyError(f"no objective {name!r}; {hint} Register yours with denseil.losses.register_objective")
    return _factories[name]
