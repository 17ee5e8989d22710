"""Checks of single values of records, filters and removals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from denseil.common.arguments import check_seconds, shown
from denseil.common.vectors import check_steps

LEAST, MOST = -(2**63), 2**63 - 1  # range of a database's integer column
MAX_WIDTH = 2**20  # of a vector
MAX_TEXT = 2_000  # maximum bytes of a text in UTF-8, which every database stores in a plain column


def check_integer(name: str, value: Any, *, least: int = LEAST, most: int = MOST) -> int:
    """Return an integer of Python's or numpy's as an int.

    Raises:
        TypeError: If it is something else; True and 1.0 are not integers.
        ValueError: If it is not from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is {shown(value)}; it must be an integer")
    if not least <= value <= most:
        rule = f">= {least} and of 64 bits" if least > LEAST else "of 64 bits"
        raise ValueError(f"{name} is {shown(value)}; it must be an integer {rule}")
    return int(value)


def check_time(name: str, value: Any) -> float:
    """Return a time in seconds.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is not finite, or of a type that does not tell dates apart.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} is {shown(value)}; it must be seconds, a number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError(f"{name} is {shown(value)}; it must be finite seconds")
    if not isinstance(value, (int, float)):
        check_steps(name, np.asarray(value))
    return seconds


def check_moment(name: str, value: Any) -> float:
    """Return a time in seconds that records are compared with; errors as of `check_time`, and for milliseconds."""
    seconds = check_time(name, value)
    check_seconds(name, seconds)
    return seconds


def check_text(name: str, value: Any) -> None:
    """Check a text.

    Raises:
        TypeError: If it is not text.
        ValueError: If it is not UTF-8, holds a zero byte, or is longer than `MAX_TEXT`.
    """
    if not isinstance(value, str):
        raise TypeError(f"a record's {name} is {shown(value)}; it must be text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"a record's {name} {shown(value)} cannot be written as UTF-8: {error.reason}") from error
    if size > MAX_TEXT or "\0" in value:
        raise ValueError(f"a record's {name} is {size:,} bytes long; at most {MAX_TEXT:,} without a zero byte are held")
