"""The registry of model names for `create_model`, of this library and of other projects."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import timm
import timm.models

_Factory = TypeVar("_Factory", bound=Callable[..., Any])
_factories: dict[str, Callable[..., Any]] = {}
_TIMM_ARGS = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


def register_model(factory: _Factory) -> _Factory:
    """Register a function that builds a model with timm and `denseil.create_model`, under the function's name.

    It is called as `factory(pretrained=..., num_classes=..., **model_args)` and returns a module that implements
    `denseil.models.VideoEncoder`, whether a `DenseIL` or not. `pretrained_cfg` and `cache_dir` are passed only if they
    were given; a tag in the name is passed as `pretrained_cfg`. Registering a name again replaces it.

    Args:
        factory: The function; its `__name__` is the name of the model.

    Returns:
        The function.

    Raises:
        ValueError: If timm has a model of that name.

    Examples:
        ```python
        @denseil.register_model
        def my_model(pretrained=False, num_classes=0, **model_args):
            return MyModel(num_classes, **model_args)
        ```
    """
    name = factory.__name__
    if name not in _factories and timm.is_model(name):
        raise ValueError(f"timm has a model {name!r} already: rename the function that builds yours")

    @functools.wraps(factory)
    def build(pretrained: bool = False, **model_args: Any) -> Any:
        # timm passes these to every model, even if they are None
        unused = [key for key in _TIMM_ARGS if model_args.get(key) is None]
        return factory(pretrained=pretrained, **{k: v for k, v in model_args.items() if k not in unused})

    timm.models.register_model(build)
    _factories[name] = factory
    return factory


def register_alias(alias: str, name: str) -> None:
    """Register a second name of a model with timm; `registered_models` does not list it."""
    entrypoint = timm.models.model_entrypoint(name)

    @functools.wraps(entrypoint)
    def build(*args: Any, **kwargs: Any) -> Any:
        return entrypoint(*args, **kwargs)

    build.__name__ = alias
    timm.models.register_model(build)


def registered_models() -> list[str]:
    """List the registered names, in the order of registration."""
    return list(_factories)
