"""A gallery in memory: exact, gone with the process, and the oracle that the others are tested against."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from denseil.gallery.nearest import Nearest
from denseil.gallery.protocol import Closing
from denseil.gallery.record import (
    ArrayLike,
    Hit,
    Record,
    Stored,
    Where,
    check_limit,
    check_new,
    check_target,
    unit_vectors,
)


class MemoryGallery(Closing):
    """See `Gallery`.

    Args:
        dim: width of the vectors.
        model: what makes them; see `open`.
    """

    uri = "memory://"

    def __init__(self, dim: int, model: str = "") -> None:
        self.dim, self.model = dim, model
        self._records: dict[str, Record] = {}
        self._vectors = np.empty((0, dim), np.float32)  # in the order of _records

    def add(self, records: Sequence[Record], vectors: ArrayLike) -> int:
        """See `Gallery.add`."""
        units = check_new(records, vectors, self.dim)
        new = [at for at, record in enumerate(records) if record.id not in self._records]
        self._vectors = np.concatenate([self._vectors, units[new]])
        self._records.update((records[at].id, records[at]) for at in new)
        return len(new)

    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """See `Gallery.search`; always exact."""
        check_limit(k)
        nearest = Nearest(unit_vectors(vectors, self.dim, what="queries"), k)
        keep = self._passing(where)
        records = list(self._records.values())
        nearest.see(self._vectors[keep])
        distances, rows = nearest.sorted()
        return [
            [Hit(records[keep[row]], float(distance)) for distance, row in zip(*one, strict=True)]
            for one in zip(distances, rows, strict=True)
        ]

    def _passing(self, where: Where | None) -> npt.NDArray[np.intp]:
        passes = passing(where or Where())
        return np.flatnonzero([passes(record) for record in self._records.values()])

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """See `Gallery.get`."""
        place = {name: at for at, name in enumerate(self._records)}
        for name in ids:
            if name not in place:
                raise KeyError(f"no record {name!r} in {self.uri}")
        return [Stored(self._records[name], self._vectors[place[name]]) for name in ids]

    def scan(self) -> Iterator[list[Stored]]:
        """See `Gallery.scan`."""
        yield [Stored(*pair) for pair in zip(self._records.values(), self._vectors, strict=True)]

    def count(self, where: Where | None = None) -> int:
        """See `Gallery.count`."""
        return len(self._passing(where))

    def delete(self, ids: Collection[str]) -> int:
        """See `Gallery.delete`."""
        gone = set(ids)
        return self._drop(lambda record: record.id in gone)

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """See `Gallery.forget`."""
        check_target(pid, track)
        return self._drop(lambda record: record.track == track if pid is None else record.pid == pid)

    def expire(self, before: float) -> int:
        """See `Gallery.expire`."""
        return self._drop(lambda record: record.until < before)

    def _drop(self, gone: Callable[[Record], bool]) -> int:
        keep = [not gone(record) for record in self._records.values()]
        records = [record for record, kept in zip(self._records.values(), keep, strict=True) if kept]
        removed = len(self._records) - len(records)
        self._records = {record.id: record for record in records}
        self._vectors = self._vectors[np.flatnonzero(keep)]
        return removed

    def optimize(self, *, alone: bool = False) -> None:
        """See `Gallery.optimize`; memory is packed already."""


def passing(where: Where) -> Callable[[Record], bool]:
    """The filter as a function of a record."""

    def passes(record: Record) -> bool:
        return (
            (where.camids is None or record.camid in where.camids)
            and record.camid not in where.not_camids
            and (where.pids is None or record.pid in where.pids)
            and (where.after is None or record.until >= where.after)
            and (where.before is None or record.start < where.before)
        )

    return passes
