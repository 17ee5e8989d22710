"""One-line errors for arguments of the wrong type.

Python reports a wrong argument late: `rank(block=())` fails deep inside with "tuple index out of range". A function
decorated with `checked` first compares its plain arguments (bool, int, float, str) with their annotations: Python takes
"no" for true, and True for 1, without an error. The other arguments are compared only if the function fails with an
error that this library did not raise; the first mismatch is reported.
"""

from __future__ import annotations

import builtins
import inspect
import linecache
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from denseil.common.text import plain

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
PACKAGE = Path(__file__).parent.parent
PLAIN: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
LOOKED_AT = 8  # elements of a sequence


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that an argument of the wrong type is an error that names it.

    Raises:
        TypeError: From such a call, or from the iteration of a generator, instead of the original error.
    """
    plain_hints = _plain_hints(function)
    code = inspect.unwrap(function).__code__ if plain_hints else None
    names = code.co_varnames[: code.co_argcount] if code is not None else ()

    def check_plain(args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Raise a TypeError if a plain argument is of the wrong type."""
        if not plain_hints:
            return
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            hint = plain_hints.get(name)
            if hint is not None and type(value) not in hint[0] and not fits(value, hint[1]):
                text = wrong_argument(function, args, kwargs, only=name)
                if text is None:  # the call has other faults, such as an unknown argument, which Python names
                    return
                raise TypeError(text)

    def explained(error: Exception, args: Sequence[object], kwargs: Mapping[str, object]) -> TypeError | None:
        wrong = None if raised_by_us(error) else wrong_argument(function, args, kwargs)
        return None if wrong is None else TypeError(wrong)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        check_plain(args, kwargs)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if (better := explained(error, args, kwargs)) is None:
                raise
            raise better from error

    @wraps(function)
    def generate(*args: P.args, **kwargs: P.kwargs) -> Any:
        check_plain(args, kwargs)
        try:
            made: Any = function(*args, **kwargs)
            return (yield from made)
        except Exception as error:
            if (better := explained(error, args, kwargs)) is None:
                raise
            raise better from error

    return generate if inspect.isgeneratorfunction(function) else call


def checked_class(cls: type[T]) -> type[T]:
    """Apply `checked` to the constructor of a class, such as a dataclass."""
    cls.__init__ = checked(cls.__init__)  # type: ignore[method-assign]
    return cls


def check_seed(seed: int) -> None:
    """Raise ValueError unless a random seed is from 0 to 2^63 - 1, as both torch and numpy take it."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed={seed}: give an integer from 0 to 2^63 - 1")


MILLISECONDS = 1e11  # seconds; the year 5138, but March 1973 if they are milliseconds


def check_seconds(what: str, time: float) -> None:
    """Raise ValueError if a time is so large that it must be in milliseconds."""
    if time >= MILLISECONDS:
        raise ValueError(
            f"{what} is {time:.16g}, which would be seconds after the year 5138: divide milliseconds by 1,000"
        )


def raised_by_us(error: BaseException) -> bool:
    """Whether an error was raised by this library, and not by Python or another library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or PACKAGE not in Path(trace.tb_frame.f_code.co_filename).parents:
        return False
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).lstrip()
    named = re.match(r"raise (?:\w+\.)*([A-Z]\w*)\(", line)  # another error may come from the message's own values
    return line.startswith("raise") and (named is None or named[1] in {kind.__name__ for kind in type(error).__mro__})


def _plain_hints(function: Callable[..., object]) -> dict[str, tuple[tuple[type, ...], object]]:
    """For each argument annotated as one of `PLAIN`, or this or None: the usual types, and the hint."""
    found: dict[str, tuple[tuple[type, ...], object]] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        kind = PLAIN.get(text.removesuffix(" | None"))
        if kind is not None and name != "return":
            none = text.endswith(" | None")
            found[name] = ((kind, type(None)) if none else (kind,), kind | None if none else kind)
    return found


def wrong_argument(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object], only: str = ""
) -> str | None:
    """Describe the first argument, or the one called `only`, that does not match its annotation; None if all do."""
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    hints = _hints(function)
    title = function.__qualname__.removesuffix(".__init__")
    for name, value in given.items():
        if only and name != only:
            continue
        if isinstance(value, (str, Path)) and "\0" in str(value):
            return f"{title}: {name}={shown(value)} holds a NUL character; no file and no name has one"
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"{title}: {name}={shown(value)} does not fit into 64 bits"
        if name in hints and not fits(value, hints[name]):
            rule = str(signature.parameters[name].annotation).removeprefix("<class '").removesuffix("'>")
            return f"{title}: {name}={shown(value)} is of type {type(value).__name__}; it must be {rule}"
    return None


def shown(value: object) -> str:
    """Format a value for an error message: short, in one line."""
    text = plain(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def fits(value: object, hint: object) -> bool:
    """Whether a value matches a type; True where this cannot be decided."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(value is one or (isinstance(value, type(one)) and value == one) for one in inner)
    if hint is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # numpy's
    if hint in (float, int):
        number = "__float__" if hint is float else "__index__"  # also scalars of numpy and torch
        return hasattr(value, number) and not isinstance(value, (type, bool)) and not getattr(value, "shape", ())
    if isinstance(origin, type):
        return _fits_generic(value, origin, inner)
    if isinstance(hint, type):
        try:
            return isinstance(value, hint)
        except TypeError:  # a protocol
            return True
    return True


def _fits_generic(value: object, origin: type, inner: tuple[object, ...]) -> bool:
    if isinstance(value, (str, bytes)) and issubclass(origin, Iterable):
        return False  # a string is not a sequence of strings here
    if origin is os.PathLike or not isinstance(value, origin):
        return isinstance(value, origin)
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        assert isinstance(value, tuple)
        return len(value) == len(inner) and all(map(fits, value, inner))
    if isinstance(value, Mapping) and len(inner) == 2:
        return all(fits(one, inner[1]) for one, _ in zip(value.values(), range(LOOKED_AT), strict=False))
    if isinstance(value, Collection) and isinstance(value, (Sequence, set, frozenset)) and inner:
        return all(fits(one, inner[0]) for one, _ in zip(value, range(LOOKED_AT), strict=False))
    return True


class _Names(dict[str, object]):
    """Namespace for annotations; names that are imported only for type checking become Any."""

    def __init__(self, known: Mapping[str, object]) -> None:
        super().__init__()
        self.known = known

    def __missing__(self, name: str) -> object:
        return self.known.get(name, getattr(builtins, name, Any))


def _hints(function: Callable[..., object]) -> dict[str, object]:
    """Evaluate those annotations of a function that can be evaluated."""
    known: dict[str, Any] = getattr(function, "__globals__", {})
    hints: dict[str, object] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        with suppress(Exception):  # an annotation that cannot be evaluated is not checked
            hints |= typing.get_type_hints(alone, globalns=known, localns=_Names(known))
    return hints
