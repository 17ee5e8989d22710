"""Tracks that grow: their keys, their records in a gallery, and the changes of their persons."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from denseil.common.text import plain
from denseil.common.track_ids import id_values
from denseil.common.track_key import TrackKey
from denseil.gallery import Gallery, Record, Where
from denseil.gallery.record import Stored

CHECKED = 1000  # numbers that are looked for; those of two processes start at the same one
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
    """A track that grows: its person, newest vector (D,), and times in seconds.

    Attributes:
        id: Id of its record; "" until it is first saved.
        stored: The record that it was restored from; None for a track of this process.
        saved: Whether the gallery holds it as it is.
    """

    person: int
    vector: NDArray[np.float32]
    start: float
    last: float
    id: str = ""
    stored: Record | None = None
    saved: bool = False


def track_key(camera: int, track_id: Hashable) -> Key:
    """Camera and track by value: the tensors of a tracker's ids compare by identity."""
    name = id_values([track_id])[0]
    if isinstance(name, int) and name < 0:
        raise ValueError(f"track_id={name} is negative, so its tracker has not confirmed it yet: leave it out")
    return operator.index(camera), name


def name_new(tracks: Mapping[Key, Track], gallery: Gallery) -> None:
    """Give tracks that were never saved ids that no other track and no record of the gallery has.

    Where the times of a process begin again at 0, its tracks would have the ids of an earlier one's; their source is
    `live-2`, and so on.
    """
    taken = {track.id for track in tracks.values()}
    waiting = [(key, track) for key, track in tracks.items() if not track.id]
    number = 1
    while waiting:
        source = "live" if number == 1 else f"live-{number}"
        wanted = [str(TrackKey(key[0], source, str(key[1]), track.start)) for key, track in waiting]
        taken.update(gallery.find(wanted))
        for (_, track), name in zip(waiting, wanted, strict=True):
            if name not in taken:
                track.id = name
                taken.add(name)
        waiting = [(key, track) for key, track in waiting if not track.id]
        number += 1


def check_numbers(gallery: Gallery, records: Sequence[Record], least: int) -> None:
    """Check that no other process has given the numbers of persons, from `least` on, who are saved for the first time.

    Raises:
        ValueError: If the gallery holds tracks of these numbers that are not among the records.
    """
    new = set(sorted({record.pid for record in records if record.pid is not None and record.pid >= least})[:CHECKED])
    if not new:
        return
    own = gallery.find([record.id for record in records])  # of a call that failed
    if gallery.count(Where(pids=new)) > sum(item.record.pid in new for item in own.values()):
        raise ValueError(
            f"another process has given numbers from {min(new)} on to persons in the gallery {plain(gallery.uri)}, so "
            "that two persons would be one: let one OnlineLinker write to a gallery, and give it the tracks of all "
            "cameras"
        )


def to_record(key: Key, track: Track) -> Record:
    """Convert a track to a record, with its person as pid; other fields of a restored track are kept."""
    if track.stored is not None:
        return replace(track.stored, pid=track.person)
    return Record(track.id, key[0], track.start, track.last, str(key[1]), pid=track.person)


def from_stored(stored: Stored) -> tuple[Key, Track]:
    """Convert a stored record with a pid to a track."""
    record = stored.record
    assert record.pid is not None
    vector = np.asarray(stored.vector, np.float32)
    track = Track(record.pid, vector, record.start, record.until, record.id, record, saved=True)
    return (record.camid, (RESTORED, record.id)), track
