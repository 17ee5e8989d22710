"""Data of ranked rows on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from denseil.common.arguments import checked_class
from denseil.viz.attention import Attention


@checked_class
@dataclass(frozen=True)
class RankedRow:
    """One search result of a query.

    Args:
        name: Name to show.
        distance: Distance from the query.
        details: Short texts under the name, such as camera and time.
        thumbnail: Path of its picture; "" for none.
        right: Whether it shows the query's person; None if unknown.
    """

    name: str
    distance: float
    details: Sequence[str] = ()
    thumbnail: str = ""
    right: bool | None = None


@checked_class
@dataclass(frozen=True)
class RankedQuery:
    """One query and its search results, nearest first.

    Args:
        name: Name to show.
        rows: The results.
        details: Short texts under the name.
        thumbnail: Path of its picture; "" for none.
        attention: Dense attention on the query, shown on demand.
    """

    name: str
    rows: Sequence[RankedRow]
    details: Sequence[str] = ()
    thumbnail: str = ""
    attention: Attention | None = field(default=None)

    @property
    def state(self) -> str:
        """State of the first row: "right", "wrong" or "unknown"."""
        if not self.rows or self.rows[0].right is None:
            return "unknown"
        return "right" if self.rows[0].right else "wrong"
