"""A gallery in memory, exact and not persistent; the reference that the others are tested against."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from denseil.common.arguments import checked
from denseil.common.vectors import ArrayLike
from denseil.gallery.checks import check_new, gallery_vectors
from denseil.gallery.fields import MAX_WIDTH, check_integer, check_moment, check_text
from denseil.gallery.nearest import Nearest
from denseil.gallery.protocol import Closing
from denseil.gallery.record import FORMAT, FloatArray, Hit, Record, Stored
from denseil.gallery.same import check_held
from denseil.gallery.where import Where, check_ids, check_limit, check_target


class MemoryGallery(Closing):
    """Gallery in memory; see `Gallery`. Threads may share one.

    Args:
        dim: Width of the vectors.
        model: Identity of the model that makes them; see `open`.
    """

    uri, format = "memory://", FORMAT

    def __init__(self, dim: int, model: str = "") -> None:
        check_text("model", model)
        self.dim, self.model = check_integer("dim", dim, least=1, most=MAX_WIDTH), model
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._keep(np.empty((0, dim), np.float32))

    def _keep(self, vectors: FloatArray) -> None:
        """Set the vectors, in the order of `_records`; they are handed out as views, which nobody may write to."""
        vectors.setflags(write=False)
        self._vectors = vectors

    @checked
    def add(self, records: Sequence[Record], vectors: ArrayLike, *, replace: bool = False) -> int:
        """See `Gallery.add`."""
        units = check_new(records, vectors, self.dim)
        with self._lock:
            held = {record.id for record in records if record.id in self._records}
            count = len(records) - len(held)
            if replace:
                self._drop(lambda record: record.id in held)
            elif held:
                check_held(records, units, self._found(held), self.uri)
                new = [at for at, record in enumerate(records) if record.id not in self._records]
                records, units = [records[at] for at in new], units[new]
            self._keep(np.concatenate([self._vectors, units]))
            self._records.update((record.id, record) for record in records)
        return count

    @checked
    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """See `Gallery.search`; always exact."""
        k = check_limit(k)
        nearest = Nearest(gallery_vectors(vectors, self.dim, what="queries"), k)
        records, held = self._snapshot()
        passes = (where or Where()).passes
        keep = np.flatnonzero([passes(record) for record in records])
        nearest.see(held[keep])
        distances, rows = nearest.sorted()
        return [
            [Hit(records[keep[row]], float(distance)) for distance, row in zip(*one, strict=True)]
            for one in zip(distances, rows, strict=True)
        ]

    def _snapshot(self) -> tuple[list[Record], FloatArray]:
        """Return a consistent snapshot of the records and their vectors."""
        with self._lock:
            return list(self._records.values()), self._vectors

    def find(self, ids: Collection[str]) -> dict[str, Stored]:
        """See `Gallery.find`."""
        names = check_ids(ids)
        with self._lock:
            return self._found(names)

    def _found(self, names: Collection[str]) -> dict[str, Stored]:
        if not names:
            return {}
        place = {name: at for at, name in enumerate(self._records)}
        return {name: Stored(self._records[name], self._vectors[place[name]]) for name in names if name in place}

    def scan(self) -> Iterator[list[Stored]]:
        """See `Gallery.scan`."""
        yield [Stored(*pair) for pair in zip(*self._snapshot(), strict=True)]

    @checked
    def count(self, where: Where | None = None) -> int:
        """See `Gallery.count`."""
        passes = (where or Where()).passes
        return sum(passes(record) for record in self._snapshot()[0])

    def delete(self, ids: Collection[str]) -> int:
        """See `Gallery.delete`."""
        gone = set(check_ids(ids))
        return self._drop(lambda record: record.id in gone)

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """See `Gallery.forget`."""
        return self._drop(check_target(pid, track))

    def expire(self, before: float) -> int:
        """See `Gallery.expire`."""
        limit = check_moment("before", before)
        return self._drop(lambda record: record.until < limit)

    def _drop(self, gone: Callable[[Record], bool]) -> int:
        with self._lock:
            keep = [not gone(record) for record in self._records.values()]
            records = [record for record, kept in zip(self._records.values(), keep, strict=True) if kept]
            removed = len(self._records) - len(records)
            self._records = {record.id: record for record in records}
            self._keep(self._vectors[np.flatnonzero(keep)])
        return removed

    def optimize(self, *, alone: bool = False) -> None:
        """See `Gallery.optimize`; there is nothing to do in memory."""
