"""Records of a gallery: the data of a tracklet besides its vector."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from denseil.common.arguments import shown
from denseil.gallery.fields import check_integer, check_text, check_time

FloatArray: TypeAlias = npt.NDArray[np.float32]

UNKNOWN = -1  # pid None in databases
FORMAT = 2  # version of the format; in version 1 an id could stand for two tracklets


@dataclass(frozen=True, slots=True)
class Record:
    """A tracklet in a gallery, without its vector.

    Args:
        id: Its name, unique in the gallery.
        camid: The camera.
        start: Time of the first frame in seconds; Unix time if the camera's clock is known. 0, the oldest time, if
            nothing is known, so that an unknown time expires first.
        end: Time of the last frame; `start` by default.
        track: The tracker's name of the track.
        pid: The person; None if unknown.
        thumbnail: Path of a picture to show.

    Raises:
        TypeError: If an id, track or thumbnail is not text, a camid or pid is not an integer, or a time is not a
            number.
        ValueError: If the id is empty, a text is longer than 2,000 bytes or not UTF-8, a pid is negative, a time is
            not finite, or the end is before the start.
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
            check_text(name, getattr(self, name))
        if not self.id:
            raise ValueError("a record's id is empty; give each a name of its own")
        try:
            object.__setattr__(self, "camid", check_integer("camid", self.camid))
            if self.pid is not None:
                object.__setattr__(self, "pid", check_integer("pid", self.pid, least=0))
            object.__setattr__(self, "start", check_time("start", self.start))
            object.__setattr__(self, "end", self.start if self.end is None else check_time("end", self.end))
        except (TypeError, ValueError) as error:
            raise type(error)(f"record {shown(self.id)}: {error}") from None
        if self.until < self.start:
            raise ValueError(f"record {shown(self.id)} ends at {self.end}, before it starts at {self.start}")

    @property
    def until(self) -> float:
        """`end`, which is never None once a record is made."""
        assert self.end is not None
        return self.end

    def to_row(self) -> tuple[str | int | float, ...]:
        """Convert to a row of a database, in the order of `COLUMNS`: with a key, and pid -1 for None."""
        pid = UNKNOWN if self.pid is None else self.pid
        return key_of(self.id), self.id, self.camid, self.start, self.until, self.track, pid, self.thumbnail

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Record:
        """Convert from a row of a database; other columns are ignored."""
        return cls(
            id=row["id"],
            camid=row["camid"],
            start=row["starts"],
            end=row["ends"],
            track=row["track"],
            pid=None if row["pid"] == UNKNOWN else row["pid"],
            thumbnail=row["thumbnail"],
        )


COLUMNS = ("key", "id", "camid", "starts", "ends", "track", "pid", "thumbnail")  # no SQL keywords


class Hit(NamedTuple):
    """A search result: a record and its cosine distance from the query, from 0 (same direction) to 2."""

    record: Record
    distance: float


class Stored(NamedTuple):
    """A record with its vector (D,), of length 1."""

    record: Record
    vector: FloatArray


def key_of(name: str) -> str:
    """Return a key of plain letters for any text, so that texts are never part of a database query."""
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
