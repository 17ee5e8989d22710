"""Writing a tracker's boxes with persons as ids, in the format of MOT Challenge."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked, shown
from denseil.common.files import replacing
from denseil.common.track_key import TrackKey
from denseil.data.tracks import Tracks, read_tracks

PIECE = re.compile("([0-9]{1,19})(?:-([1-9][0-9]{0,8}))?")  # a track, and its piece after a pause


@checked
def write_mot(path: str | Path, tracks: str | Path, persons: Mapping[int, Sequence[int]]) -> int:
    """Write the boxes of a tracks file with persons as ids.

    Lines are `frame,id,left,top,width,height,1,-1,-1,-1`. Where pauses cut a track into several tracklets, its longest
    pauses are taken for the cuts. Boxes of tracks without a person are left out, and those of no area or beyond the
    left or upper border, which no tracklet shows.

    Args:
        path: The file to write.
        tracks: The tracker's file; see `denseil.data.read_tracks`.
        persons: Persons of each track's tracklets, in the order of time.

    Returns:
        The number of boxes written.

    Raises:
        FileNotFoundError: If there is no tracks file, or no folder to write to.
        ValueError: If the tracks file is damaged, no track of it has a person, or a track has fewer pauses than its
            tracklets need.
    """
    boxes = read_tracks(tracks)
    return write_boxes(path, boxes, assign(boxes, persons, tracks))


def write_boxes(path: str | Path, boxes: Tracks, person: NDArray[np.int64]) -> int:
    """Write boxes with the person (N,) of each as its id, without those of person 0; returns their number."""
    kept = np.flatnonzero(person)
    order = kept[np.lexsort((person[kept], boxes.frames[kept]))]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in order.tolist():
            box = ",".join(f"{value:.2f}" for value in boxes.boxes[row])
            file.write(f"{boxes.frames[row]},{person[row]},{box},1,-1,-1,-1\n")
    return len(order)


def assign(
    boxes: Tracks,
    persons: Mapping[int, Sequence[int]],
    file: str | Path,
    frames: Mapping[int, Sequence[int]] | None = None,
) -> NDArray[np.int64]:
    """Give each box of a tracks file a person (N,), 0 for none.

    Args:
        boxes: The boxes.
        persons: As for `write_mot`.
        file: Their file, for errors.
        frames: Number of frames of each track's tracklets, if known. If a track has as many boxes, it is cut by them;
            otherwise at its longest pauses, and no tracklet may have fewer boxes than frames.

    Raises:
        ValueError: As for `write_mot`, or if a tracklet has fewer boxes than frames.
    """
    if not np.isin(boxes.ids, list(persons)).any():
        raise ValueError(f"no track of {file} has a person: is it the file of these videos?")
    person = np.zeros(len(boxes), np.int64)
    corner, size = boxes.boxes[:, :2], boxes.boxes[:, 2:]
    seen = (size > 0).all(1) & (corner + size > 0).all(1)
    for track in np.unique(boxes.ids).tolist():
        if track in persons:
            rows, parts = np.flatnonzero((boxes.ids == track) & seen), len(persons[track])
            known = None if frames is None else frames[track]
            pauses = int((np.diff(boxes.frames[rows]) > 1).sum())
            if pauses < parts - 1 and not (known and sum(known) == len(rows)):
                raise ValueError(
                    f"{file}: track {track} has {parts} tracklets and only {pauses} pauses between its boxes, so the "
                    "boxes cannot be given to persons: remove boxes outside of the picture, which fill a pause, or "
                    "give the file that the tracklets were cut by"
                )
            pieces = _pieces(boxes.frames[rows], parts, known)
            found = np.bincount(pieces, minlength=parts).tolist()
            if known is not None and any(few < least for few, least in zip(found, known, strict=True)):
                raise ValueError(
                    f"{file}: the longest pauses of track {track} divide it into {shown(found)} boxes, but its "
                    f"tracklets have {shown(list(known))} frames: remove boxes outside of the picture, which "
                    "fill a pause, or give the file that the tracklets were cut by"
                )
            person[rows] = np.asarray(persons[track])[pieces]
    return person


def _pieces(frames: NDArray[np.int64], count: int, known: Sequence[int] | None) -> NDArray[np.int64]:
    """Number of the piece of each frame, cut by their known lengths if these fit, else at the longest pauses."""
    if known is not None and sum(known) == len(frames):
        return np.repeat(np.arange(count), known)
    pauses = np.diff(frames)
    cuts = np.sort(np.argsort(-pauses, kind="stable")[: count - 1])
    pieces: NDArray[np.int64] = np.searchsorted(cuts, np.arange(len(frames)))
    return pieces


@checked
def persons_of_tracks(ids: Sequence[str], person: NDArray[np.int64]) -> dict[tuple[int, str], dict[int, list[int]]]:
    """Persons of each track by camera and source, for `write_mot`; ids that name no track are left out.

    Args:
        ids: Ids of tracklets, as `denseil embed` writes them: `c1/door.mp4/12@30.5`, and `c1/door.mp4/12-2@95` for the
            same track after a pause.
        person: Person of each tracklet (N,).

    Raises:
        ValueError: If lengths differ, two tracklets of a camera and source have the same name, so that they are of two
            videos, or a tracklet of a track is missing before another one, so that its boxes cannot be divided.
    """
    if len(ids) != len(person):
        raise ValueError(f"{len(ids)} ids for {len(person)} persons; give one person for each tracklet")
    found: dict[tuple[int, str], dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    twice: list[str] = []
    for text, number in zip(ids, person.tolist(), strict=True):
        try:
            key = TrackKey.parse(text)
        except ValueError:
            continue
        named = PIECE.fullmatch(key.track)
        if named is None:
            continue
        pieces, piece = found[key.camid, key.source][int(named[1])], int(named[2] or 1)
        if piece in pieces:
            twice.append(text)
        pieces[piece] = number
    if twice:
        raise ValueError(
            f"{len(twice)} of {len(ids)} tracklets have the camera, video and track of another one, first "
            f"{shown(twice[0])}: they are of several videos of one name; link each for itself, or cut them with a "
            "--source of their own"
        )
    for (camera, source), tracks in found.items():
        for track, pieces in tracks.items():
            _check_complete(camera, source, track, pieces)
    return {
        place: {track: [pieces[piece] for piece in sorted(pieces)] for track, pieces in tracks.items()}
        for place, tracks in found.items()
    }


def _check_complete(camera: int, source: str, track: int, pieces: Collection[int]) -> None:
    """Raise a ValueError unless pieces are numbered from 1 without a gap."""
    missing = next(number for number in count(1) if number not in pieces)
    if missing <= len(pieces):
        names = [str(track) if number == 1 else f"{track}-{number}" for number in (missing, max(pieces))]
        raise ValueError(
            f"camera {camera}, video {shown(source)}: the tracklet {names[0]} is missing and {names[1]} is there, so "
            "the boxes of the track cannot be given to persons: link the features of all its tracklets"
        )
