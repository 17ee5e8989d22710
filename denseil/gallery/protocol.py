"""The interface of all galleries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from denseil.common.arguments import shown
from denseil.common.text import plain
from denseil.common.vectors import ArrayLike
from denseil.gallery.record import Hit, Record, Stored
from denseil.gallery.where import Where

if TYPE_CHECKING:
    from typing_extensions import Self


@runtime_checkable
class Gallery(Protocol):
    """Store of tracklets, each a record with a vector: searched by vector, removed on request.

    When `add` has returned, the records are on disk (in memory for `MemoryGallery`), and other processes see them with
    their next call. Distances are cosine distances.

    Attributes:
        uri: The address it was opened with.
        dim: Width of its vectors.
        model: Identity of the model that makes its vectors, as given to `open` when the gallery was made; "" if
            unknown.
        format: 2; 1 for a gallery of an earlier version, in which one id could stand for two tracklets.
    """

    uri: str
    dim: int
    model: str
    format: int

    def add(self, records: Sequence[Record], vectors: ArrayLike, *, replace: bool = False) -> int:
        """Add records with their vectors (N, D), all or none; Milvus reports after an error how many were added.

        A record that the gallery already holds is not changed, so adding the same file again after a crash is safe.

        Args:
            records: The records (N).
            vectors: Their vectors (N, D).
            replace: Whether they take the place of those that are held under their ids, such as a track that has
                grown. A process that is killed meanwhile loses none.

        Returns:
            The number of new records.

        Raises:
            TypeError, ValueError: For what `check_new` refuses, or, without `replace`, if an id is held with another
                camera, time or vector (more than 5e-3 apart); nothing is added.
        """

    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """Find the k nearest records of each vector, nearest first; equal distances in any order.

        Args:
            vectors: Queries (Q, D), or one (D,). Most of the cost is per call, so pass many at once.
            k: Number of neighbours; fewer are returned if fewer pass the filter.
            where: Filter of the records.
            exact: Whether to compare with every record. False uses the index, if there is one.

        Raises:
            TypeError, ValueError: For what `denseil.common.vectors.unit_vectors` refuses, or if k is below 1.
        """

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """Return records with their vectors, in the order of the ids.

        Raises:
            KeyError: If an id is not held.
        """

    def find(self, ids: Collection[str]) -> dict[str, Stored]:
        """Return the records of those ids that are held, by id."""

    def scan(self) -> Iterator[list[Stored]]:
        """Iterate over all records with their vectors, in blocks."""

    def count(self, where: Where | None = None) -> int:
        """Count the records that pass the filter."""

    def delete(self, ids: Collection[str]) -> int:
        """Remove records; ids that are not held are ignored. Returns how many were removed.

        Raises:
            TypeError: If the ids are not a collection of texts.
        """

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """Remove all records of one person, or of one track. Returns how many were removed.

        Their bytes stay in the files until `optimize`.

        Raises:
            TypeError: If the pid is not an integer, or the track is not text.
            ValueError: If both or neither are given, or the pid is negative.
        """

    def expire(self, before: float) -> int:
        """Remove all records that end before this time, in seconds. Returns how many were removed.

        Raises:
            TypeError, ValueError: If the time is not a finite number, or must be in milliseconds.
        """

    def optimize(self, *, alone: bool = False) -> None:
        """Pack the files, and delete the bytes of removed records from them.

        Args:
            alone: Whether no other process uses the gallery, so that files left by killed writers can be deleted too.
        """

    def close(self) -> None:
        """Release files and connections."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing(ABC):
    """Base class with `get` and the context manager."""

    uri: str

    @abstractmethod
    def find(self, ids: Collection[str]) -> dict[str, Stored]:
        """See `Gallery.find`."""

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """See `Gallery.get`."""
        names = list(ids) if isinstance(ids, Iterator) else ids
        found = self.find(names)
        for name in names:
            if name not in found:
                raise KeyError(f"no record {shown(name)} in {plain(self.uri)}: take an id that search or scan gives")
        return [found[name] for name in names]

    def close(self) -> None:  # noqa: B027 (most have nothing to release)
        """Release files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
