"""What a gallery holds of one tracklet, what a search may ask for, and what it returns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

FloatArray: TypeAlias = npt.NDArray[np.float32]
ArrayLike: TypeAlias = Tensor | npt.ArrayLike

UNKNOWN = -1  # the pid that databases hold for None
MAX_TEXT = 2_000  # bytes of one text in UTF-8: what every database holds in a plain column


@dataclass(frozen=True, slots=True)
class Record:
    """One tracklet in a gallery, beside its vector.

    Args:
        id: its name, unique in the gallery.
        camid: the camera.
        start: when it begins, in seconds; Unix time where the camera's clock is known. 0, the oldest time, where
            nothing is known, so that an unknown time expires first.
        end: when it ends; `start` where it is left out.
        track: what the tracker called it.
        pid: the person; None where nobody knows.
        thumbnail: path of a picture to show.

    Raises:
        TypeError: a text that is none; a camid or pid that is not an integer; a time that is not a number.
        ValueError: an empty id, a text over 2,000 bytes or not UTF-8, a negative pid, a time that is not finite, an
            end before the start.
    """

    id: str
    camid: int
    start: float = 0.0
    end: float | None = None
    track: str = ""
    pid: int | None = None
    thumbnail: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "track", "thumbnail"):
            _check_text(name, getattr(self, name))
        if not self.id:
            raise ValueError("a record's id is empty; give each a name of its own")
        for name in ("camid", "pid"):
            value = getattr(self, name)
            if value is None and name == "pid":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"record {self.id!r}: {name} is {value!r}; it must be an integer")
            if not -(2**63) <= value < 2**63 or (name == "pid" and value < 0):
                raise ValueError(f"record {self.id!r}: {name} is {value}; it must be an integer of 64 bits, a pid >= 0")
            object.__setattr__(self, name, int(value))
        object.__setattr__(self, "start", self._time("start", self.start))
        object.__setattr__(self, "end", self.start if self.end is None else self._time("end", self.end))
        if self.until < self.start:
            raise ValueError(f"record {self.id!r} ends at {self.end}, before it starts at {self.start}")

    def _time(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"record {self.id!r}: {name} is {value!r}; it must be seconds, a number")
        if not math.isfinite(value):
            raise ValueError(f"record {self.id!r}: {name} is {value}; it must be finite")
        return float(value)

    @property
    def until(self) -> float:
        """`end`, which is never None once a record is made."""
        assert self.end is not None
        return self.end

    def to_row(self) -> dict[str, Any]:
        """The record as a database holds it: a key, columns that are no words of SQL, a pid of -1 for None."""
        return {
            "key": key_of(self.id),
            "id": self.id,
            "camid": self.camid,
            "starts": self.start,
            "ends": self.end,
            "track": self.track,
            "pid": UNKNOWN if self.pid is None else self.pid,
            "thumbnail": self.thumbnail,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Record:
        """A database's row back; columns that are not a record's are left out."""
        return cls(
            id=row["id"],
            camid=row["camid"],
            start=row["starts"],
            end=row["ends"],
            track=row["track"],
            pid=None if row["pid"] == UNKNOWN else row["pid"],
            thumbnail=row["thumbnail"],
        )


COLUMNS = ("key", "id", "camid", "starts", "ends", "track", "pid", "thumbnail")  # of `to_row`; the vector beside them


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"a record's {name} is {value!r}; it must be text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"a record's {name} {value!r} cannot be written as UTF-8: {error.reason}") from error
    if size > MAX_TEXT or "\0" in value:
        raise ValueError(f"a record's {name} is {size:,} bytes long; at most {MAX_TEXT:,} without a zero byte are held")


@dataclass(frozen=True, slots=True)
class Where:
    """Which records a search looks at; all of what is given must hold.

    Args:
        camids: only these cameras.
        not_camids: all cameras but these.
        pids: only these persons.
        after: only records that end at this time or later, in seconds.
        before: only records that start before this time.

    Raises:
        ValueError: a time that is not finite.
    """

    camids: Collection[int] | None = None
    not_camids: Collection[int] = ()
    pids: Collection[int] | None = None
    after: float | None = None
    before: float | None = None

    def __post_init__(self) -> None:
        for name in ("after", "before"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}; it must be finite seconds")

    def expression(self, brackets: str = "()") -> str:
        """The filter in the words that SQL and Milvus share; "" where everything passes. Only numbers go in.

        Args:
            brackets: what stands around a list: "()" in SQL, "[]" in Milvus.
        """
        parts = []
        for column, values, word in (
            ("camid", self.camids, "in"),
            ("camid", self.not_camids or None, "not in"),
            ("pid", self.pids, "in"),
        ):
            if values is not None:
                listed = ", ".join(str(int(value)) for value in sorted(values))
                # An empty list is no SQL; no camera is both.
                nothing = "camid < 0 and camid > 0"
                parts.append(f"{column} {word} {brackets[0]}{listed}{brackets[1]}" if listed else nothing)
        if self.after is not None:
            parts.append(f"ends >= {float(self.after)!r}")
        if self.before is not None:
            parts.append(f"starts < {float(self.before)!r}")
        return " and ".join(parts)


class Hit(NamedTuple):
    """One record found, and its cosine distance from the query: 0 the same direction, 2 the opposite."""

    record: Record
    distance: float


class Stored(NamedTuple):
    """A record with its vector (D,), of length 1."""

    record: Record
    vector: FloatArray


def unit_vectors(vectors: ArrayLike, dim: int | None = None, *, what: str = "vectors") -> FloatArray:
    """Vectors (N, D) as float32 of length 1.

    Args:
        vectors: real numbers (N, D); (D,) counts as one vector.
        dim: D of the gallery; any where None.
        what: what errors call them.

    Raises:
        TypeError: not real numbers.
        ValueError: a wrong shape or width; NaN or infinity; a vector of zeros, which has no direction.
    """
    if isinstance(vectors, Tensor):
        vectors = vectors.detach().cpu().float().numpy()
    array = np.asarray(vectors)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} are {array.dtype}; they must be real numbers")
    array = np.atleast_2d(array).astype(np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{what} have shape {array.shape}; they must be (N, D), one row a tracklet")
    if dim is not None and array.shape[1] != dim:
        raise ValueError(
            f"{what} are {array.shape[1]} wide, the gallery is {dim} wide; take vectors of the model that filled it"
        )
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    wrong = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if wrong.size:
        raise ValueError(f"{what}: row {wrong[0]} holds NaN or infinity, or zeros alone; nothing was done")
    lengths[np.abs(lengths - 1) < 1e-6] = 1  # a copy of a copy is the same to the bit
    units: FloatArray = array / lengths
    return units


def check_new(records: Sequence[Record], vectors: ArrayLike, dim: int) -> FloatArray:
    """The vectors of new records, checked against them.

    Raises:
        TypeError: what `unit_vectors` says; something else than records.
        ValueError: what `unit_vectors` says; another number of vectors than of records; two records of one id.
    """
    wrong = next((record for record in records if not isinstance(record, Record)), None)
    if wrong is not None:
        raise TypeError(f"{wrong!r} is no denseil.gallery.Record")
    if not len(records):
        return np.empty((0, dim), np.float32)
    units = unit_vectors(vectors, dim)
    if len(units) != len(records):
        raise ValueError(f"{len(records)} records and {len(units)} vectors; give one vector a record")
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise ValueError(f"two records are called {record.id!r}; an id names one tracklet")
        seen.add(record.id)
    return units


class _Opened(Protocol):
    uri: str
    dim: int
    model: str


def check_opened(gallery: _Opened, dim: int | None, model: str) -> None:
    """Raises: ValueError where a gallery of another model or width was asked for."""
    if model and gallery.model and model != gallery.model:
        raise ValueError(
            f"the gallery {gallery.uri} was filled by the model {gallery.model}, not by {model}: their vectors cannot "
            "be compared; embed with the model that filled it, or fill another gallery"
        )
    if dim not in (None, gallery.dim):
        raise ValueError(
            f"the gallery {gallery.uri} is {gallery.dim} wide, not {dim}; take vectors of the model that filled it"
        )


def check_limit(k: int) -> None:
    """Raises: ValueError where fewer than one neighbour is asked for."""
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least 1")


def check_target(pid: int | None, track: str | None) -> None:
    """Raises: ValueError unless exactly one of a person and a track is to be forgotten."""
    if (pid is None) == (track is None) or track == "":
        raise ValueError(f"forget one person or one track: pid is {pid}, track is {track!r}")


def key_of(name: str) -> str:
    """A key of plain letters for any text, so that no text is ever part of a query."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
