"""The one interface of every gallery."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from denseil.gallery.record import ArrayLike, Hit, Record, Stored, Where


class Gallery(Protocol):
    """Records of tracklets with a vector each: found by vector, forgotten on request.

    An `add` that has returned is on disk (in memory, for the one in memory), and another process that asks next sees
    it. Distances are cosine distances.

    Attributes:
        uri: what opened it.
        dim: width of its vectors.
        model: what makes its vectors, as `open` was told when the gallery was made; "" where nobody said.
    """

    uri: str
    dim: int
    model: str

    def add(self, records: Sequence[Record], vectors: ArrayLike) -> int:
        """Add records with their vectors (N, D), all or, after an error, as many as the error says.

        A record whose id is held already stays as it is: adding the same file again, after a crash, is safe.

        Returns:
            How many were new.

        Raises:
            TypeError, ValueError: see `check_new`; nothing was added.
        """

    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """The k nearest records of each vector, nearest first; equal distances in any order.

        Args:
            vectors: queries (Q, D), or one (D,). Give many at once: what a call costs is mostly per call.
            k: how many; fewer come where fewer pass the filter.
            where: which records to look at.
            exact: False to use the index, where there is one.

        Raises:
            TypeError, ValueError: see `unit_vectors`; k below 1.
        """

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """These records with their vectors, in this order.

        Raises:
            KeyError: an id that is not held.
        """

    def scan(self) -> Iterator[list[Stored]]:
        """All records with their vectors, in blocks."""

    def count(self, where: Where | None = None) -> int:
        """How many records pass the filter."""

    def delete(self, ids: Collection[str]) -> int:
        """Take these records out; ids that are not held are passed over. Returns how many went."""

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """Take out all records of one person, or of one track. Returns how many went.

        What was written stays in the files until `optimize`.

        Raises:
            ValueError: both, or neither, given.
        """

    def expire(self, before: float) -> int:
        """Take out all records that end before this time. Returns how many went."""

    def optimize(self, *, alone: bool = False) -> None:
        """Pack the files, and remove from them what was taken out.

        Args:
            alone: whether no other process works on the gallery, so that what crashed writers left can go as well.
        """

    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """`with open(...) as gallery`, for every gallery."""

    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
