"""The files of `denseil link --mot`: a tracker's boxes with persons as ids."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from denseil.cli.output import note
from denseil.common.text import plain
from denseil.linking import persons_of_tracks, write_mot
from denseil.linking.mot import assign


class Job(NamedTuple):
    """A file to write: the boxes of a camera and video."""

    camera: int
    video: str
    tracks: Path
    output: Path


def plan(folder: Path, tracks: Sequence[tuple[str, Path]], ids: Sequence[str]) -> list[Job]:
    """Plan the files to write, and check all that they need.

    Args:
        folder: The folder to write to.
        tracks: The tracks file of each video.
        ids: Ids of the tracklets.

    Raises:
        FileNotFoundError: If there is no such tracks file.
        ValueError: If a video is given twice, no tracklet is from it, its tracks file is damaged or would be written
            over, tracklets of two videos cannot be told apart, or those of a track do not fit its boxes.
    """
    given = dict(tracks)
    persons = persons_of_tracks(ids, np.zeros(len(ids), np.int64))
    places = sorted(persons)
    for video, count in Counter(video for video, _ in tracks).items():
        if count > 1:
            raise ValueError(f"--tracks: video {video!r} is given {count} times; give each once")
        if video not in {source for _, source in places}:
            known = ", ".join(sorted({source for _, source in places})) or "none"
            raise ValueError(f"--tracks: no tracklet is from video {video!r}; the features files know {known}")
        for place in places:
            if place[1] == video:
                assign(given[video], persons[place])
    for video in sorted({source for _, source in places} - set(given)):
        note(f"--tracks names no boxes of {plain(video)}: none are written for it")
    jobs = [
        Job(camera, video, given[video], folder / f"c{camera}-{Path(video).stem}.txt")
        for camera, video in places
        if video in given
    ]
    alike = Counter(job.output for job in jobs)
    jobs = [job if alike[job.output] == 1 else job._replace(output=_full(folder, job)) for job in jobs]
    read = {os.path.abspath(path): path for path in given.values()}  # noqa: PTH100 (as in `outputs`)
    for job in jobs:
        if os.path.abspath(job.output) in read:  # noqa: PTH100
            raise ValueError(f"{job.output} is a file of --tracks: it would be written over; give --mot another folder")
    return jobs


def write(jobs: Sequence[Job], ids: Sequence[str], person: NDArray[np.int64]) -> None:
    """Write the files; see `denseil.linking.write_mot`."""
    persons = persons_of_tracks(ids, person)
    for job in jobs:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        count = write_mot(job.output, job.tracks, persons[job.camera, job.video])
        note(f"{count:,} boxes: {job.output}")


def _full(folder: Path, job: Job) -> Path:
    """The path of a file with the whole name of its video."""
    return folder / f"c{job.camera}-{quote(job.video, safe='')}.txt"
