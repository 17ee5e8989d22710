"""What every reader yields: tracklets, and a dataset of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from denseil.common.track_key import TrackKey


class Frames(Sequence[str]):
    """The paths of a tracklet's frames, in time order: one folder and a compact array of file names.

    Paths are joined when they are asked for. MARS's 1.19 million names take 23 MB this way, not 200, and worker
    processes share them without copying.

    Args:
        folder: The folder all names are relative to; "" for names that are whole paths.
        names: File names in time order; an array of bytes (UTF-8) is kept as it is.
    """

    __slots__ = ("folder", "names")

    def __init__(self, folder: str | os.PathLike[str], names: Iterable[str] | NDArray[np.bytes_]) -> None:
        self.folder = os.path.join(folder, "")  # noqa: PTH118 (with its separator, so that a path is one addition)
        if not isinstance(names, np.ndarray):
            names = np.array([os.fsencode(name) for name in names], dtype=np.bytes_)
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> str | Frames:
        if isinstance(index, slice):
            return Frames(self.folder, self.names[index])
        return self.folder + os.fsdecode(self.names[index])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frames):
            return NotImplemented
        return self.folder == other.folder and np.array_equal(self.names, other.names)

    def __hash__(self) -> int:
        return hash((self.folder, self.names.tobytes()))

    def __repr__(self) -> str:
        return f"Frames({len(self)} in {self.folder!r})"


def _digest(frames: Sequence[str]) -> str:
    """Name a tracklet by the paths of its frames."""
    digest = hashlib.blake2b(digest_size=8)
    for frame in frames:
        digest.update(os.fsencode(frame) + b"\0")
    return f"frames-{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One person as one camera saw them, once.

    Attributes:
        frames: Paths of the crops in time order, at least one.
        pid: Identity, as the dataset gives it. -1 is junk: judging ignores it. In MARS 0 is a distractor.
        camid: Camera, as the dataset gives it (the published sets count from 1).
        name: Its name in its source; or its whole id, as `str(key)` gives it.
        start: When its first frame was taken, seconds (since 1970, or since the video began); None if not known.
        end: When its last frame was taken.
        source: Where it is from: the name of a dataset, a folder or a video.

    Raises:
        ValueError: If there is no frame.
    """

    frames: Sequence[str]
    pid: int
    camid: int
    name: str = ""
    start: float | None = None
    end: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise ValueError(
                f"tracklet {self.name!r} (pid {self.pid}, camera {self.camid}) has no frames: leave it out"
            )

    @property
    def key(self) -> TrackKey:
        """Identity among the tracklets of all cameras and sources; `str(key)` is its id in files and galleries.

        If the name is an id of this camera and start, as `denseil tracklets` writes it, this id is kept. A tracklet
        without a name is named by a digest of the paths of its frames.
        """
        try:
            written = TrackKey.parse(self.name)
        except ValueError:
            written = None
        if written is not None and (written.camid, written.start) == (self.camid, self.start):
            return written
        return TrackKey(self.camid, self.source, self.name or _digest(self.frames), self.start)


@dataclass(frozen=True)
class VideoReIDDataset:
    """Tracklets to train on, to ask for, and to search.

    Attributes:
        train: Training tracklets.
        query: Tracklets to search for.
        gallery: Tracklets to search in, junk included, the queries themselves left out.
        name: The dataset's name.
        query_in_gallery: Whether the published protocol ranks each query against the other queries too;
            see `gallery_with_queries`.
        problems: What a reader found wrong. `read_dataset` raises if there is any.
    """

    train: list[Tracklet]
    query: list[Tracklet]
    gallery: list[Tracklet]
    name: str = "custom"
    query_in_gallery: bool = False
    problems: tuple[str, ...] = ()

    def gallery_with_queries(self) -> tuple[list[Tracklet], range]:
        """The gallery with the queries after it, and the positions of the queries in it.

        Embeddings need computing once for both protocols: concatenate those of `gallery` and `query` in this order
        and give the range as `query_index` to `denseil.metrics.rank`.
        """
        both = [*self.gallery, *self.query]
        return both, range(len(self.gallery), len(both))


def label_map(tracklets: Iterable[Tracklet]) -> dict[int, int]:
    """Identity -> class label, 0 to the number of identities - 1, in sorted order: the same on every machine."""
    return {pid: label for label, pid in enumerate(sorted({tracklet.pid for tracklet in tracklets}))}
