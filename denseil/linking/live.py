"""Tracks that grow: their keys, their records in a gallery, and the changes of their persons."""

from __future__ import annotations

import operator
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from denseil.common.track_ids import id_values
from denseil.common.track_key import TrackKey
from denseil.gallery import Record
from denseil.gallery.record import Stored

RESTORED = "restored"  # marks the keys of tracks from a gallery, whose trackers are gone

Key: TypeAlias = tuple[int, Hashable]


class Event(NamedTuple):
    """A change of numbers that were given out before; printed, it is a line.

    Attributes:
        kind: "merged": all tracks of `person` are now `into`. "split": one track of `person` is now `into`.
        person: The number before.
        into: The number from now on.
        time: When, seconds.
        track: Camera and track that were split off; None for a merger.
    """

    kind: str
    person: int
    into: int
    time: float
    track: Key | None = None

    def __str__(self) -> str:
        what = f"{self.kind} {self.person} into {self.into}"
        return what if self.track is None else f"{what}: track {self.track[1]!r} of camera {self.track[0]}"


@dataclass
class Track:
    """A track that grows: its person, newest vector (D,), and times in seconds."""

    person: int
    vector: NDArray[np.float32]
    start: float
    last: float
    saved: bool = False


def track_key(camera: int, track_id: Hashable) -> Key:
    """Camera and track by value: the tensors of a tracker's ids compare by identity."""
    name = id_values([track_id])[0]
    if isinstance(name, int) and name < 0:
        raise ValueError(f"track_id={name} is negative, so its tracker has not confirmed it yet: leave it out")
    return operator.index(camera), name


def record_id(key: Key, track: Track) -> str:
    """Id of a track's record: that of the gallery it came from, or a new one."""
    if isinstance(key[1], tuple) and key[1][:1] == (RESTORED,):
        return str(key[1][1])
    return str(TrackKey(key[0], "live", str(key[1]), track.start))


def to_record(key: Key, track: Track) -> Record:
    """The record of a track, whose pid is its person."""
    return Record(record_id(key, track), key[0], track.start, track.last, str(key[1]), pid=track.person)


def from_stored(stored: Stored) -> tuple[Key, Track]:
    """The track of a record that `to_record` made."""
    record = stored.record
    assert record.pid is not None
    vector = np.asarray(stored.vector, np.float32)
    return (record.camid, (RESTORED, record.id)), Track(record.pid, vector, record.start, record.until, saved=True)
