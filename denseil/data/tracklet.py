"""Tracklets, and datasets of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import index
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import check_seconds, checked, checked_class, shown
from denseil.common.track_key import TrackKey
from denseil.common.vectors import check_steps


@checked_class
class Frames(Sequence[str]):
    """The paths of a tracklet's frames, in time order: one folder and a compact array of file names.

    Paths are joined on access. MARS's 1.19 million names then take 23 MB instead of 200, and worker processes share
    them without copying.

    Args:
        folder: The folder of the names; "" for names that are complete paths.
        names: File names in time order; an array of bytes (UTF-8) is not copied.

    Raises:
        TypeError: If the names are one text, or one of them is neither text nor a path.
        ValueError: If a name has no bytes in the file system's encoding.
    """

    __slots__ = ("folder", "names")

    def __init__(self, folder: str | os.PathLike[str], names: Iterable[str] | NDArray[np.bytes_]) -> None:
        self.folder = os.path.join(folder, "")  # noqa: PTH118 (with its separator, so that a path is one addition)
        if not isinstance(names, np.ndarray) or names.dtype.kind != "S" or names.ndim != 1:
            names = np.array([_encoded(name) for name in _listed(names)], dtype=np.bytes_)
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
        return hash((self.folder, tuple(self.names.tolist())))

    def __repr__(self) -> str:
        return f"Frames({len(self)} in {self.folder!r})"


def _listed(names: Any) -> Iterable[Any]:
    if isinstance(names, (str, bytes, os.PathLike)) or not isinstance(names, Iterable):
        raise TypeError(f"names={shown(names)}: give the names of a tracklet's frames, in time order")
    return names


def _encoded(name: Any) -> bytes:
    if not isinstance(name, (str, bytes, os.PathLike)):
        raise TypeError(f"a frame's name is {shown(name)}; it must be text or a path")
    try:
        return os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ValueError(f"a frame's name {shown(name)} cannot be a file's: {error.reason}") from error


def _digest(frames: Sequence[str]) -> str:
    """Compute a name of a tracklet from the paths of its frames."""
    digest = hashlib.blake2b(digest_size=8)
    for frame in frames:
        digest.update(os.fsencode(frame) + b"\0")
    return f"frames-{digest.hexdigest()}"


@checked_class
@dataclass(frozen=True, slots=True)
class Tracklet:
    """One appearance of a person in front of a camera.

    Attributes:
        frames: Paths of the crops in time order, at least one.
        pid: Identity in the dataset. -1 is junk, which evaluation ignores; 0 is a distractor.
        camid: Camera in the dataset (published datasets count from 1).
        name: Its name in its source; or its whole id, as `str(key)` gives it.
        start: Time of the first frame in seconds since 1970 or since the start of the video; None if unknown.
        end: Time of the last frame.
        source: Name of its dataset, folder or video.

    Raises:
        TypeError: If the frames have no order, as a set or one path.
        ValueError: If there is no frame, a pid is below -1, a camid is negative, a time is not finite, or the end is
            before the start.
    """

    frames: Sequence[str]
    pid: int
    camid: int
    name: str = ""
    start: float | None = None
    end: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.frames, (str, bytes, Mapping)) or not hasattr(self.frames, "__getitem__"):
            raise TypeError(f"frames={shown(self.frames)}: give the paths of a tracklet's frames, in time order")
        if not len(self.frames):
            raise ValueError(
                f"tracklet {self.name!r} (pid {self.pid}, camera {self.camid}) has no frames: leave it out"
            )
        for label in ("pid", "camid"):
            if type(getattr(self, label)) is not int:  # a tensor is equal to no other
                object.__setattr__(self, label, index(getattr(self, label)))
        if not (-1 <= self.pid < 2**63 and 0 <= self.camid < 2**63):
            raise ValueError(
                f"tracklet {shown(self.name)} has pid {shown(self.pid)} and camid {shown(self.camid)}: a pid is a "
                "whole number from -1, a camid from 0, both below 2^63"
            )
        times = [time for time in (self.start, self.end) if time is not None]
        if not all(map(isfinite, times)) or times != sorted(times):
            raise ValueError(
                f"tracklet {shown(self.name)} is from {self.start} to {self.end}: give finite seconds, the end not "
                "before the start, or None"
            )
        for time in times:
            check_steps(f"a time of tracklet {shown(self.name)}", np.asarray(time))
            check_seconds(f"a time of tracklet {shown(self.name)}", time)

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

    @property
    def middle(self) -> str:
        """Path of the middle frame, to show the tracklet by."""
        return self.frames[len(self.frames) // 2]


@checked_class
@dataclass(frozen=True)
class VideoReIDDataset:
    """A dataset of training, query and gallery tracklets.

    Attributes:
        train: Training tracklets.
        query: Tracklets to search for.
        gallery: Tracklets to search in, including junk, without the queries.
        name: Name of the dataset.
        query_in_gallery: Whether the published protocol ranks each query against the other queries too;
            see `gallery_with_queries`.
        problems: Problems found by the reader; `read_dataset` raises an error if there are any.
    """

    train: list[Tracklet]
    query: list[Tracklet]
    gallery: list[Tracklet]
    name: str = "custom"
    query_in_gallery: bool = False
    problems: tuple[str, ...] = ()

    def gallery_with_queries(self) -> tuple[list[Tracklet], range]:
        """Return the gallery followed by the queries, and the queries' indices.

        Embeddings need to be computed only once for both protocols: concatenate those of `gallery` and `query` in this
        order and give the range as `query_index` to `denseil.metrics.rank`.
        """
        both = [*self.gallery, *self.query]
        return both, range(len(self.gallery), len(both))


def as_dataset(dataset: Any, *parts: str) -> VideoReIDDataset:
    """Return any object with lists of tracklets as a dataset.

    Args:
        dataset: The object; a `VideoReIDDataset` is returned as it is.
        parts: The lists that it must have, of "train", "query" and "gallery"; others are empty.

    Raises:
        TypeError: If one is missing, or holds something else.
    """
    if isinstance(dataset, VideoReIDDataset):
        return dataset
    lists: dict[str, list[Tracklet]] = {name: [] for name in ("train", "query", "gallery")}
    for name in parts:
        given = getattr(dataset, name, None)
        lists[name] = list(given) if isinstance(given, Iterable) else []
        if not isinstance(given, Iterable) or not all(isinstance(each, Tracklet) for each in lists[name]):
            raise TypeError(f"dataset={type(dataset).__name__}: its .{name} must be a list of denseil.data.Tracklet")
    name = str(getattr(dataset, "name", type(dataset).__name__))
    return VideoReIDDataset(lists["train"], lists["query"], lists["gallery"], name=name)


@checked
def label_map(tracklets: Iterable[Tracklet]) -> dict[int, int]:
    """Map identities to class labels, 0 to the number of identities - 1, in sorted order."""
    given = list(tracklets)
    if wrong := [item for item in given if not isinstance(item, Tracklet)]:
        raise TypeError(f"tracklets holds {shown(wrong[0])}: give Tracklets")
    return {pid: label for label, pid in enumerate(sorted({tracklet.pid for tracklet in given}))}
