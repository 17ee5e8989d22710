"""Checks of single fields: type, range and choice, each error in one line with the value and the rule."""

from __future__ import annotations

import numbers
import os
from typing import Any, Literal, get_args, get_origin

import torch

from denseil.common.arguments import shown
from denseil.common.text import plain


def typed(name: str, value: Any, kind: Any) -> Any:
    """Return a value as its field's type; text that is a number counts as one, because YAML reads `1e-4` as text.

    Raises:
        TypeError: If the value is of another type.
        ValueError: If it is not one of the choices of a `Literal`.
    """
    if kind is Any:
        return _plain_data(name, value)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{name}={shown(value)}: it must be a mapping of names to values")
        return {key: typed(f"{name}.{key}", each, get_args(kind)[1]) for key, each in value.items()}
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        check(
            isinstance(value, str) and value in choices,
            name,
            repr(value),
            f"{', '.join(choices[:-1])} or {choices[-1]}",
        )
        return value
    kinds = get_args(kind) or (kind,)
    if value is None and type(None) in kinds:
        return None
    if kind is bool:
        if not isinstance(value, bool):
            raise TypeError(f"{name}={shown(value)}: it must be true or false")
    elif int in kinds or float in kinds:
        return _number(name, value, whole=int in kinds)
    elif kind is str:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if not isinstance(value, str):
            raise TypeError(f"{name}={shown(value)}: it must be text")
    return value


def _plain_data(name: str, value: Any) -> Any:
    """Return a value as train.yaml can hold it: paths as text, tuples as lists.

    Raises:
        TypeError: If it cannot.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Real):
        return _number(name, value, whole=False)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [_plain_data(name, each) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain_data(f"{name}.{key}", each) for key, each in value.items()}
    raise TypeError(f"{name}={shown(value)}: it must be plain data: text, numbers, lists and mappings")


def _number(name: str, value: Any, *, whole: bool) -> int | float:
    rule = "a whole number" if whole else "a number"
    if isinstance(value, str):
        try:
            return int(value) if whole else float(value)
        except ValueError as error:
            raise TypeError(f"{name}={shown(value)}: it must be {rule}") from error
    if isinstance(value, bool) or not isinstance(value, numbers.Integral if whole else numbers.Real):
        raise TypeError(f"{name}={shown(value)}: it must be {rule}")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def check(holds: bool, name: str, value: Any, rule: str) -> None:
    """Raise ValueError unless a rule holds.

    Args:
        holds: Whether the rule holds.
        name: Name of the field.
        value: Its value, as the error shows it.
        rule: What the value must be, such as "above 0".

    Raises:
        ValueError: If the rule does not hold.
    """
    if not holds:
        raise ValueError(f"{name}={plain(str(value))[:60]}: it must be {rule}")


def check_device(name: str) -> None:
    """Raise ValueError unless a name is "auto" or a torch device."""
    if name == "auto":
        return
    try:
        torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"device={shown(name)}: it must be auto or a torch device, such as cpu, cuda or cuda:1"
        ) from error
