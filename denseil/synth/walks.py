"""Rendered people who walk through several cameras at known times: a benchmark of linking."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from denseil.common.arguments import checked, shown
from denseil.synth.passage import Difficulty
from denseil.synth.people import Identity, People, Recipe, Take
from denseil.synth.sensor import to_jpeg
from denseil.synth.write import claim, replace_file, save_mat

logger = logging.getLogger(__name__)
ONCE, BROKEN, SWAPPED = 0.3, 0.25, 0.03  # shares: persons who come once, visits whose track breaks, tracks that swap
STREAM = 9  # of random numbers, besides those of `People`


@dataclass(frozen=True)
class Visit:
    """One person passing one camera; times are in seconds from the start of the recording."""

    pid: int
    camid: int
    number: int
    start: float
    end: float


@dataclass(frozen=True)
class Track:
    """One track of a tracker: a visit, or a part of it.

    Attributes:
        name: Name, as of a tracklet of MARS.
        pid: The person in its first frame.
        camid: The camera.
        start: Time of the first frame, seconds.
        end: Time of the last frame.
        visit: Number of the person's visit, from 1.
        first: First frame of the visit, from 0.
        frames: Number of frames.
        swapped: Person and visit in its second half, if the tracker swapped persons; (0, 0) otherwise.
    """

    name: str
    pid: int
    camid: int
    start: float
    end: float
    visit: int
    first: int
    frames: int
    swapped: tuple[int, int] = (0, 0)


def plan_visits(num_ids: int, num_cameras: int, minutes: float, rng: np.random.Generator) -> list[Visit]:
    """Plan 1 to 6 visits of each person; a share of `ONCE` of the persons comes once."""
    visits = []
    for pid in range(1, num_ids + 1):
        count = 1 if rng.random() < ONCE else int(rng.integers(2, 7))
        time, camid = rng.uniform(0, 45 * minutes), int(rng.integers(1, num_cameras + 1))
        for number in range(1, count + 1):
            end = time + rng.uniform(6, 14)
            if number > 1 and end > 60 * minutes:
                break
            visits.append(Visit(pid, camid, number, round(time, 2), round(end, 2)))
            away = num_cameras > 1 and rng.random() < 0.8
            time = end + (rng.uniform(8, 40) if away else rng.uniform(60, 300))
            camid = (camid - 1 + int(rng.integers(1, num_cameras))) % num_cameras + 1 if away else camid
    return visits


def plan_tracks(visits: list[Visit], frames: int, rng: np.random.Generator) -> list[Track]:
    """Break some visits into two tracks, and swap the person of some tracks half-way."""
    tracks: list[Track] = []
    numbers: dict[int, int] = {}
    for visit in visits:
        times = np.linspace(visit.start, visit.end, frames).round(2)
        cut = int(rng.integers(2, frames - 1)) if frames >= 4 and rng.random() < BROKEN else frames
        for first, after in ((0, cut), (cut, frames)):
            if first < after:
                numbers[visit.pid] = number = numbers.get(visit.pid, 0) + 1
                name = f"{visit.pid:04d}C{visit.camid}T{number:04d}"
                span = float(times[first]), float(times[after - 1])
                tracks.append(Track(name, visit.pid, visit.camid, *span, visit.number, first, after - first))
    for place, track in enumerate(tracks):
        others = [v for v in visits if v.camid == track.camid and v.pid != track.pid]
        if track.frames >= 2 and others and rng.random() < SWAPPED:
            other = min(others, key=lambda v: abs(v.start - track.start))
            tracks[place] = replace(track, swapped=(other.pid, other.number))
    return tracks


@checked
def walks(
    root: Path | str,
    num_ids: int = 40,
    num_cameras: int = 4,
    *,
    minutes: float = 20,
    frames: int = 8,
    seed: int = 0,
    difficulty: Difficulty = "standard",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render persons who pass cameras one to six times, with the tracks of a tracker.

    3 in 10 persons come once. A quarter of the visits break into two tracks, and 3 % of the tracks show another person
    in their second half. The folder has the layout of MARS; `manifest.csv` adds the time of each frame, and
    `walks.json` the ground truth of each track. Existing frames are not rendered again.

    Args:
        root: The folder to write to.
        num_ids: Persons.
        num_cameras: Cameras, at most 9.
        minutes: Length of the recording.
        frames: Frames of a visit, at least 2.
        seed: Random seed.
        difficulty: "easy", "standard" or "hard".
        progress: Called with the numbers of finished and of all tracks.

    Returns:
        The root.

    Raises:
        ValueError: If an argument is outside its range, or the folder holds other people.
    """
    root = Path(root)
    if not (0 < minutes <= 10_000 and frames >= 2):
        raise ValueError(
            f"minutes={shown(minutes)}, frames={shown(frames)}: give up to 10,000 minutes and at least 2 frames"
        )
    people = People(Recipe(num_ids, num_cameras, frames, seed=seed, difficulty=difficulty, test_share=1.0))
    claim(root, {**asdict(people.recipe), "minutes": minutes})
    rng = np.random.default_rng([seed, STREAM])
    tracks = plan_tracks(plan_visits(num_ids, num_cameras, minutes, rng), frames, rng)
    for done, track in enumerate(tracks, start=1):
        _write_track(people, root, track)
        if progress:
            progress(done, len(tracks))
    _write_info(root, tracks)
    replace_file(root / "manifest.csv", _manifest(tracks).encode())
    replace_file(root / "walks.json", json.dumps([asdict(track) for track in tracks], indent=1).encode())
    return root


def _files(track: Track) -> list[str]:
    return [f"bbox_test/{track.pid:04d}/{track.name}F{number:03d}.jpg" for number in range(1, track.frames + 1)]


def _write_track(people: People, root: Path, track: Track) -> None:
    paths = [root / name for name in _files(track)]
    if all(path.exists() for path in paths):
        return
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    own = _render(people, track.pid, track.camid, track.visit)[track.first : track.first + track.frames]
    if track.swapped[0]:
        half = track.frames // 2
        own[half:] = _render(people, track.swapped[0], track.camid, track.swapped[1])[: track.frames - half]
    for path, content in zip(paths, own, strict=True):
        replace_file(path, content)


def _render(people: People, pid: int, camid: int, visit: int) -> list[bytes]:
    identity: Identity = people.identities[pid - 1]
    take = Take(identity, camid, visit, False)
    quality = people.passage(take).sensor.quality
    return [to_jpeg(image, quality) for image in people.render(take)]


def _manifest(tracks: list[Track]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("tracklet", "frame", "pid", "camid", "split", "time"))
    for track in tracks:
        for name, time in zip(_files(track), np.linspace(track.start, track.end, track.frames), strict=True):
            writer.writerow((track.name, name, track.pid, track.camid, "gallery", f"{time:.2f}"))
    return text.getvalue()


def _write_info(root: Path, tracks: list[Track]) -> None:
    """MARS's name files and tables; the first track of each person who passes a second camera is a query."""
    (root / "info").mkdir(exist_ok=True)
    (root / "bbox_train").mkdir(exist_ok=True)
    names = "".join(f"{Path(name).name}\n" for track in tracks for name in _files(track))
    replace_file(root / "info" / "train_name.txt", b"")
    replace_file(root / "info" / "test_name.txt", names.encode())
    save_mat(root / "info" / "tracks_train_info.mat", "track_train_info", [], 4)
    save_mat(root / "info" / "tracks_test_info.mat", "track_test_info", _rows(tracks), 4)
    again = {pid for pid in {t.pid for t in tracks} if len({t.camid for t in tracks if t.pid == pid}) > 1}
    first = {track.pid: place for place, track in reversed(list(enumerate(tracks, start=1))) if track.pid in again}
    if not first:
        logger.warning("%s: nobody passes two cameras, so that MARS's files have no query; read its manifest.csv", root)
    save_mat(root / "info" / "query_IDX.mat", "query_IDX", [(place,) for place in sorted(first.values())], 1)


def _rows(tracks: list[Track]) -> Iterator[tuple[int, int, int, int]]:
    done = 0
    for track in tracks:
        yield done + 1, done + track.frames, track.pid, track.camid
        done += track.frames
