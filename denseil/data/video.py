"""Cutting tracklets out of a video by a tracker's boxes: crops on disk, and a manifest."""

from __future__ import annotations

import csv
import logging
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.common.times import iso_seconds
from denseil.common.track_key import TrackKey
from denseil.data._cut_report import CutReport as CutReport
from denseil.data._cut_report import Fit
from denseil.data.frame import Frame, FrameSource
from denseil.data.readers.files import MOST
from denseil.data.readers.manifest import COLUMNS, TIME
from denseil.data.tracks import Tracks, crop_box, read_tracks
from denseil.data.video_frames import open_frames

logger = logging.getLogger(__name__)
MANIFEST, CROPS = "manifest.csv", "crops"
UNKNOWN_PID = -1  # tracks have no identity yet
JPEG_QUALITY = 95


@checked
def cut_tracklets(
    video: str | Path,
    tracks: str | Path,
    output: str | Path,
    *,
    camid: int = 1,
    start: str | None = None,
    max_gap: float = math.inf,
    fps: float | None = None,
    source: str | None = None,
) -> CutReport:
    """Cut the boxes of a tracks file out of a video, in one pass, with one frame in memory at a time.

    Frames are numbered in decoding order, and timed by the video's time stamps, so a variable frame rate is handled.
    Frames of a video with a rotation flag are rotated first, as OpenCV and ffmpeg do for a tracker. Boxes are
    rounded outwards to whole pixels and clipped to the picture.

    Args:
        video: A file that ffmpeg decodes, a folder of frames such as `img1/`, or a pattern such as `img1/%06d.jpg`.
            Images are counted by the numbers in their names, so that a missing one does not shift the others.
            The first is frame 1; beside a `seqinfo.ini` the one with the number of its `imStart`, or 1.
        tracks: Boxes; see `read_tracks`. Pixels are counted from 0.
        output: A folder, created if it does not exist: `manifest.csv`, and the crops as `crops/TRACK/FRAME.jpg`. The
            manifest names a tracklet by camera, video, track and start, such as `c1/clip.mp4/12@30.5`.
        camid: Camera id for the manifest, from 0 to 2^31 - 1.
        start: Start of the video, ISO 8601 with time zone, such as 2026-05-01T08:30:00+02:00. Times are then
            seconds since 1970, otherwise since the first frame.
        max_gap: Longest pause of a track in seconds; after a longer one it continues as a new tracklet.
        fps: Frames per second of a sequence of images; by default as in its `seqinfo.ini`, or 25.
        source: Name of the video in ids; by default that of the file. Videos of one camera that have the same file
            name and no `start` need names of their own, such as "monday/clip.mp4".

    Returns:
        A report. Skipped boxes are those left out by `read_tracks`, without area, outside the picture, in damaged
        frames, or after the last frame.

    Raises:
        FileNotFoundError: If the video or the tracks file does not exist.
        FileExistsError: If the folder already has a manifest or crops.
        ValueError: If an argument or a line of the tracks file is wrong, or the video is so damaged that the decoder
            stops. Earlier crops are kept, with a manifest.
        ModuleNotFoundError: If PyAV is not installed.
    """
    began = 0.0 if start is None else iso_seconds(start, name="start")
    if not max_gap > 0:
        raise ValueError(f"max_gap must be a number of seconds above 0, got {max_gap}")
    if not 0 <= camid <= MOST:
        raise ValueError(f"camid={camid}: a camera of a manifest is a whole number from 0 to {MOST}")
    if source is not None and not source.strip("/"):
        raise ValueError(f"source={source!r} is not a name: give the video one, such as 'monday/clip.mp4'")
    boxes = read_tracks(tracks)
    frames = open_frames(video, fps=fps)
    output = Path(output)
    report = CutReport(output / MANIFEST, skipped=Counter(boxes.left_out))
    if report.manifest.exists():
        raise FileExistsError(f"{report.manifest} is there already: give another folder, or remove it and {CROPS}")
    with (
        _new_folder(output / CROPS) as folder,
        replacing(report.manifest) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        cutter = _Cutter(report, file, folder, video=source or frames.name, camid=camid, began=began, max_gap=max_gap)
        damage = _cut_all(frames, boxes, cutter)
    report.doubts = [*frames.doubts, *cutter.fit.doubts()]
    if not report.crops:
        report.manifest.unlink()
        folder.rmdir()
    if damage is not None:
        kept = f"what came before is kept: {report}" if report.crops else "nothing was cut before"
        raise ValueError(
            f"{video} is damaged after frame {report.frames} ({damage}); {kept}; copy it again from the camera"
        ) from damage
    if not report.frames:
        raise ValueError(f"no frame of {video} can be decoded; copy it again from the camera")
    if not report.crops:
        raise ValueError(f"no box of {tracks} lies in {video}: {report}; do they belong together?")
    return report


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Create a folder, which no other run writes to; an error in the block removes it, so that it can be run again."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise FileExistsError(
            f"{folder} is there already, of another run or of one that was ended: give another folder, or remove it"
        ) from error
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _cut_all(frames: FrameSource, tracks: Tracks, cutter: _Cutter) -> Exception | None:
    """Cut all boxes. Return the error that stopped it before the end, if any."""
    report, first, last = cutter.report, 0, 0  # the first box of the current frame; the previous frame
    try:
        for frame in frames:
            missing = range(last + 1, frame.number)
            report.damaged += missing
            report.frames, last = report.frames + 1, frame.number
            start, stop = (int(np.searchsorted(tracks.frames, last, side=side)) for side in ("left", "right"))
            _skip_damaged(report, start - first)
            if stop > start and not _cut_frame(frame, tracks, start, stop, cutter):
                _skip_damaged(report, stop - start)
            if frame.damaged and frame.number not in report.damaged[-1:]:
                report.damaged.append(frame.number)
            first = stop
            if first == len(tracks):
                return None
    except frames.error as error:
        return error
    lost = frames.lost - (last - report.frames)  # after the last frame
    report.damaged += range(last + 1, last + 1 + lost)
    if first < len(tracks):
        cutter.fit.late = len(tracks) - first
        report.skipped[f"boxes of frames after the last, {last}"] += cutter.fit.late
    return None


def _skip_damaged(report: CutReport, boxes: int) -> None:
    if boxes:
        report.skipped["boxes of damaged frames"] += boxes


def _cut_frame(frame: Frame, tracks: Tracks, start: int, stop: int, cutter: _Cutter) -> bool:
    """Cut the boxes of a frame; False if the frame is damaged."""
    if frame.damaged:
        return False
    try:
        image = frame.image()
    except (FileNotFoundError, ValueError) as error:  # an image file
        logger.warning("%s; its boxes are skipped", error)
        cutter.report.damaged.append(frame.number)
        return False
    for track, box in zip(tracks.ids[start:stop].tolist(), tracks.boxes[start:stop].tolist(), strict=True):
        cutter.cut(image, frame.number, frame.time, track, box)
    return True


class _Piece(NamedTuple):
    """A tracklet that is being cut: a part of a track without a long pause."""

    number: int
    name: str
    id: str
    seen: float


class _Cutter:
    """Writes crops and their rows."""

    def __init__(
        self, report: CutReport, file: TextIO, folder: Path, *, video: str, camid: int, began: float, max_gap: float
    ) -> None:
        self.report, self.video, self.camid, self.began, self.max_gap = report, video, camid, began, max_gap
        self.folder = folder
        self.writer = csv.writer(file)
        self.writer.writerow([*COLUMNS, TIME])
        self.last: dict[int, _Piece] = {}  # by track
        self.fit = Fit()

    def cut(self, image: NDArray[np.uint8], frame: int, seconds: float, track: int, box: list[float]) -> None:
        """Write one crop, or count the reason for skipping it."""
        left, top, width, height = box
        if width <= 0 or height <= 0:
            self.report.skipped["boxes of no area"] += 1
            return
        crop = crop_box(image, left, top, width, height)
        self.fit.count(image, box, outside=not crop.size)
        if not crop.size:
            self.report.skipped["boxes outside of the picture"] += 1
            return
        time = f"{self.began + seconds:.3f}"
        piece = self._piece(track, seconds, time)
        Image.fromarray(crop).save(self.folder / piece.name / f"{frame:06}.jpg", quality=JPEG_QUALITY)
        path = f"{CROPS}/{piece.name}/{frame:06}.jpg"
        self.writer.writerow([piece.id, path, UNKNOWN_PID, self.camid, "gallery", time])
        self.report.crops += 1

    def _piece(self, track: int, seconds: float, time: str) -> _Piece:
        """The tracklet that the next crop of a track belongs to: "7", after a long pause "7-2"."""
        before = self.last.get(track)
        if before is not None and seconds - before.seen <= self.max_gap:
            self.last[track] = before._replace(seen=seconds)
            return before
        number = 1 if before is None else before.number + 1
        name = f"{track}-{number}" if number > 1 else f"{track}"
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.report.tracklets += 1
        piece = _Piece(number, name, str(TrackKey(self.camid, self.video, name, float(time))), seconds)
        self.last[track] = piece
        return piece
