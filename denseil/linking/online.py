"""Linking beside trackers: the person of each track while it grows, across cameras and restarts.

In one file, because every step of an update reads and changes the same tables of tracks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import check_seconds, checked, checked_class, shown
from denseil.common.vectors import ArrayLike, check_steps, unit_vectors
from denseil.gallery import Gallery
from denseil.gallery.checks import check_new, check_opened
from denseil.linking.live import Event, Key, Track, check_numbers, from_stored, name_new, to_record, track_key
from denseil.linking.pool import Pool
from denseil.linking.running import RunningThreshold
from denseil.linking.threshold import FAR, Threshold, warn_if_borrowed


@checked_class
class OnlineLinker:
    """Persons of tracks that grow, one call per track and frame.

    A new track gets the most similar person whose average similarity reaches the threshold, or a new number. When a
    growing track shows that two numbers are one person, they merge, and `events` says so; no number changes otherwise.
    Tracks of one camera that are seen at once are never one person: if a track returns after another one took its
    person, the later one is split off. One call costs one product of the vector with the persons' mean vectors.

    Args:
        gallery: Gallery that keeps tracks and persons across restarts, written by `save`; None for memory only.
        threshold: Least average cosine similarity, or "auto", which moves with the tracks that are seen at once; see
            `auto_threshold`.
        far: Wanted share of pairs of two persons that are linked, for "auto".
        expire: Seconds after which a track that was not seen is forgotten, and a person with the last of their tracks;
            None to keep all. If times have begun again, those of the gallery count from the first call.
        gap: Seconds for which a track that is not updated may still be in the picture.
        model_id: Identity of the model of the vectors, as features files name it; None if unknown. "auto", which starts
            without pairs, warns except with the packaged weights that it was measured with.
        first: Least number of a new person. After a restart, numbers go on above those in the gallery, which knows
            nothing of a person who was merged into another one, or forgotten: give more than all numbers that were ever
            given out, so that none is given to another person.

    Raises:
        ValueError: If an argument is out of its range, `far` is given beside a threshold, or the gallery holds vectors
            of another model.

    Examples:
        >>> import numpy as np
        >>> linker = OnlineLinker(threshold=0.7)
        >>> linker.update(1, 5, np.array([1.0, 0.0]), time=0.0)
        1
        >>> linker.update(2, 8, np.array([0.9, 0.1]), time=40.0)
        1
    """

    def __init__(
        self,
        gallery: Gallery | None = None,
        *,
        threshold: float | str = "auto",
        far: float = FAR,
        expire: float | None = None,
        gap: float = 1.0,
        model_id: str | None = None,
        first: int = 1,
    ) -> None:
        if (expire is not None and not expire > 0) or not gap >= 0:
            raise ValueError(
                f"expire={shown(expire)}, gap={shown(gap)}: give seconds, expire above 0 and gap at least 0"
            )
        if first < 1:
            raise ValueError(f"first={shown(first)}: give a number of at least 1")
        if gallery is not None:
            check_opened(gallery, None, model_id or "")
        self.gallery, self.expire, self.gap = gallery, expire, gap
        self._limit = RunningThreshold(threshold, far)
        warn_if_borrowed(self._limit.threshold, model_id, level=3)
        self._pool = None if gallery is None else Pool(gallery.dim)
        self._tracks: OrderedDict[Key, Track] = OrderedDict()  # the one that was seen last at the end
        self._of: dict[int, dict[Key, None]] = {}  # tracks of each person
        self._present: dict[int, OrderedDict[Key, None]] = {}  # tracks of each camera, seen last at the end
        self._events: list[Event] = []
        self._removed: list[str] = []
        self._began: float | None = None  # the first call, before times of restored tracks: their clock has begun again
        self._newest: dict[int, float] = {}  # time of each camera
        self._next = first
        if gallery is not None:
            self._restore(gallery)
        self._saved = self._next  # no lower number is that of a person who was never saved

    @property
    def threshold(self) -> Threshold:
        """The threshold now."""
        return self._limit.threshold

    @property
    def num_persons(self) -> int:
        """Number of persons that are known."""
        return len(self._of)

    @checked
    def update(self, camera: int, track_id: Hashable, vector: ArrayLike, time: float) -> int:
        """Take in the newest vector of a track, and return its person.

        Args:
            camera: The camera.
            track_id: The tracker's id, unique in the camera.
            vector: Vector (D,) of the track so far.
            time: Seconds; the times of one camera do not go back.

        Raises:
            TypeError: If the camera is not a whole number, or the id cannot be one.
            ValueError: If the id is negative, as that of a track that its tracker has not confirmed,
                the vector is zero, not finite or of another width, or the time is not finite or goes back.
        """
        if np.ndim(vector) != 1:
            raise ValueError(f"vector has shape {np.shape(vector)}; give the one vector (D,) of the track")
        unit = unit_vectors(vector, what="vector")[0]
        track = self._tracks.get(key := track_key(camera, track_id))
        if not np.isfinite(time) or time < self._newest.get(key[0], time):
            raise ValueError(
                f"time={shown(time)} of track {shown(track_id)}, camera {key[0]}: give finite seconds, none going back"
            )
        check_seconds(f"time of track {shown(track_id)}", time)
        check_steps(f"time of track {shown(track_id)}", np.asarray(time))
        if self._pool is None:
            self._pool = Pool(len(unit))
        if len(unit) != self._pool.sums.shape[1]:
            held = "those before" if self.gallery is None else "those of the gallery"
            raise ValueError(f"vector has {len(unit)} components, {held} {self._pool.sums.shape[1]}")
        if not self._newest and any(theirs.last > time for theirs in self._tracks.values()):
            self._began = time
        self._newest[key[0]] = time
        first_look = track is None or track.last < time
        if track is None:
            track = Track(self._find(key, unit, time), unit, time, time)
            self._insert(key, track)
        else:
            self._pool.add(track.person, unit - track.vector, 0)
            track.vector, track.last, track.saved = unit, time, False
            self._tracks.move_to_end(key)
            self._present[key[0]].move_to_end(key)
            self._split(key, track, time)
        if first_look:
            self._see_pairs(key, track, time)
        self._merge(track.person, time)
        self._forget(time)
        return self._tracks[key].person

    @checked
    def person(self, camera: int, track_id: Hashable) -> int:
        """Return the person of a track now.

        Raises:
            KeyError: If the track is not known, or was forgotten.
        """
        key = track_key(camera, track_id)
        if key not in self._tracks:
            raise KeyError(f"no track {shown(track_id)} of camera {camera}: it had no vector, or was forgotten")
        return self._tracks[key].person

    def events(self) -> list[Event]:
        """Return the changes since the last call."""
        found, self._events = self._events, []
        return found

    @checked
    def forget(self, person: int) -> None:
        """Forget a person and all of their tracks; `save` removes them from the gallery.

        What `Gallery.forget` removes while a linker runs, the linker writes again. A track that goes on after this call
        is a new one.

        Raises:
            KeyError: If there is no such person now.
        """
        if person not in self._of:
            raise KeyError(f"no person {shown(person)}: never given out, merged into another one, or forgotten")
        for key in list(self._of[person]):
            self._remove(key)

    def save(self) -> None:
        """Write what has changed to the gallery, as one record per track, whose pid is the person.

        Records that have changed are replaced in one step, before those of expired tracks are removed, so a process
        that is killed loses none. After an error, call it again. One linker at a time writes to a gallery.

        Raises:
            TypeError, ValueError: If there is no gallery, a track is no record for it, such as one of a name that is
                too long, or another process has given the same numbers to persons in it; nothing has changed then.
        """
        if self.gallery is None:
            raise ValueError("this linker has no gallery to save to; give one to OnlineLinker")
        name_new(self._tracks, self.gallery)
        changed = [(key, track) for key, track in self._tracks.items() if not track.saved]
        records = [to_record(key, track) for key, track in changed]
        vectors = check_new(records, [track.vector for _, track in changed], self.gallery.dim)
        check_numbers(self.gallery, records, self._saved)
        self.gallery.add(records, vectors, replace=True)
        self.gallery.delete(self._removed)
        self._removed = []
        self._saved = self._next
        for _, track in changed:
            track.saved = True

    def _restore(self, gallery: Gallery) -> None:
        stored = [item for block in gallery.scan() for item in block if item.record.pid is not None]
        for item in sorted(stored, key=lambda item: item.record.until):
            key, track = from_stored(item)
            self._insert(key, track)
            self._next = max(self._next, track.person + 1)

    def _insert(self, key: Key, track: Track) -> None:
        assert self._pool is not None
        self._tracks[key] = track
        self._present.setdefault(key[0], OrderedDict())[key] = None
        self._of.setdefault(track.person, {})[key] = None
        self._pool.add(track.person, track.vector)

    def _new(self) -> int:
        self._next += 1
        return self._next - 1

    def _find(self, key: Key, unit: NDArray[np.float32], time: float) -> int:
        """The person of a new track."""
        assert self._pool is not None
        for person, _ in self._pool.similar(unit, self._limit.value):
            if not any(self._clash(key, time, time, other) for other in self._of[person]):
                return person
        return self._new()

    def _clash(self, key: Key, start: float, last: float, other: Key) -> bool:
        """Whether two tracks were, or may still be, in one picture at once.

        A restored track and one of this process are not, whose times may be of two clocks: its tracker is gone.
        """
        track, own = self._tracks[other], self._tracks.get(key)
        restored = own is not None and own.stored is not None
        if key[0] != other[0] or restored != (track.stored is not None):
            return False
        if track.last >= start and last >= track.start:
            return True
        return not restored and self._newest[key[0]] - min(track.last, last) <= self.gap

    def _merge(self, person: int, time: float) -> None:
        """Merge a person with the most similar one that no two tracks at once forbid."""
        assert self._pool is not None
        for other, _ in self._pool.similar(self._pool.mean(person), self._limit.value):
            if other != person and not self._apart(person, other):
                kept, gone = min(person, other), max(person, other)
                self._pool.add(kept, *self._pool.remove(gone))
                for key in self._of.pop(gone):
                    self._tracks[key].person, self._tracks[key].saved = kept, False
                    self._of[kept][key] = None
                self._events.append(Event("merged", gone, kept, time))
                return

    def _apart(self, one: int, other: int) -> bool:
        for key in self._of[one]:
            track = self._tracks[key]
            if any(self._clash(key, track.start, track.last, theirs) for theirs in self._of[other]):
                return True
        return False

    def _split(self, key: Key, track: Track, time: float) -> None:
        """Give a track of the same person that is now seen at once with this one a number of its own."""
        assert self._pool is not None
        for other in [other for other in self._of[track.person] if other != key and other[0] == key[0]]:
            theirs = self._tracks[other]
            if theirs.stored is None and theirs.last >= track.start and track.last >= theirs.start:
                before, theirs.person, theirs.saved = theirs.person, self._new(), False
                self._pool.add(before, -theirs.vector, -1)
                del self._of[before][other]
                self._of[theirs.person] = {other: None}
                self._pool.add(theirs.person, theirs.vector)
                self._events.append(Event("split", before, theirs.person, time, other))

    def _see_pairs(self, key: Key, track: Track, time: float) -> None:
        """Take in pairs that surely show two persons: a track's first moment, and the tracks present then.

        Called once for a track and moment, so that the later of two takes in the pair, in whatever order they come.
        """
        for other in reversed(self._present[key[0]]):
            theirs = self._tracks[other]
            if theirs.last < time or theirs.stored is not None:  # restored ones come first
                return
            if other != key and time in (track.start, theirs.start):
                self._limit.see(float(track.vector @ theirs.vector))

    def _forget(self, time: float) -> None:
        while self.expire is not None and self._tracks:
            key, track = next(iter(self._tracks.items()))
            seen = track.last if self._began is None or track.stored is None else self._began
            if seen >= time - self.expire:
                return
            self._remove(key)

    def _remove(self, key: Key) -> None:
        assert self._pool is not None
        track = self._tracks.pop(key)
        del self._present[key[0]][key], self._of[track.person][key]
        self._removed += [track.id] if track.id else []
        if self._of[track.person]:
            self._pool.add(track.person, -track.vector, -1)
        else:
            del self._of[track.person]
            self._pool.remove(track.person)
