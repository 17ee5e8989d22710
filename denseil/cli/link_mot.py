"""The files of `denseil link --mot`: a tracker's boxes with persons as ids."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from denseil.cli.output import note
from denseil.common.text import counted, plain
from denseil.data import Tracks, read_tracks
from denseil.linking import persons_of_tracks
from denseil.linking.mot import assign, write_boxes


class Job(NamedTuple):
    """A file to write: the boxes of a camera and video, which were read from a file, and frames of its tracklets."""

    camera: int
    video: str
    file: Path
    boxes: Tracks
    frames: Mapping[int, Sequence[int]]
    output: Path


def plan(
    folder: Path, tracks: Sequence[tuple[str, Path]], ids: Sequence[str], records: Sequence[Mapping[str, Any]]
) -> list[Job]:
    """Plan the files to write, and check all that they need.

    Args:
        folder: The folder to write to.
        tracks: The tracks file of each video.
        ids: Ids of the tracklets.
        records: What is known of each: perhaps `frames`, their number.

    Raises:
        FileNotFoundError: If there is no such tracks file.
        ValueError: If a video is given twice, no tracklet is from it, several cameras have one of its name, its tracks
            file is damaged or would be written over, tracklets of two videos cannot be told apart, or those of a track
            do not fit its boxes.
    """
    counts = [record.get("frames") for record in records]
    frames = persons_of_tracks(ids, np.array([count if _is_length(count) else 0 for count in counts], np.int64))
    names = _names(frames)
    places = [_place(word, names) for word, _ in tracks]
    for place, count in Counter(places).items():
        if count > 1:
            raise ValueError(f"--tracks: video {names[place]!r} is given {count} times; give each once")
    jobs = []
    for place, (_, file) in sorted(zip(places, tracks, strict=True)):
        boxes = read_tracks(file)
        assign(boxes, frames[place], file, frames[place])
        jobs.append(Job(*place, file, boxes, frames[place], folder / f"c{place[0]}-{Path(place[1]).stem}.txt"))
    for place in sorted(frames.keys() - set(places)):
        note(f"--tracks names no boxes of {plain(names[place])}: none are written for it")
    alike = Counter(job.output for job in jobs)
    jobs = [job if alike[job.output] == 1 else job._replace(output=_full(folder, job)) for job in jobs]
    read = Counter(os.path.abspath(file) for _, file in tracks)  # noqa: PTH100 (as in `outputs`)
    for path, count in read.items():
        if count > 1:
            raise ValueError(f"--tracks: {path} is given for {count} videos, and its boxes are those of one")
    for job in jobs:
        if os.path.abspath(job.output) in read:  # noqa: PTH100
            raise ValueError(f"{job.output} is a file of --tracks: it would be written over; give --mot another folder")
    return jobs


def _is_length(count: object) -> bool:
    """Whether a record tells the number of frames."""
    return type(count) is int and 0 < count < 2**31


def _names(places: Collection[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """Name each video; with its camera, as `c2/clip.mp4`, where several cameras have one of its name."""
    cameras = Counter(video for _, video in places)
    return {place: place[1] if cameras[place[1]] == 1 else f"c{place[0]}/{place[1]}" for place in places}


def _place(word: str, names: Mapping[tuple[int, str], str]) -> tuple[int, str]:
    """The camera and video that a word of --tracks names, such as `clip.mp4` or `c2/clip.mp4`."""
    found = [place for place in sorted(names) if word in (place[1], f"c{place[0]}/{place[1]}")]
    if not found:
        known = ", ".join(names[place] for place in sorted(names)) or "none"
        raise ValueError(f"--tracks: no tracklet is from video {word!r}; the features files know {known}")
    if len(found) > 1:
        cameras, words = (", ".join(one) for one in zip(*((str(p[0]), f"{names[p]}=FILE") for p in found), strict=True))
        raise ValueError(f"--tracks: cameras {cameras} have a video {word!r} each: give {words}")
    return found[0]


def write(jobs: Sequence[Job], ids: Sequence[str], person: NDArray[np.int64]) -> None:
    """Write the files; see `denseil.linking.write_mot`."""
    persons = persons_of_tracks(ids, person)
    for job in jobs:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        own = assign(job.boxes, persons[job.camera, job.video], job.file, job.frames)
        count = write_boxes(job.output, job.boxes, own)
        note(f"{counted(count, 'box', 'boxes')}: {job.output}")


def _full(folder: Path, job: Job) -> Path:
    """The path of a file with the whole name of its video."""
    return folder / f"c{job.camera}-{quote(job.video, safe='')}.txt"
