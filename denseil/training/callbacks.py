"""Callbacks: objects with any of four methods, called on every process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

EVENTS = ("on_step", "on_epoch", "on_evaluate", "on_end")


def check_callbacks(callbacks: Iterable[object]) -> Sequence[object]:
    """Return callbacks as a sequence.

    Raises:
        TypeError: If one has none of the four methods, or is a class.
    """
    checked = tuple(callbacks)
    for each in checked:
        if isinstance(each, type):
            raise TypeError(f"callback {each.__name__} is a class: give an instance, {each.__name__}()")
        if not any(callable(getattr(each, event, None)) for event in EVENTS):
            raise TypeError(f"callback {type(each).__name__} has no method {', '.join(EVENTS[:-1])} or {EVENTS[-1]}")
    return checked


def notify(callbacks: Iterable[object], event: str, *arguments: object) -> None:
    """Call the method of an event on each callback that has it."""
    for each in callbacks:
        method = getattr(each, event, None)
        if callable(method):
            method(*arguments)
