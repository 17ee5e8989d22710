"""Filters of records for search and removal, checked once for every kind of gallery."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from denseil.common.arguments import shown
from denseil.gallery.fields import LEAST, check_integer, check_moment, check_text
from denseil.gallery.record import Record

MOST_LISTED = 100_000  # integers in a filter: each stands in the expression that a database reads


@dataclass(frozen=True, slots=True)
class Where:
    """Filter of the records for a search; all given conditions must hold.

    Args:
        camids: Only these cameras.
        not_camids: All cameras but these.
        pids: Only these persons.
        after: Only records that end at this time or later, in seconds.
        before: Only records that start before this time, in seconds.

    Raises:
        TypeError: If cameras or persons are not integers in a collection, or a time is not a number.
        ValueError: If a person is negative, an integer needs more than 64 bits, there are more than 100,000 of them, or
            a time is not finite, or must be in milliseconds.
    """

    camids: Collection[int] | None = None
    not_camids: Collection[int] = ()
    pids: Collection[int] | None = None
    after: float | None = None
    before: float | None = None

    def __post_init__(self) -> None:
        if self.camids is not None:
            object.__setattr__(self, "camids", _integers("camids", self.camids))
        object.__setattr__(self, "not_camids", _integers("not_camids", self.not_camids))
        if self.pids is not None:
            object.__setattr__(self, "pids", _integers("pids", self.pids, least=0))
        for name in ("after", "before"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_moment(name, getattr(self, name)))

    def passes(self, record: Record) -> bool:
        """Whether a record passes."""
        return (
            (self.camids is None or record.camid in self.camids)
            and record.camid not in self.not_camids
            and (self.pids is None or record.pid in self.pids)
            and (self.after is None or record.until >= self.after)
            and (self.before is None or record.start < self.before)
        )

    def expression(self, brackets: str = "()") -> str:
        """Return the filter as an expression of SQL or Milvus; "" if everything passes. Its only values are numbers.

        Args:
            brackets: Brackets of a list: "()" in SQL, "[]" in Milvus.
        """
        parts = []
        for column, values, negated in (
            ("camid", self.camids, False),
            ("camid", self.not_camids or None, True),
            ("pid", self.pids, False),
        ):
            if values is not None:
                parts.append(_listed(column, sorted(values), brackets, negated=negated))
        if self.after is not None:
            parts.append(f"ends >= {self.after!r}")
        if self.before is not None:
            parts.append(f"starts < {self.before!r}")
        return " and ".join(parts)


def _listed(column: str, values: list[int], brackets: str, *, negated: bool) -> str:
    """A column that is one of the values, or none of them."""
    if not values:
        return f"{column} < 0 and {column} > 0"  # an empty list is not SQL; no number is both
    lowest = f"{column} {'>=' if negated else '<'} {LEAST + 1}"  # SQL has no literal for LEAST
    if values[0] == LEAST and len(values) == 1:
        return lowest
    listed = ", ".join(str(value) for value in values if value > LEAST)
    condition = f"{column} {'not in' if negated else 'in'} {brackets[0]}{listed}{brackets[1]}"
    return condition if values[0] > LEAST else f"({condition} {'and' if negated else 'or'} {lowest})"


def _integers(name: str, values: Any, *, least: int = LEAST) -> frozenset[int]:
    values = values.tolist() if hasattr(values, "tolist") else values  # arrays and tensors
    if isinstance(values, (str, bytes)) or not isinstance(values, Collection):
        raise TypeError(f"{name} is {shown(values)}; it must be a collection of integers, such as [1, 2]")
    if (isinstance(values, range) and values and abs(values[-1] - values[0]) > MOST_LISTED) or len(
        values
    ) > MOST_LISTED:
        raise ValueError(f"{name} is {shown(values)}; at most {MOST_LISTED:,} are looked for at once")
    return frozenset(check_integer(f"an item of {name}", value, least=least) for value in values)


def check_ids(ids: Any) -> list[str]:
    """Return ids, each once, in their order.

    Raises:
        TypeError: If they are not a collection of texts; a single text is not.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"ids is {shown(ids)}; it must be a collection of texts, such as ['a', 'b']")
    names = list(ids)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"an id is {shown(name)}; it must be text")
    return list(dict.fromkeys(names))


def check_limit(k: Any) -> int:
    """Check the number of neighbours to return.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is below 1.
    """
    return check_integer("k", k, least=1)


def check_target(pid: Any, track: Any) -> Callable[[Record], bool]:
    """Check the arguments of `forget`, and return them as a test of a record.

    Raises:
        TypeError: If a pid is not an integer, or a track is not text.
        ValueError: Unless exactly one of a person and a track is given; if a pid is negative.
    """
    if (pid is None) == (track is None) or (isinstance(track, str) and not track):
        raise ValueError(f"forget one person or one track: pid is {shown(pid)}, track is {shown(track)}")
    if track is None:
        person = check_integer("pid", pid, least=0)
        return lambda record: record.pid == person
    check_text("track", track)
    return lambda record: bool(record.track == track)
