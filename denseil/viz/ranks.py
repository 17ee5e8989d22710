"""What a ranked row of a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from denseil.viz.attention import Attention


@dataclass(frozen=True)
class RankedRow:
    """One thing found.

    Args:
        name: what it is called.
        distance: how far from the query.
        details: short texts under it: the camera, the time.
        thumbnail: path of its picture; "" for none.
        right: whether it shows the query's person; None where nobody knows.
    """

    name: str
    distance: float
    details: Sequence[str] = ()
    thumbnail: str = ""
    right: bool | None = None


@dataclass(frozen=True)
class RankedQuery:
    """One query and what was found, nearest first.

    Args:
        name: what it is called.
        rows: what was found.
        details: short texts under its name.
        thumbnail: path of its picture; "" for none.
        attention: where the model looked, shown on demand.
    """

    name: str
    rows: Sequence[RankedRow]
    details: Sequence[str] = ()
    thumbnail: str = ""
    attention: Attention | None = field(default=None)

    @property
    def state(self) -> str:
        """As the first row is: right or wrong, or unknown where nobody knows."""
        if not self.rows or self.rows[0].right is None:
            return "unknown"
        return "right" if self.rows[0].right else "wrong"
