"""Files that a command writes are none that it reads, and no two of them are one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from denseil.cli.output import STDOUT
from denseil.cli.parser import UsageError

WRITTEN = ("output", "page", "questions", "plot", "json")  # names of options


def check_outputs(options: Mapping[str, object]) -> None:
    """Refuse a command that would write over a file that it reads, or write one file twice.

    Args:
        options: The parsed options of a verb.

    Raises:
        UsageError: If two options name one file, and at least one of them is written.
    """
    given = {**options, "model": Path(str(options.get("model") or "-"))}  # a name, or the place of a model
    places = [(name, path) for name, value in given.items() for path in _paths(value)]
    for written in WRITTEN:
        for path in _paths(options.get(written)):
            other = next((name for name, place in places if name != written and _same(place, path)), None)
            if other:
                raise UsageError(f"{path} is both {written} and {other}: it would be written over; give another name")


def _same(one: Path, other: Path) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)  # noqa: PTH100 (a link is replaced itself, not its target)


def _paths(value: object) -> list[Path]:
    if isinstance(value, (list, tuple)):
        return [path for one in value for path in _paths(one)]
    return [value] if isinstance(value, Path) and value != STDOUT else []
